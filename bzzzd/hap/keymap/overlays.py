"""The keys of what lies over the window: filter, palette and help."""

from __future__ import annotations

from collections.abc import Mapping

from bzzzd.hap.keymap.action import Action, action

TITLES: Mapping[str, str] = {
    "filter": "Filter",
    "palette": "Command palette",
    "chooser": "Choosing a form",
    "secret": "A passphrase",
    "help": "This help",
}
MODES: Mapping[str, tuple[str, ...]] = {
    "filter": ("filter", "text", "always"),
    "palette": ("palette", "text", "always"),
    "chooser": ("chooser", "text", "always"),
    "help": ("help", "always"),
    "secret": ("secret", "text", "always"),
}
ACTIONS: tuple[Action, ...] = (
    action("filter", "enter", "filter-keep", "keep the filter", hint="keep"),
    action("filter", "esc", "filter-cancel", "leave the filter as it was", hint="leave it"),
    action("filter", "down", "filter-down", "keep the filter and go down"),
    action("palette", "enter", "palette-run", "run the chosen action", hint="run"),
    action("palette", "down ctrl+n tab", "palette-down", "next action", hint="next"),
    action("palette", "up ctrl+p shift+tab", "palette-up", "previous action"),
    action("palette", "esc", "palette-close", "close the palette", hint="close"),
    action("chooser", "enter", "chooser-open", "write with the chosen form", hint="write"),
    action("chooser", "down ctrl+n tab", "chooser-down", "next form", hint="next"),
    action("chooser", "up ctrl+p shift+tab", "chooser-up", "previous form"),
    action("chooser", "esc", "chooser-close", "close the list of forms", hint="close"),
    action("secret", "enter", "secret-enter", "it is typed", hint="go on"),
    action("secret", "esc", "secret-close", "leave without it", hint="leave"),
    action("help", "esc q ? f1 enter", "help-close", "close the help", hint="close"),
    action("help", "j down", "help-down", "one line down", hint="down"),
    action("help", "k up", "help-up", "one line up", hint="up"),
    action("help", "pgdn space ctrl+f", "help-page-down", "one window down"),
    action("help", "pgup ctrl+b", "help-page-up", "one window up"),
    action("help", "g home", "help-first", "to the beginning"),
    action("help", "G end", "help-last", "to the end"),
)  # fmt: skip
