"""The keys of the threads and of an opened one."""

from __future__ import annotations

from collections.abc import Mapping

from bzzzd.hap.keymap.action import Action, action

TITLES: Mapping[str, str] = {
    "thread": "Threads",
    "thread page": "An opened thread",
    "reference": "What refers to something",
}
MODES: Mapping[str, tuple[str, ...]] = {
    "threads": ("list", "thread", "global", "always"),
    "thread page": ("page", "thread page", "reference", "thread", "global", "always"),
}
ACTIONS: tuple[Action, ...] = (
    action("thread page", "[", "message-before", "the message before"),
    action("thread page", "]", "message-after", "the message after", hint="next message"),
    action("thread page", "a", "reply", "answer the message", hint="reply", typed="reply [MESSAGE]"),
    action("reference", "o", "reference", "open what is referred to: an address, a task, a prompt, a version",
           hint="open reference", typed="reference [ADDRESS|ID]"),
    action("reference", "O", "next-reference", "the next thing that is referred to"),
    action("thread page", "t", "about", "open the task that the thread is about", hint="task", typed="about"),
)  # fmt: skip
