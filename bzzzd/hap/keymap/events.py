"""The keys of what happened on the mesh."""

from __future__ import annotations

from collections.abc import Mapping

from bzzzd.hap.keymap.action import Action

TITLES: Mapping[str, str] = {
    "event": "Events",
}
MODES: Mapping[str, tuple[str, ...]] = {
    "events": ("list", "event", "global", "always"),
}
ACTIONS: tuple[Action, ...] = ()
