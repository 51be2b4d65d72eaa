"""The keys of the threads and of an opened one."""

from __future__ import annotations

from collections.abc import Mapping

from bzzzd.hap.keymap.action import Action

TITLES: Mapping[str, str] = {
    "thread": "Threads",
    "thread page": "An opened thread",
}
MODES: Mapping[str, tuple[str, ...]] = {
    "threads": ("list", "thread", "global", "always"),
    "thread page": ("page", "thread page", "thread", "global", "always"),
}
ACTIONS: tuple[Action, ...] = ()
