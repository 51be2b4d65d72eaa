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


def _a(context: str, keys: str, name: str, help: str, *, risk: str = "none", hint: str = "", typed: str = "") -> Action:
    return Action(context=context, keys=tuple(keys.split()), name=name, help=help, risk=risk, hint=hint, typed=typed)


# Which contexts answer a key in which mode, the nearest first. A mode whose stack has "text" takes typed
# characters, so no action there may stand on one.
MODES: Mapping[str, tuple[str, ...]] = {
    "tasks": ("list", "task", "global", "always"),
    "agents": ("list", "global", "always"),
    "peers": ("list", "global", "always"),
    "health": ("list", "global", "always"),
    "task page": ("page", "task page", "task", "global", "always"),
    "page": ("page", "global", "always"),
    "form": ("form", "text", "always"),
    "filter": ("filter", "text", "always"),
    "palette": ("palette", "text", "always"),
    "help": ("help", "always"),
}

CONTEXT_TITLES: Mapping[str, str] = {
    "global": "Anywhere",
    "list": "Lists",
    "task": "Tasks",
    "page": "An opened page",
    "task page": "An opened task",
    "form": "Writing a task",
    "filter": "Filter",
    "palette": "Command palette",
    "help": "This help",
    "text": "Editing text",
    "always": "Always",
}

