"""The keys of agents, peers and health: those of every list."""

from __future__ import annotations

from collections.abc import Mapping

from bzzzd.hap.keymap.action import Action

TITLES: Mapping[str, str] = {}
MODES: Mapping[str, tuple[str, ...]] = {
    "agents": ("list", "global", "always"),
    "peers": ("list", "global", "always"),
    "health": ("list", "global", "always"),
}
ACTIONS: tuple[Action, ...] = ()
