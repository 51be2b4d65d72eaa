"""From an argument list to a command and its arguments, by the table.

The shortest forms (a command with nothing but ``--json`` and ``--socket``) are read by hand, because importing
``argparse`` would cost a third of the time that ``bzzz status`` takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from bzzzd.cli.table import COMMON, Arg, Command, find, group
from bzzzd.errors import BadInput

if TYPE_CHECKING:
    import argparse


class Parsed(NamedTuple):
    """``command`` is ``None`` when ``text`` (help, version) is to be printed instead."""

    command: Command | None
    args: dict[str, Any]
    text: str = ""


def parse(argv: list[str]) -> Parsed:
    """What to run with which arguments; ``BadInput`` says what is wrong and how to get help."""
    rest, common = _leading(argv)
    if not rest or rest[0] in ("--help", "-h", "help"):
        from bzzzd.cli.help import overview

        if not rest:
            raise BadInput(f"no command was given\n\n{overview()}".rstrip())
        return Parsed(None, {}, overview())
    if rest[0] == "--version":
        from bzzzd import __version__

        return Parsed(None, {}, f"bzzz {__version__}\n")
    command, length = find(rest)
    if command is None:
        return _group(rest)
    tail = [*common, *rest[length:]]
    quick = _by_hand(command, tail)
    return Parsed(command, quick) if quick is not None else _by_argparse(command, tail)


def _leading(argv: list[str]) -> tuple[list[str], list[str]]:
    """Common options may stand before the command, too: the rest, and those options."""
    rest, common = list(argv), list[str]()
    flags = {arg.name for arg in COMMON if arg.kind == "flag"}
    valued = {arg.name for arg in COMMON if arg.kind != "flag"}
    while rest:
        name, equals, _ = rest[0].partition("=")
        if rest[0] in flags or (name in valued and equals):
            common.append(rest.pop(0))
        elif name in valued and len(rest) > 1:
            common += [rest.pop(0), rest.pop(0)]
        else:
            break
    return rest, common


def _group(rest: list[str]) -> Parsed:
    words: list[str] = []
    for word in rest:
        if word.startswith("-") or not group([*words, word]):
            break
        words.append(word)
    commands = group(words)
    if not commands:
        from difflib import get_close_matches

        from bzzzd.cli.table import COMMANDS

        close = get_close_matches(rest[0], {command.words[0] for command in COMMANDS}, n=1)
        hint = f"did you mean `bzzz {close[0]}`?" if close else "`bzzz --help` lists all"
        raise BadInput(f"there is no command {rest[0]!r}; {hint}")
    from bzzzd.cli.help import overview

    following = rest[len(words) :]
    if following and following[0] in ("--help", "-h"):
        return Parsed(None, {}, overview(commands))
    named = " | ".join(" ".join(command.words[len(words) :]) for command in commands)
    what = f"`{following[0]}` is no command of" if following else "a command is missing after"
    raise BadInput(f"{what} `bzzz {' '.join(words)}`; it has {named}")


def _by_hand(command: Command, tail: list[str]) -> dict[str, Any] | None:
    """The arguments, if nothing but defaults, ``--json`` and ``--socket PATH`` is there; else ``None``."""
    if any(not arg.name.startswith("--") and not arg.many for arg in command.args):
        return None
    found = {arg.key: _default(arg) for arg in (*COMMON, *command.args)}
    at = 0
    while at < len(tail):
        if tail[at] == "--json":
            found["json"] = True
        elif tail[at] == "--socket" and at + 1 < len(tail) and not tail[at + 1].startswith("-"):
            at += 1
            found["socket"] = tail[at]
        else:
            return None
        at += 1
    return found


def _default(arg: Arg) -> Any:
    return [] if arg.many == "*" else arg.default


def _by_argparse(command: Command, tail: list[str]) -> Parsed:
    parser = parser_of(command)
    following: list[str] = []
    if command.tail and "--" in tail:
        at = tail.index("--")
        tail, following = tail[:at], tail[at + 1 :]
    if "--help" in tail or "-h" in tail:
        return Parsed(None, {}, parser.format_help())
    found = vars(parser.parse_args(tail))
    del found["help"]
    return Parsed(command, {**found, "tail": following} if command.tail else found)


def parser_of(command: Command) -> argparse.ArgumentParser:
    """The parser of one command; its mistakes raise ``BadInput``."""
    import argparse

    from bzzzd.cli.help import usage

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise BadInput(f"{message}; usage: {usage(command)}")

    class Once(argparse.Action):
        """A value; a second one would silently take the first one's place."""

        def __call__(
            self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
        ) -> None:
            if option and self.dest in given:
                parser.error(f"{option} was given twice; give it once, with commas where it takes several")
            given.add(self.dest)
            setattr(namespace, self.dest, values)

    given: set[str] = set()
    parser = Parser(prog=f"bzzz {command.name}", description=command.help, add_help=False, allow_abbrev=False)
    for arg in (*command.args, *COMMON):
        options: dict[str, Any] = {"help": arg.help.replace("%", "%%")}
        if arg.kind == "flag":
            options |= {"action": "store_true"}
        else:
            options |= {"type": {"whole": _whole, "number": _number}.get(arg.kind, str), "default": _default(arg)}
            if arg.name.startswith("--") and arg not in COMMON:
                options["action"] = Once
            if arg.metavar:
                options["metavar"] = arg.metavar
            if arg.choices:
                options["choices"] = arg.choices
        if arg.many:
            options["nargs"] = arg.many
        parser.add_argument(arg.name, **options)
    parser.add_argument("--help", "-h", action="store_true", help="print this help and leave")
    return parser


def _whole(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return int(text)
    raise _wrong(f"{text!r} is no whole number")


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if 0 < value < 1e9:
        return value
    raise _wrong(f"{text!r} is no number over 0")


def _wrong(message: str) -> Exception:
    import argparse

    return argparse.ArgumentTypeError(message)