ACTIONS: tuple[Action, ...] = (
    _a("global", "n", "new", "write a new task", hint="new", typed="new [TITLE]"),
    _a("global", "1", "tasks", "go to the tasks", typed="tasks"),
    _a("global", "2", "agents", "go to the agents", typed="agents"),
    _a("global", "3", "peers", "go to the peers of the mesh", typed="peers"),
    _a("global", "4", "health", "go to the health of this node", typed="health"),
    _a("global", "u", "undo", "take back the last cancel or retry while it waits", hint="undo", typed="undo"),
    _a("global", "ctrl+r f5", "refresh", "ask for everything in view again", typed="refresh"),
    _a("global", "T", "theme", "next theme: dark, light, 16 colours, none", typed="theme [NAME]"),
    _a("global", ": ctrl+p", "palette", "find an action by name", hint="commands"),
    _a("global", "? f1", "help", "show every key", hint="help", typed="help"),
    _a("global", "q", "quit", "leave the portal", hint="quit", typed="quit"),
    _a("list", "enter l right", "open", "open the chosen row", hint="open", typed="open NUMBER|ID"),
    _a("list", "j down", "down", "one row down"),
    _a("list", "k up", "up", "one row up"),
    _a("list", "pgdn ctrl+f ctrl+d", "page-down", "one window down"),
    _a("list", "pgup ctrl+b ctrl+u", "page-up", "one window up"),
    _a("list", "g home", "first", "first row"),
    _a("list", "G end", "last", "last row"),
    _a("list", "/", "filter", "show only rows with these words", hint="filter", typed="filter [WORDS]"),
    _a("list", "esc", "clear-filter", "show all rows again"),
    _a("list", "tab", "next-view", "next view"),
    _a("list", "shift+tab", "previous-view", "previous view"),
    _a("task", "c", "cancel", "cancel the task", risk="undo", hint="cancel", typed="cancel NUMBER|ID [REASON]"),
    _a("task", "r", "retry", "make a new task from one that has ended", risk="undo", hint="retry",
       typed="retry NUMBER|ID"),
    _a("page", "esc h left backspace", "back", "back to the list", hint="back", typed="back"),
    _a("page", "j down", "scroll-down", "one line down"),
    _a("page", "k up", "scroll-up", "one line up"),
    _a("page", "pgdn space ctrl+f ctrl+d", "scroll-page-down", "one window down"),
    _a("page", "pgup ctrl+b ctrl+u", "scroll-page-up", "one window up"),
    _a("page", "g home", "scroll-first", "to the beginning"),
    _a("page", "G end", "scroll-last", "to the end"),
    _a("task page", "tab l right", "next-tab", "next of brief, decision, trace", hint="next tab"),
    _a("task page", "shift+tab", "previous-tab", "previous of brief, decision, trace"),
    _a("task page", "b", "brief", "what was asked", typed="brief"),
    _a("task page", "d", "decision", "what was decided", typed="decision"),
    _a("task page", "t", "trace", "the whole way of the task", typed="trace"),
    _a("task page", "[", "earlier", "the decision's version before this one", hint="earlier", typed="earlier"),
    _a("task page", "]", "later", "the decision's version after this one", hint="later", typed="later"),
    _a("form", "ctrl+s f2", "submit", "send the task", hint="send",
       typed='submit {"title": …, "body": …}'),
    _a("form", "esc", "close", "close the form; the draft is kept", hint="close, draft kept"),
    _a("form", "tab", "next-field", "next field", hint="next field"),
    _a("form", "shift+tab", "previous-field", "previous field"),
    _a("form", "enter", "form-enter", "new line in the body, next field elsewhere"),
    _a("form", "up", "form-up", "one line up, or the field above"),
    _a("form", "down", "form-down", "one line down, or the field below"),
    _a("form", "pgup", "form-page-up", "ten lines up"),
    _a("form", "pgdn", "form-page-down", "ten lines down"),
    _a("form", "ctrl+x", "discard", "empty the form; pressed twice", hint="empty"),
    _a("filter", "enter", "filter-keep", "keep the filter", hint="keep"),
    _a("filter", "esc", "filter-cancel", "leave the filter as it was", hint="leave it"),
    _a("filter", "down", "filter-down", "keep the filter and go down"),
    _a("palette", "enter", "palette-run", "run the chosen action", hint="run"),
    _a("palette", "down ctrl+n tab", "palette-down", "next action", hint="next"),
    _a("palette", "up ctrl+p shift+tab", "palette-up", "previous action"),
    _a("palette", "esc", "palette-close", "close the palette", hint="close"),
    _a("help", "esc q ? f1 enter", "help-close", "close the help", hint="close"),
    _a("help", "j down", "help-down", "one line down", hint="down"),
    _a("help", "k up", "help-up", "one line up", hint="up"),
    _a("help", "pgdn space ctrl+f", "help-page-down", "one window down"),
    _a("help", "pgup ctrl+b", "help-page-up", "one window up"),
    _a("text", "left", "left", "one character left"),
    _a("text", "right", "right", "one character right"),
    _a("text", "ctrl+left alt+b", "word-left", "one word left"),
    _a("text", "ctrl+right alt+f", "word-right", "one word right"),
    _a("text", "home ctrl+a", "line-start", "beginning of the line"),
    _a("text", "end ctrl+e", "line-end", "end of the line"),
    _a("text", "backspace ctrl+h", "backspace", "delete the character before"),
    _a("text", "delete ctrl+d", "delete", "delete the character here"),
    _a("text", "ctrl+w alt+backspace", "delete-word", "delete the word before"),
    _a("text", "ctrl+k", "delete-to-end", "delete to the end of the line"),
    _a("text", "ctrl+u", "delete-to-start", "delete to the beginning of the line"),
    _a("always", "ctrl+c", "leave", "leave the portal; drafts are kept"),
    _a("always", "ctrl+z", "suspend", "go to the shell; `fg` comes back"),
    _a("always", "ctrl+l", "redraw", "draw the window again"),
)  # fmt: skip


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


def _typed_character(key: str) -> bool:
    return len(key) == 1 or key == "space"


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
    by_key: dict[str, dict[str, Action]] = {}
    for mode, contexts in modes.items():
        keys = by_key.setdefault(mode, {})
        for action in (action for context in contexts for action in table if action.context == context):
            for key in action.keys:
                if key in keys:
                    faults.append(f"key `{key}` means both `{keys[key].name}` and `{action.name}` in {mode}")
                elif "text" in contexts and _typed_character(key):
                    faults.append(f"key `{key}` of `{action.name}` would be typed as text in {mode}")
                else:
                    keys[key] = action
    if faults:
        raise ConfigInvalid(
            "the portal's keys clash: " + "; ".join(faults) + ". Give each action a key of its own.",
            service="keys", process="hap", faults=faults,
        )  # fmt: skip
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
        lines += [f"### {title}", "", "| key | action | what it does |", "|---|---|---|"]
        lines += [
            f"| {' '.join(f'`{key}`' for key in action.keys)} | {action.name} | {action.help}"
            f"{'; can be undone for 5 s' if action.risk == 'undo' else ''} |"
            for action in rows
        ]
        lines.append("")
    return "\n".join(lines)
