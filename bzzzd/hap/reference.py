"""The portal's page of the documentation, made from the action registry and the JSON schema."""

from __future__ import annotations

from bzzzd.hap.actions import ACTIONS, load
from bzzzd.hap.actions import reference as keys
from bzzzd.hap.lines import headless
from bzzzd.hap.themes import STYLES

_OPENING = """\
# The portal

`bzzz-hap` is where a person works with the mesh: what needs them (inbox), tasks, threads, the context with every
earlier version, agents, peers, the node's health, what happened, and the log. It sends, cancels and retries tasks, and
answers what agents ask.

| start it with | and it is |
|---|---|
| nothing | a window in the terminal |
| `--plain`, a pipe, or `TERM=dumb` | lines of text with typed commands, for screen readers and scripts |
| `--headless` | JSON lines both ways, for other programs |
| `interface: {{mode: web}}` in `hap.yaml` | a service for a browser on this machine, see below |

All three run on the same model. Without `bzzzd` the portal shows what was seen last, says so in a banner, and comes
back by itself. It asks `bzzzd` for a sign of life every 10 seconds; one that owes it for 8 seconds (frozen, or a disk
that hangs) counts as away too. While the ledger of the mesh cannot be reached, the banner names the node that keeps it,
and what is sent waits on this node. Who has no grant as a person works as a guest, and reads which command mends it.

A cancel or a retry waits 5 seconds before it is sent, and `u` takes it back. A task being written is kept as a draft in
the state folder (`~/.local/state/bzzz`), also when the portal is killed.

## The inbox and its prompts

The inbox holds prompts that ask the person or their role, prompts whose outcome nobody knows, threads that name them,
and their tasks that wait: the most urgent first, with the time that is left. A badge in the bottom line counts them in
every view; nothing ever takes the focus.

An opened prompt shows who asks, the risk, the time left, and exactly what will be done: operation, target, arguments,
every invisible character written out. The portal computes the digest of the text anew and checks the signature and the
asker's grant against the authority key that it pinned at its first attach (`portal/authorities.json` in the state
folder). What does not hold is shown as NOT PROVEN and takes no answer. A daemon that shows another authority is
refused, with the file to remove when the machine has joined another mesh. `o` opens the prompt's evidence, and `O` goes
on to what comes next and to its task.

`a` answers, `d` denies, and another key confirms: `y` sends after 5 seconds in which `u` takes it back, `Y` at once.
What is of high risk is confirmed by typing the name of the operation. A prompt takes no answer in its first 0.7 seconds
on the screen, and none any more once it is replaced, answered or over, also while an answer is being written. Of a
prompt whose outcome is unknown, `a` says what the person found.

An answer is signed and synced to disk (`portal/outbox`) before it is called sent, and goes again with the same id until
the ledger's receipt is there, whatever ends meanwhile; the prompt's page shows the receipt: the number of the ledger's
entry, and what came of the action. At most 256 answers wait. Without `bzzzd`, prompts that were read stay readable and
can be approved, denied and chosen from; a text or a form needs it, because it names the readers to encrypt for.

## Tasks, threads, context, events, log

A list is filtered by `/`: words that stand anywhere in a row, and for tasks `state:`, `project:`, `agent:`, `role:`,
`author:` and `capability:` with the beginning of a value, `mine`, `open`, and `-` in front for what is not wanted; `f`
steps through what is mostly looked for. An opened task has its brief, its decision with every version, its trace, what
was said about it and what people were asked.

A thread shows replies below what they reply to, with kinds in words, objection windows, and why a message has no
effect. `[` and `]` walk through it, `a` answers the message, `m` says something, `o` opens what it refers to: an
address at its version, a task, a prompt, another message; `esc` comes back to the thread.

The context is a tree of addresses by agent, project, task or role (`o`); `/` with an address such as
`ucxl://any:any@site:any/` shows what it finds in the mesh, also beyond the 5,000 addresses that are kept, and `=` shows
all again. An address opens at its newest text; `v` shows its versions on a line of time, `p`
where a version comes from, who may read it and which nodes hold it, `=` two versions side by side (`{{` and `}}` choose
the other). `w` writes the version to a file: a safe name is offered, the file is written whole and for its owner alone,
and over another one only after `enter` is pressed a second time.

Events are the last 500 things that happened on the mesh, in the ledger, with prompts and on threads, also those from
before the portal came; opening one opens what it is about. The log is what `bzzz logs` shows, followed once a second
while it is in view; `v` raises the level from which it is shown, `f` lets it stand still.

What was seen of all this stays readable without `bzzzd`, in this portal and the next: lists, opened threads, addresses
and tasks, the newest first, up to some megabytes in `portal/seen.msgpack` of the state folder.

## The person's key

Made at the first start in the state folder, readable by nobody else. `passphrase` in the palette (`:`) puts it under a
passphrase, changes or removes it; it is then asked for once at each start, after the first frame, and `U` asks again.
The file is OpenSSH's, so `ssh-keygen -p -f` changes it too, and `security.key_file` in `hap.yaml` may name an
`ssh-ed25519` key that is there already. `bzzz` uses the same key and asks the terminal; without a terminal it says so
and ends. A passphrase is taken from no argument, environment or pipe; a program gives it to `--headless` by `unlock`.

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

_WEB = """\
## In a browser

With `interface: {mode: web}` in the file that `--config` or `BZZZ_CONFIG_PATH` names, `bzzz-hap` serves the same portal
to a browser on <http://127.0.0.1:8090> (`ports.http_port`), and its health on 8091, until it is ended by SIGTERM:

    cp /etc/bzzz/hap.yaml ~/.config/bzzz-web.yaml        # then set interface: {mode: web}
    bzzz-hap --config ~/.config/bzzz-web.yaml

A browser is let in by a URL, once: at a terminal `bzzz-hap` prints it; as a service it says only where it lies, in
`portal/web-url` of the state folder (`~/.local/state/bzzz`), which nobody else can read. After each use a new URL lies
there for the next browser. A session lasts for 12 hours without use, at most 8 browsers are in, and when the portal
starts anew all sign in again. From another machine, bring the port to yours: `ssh -L 8090:127.0.0.1:8090 MACHINE`.

It runs as the person whose portal it is, since it signs with that person's key. Under systemd:

    systemd-run --user --unit=bzzz-web -p Restart=on-failure bzzz-hap --config ~/.config/bzzz-web.yaml

Several people on one machine each run their own, with ports of their own. Behind a reverse proxy, name the proxy's host
in `interface.web_names`, and have it speak TLS; `docs/security.md` says what the web mode protects and what not.

Its pages are inbox, tasks, threads, context, agents, peers and health, each like the view of that name. A question in
the inbox is answered in two steps, with the rules of the terminal: the text that is on the page is the one that is
answered, answers wait a moment after it came into view, the key that chooses does not send, high risk takes a typed
word, and an answer can be taken back for 5 seconds. A question whose text changes meanwhile must be read anew. Content
of the context is saved as a download. Events, the log and forms of one's own are in the terminal only.

Everything works with Tab, Enter and Space; `?` lists shorter keys, which can be switched off. The page follows the
browser's dark or light scheme, needs no colour, and fits from 320 pixels on. A task or message being written is kept in
the browser until it is sent. When `bzzzd` or the portal is away a banner says so, what was seen stays readable, and the
page comes back by itself with what it missed.

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
    shown = keys(registry).replace("`|`", "`\\|`")
    parts = (opening, shown, "\n", _WEB, _TYPED, "\n".join(typed), "\n\n", _JSON, schema)
    return "".join(parts).rstrip() + "\n"
