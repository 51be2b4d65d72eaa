"""The portal's page of the documentation, made from the action registry and the JSON schema."""

from __future__ import annotations

from bzzzd.hap import headless
from bzzzd.hap.actions import ACTIONS, load
from bzzzd.hap.actions import reference as keys

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
a word says. Copying works as in any terminal: the portal does not take the mouse.

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
    parts = (_OPENING, keys(registry).replace("`|`", "`\\|`"), "\n", _TYPED, "\n".join(typed), "\n\n", _JSON, schema)
    return "".join(parts).rstrip() + "\n"
