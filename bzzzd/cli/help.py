"""The help of ``bzzz`` and of its groups, from the command table alone: no parser is needed to print it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bzzzd.cli.table import COMMANDS, COMMON, Arg, Command

_END = """
`bzzz COMMAND --help` tells more. Exit status: 0 done, 1 failed, 2 wrong use or bad input, 3 not allowed,
4 not found, 5 bzzzd unreachable, 6 timed out with unknown outcome.
"""


def overview(commands: Iterable[Command] = COMMANDS) -> str:
    """All commands, one a line."""
    return "\n".join(["usage: bzzz COMMAND [ARGUMENT…]", "", *_lines(commands), "", *_options(), _END])


def usage(command: Command) -> str:
    """One command's usage line, without the word ``usage``."""
    return " ".join(["bzzz", *command.words, *(_shown(arg) for arg in command.args), *_tail(command)])


def _lines(commands: Iterable[Command]) -> Iterator[str]:
    rows = [(_short(command), command.help) for command in commands]
    width = min(34, max((len(left) for left, _ in rows), default=0))
    for left, right in rows:
        if len(left) > width:
            yield f"  {left}"
            left = ""
        yield f"  {left:<{width}}  {right}"


def _options() -> Iterator[str]:
    yield "Every command takes"
    for arg in COMMON:
        yield f"  {_shown(arg).strip('[]'):<34}  {arg.help}"
    yield f"  {'--help':<34}  print help and leave"


def _short(command: Command) -> str:
    """Name and positional arguments; options are for the command's own help."""
    return " ".join([*command.words, *(_shown(arg) for arg in command.args if not arg.name.startswith("--"))])


def _shown(arg: Arg) -> str:
    word = arg.metavar or arg.name.upper()
    if arg.name.startswith("--"):
        return f"[{arg.name}]" if arg.kind == "flag" else f"[{arg.name} {arg.metavar}]"
    return {"": word, "?": f"[{word}]", "*": f"[{word}…]"}[arg.many]


def _tail(command: Command) -> list[str]:
    return [f"[-- {command.tail}]"] if command.tail else []
