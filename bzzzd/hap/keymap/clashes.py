"""Keys that cannot be told apart, and names that are no keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct

from bzzzd.hap.keymap.action import Action

_KEY = re.compile(
    r"(?:ctrl\+|alt\+|shift\+)*"
    r"(?:[!-~]|[^\x00-\xa0]|space|enter|tab|backspace|esc|insert|delete|home|end|pgup|pgdn|up|down|left|right|f\d\d?)"
)


class Clash(Struct, frozen=True):
    """A key that cannot be told apart in one mode, and the actions that want it."""

    key: str
    names: tuple[str, ...]
    message: str


def is_key(key: str) -> bool:
    """Whether a terminal can send a key of this name."""
    return _KEY.fullmatch(key) is not None


def clashes(actions: Iterable[Action], modes: Mapping[str, tuple[str, ...]]) -> tuple[Clash, ...]:
    """Every key that has two meanings in one mode, or would be typed as text where an action stands on it."""
    table = tuple(actions)
    found: list[Clash] = []
    for mode, contexts in modes.items():
        taken: dict[str, Action] = {}
        for action in (action for context in contexts for action in table if action.context == context):
            for key in action.keys:
                if key in taken:
                    names = (taken[key].name, action.name)
                    message = f"key `{key}` means both `{names[0]}` and `{names[1]}` in {mode}"
                    found.append(Clash(key, names, message))
                elif "text" in contexts and (len(key) == 1 or key == "space"):
                    message = f"key `{key}` of `{action.name}` would be typed as text in {mode}"
                    found.append(Clash(key, (action.name,), message))
                else:
                    taken[key] = action
    return tuple(found)
