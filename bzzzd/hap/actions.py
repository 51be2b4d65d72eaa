"""The one table of actions: where it applies, its keys, its name, what it does, and its risk.

Keys, the command palette, the help overlay, the typed commands of ``--plain``, the ``action`` names of
``--headless`` and the reference in the documentation all come from it. Two actions that would answer the
same key in one mode are refused at load.

Keys are named like ``j``, ``enter``, ``pgdn``, ``ctrl+s``, ``alt+b``, ``shift+tab``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from bzzzd.errors import ConfigInvalid
from bzzzd.hap.keymap import browsing, events, general, hands, inbox, logs, mesh, overlays, tasks, threads, writing
from bzzzd.hap.keymap.action import Action
from bzzzd.hap.keymap.clashes import clashes

# The rooms in the order in which their keys are listed.
_ROOMS = (general, hands, inbox, tasks, threads, browsing, mesh, events, logs, writing, overlays)

# Which contexts answer a key in which mode, the nearest first. A mode whose stack has "text" takes typed
# characters, so no action there may stand on one.
MODES: Mapping[str, tuple[str, ...]] = {mode: stack for room in _ROOMS for mode, stack in room.MODES.items()}
CONTEXT_TITLES: Mapping[str, str] = {context: title for room in _ROOMS for context, title in room.TITLES.items()}
ACTIONS: tuple[Action, ...] = tuple(action for room in _ROOMS for action in room.ACTIONS)


class Registry(Struct, frozen=True):
    """The loaded table: the action of each key by mode, and each action by name."""

    actions: tuple[Action, ...]
    by_key: Mapping[str, Mapping[str, Action]]
    by_name: Mapping[str, Action]

    def answer(self, mode: str, key: str) -> Action | None:
        """The action that ``key`` means in ``mode``."""
        return self.by_key[mode].get(key)

    def of_mode(self, mode: str) -> tuple[Action, ...]:
        """The actions that can be run in ``mode``, the nearest context first."""
        return tuple(action for context in MODES[mode] for action in self.actions if action.context == context)


def _keys_of(table: tuple[Action, ...], contexts: tuple[str, ...]) -> Mapping[str, Action]:
    return {key: action for action in table if action.context in contexts for key in action.keys}


def load(actions: Iterable[Action], modes: Mapping[str, tuple[str, ...]] = MODES) -> Registry:
    """Check the table and index it. Every clash is named at once, as ``ConfigInvalid``."""
    table = tuple(actions)
    faults: list[str] = []
    by_name: dict[str, Action] = {}
    for action in table:
        if action.name in by_name:
            faults.append(f"two actions are named `{action.name}`")
        by_name[action.name] = action
        if not any(action.context in contexts for contexts in modes.values()):
            faults.append(f"`{action.name}` is for `{action.context}`, which no mode has")
    faults += [clash.message for clash in clashes(table, modes)]
    if faults:
        raise ConfigInvalid(
            "the portal's keys clash: " + "; ".join(faults) + ". Give each action a key of its own.",
            service="keys", process="hap", faults=faults,
        )  # fmt: skip
    by_key = {mode: _keys_of(table, contexts) for mode, contexts in modes.items()}
    return Registry(actions=table, by_key=by_key, by_name=by_name)


def match(query: str, candidate: str) -> int | None:
    """How well ``query`` fits as letters in their order, lower is better; None when it does not.

    A letter that starts a word or follows the one before costs nothing; every jump costs.
    """
    query, low = query.lower().replace(" ", ""), candidate.lower()
    best: int | None = None
    for start in (i for i, letter in enumerate(low) if query[:1] == letter):
        cost, position = (0 if start == 0 or not low[start - 1].isalnum() else 4) + min(start, 8), start
        for letter in query[1:]:
            found = low.find(letter, position + 1)
            if found < 0:
                break
            if found > position + 1:
                cost += 1 if not low[found - 1].isalnum() else 3 + min(found - position, 8)
            position = found
        else:
            best = cost if best is None else min(best, cost)
    return best if query else 0


def find(registry: Registry, mode: str, query: str) -> tuple[Action, ...]:
    """The palette's answer: actions of ``mode`` that fit ``query``, the best first."""
    offered = (action for action in registry.of_mode(mode) if action.name != "palette")
    scored = []
    for place, action in enumerate(offered):
        costs = [match(query, action.name), match(query, action.help)]
        if costs[1] is not None:
            costs[1] += 2
        known = [cost for cost in costs if cost is not None]
        if known:
            scored.append((min(known), place, action))
    return tuple(action for _, _, action in sorted(scored, key=lambda row: row[:2]))


def reference(registry: Registry) -> str:
    """The table of keys in Markdown, for the documentation."""
    lines: list[str] = []
    for context, title in CONTEXT_TITLES.items():
        rows = [action for action in registry.actions if action.context == context]
        if not rows:
            continue
        lines += [f"### {title}", "", "| key | action | what it does |", "|---|---|---|"]
        lines += [
            f"| {' '.join(f'`{key}`' for key in action.keys)} | {action.name} | {action.help}"
            f"{'; can be undone for 5 s' if action.risk == 'undo' else ''} |"
            for action in rows
        ]
        lines.append("")
    return "\n".join(lines)
