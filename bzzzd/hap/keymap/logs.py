"""The keys of this node's log."""

from __future__ import annotations

from collections.abc import Mapping

from bzzzd.hap.keymap.action import Action, action

TITLES: Mapping[str, str] = {
    "log": "Logs",
}
MODES: Mapping[str, tuple[str, ...]] = {
    "logs": ("list", "log", "global", "always"),
}
ACTIONS: tuple[Action, ...] = (
    action("log", "v", "level", "show entries from the next level up", hint="level", typed="level [LEVEL]"),
    action("log", "f", "follow", "follow the log, or let it stand still", hint="follow", typed="follow"),
)
