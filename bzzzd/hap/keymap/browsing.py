"""The keys of the context browser and of an opened address."""

from __future__ import annotations

from collections.abc import Mapping

from bzzzd.hap.keymap.action import Action, action

TITLES: Mapping[str, str] = {
    "place": "Context",
    "context page": "An opened address of the context",
    "naming": "Naming a file",
}
MODES: Mapping[str, tuple[str, ...]] = {
    "context": ("list", "place", "global", "always"),
    "context page": ("page", "tabs", "versions", "context page", "global", "always"),
    "naming": ("naming", "text", "always"),
}
ACTIONS: tuple[Action, ...] = (
    action("place", "h left", "fold", "fold the chosen name, or go to what it is below", hint="fold"),
    action("place", "o", "group", "group by agent, project, task or role", hint="group", typed="group [BY]"),
    action("place", "=", "look", "show everything again; `/` with an address shows only what it finds",
           typed="look [ADDRESS]"),
    action("context page", "c", "contents", "the text of the version", typed="contents"),
    action("context page", "v", "versions", "all versions on a line of time", hint="versions", typed="versions"),
    action("context page", "p", "provenance", "where the version comes from, its readers and holders",
           hint="provenance", typed="provenance"),
    action("context page", "w", "save", "write the version to a file", hint="save", typed="save [PATH]"),
    action("context page", "=", "compare", "two versions side by side", hint="compare", typed="compare"),
    action("context page", "{", "compare-earlier", "compare with the version before", typed="compare-earlier"),
    action("context page", "}", "compare-later", "compare with the version after", typed="compare-later"),
    action("naming", "enter", "save-go", "write the file", hint="save"),
    action("naming", "esc", "save-close", "leave without saving", hint="leave"),
)  # fmt: skip
