"""Every command of ``bzzz`` as data: words, arguments, help, and the function that runs it.

Help, the parser, man pages and completions come from this one table.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple


class Arg(NamedTuple):
    """One argument. A ``name`` that begins with ``--`` is an option, any other is positional.

    ``many`` is ``?`` (may be left out) or ``*`` (any number); ``key`` is its name in ``Run.args``.
    """

    name: str
    help: str
    kind: Literal["text", "whole", "number", "flag"] = "text"
    default: Any = None
    metavar: str = ""
    many: Literal["", "?", "*"] = ""
    choices: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return self.name.lstrip("-").replace("-", "_")


class Command(NamedTuple):
    """One command. ``run`` is ``module:function`` below ``bzzzd.cli.commands``.

    ``tail`` is the metavar of what may follow ``--``. ``follows``: it runs until it is stopped, and
    ``--timeout`` bounds that instead of one answer.
    """

    words: tuple[str, ...]
    help: str
    run: str
    args: tuple[Arg, ...] = ()
    tail: str = ""
    follows: bool = False

    @property
    def name(self) -> str:
        return " ".join(self.words)


COMMON: tuple[Arg, ...] = (
    Arg("--json", "print JSON for programs", "flag", False),
    Arg("--socket", "bzzzd's socket (else BZZZ_SOCKET, else network.socket of the configuration)", metavar="PATH"),
    Arg(
        "--timeout",
        "how long to wait: for an answer (30), or with watch, subscribe, --wait in all",
        "number",
        metavar="SECONDS",
    ),
)

_ID = Arg("id", "task id")
_ADDRESS = Arg("address", "UCXL address", metavar="ADDRESS")
_LIMIT = Arg("--limit", "rows at most (50)", "whole", 50, "N")
_KINDS = ("proposal", "question", "answer", "agreement", "concern", "objection", "summary", "escalation")
_PROMPT_STATES = (
    "open", "seen", "answered", "claimed", "executed", "failed", "unknown", "expired", "canceled", "superseded",
)  # fmt: skip
_STATES = ("submitted", "working", "input_required", "completed", "failed", "canceled", "rejected")


_TAKE_BACK = (
    Arg("--all", "an administrator: everything it ever signed is void too, for a stolen key", "flag", False),
    Arg("--authority", "sign with the authority's key of this node, as root", "flag", False),
)


COMMANDS: tuple[Command, ...] = (
    Command(("status",), "how this node is", "node:status"),
    Command(("peers",), "the other nodes of the mesh", "node:peers"),
    Command(("health",), "the services of this node; exits 1 when one is not well", "node:health"),
    Command(("doctor",), "what is wrong here, and what mends it", "node:doctor"),
    Command(("logs",), "the newest lines of bzzzd's log", "node:logs",
            (Arg("--lines", "how many (100)", "whole", 100, "N"),)),
    Command(("config", "check"), "check configuration files, each and all together", "config:check",
            (Arg("paths", "files or folders (/etc/bzzz)", metavar="PATH", many="*"),)),
    Command(("mesh", "init"), "found a mesh on this node", "mesh:init"),
    Command(("mesh", "members"), "who belongs to the mesh", "mesh:members"),
    Command(("mesh", "invite"), "make an invitation for a node or a person", "invite:invite", (
        Arg("--role", "role of who joins (node; operator with --person)", metavar="ROLE"),
        Arg("--person", "for a person of this id", metavar="ID"),
        Arg("--id", "for a node of this id", metavar="ID"),
        Arg("--uses", "how often it may be used (1)", "whole", 1, "N"),
        Arg("--expires", "how long it may be used, like 30m, 24h, 7d (24h)", default="24h", metavar="TIME"),
        Arg("--yes", "let the joiner in without asking anybody", "flag", False),
        Arg("--key", "let in only who has this public key or peer id, without asking anybody", metavar="KEY"),
        Arg("--wait", "stay, and ask about each joiner (as on a terminal)", "flag", False),
        Arg("--no-wait", "print the invitation and leave", "flag", False)), follows=True),
    Command(("mesh", "uninvite"), "take an invitation back", "invite:uninvite",
            (Arg("invitation", "its id, as `mesh requests` lists it", metavar="ID"),)),
    Command(("mesh", "requests"), "who waits to be let in, and open invitations", "invite:requests"),
    Command(("mesh", "confirm"), "let the joiner in whose screen shows this code", "invite:confirm",
            (Arg("code", "the eight digits", metavar="CODE", many="*"),)),
    Command(("mesh", "refuse"), "turn the joiner with this code away", "invite:refuse",
            (Arg("code", "the eight digits", metavar="CODE", many="*"),)),
    Command(("mesh", "join"), "join a mesh by an invitation", "join:join", (
        Arg("invitation", "the invitation's text; - reads it from standard input", metavar="INVITATION"),
        Arg("--id", "how this node, or person, is to be called", metavar="ID"),
        Arg("--yes", "do not ask on this side", "flag", False),
        Arg("--set-aside", "leave what this node holds behind, without deleting it", "flag", False)), follows=True),
    Command(("mesh", "revoke"), "take a member's rights back, in the whole mesh", "revoke:revoke", (
        Arg("id", "the member's id, or its key", metavar="ID"),
        Arg("--kind", "which one, where members of several kinds have this id", metavar="KIND",
            choices=("node", "agent", "person")), *_TAKE_BACK)),
    Command(("mesh", "renew"), "sign a member's grant anew, where no node holds the authority's key", "revoke:renew", (
        Arg("id", "the member's id, or its key", metavar="ID"),
        Arg("--kind", "which one, where members of several kinds have this id", metavar="KIND",
            choices=("node", "person")))),
    Command(("mesh", "settle"), "stop telling of a node that ran twice, or whose disk was put back", "mesh:settle",
            (Arg("node", "the node's id, or its key", metavar="NODE"),)),
    Command(("mesh", "admin", "add"), "make a local user, or a person of the mesh, an administrator", "mesh:admin_add",
            (Arg("user", "user name of this machine, or id of a person", metavar="USER"),)),
    Command(("mesh", "admin", "remove"), "take an administrator's rights back; the person stays", "revoke:admin_remove",
            (Arg("user", "the administrator's id", metavar="USER"), *_TAKE_BACK)),
    Command(("mesh", "policy", "show"), "the policy in force", "mesh:policy_show"),
    Command(("mesh", "policy", "apply"), "sign roles.yaml into the policy of the mesh", "mesh:policy_apply",
            (Arg("path", "the file (roles.yaml beside the configuration)", metavar="PATH", many="?"),)),
    Command(("mesh", "epoch", "show"), "the role keys, and which of their secrets this node holds", "epoch:show"),
    Command(("mesh", "epoch", "new"), "new keys for every role, as after a member was removed", "epoch:new", (
        Arg("--earlier", "whether new holders get the secrets of earlier epochs (yes, unless it was set to no)",
            metavar="yes|no", choices=("yes", "no")),)),
    Command(("mesh", "export"), "save what this node holds, before it joins a mesh", "carry:export",
            (Arg("folder", "a new folder", metavar="FOLDER"),)),
    Command(("mesh", "import"), "bring back content that `mesh export` saved", "carry:load",
            (Arg("folder", "the folder", metavar="FOLDER"),)),
    Command(("mesh", "authority", "show"), "the mesh's authority, and whether its key is here", "authority:show"),
    Command(("mesh", "authority", "split"), "split the authority's key among holders", "authority:split", (
        Arg("holders", "a node of the mesh, or NAME=age1… for somebody else", metavar="HOLDER", many="*"),
        Arg("--threshold", "how many shares give the key back (3)", "whole", 3, "K"),
        Arg("--shares", "how many there are; as many as holders are named", "whole", metavar="N"),
        Arg("--output", "a new folder for the shares (authority-shares)", default="authority-shares", metavar="FOLDER"),
        Arg("--yes", "take the key off this machine without asking", "flag", False))),
    Command(("mesh", "authority", "recover"), "put the authority's key together", "authority:recover",
            (Arg("files", "the holders' shares", metavar="FILE", many="*"),)),
    Command(("mesh", "authority", "release"), "hand a share that this node holds to another node", "authority:release",
            (Arg("file", "the share", metavar="FILE"), Arg("--to", "the node that recovers the key", metavar="NODE"),
             Arg("--output", "the new file (released.age)", default="released.age", metavar="FILE"))),
    Command(("mesh", "authority", "remove"), "take the recovered key off this machine again", "authority:remove"),
    Command(("ledger", "status"), "the task ledger: where, how much, how durable", "ledger:status"),
    Command(("ledger", "backup"), "write the ledger to a file", "ledger:backup",
            (Arg("path", "the new file", metavar="PATH"),)),
    Command(("ledger", "restore"), "put the ledger back from a file", "ledger:restore",
            (Arg("path", "a file that `ledger backup` wrote", metavar="PATH"),
             Arg("--yes", "do not ask", "flag", False))),
    Command(("ledger", "promote"), "make this node the coordinator, when the former one is gone", "ledger:promote",
            (Arg("--force", "go on with a copy that lacks entries, or with none", "flag", False),)),
    Command(("agent", "list"), "the agents of the mesh", "agents:listing"),
    Command(("agent", "show"), "one agent", "agents:show", (Arg("id", "agent id", metavar="ID"),)),
    Command(("task", "submit"), "ask for something", "tasks:submit", (
        Arg("title", "what is asked, in a line", metavar="TITLE"),
        Arg("--body", "the whole of it; - reads standard input", metavar="-|TEXT"),
        Arg("--role", "only agents of this role", default="", metavar="R"),
        Arg("--capability", "only agents with this capability", default="", metavar="C"),
        Arg("--project", "project that it belongs to (default)", default="default", metavar="P"),
        Arg("--priority", "0 to 9, 9 goes first (5)", "whole", 5, "N"),
        Arg("--deadline", "seconds until it fails, not counting waits for a person", "number", metavar="SECONDS"),
        Arg("--address", "context that it is about", metavar="UCXL"),
        Arg("--approve", "a person must agree before it runs", "flag", False),
        Arg("--wait", "follow it to its end; exits 1 unless it completes", "flag", False),
    ), tail="PROGRAM [ARGUMENT…]"),
    Command(("task", "list"), "tasks, the newest first", "tasks:listing", (
        Arg("--state", "only those in this state", metavar="STATE", choices=_STATES),
        Arg("--project", "only those of this project", metavar="P"),
        Arg("--dead", "only those that failed by their strikes", "flag", False), _LIMIT)),
    Command(("task", "show"), "one task with its brief and its decision", "tasks:show", (_ID,)),
    Command(("task", "watch"), "print changes as they happen; of one task until it ends", "watch:run",
            (Arg("id", "task id", many="?"),), follows=True),
    Command(("task", "cancel"), "end a task", "tasks:cancel",
            (_ID, Arg("--reason", "a word that every member may read (canceled)", default="canceled", metavar="WORD"))),
    Command(("task", "retry"), "ask for the same again", "tasks:retry", (_ID,)),
    Command(("task", "trace"), "the whole way of a task", "tasks:trace", (_ID,)),
    Command(("hmmm", "list"), "threads, the one last spoken in first; * marks those that turn to you",
            "threads:listing", (Arg("--open", "only those that are not closed", "flag", False), _LIMIT)),
    Command(("hmmm", "show"), "one thread with all its messages", "threads:show",
            (Arg("thread", "task id, or the id of a free thread", metavar="THREAD"),)),
    Command(("hmmm", "post"), "say something on a thread", "threads:post", (
        Arg("thread", "task id, the id of a free thread, or `new` to begin one", metavar="THREAD"),
        Arg("text", "what to say; - (or nothing) reads standard input", metavar="TEXT", many="?"),
        Arg("--kind", "what it is (question; as a reply: answer); a summary closes the thread", metavar="KIND",
            choices=_KINDS),
        Arg("--reply-to", "the message that it replies to", metavar="MESSAGE"),
        Arg("--window", "a proposal: seconds in which others may object", "number", metavar="SECONDS"),
        Arg("--subject", "a line about a new thread", default="", metavar="LINE"),
        Arg("--to", "whom it turns to: ids and role:NAME, with commas", default="", metavar="WHO"),
        Arg("--reason", "an escalation: why", default="", metavar="WHY"),
        Arg("--refs", "addresses, versions and messages that it refers to, with commas", default="", metavar="REFS"),
        Arg("--readers", "only these roles may read it, with commas", default="", metavar="ROLES"),
        Arg("--project", "a free thread: project that it belongs to (default)", default="default", metavar="P"))),
    Command(("prompt", "list"), "what agents ask people, the newest first; * marks what waits for you",
            "prompts:listing", (
        Arg("--mine", "only what waits for you", "flag", False),
        Arg("--all", "also those that have ended", "flag", False),
        Arg("--state", "only those in this state", metavar="STATE", choices=_PROMPT_STATES),
        Arg("--task", "only those of this task", metavar="TASK"), _LIMIT)),
    Command(("prompt", "show"), "one prompt with its text and the action that it is about", "prompts:show",
            (Arg("id", "prompt id", metavar="ID"),)),
    Command(("prompt", "answer"), "answer a prompt, or say what became of one whose outcome is unknown",
            "prompts:answer", (
        Arg("id", "prompt id", metavar="ID"),
        Arg("--choice", "approve, deny, or a choice's id; of an unknown one: executed or failed", metavar="CHOICE"),
        Arg("--text", "a text; - reads standard input", metavar="-|TEXT"),
        Arg("--field", "the fields of a form", metavar="NAME=VALUE", many="*"),
        Arg("--yes", "high risk: the first 8 digits of the prompt's digest", metavar="DIGITS"))),
    Command(("context", "put"), "store a new version", "context:put", (
        _ADDRESS, Arg("--body", "the content; - (or nothing) reads standard input", metavar="-|TEXT"),
        Arg("--file", "read the content from a file", metavar="PATH"),
        Arg("--type", "its content type (text/plain)", default="text/plain", metavar="TYPE"))),
    Command(("context", "get"), "print one version", "context:get",
            (_ADDRESS, Arg("--output", "write it to a new file", metavar="PATH"))),
    Command(("context", "list"), "addresses that a pattern finds", "context:listing",
            (Arg("pattern", "UCXL address with `any`", metavar="PATTERN", many="?"), _LIMIT)),
    Command(("context", "history"), "the versions of an address", "context:history", (_ADDRESS,)),
    Command(("context", "diff"), "what changed between two versions", "context:diff", (
        _ADDRESS, Arg("a", "version number or id (the one before the latest)", metavar="A", many="?"),
        Arg("b", "version number or id (the latest)", metavar="B", many="?"))),
    Command(("context", "export"), "write one version to a file that `age --decrypt` reads", "context:export", (
        _ADDRESS, Arg("--output", "the new file", metavar="PATH"),
        Arg("--to", "for whom: age recipients with commas (the roles that read it)", metavar="age1…"))),
    Command(("context", "announce"), "tell the mesh where an address is kept", "context:announce", (_ADDRESS,)),
    Command(("ucxl", "parse"), "the parts of a UCXL address as JSON", "ucxl:parse", (_ADDRESS,)),
    Command(("publish",), "send a message to a topic", "topics:publish", (
        Arg("topic", "the topic", metavar="TOPIC"),
        Arg("message", "the message; - (or nothing) reads standard input", metavar="MESSAGE", many="?"))),
    Command(("subscribe",), "print the messages of a topic as they come", "topics:subscribe", (
        Arg("topic", "the topic", metavar="TOPIC"),
        Arg("--count", "leave after so many messages", "whole", metavar="N")), follows=True),
)  # fmt: skip


def find(words: list[str]) -> tuple[Command | None, int]:
    """The command that ``words`` begin with, and how many words name it."""
    for length in (3, 2, 1):
        wanted = tuple(words[:length])
        for command in COMMANDS:
            if command.words == wanted:
                return command, length
    return None, 0


def group(words: list[str]) -> tuple[Command, ...]:
    """The commands whose names begin with these words."""
    return tuple(command for command in COMMANDS if words and list(command.words[: len(words)]) == words)
