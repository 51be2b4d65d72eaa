"""The portal's page of the documentation, made from the action registry and the JSON schema."""

from __future__ import annotations

from bzzzd.hap import headless
from bzzzd.hap.actions import ACTIONS, load
from bzzzd.hap.actions import reference as keys
from bzzzd.hap.themes import STYLES

_OPENING = """\
# The portal

`bzzz-hap` shows the mesh to a person: tasks as they change, agents, peers, the node's health; it sends, cancels and
retries tasks, and opens a task's brief, its decision with every earlier version, and its whole way.

| start it with | and it is |
|---|---|
| nothing | a window in the terminal |
| `--plain`, a pipe, or `TERM=dumb` | lines of text with typed commands, for screen readers and scripts |
| `--headless` | JSON lines both ways, for other programs |

All three run on the same model. Without `bzzzd` the portal shows what was seen last, says so in a banner, and comes
back by itself. Who has no grant as a person works as a guest, and reads which command mends it.

A cancel or a retry waits 5 seconds before it is sent, and `u` takes it back. A task being written is kept as a draft in
the state folder (`~/.local/state/bzzz`), also when the portal is killed. The person's key lies in the same folder, made
at the first start, and must be readable by nobody else.

Themes are dark, light, 16 colours and none (`T` changes them; `NO_COLOR` is obeyed); colour only repeats what a sign or
a word says.

## Mouse, copying, editor

The mouse chooses and opens rows, goes to views and tabs, presses keys in the bottom line, and its wheel moves what is
in view; nothing needs it. `M` leaves it to the terminal, so that text can be selected; most terminals also select while
Shift is held. `y` copies the opened text, `Y` the id of what is chosen, by OSC 52: the terminal in front of the person
takes it, also over SSH. In tmux this needs `set-clipboard on` or `allow-passthrough on`. Where a terminal takes none,
`B` shows the text alone, with the mouse left to the terminal. Addresses (`https`, `http`, `ucxl`) are links where the
terminal knows them (OSC 8), and lead only where they say.

In a text, `ctrl+_` takes back what was typed and `alt+r` does it again. `ctrl+o` gives the body to `$VISUAL` or
`$EDITOR` in a file of the state folder that nobody else can read; when the editor fails, nothing changes, and what it
wrote is kept and named. Right-to-left words are shown so that they cannot change places with what stands beside them.

## Keys and themes of one's own

In `hap.yaml`; a fault is told with its line, and two actions on one key are one. Names of actions are those below.

    interface:
      mouse: false
      theme: night
      keys:
        quit: [Q]              # instead of the built-in keys
        copy: [y, ctrl+y]
        undo: []               # no key; the palette still has it
      themes:
        night:
          like: dark           # dark, light, 16 or none
          accent: bold 81      # 0 to 255, or black red green yellow blue magenta cyan white, bright-red …
          selected: on 24      # attributes: bold dim reverse underline

Styles: {styles}.

## Keys

"""

_TYPED = """\
## Typed commands (`--plain`)

The beginning of a name is enough. Lists are numbered, and a number opens its row.

"""

_JSON = """\
## JSON lines (`--headless`)

"""


def reference() -> str:
    """The whole page in Markdown."""
    registry = load(ACTIONS)
    typed = ["| command | what it does |", "|---|---|"]
    typed += [f"| `{action.typed.replace('|', chr(92) + '|')}` | {action.help} |" for action in ACTIONS if action.typed]
    schema = (headless.__doc__ or "").partition("\n\n")[2].replace("``", "`")
    opening = _OPENING.format(styles=", ".join(f"`{style}`" for style in STYLES))
    parts = (opening, keys(registry).replace("`|`", "`\\|`"), "\n", _TYPED, "\n".join(typed), "\n\n", _JSON, schema)
    return "".join(parts).rstrip() + "\n"
