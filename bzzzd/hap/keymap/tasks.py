"""The keys of tasks, in their list and on an opened one."""

from __future__ import annotations

from collections.abc import Mapping

from bzzzd.hap.keymap.action import Action, action

TITLES: Mapping[str, str] = {"task": "Tasks", "task page": "An opened task"}
MODES: Mapping[str, tuple[str, ...]] = {
    "tasks": ("list", "task", "global", "always"),
    "task page": ("page", "task page", "task", "global", "always"),
}
ACTIONS: tuple[Action, ...] = (
    action("task", "c", "cancel", "cancel the task", risk="undo", hint="cancel", typed="cancel NUMBER|ID [REASON]"),
    action("task", "r", "retry", "make a new task from one that has ended", risk="undo", hint="retry",
           typed="retry NUMBER|ID"),
    action("task page", "tab l right", "next-tab", "next of brief, decision, trace", hint="next tab"),
    action("task page", "shift+tab", "previous-tab", "previous of brief, decision, trace"),
    action("task page", "b", "brief", "what was asked", typed="brief"),
    action("task page", "d", "decision", "what was decided", typed="decision"),
    action("task page", "t", "trace", "the whole way of the task", typed="trace"),
    action("task page", "[", "earlier", "the decision's version before this one", hint="earlier", typed="earlier"),
    action("task page", "]", "later", "the decision's version after this one", hint="later", typed="later"),
)  # fmt: skip
