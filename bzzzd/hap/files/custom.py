"""What hap.yaml changes about the portal's hands: keys, themes, the mouse. Faults come with file and line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from bzzzd.config.faults import Fault, Problem, in_order, refuse
from bzzzd.config.settings import PROGRAMS, Settings
from bzzzd.hap import actions
from bzzzd.hap.actions import ACTIONS, MODES, Registry
from bzzzd.hap.keymap.action import Action
from bzzzd.hap.keymap.clashes import clashes, is_key
from bzzzd.hap.themes import BUILT_IN, STYLES, Look, Theme, look

LIKE = "like"


class Hands(Struct, frozen=True):
    """The registry with the person's keys, and every theme by name, the built-in ones first."""

    registry: Registry
    themes: Mapping[str, Theme]


def hands(settings: Settings) -> Hands:
    """What the configuration makes of keys and themes; raises ``ConfigInvalid`` with every fault."""
    made, problems = _made(settings)
    if problems:
        raise refuse(_at_lines(settings, problems), PROGRAMS["hap"])
    return Hands(actions.load(made[0]), made[1])


def faults(settings: Settings) -> list[Fault]:
    """What is wrong with the keys and themes of the configuration."""
    problems = _made(settings)[1]
    return _at_lines(settings, problems) if problems else []


def _made(settings: Settings) -> tuple[tuple[tuple[Action, ...], Mapping[str, Theme]], list[Problem]]:
    """The table and the themes, and what is wrong with them."""
    given = settings.config.interface
    if not (given.keys or given.themes or given.theme):
        return (ACTIONS, BUILT_IN), []
    problems: list[Problem] = []
    table = tuple(_rebound(given.keys, problems))
    themes = dict(BUILT_IN)
    for name, styles in given.themes.items():
        themes[name] = _theme(name, styles, problems)
    if given.theme and given.theme not in themes:
        problems.append(
            Problem(("interface", "theme"), f"there is no theme {given.theme}", f"use one of {', '.join(themes)}")
        )
    problems += _clashes(table, given.keys)
    return (table, themes), problems


def _at_lines(settings: Settings, problems: list[Problem]) -> list[Fault]:
    from bzzzd.config.source import nothing, read_source  # yaml is read once more only to tell the lines

    try:
        source = read_source(str(settings.path), settings.path.read_bytes())
    except OSError:
        source = nothing(str(settings.path))
    return in_order([source.fault(one.at, one.message, one.fix) for one in problems])


def _rebound(keys: Mapping[str, tuple[str, ...]], problems: list[Problem]) -> Iterator[Action]:
    """The table with the given keys in the place of the built-in ones."""
    known = {action.name for action in ACTIONS}
    for name, given in keys.items():
        if name not in known:
            problems.append(_unknown(("interface", "keys", name), name, known, "action"))
        for index, key in enumerate(given):
            if not is_key(key):
                fix = "write it like j, G, enter, pgdn, f5, ctrl+s, alt+b or shift+tab"
                problems.append(Problem(("interface", "keys", name, index), f"`{key}` is no key", fix))
    for action in ACTIONS:
        yield replace(action, keys=tuple(keys[action.name])) if action.name in keys else action
    if keys.get("leave") == ():
        problems.append(Problem(("interface", "keys", "leave"), "nothing would leave the portal", "give it a key"))


def _clashes(table: tuple[Action, ...], keys: Mapping[str, tuple[str, ...]]) -> Iterator[Problem]:
    """Every key with two meanings in one mode, at the line that gave it."""
    seen: set[tuple[str, str]] = set()
    for clash in clashes(table, MODES):
        named = next((name for name in reversed(clash.names) if name in keys), "")
        if not named or (named, clash.key) in seen:
            continue
        seen.add((named, clash.key))
        given = keys[named]
        at = given.index(clash.key) if clash.key in given else 0
        yield Problem(("interface", "keys", named, at), clash.message, "choose another key")


def _theme(name: str, styles: Mapping[str, str], problems: list[Problem]) -> Theme:
    here = ("interface", "themes", name)
    base = styles.get(LIKE, "dark")
    if name in BUILT_IN:
        problems.append(Problem(here, f"{name} is a theme that every portal has", "give yours another name"))
    if base not in BUILT_IN:
        problems.append(Problem((*here, LIKE), f"there is no theme {base}", f"use one of {', '.join(BUILT_IN)}"))
    found = BUILT_IN.get(base, BUILT_IN["dark"])
    looks: dict[str, Look] = dict(found.looks)
    for style, text in styles.items():
        if style == LIKE:
            continue
        if style not in STYLES:
            problems.append(_unknown((*here, style), style, set(STYLES), "style"))
            continue
        try:
            looks[style] = look(text, found.colours)
        except ValueError as error:
            fix = "write it like `bold 214 on 236`, or like `bright-red`"
            problems.append(Problem((*here, style), str(error), fix))
    return Theme(name=name, colours=found.colours, looks=looks)


def _unknown(at: tuple[str | int, ...], word: str, known: set[str], what: str) -> Problem:
    from bzzzd.config.convert import nearest

    close = nearest(word.replace("_", "-"), sorted(known))
    fix = f"did you mean `{close}`?" if close else "docs/portal.md lists them"
    return Problem(at, f"there is no {what} {word}", fix)
