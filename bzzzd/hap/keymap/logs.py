"""The keys of this node's log."""

from __future__ import annotations

from collections.abc import Mapping

from bzzzd.hap.keymap.action import Action

TITLES: Mapping[str, str] = {
    "log": "Logs",
}
MODES: Mapping[str, tuple[str, ...]] = {
    "logs": ("list", "log", "global", "always"),
}
ACTIONS: tuple[Action, ...] = ()
