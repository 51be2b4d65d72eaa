"""What can be done anywhere, in every list, and on every opened page."""

from __future__ import annotations

from collections.abc import Mapping

from bzzzd.hap.keymap.action import Action, action

TITLES: Mapping[str, str] = {"global": "Anywhere", "list": "Lists", "page": "An opened page", "always": "Always"}
MODES: Mapping[str, tuple[str, ...]] = {"page": ("page", "global", "always")}
ACTIONS: tuple[Action, ...] = (
    action("global", "n", "new", "write a new task", hint="new", typed="new [TITLE]"),
    action("global", "N", "write", "write with a form: a task, a proposal, an incident", typed="write [FORM]"),
    action("global", "m", "message", "say something: on the thread in view, else on a new one",
           typed="message [TEXT]"),
    action("global", "1", "inbox", "go to what needs you", typed="inbox"),
    action("global", "2", "tasks", "go to the tasks", typed="tasks"),
    action("global", "3", "threads", "go to the threads of the conversation", typed="threads"),
    action("global", "4", "context", "go to the context: everything that is kept by its address", typed="context"),
    action("global", "5", "agents", "go to the agents", typed="agents"),
    action("global", "6", "peers", "go to the peers of the mesh", typed="peers"),
    action("global", "7", "health", "go to the health of this node", typed="health"),
    action("global", "8", "events", "go to what happened on the mesh", typed="events"),
    action("global", "9", "logs", "go to this node's log", typed="logs"),
    action("global", "u", "undo", "take back the last answer, cancel or retry while it waits", hint="undo",
           typed="undo"),
    action("global", "ctrl+r f5", "refresh", "ask for everything in view again", typed="refresh"),
    action("global", "T", "theme", "next theme: dark, light, 16 colours, none", typed="theme [NAME]"),
    action("global", ": ctrl+p", "palette", "find an action by name", hint="commands"),
    action("global", "? f1", "help", "show every key", hint="help", typed="help"),
    action("global", "U", "unlock", "type the passphrase of your key", typed="unlock"),
    action("global", "", "passphrase", "put your key under a passphrase, change or remove it"),
    action("global", "q", "quit", "leave the portal", hint="quit", typed="quit"),
    action("list", "enter l right", "open", "open the chosen row", hint="open", typed="open NUMBER|ID"),
    action("list", "j down", "down", "one row down"),
    action("list", "k up", "up", "one row up"),
    action("list", "pgdn ctrl+f ctrl+d", "page-down", "one window down"),
    action("list", "pgup ctrl+b ctrl+u", "page-up", "one window up"),
    action("list", "g home", "first", "first row"),
    action("list", "G end", "last", "last row"),
    action("list", "/", "filter", "show only rows with these words; also state:failed, agent:x, mine, -word",
           hint="filter", typed="filter [WORDS]"),
    action("list", "esc", "clear-filter", "show all rows again"),
    action("list", "tab", "next-view", "next view"),
    action("list", "shift+tab", "previous-view", "previous view"),
    action("page", "esc h left backspace", "back", "back to the list", hint="back", typed="back"),
    action("page", "j down", "scroll-down", "one line down"),
    action("page", "k up", "scroll-up", "one line up"),
    action("page", "pgdn space ctrl+f ctrl+d", "scroll-page-down", "one window down"),
    action("page", "pgup ctrl+b ctrl+u", "scroll-page-up", "one window up"),
    action("page", "g home", "scroll-first", "to the beginning"),
    action("page", "G end", "scroll-last", "to the end"),
    action("always", "ctrl+c", "leave", "leave the portal; drafts are kept"),
    action("always", "ctrl+z", "suspend", "go to the shell; `fg` comes back"),
    action("always", "ctrl+l", "redraw", "draw the window again"),
)  # fmt: skip
