"""One row of the table of actions."""

from __future__ import annotations

from msgspec import Struct


class Action(Struct, frozen=True):
    """``risk`` is ``none``, or ``undo`` for what can be taken back for some seconds.

    ``hint`` is the word in the bottom line; an action without one is found in help and palette.
    ``typed`` is its form as a typed command, with its arguments.
    """

    context: str
    keys: tuple[str, ...]
    name: str
    help: str
    risk: str = "none"
    hint: str = ""
    typed: str = ""


def action(
    context: str, keys: str, name: str, help: str, *, risk: str = "none", hint: str = "", typed: str = ""
) -> Action:
    """A row with its keys separated by blanks."""
    return Action(context=context, keys=tuple(keys.split()), name=name, help=help, risk=risk, hint=hint, typed=typed)
