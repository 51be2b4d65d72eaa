"""The keys of the inbox and of an opened prompt."""

from __future__ import annotations

from collections.abc import Mapping

from bzzzd.hap.keymap.action import Action

TITLES: Mapping[str, str] = {
    "inbox": "Inbox",
    "prompt page": "An opened prompt",
}
MODES: Mapping[str, tuple[str, ...]] = {
    "inbox": ("list", "inbox", "global", "always"),
    "prompt page": ("page", "prompt page", "global", "always"),
}
ACTIONS: tuple[Action, ...] = ()
