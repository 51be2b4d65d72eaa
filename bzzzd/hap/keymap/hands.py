"""The keys of the mouse, the clipboard and the bare view."""

from __future__ import annotations

from collections.abc import Mapping

from bzzzd.hap.keymap.action import Action, action

TITLES: Mapping[str, str] = {"bare": "Bare view"}
MODES: Mapping[str, tuple[str, ...]] = {"bare": ("bare", "always")}
ACTIONS: tuple[Action, ...] = (
    action("global", "M", "mouse", "take the mouse, or leave it to the terminal for selecting"),
    action("global", "y", "copy", "copy the opened text, or what is known of the chosen row"),
    action("global", "Y", "copy-id", "copy the id of what is chosen"),
    action("global", "B", "bare", "the text alone, for selecting with the terminal's own mouse"),
    action("bare", "esc q B", "bare-close", "back to the window"),
    action("bare", "j down", "bare-down", "one line down"),
    action("bare", "k up", "bare-up", "one line up"),
    action("bare", "pgdn space ctrl+f", "bare-page-down", "one window down"),
    action("bare", "pgup ctrl+b", "bare-page-up", "one window up"),
)
