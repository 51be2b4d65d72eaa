"""The keys of tasks, in their list and on an opened one."""

from __future__ import annotations

from collections.abc import Mapping

from bzzzd.hap.keymap.action import Action, action

TITLES: Mapping[str, str] = {
    "task": "Tasks",
    "task list": "The list of tasks",
    "task page": "An opened task",
    "tabs": "A page with tabs",
    "versions": "A page with versions",
}
MODES: Mapping[str, tuple[str, ...]] = {
    "tasks": ("list", "task list", "task", "global", "always"),
    "task page": ("page", "tabs", "versions", "task page", "task", "global", "always"),
}
ACTIONS: tuple[Action, ...] = (
    action("task", "c", "cancel", "cancel the task", risk="undo", hint="cancel", typed="cancel NUMBER|ID [REASON]"),
    action("task", "r", "retry", "make a new task from one that has ended", risk="undo", hint="retry",
           typed="retry NUMBER|ID"),
    action("task list", "f", "narrow", "mine, open, working, waiting, failed: the next of these filters",
           hint="mine, open…", typed="narrow"),
    action("tabs", "tab l right", "next-tab", "next tab", hint="next tab"),
    action("tabs", "shift+tab", "previous-tab", "previous tab"),
    action("task page", "b", "brief", "what was asked", typed="brief"),
    action("task page", "d", "decision", "what was decided", typed="decision"),
    action("task page", "t", "trace", "the whole way of the task", typed="trace"),
    action("task page", "s", "talk", "what was said about it", typed="talk"),
    action("task page", "p", "prompts", "what people were asked about it, and what they said", typed="prompts"),
    action("task page", "P", "open-prompt", "open the prompt that waits, or the newest"),
    action("task page", "o", "conversation", "open the thread of the task, to answer on it", hint="thread",
           typed="conversation"),
    action("versions", "[", "earlier", "the version before this one", hint="earlier", typed="earlier"),
    action("versions", "]", "later", "the version after this one", hint="later", typed="later"),
)  # fmt: skip
