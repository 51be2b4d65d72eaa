"""The keys of the context browser and of an opened version."""

from __future__ import annotations

from collections.abc import Mapping

from bzzzd.hap.keymap.action import Action

TITLES: Mapping[str, str] = {
    "place": "Context",
    "context page": "An opened place of the context",
}
MODES: Mapping[str, tuple[str, ...]] = {
    "context": ("list", "place", "global", "always"),
    "context page": ("page", "context page", "place", "global", "always"),
}
ACTIONS: tuple[Action, ...] = ()
