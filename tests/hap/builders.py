"""Models to test with: a small mesh that never changes, and the ways into each view."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from bzzzd.hap import actions
from bzzzd.hap.feeds import prompts as prompt_feed
from bzzzd.hap.link.proof import prove
from bzzzd.hap.messages import Answered, Due, Effects, Key, Message, Online, Prompts, Snapshot
from bzzzd.hap.update import update
from bzzzd.hap.values.model import Link, Me, Model
from bzzzd.hap.values.things import (
    Agent,
    Content,
    Health,
    History,
    Peer,
    Progress,
    Service,
    Shown,
    Status,
    Step,
    Task,
    Version,
)
from bzzzd.slurp.question import Choice, Field

from .asking import TRUST, Asking

NOW = 1_760_000_000.0
LENA = Me(id="lena", kind="person", role="operator")
GUEST = Me(id="", kind="guest", mend="ask an administrator to run: sudo bzzz mesh admin add lena")
STATUS = Status(
    node_id="node-1", mesh_id="mesh-k3v7q2", build="0.1.0", phase="monitoring", durability="single",
    coordinator="node-1",
)  # fmt: skip
ADDRESS = "ucxl://worker-2:worker@default:t-0003/*^/decision"

TASKS = (
    Task(
        id="t-0005", state="working", title="Summarise the opening of README.md in two sentences", agent="worker-1",
        role="worker", capability="summarise", project="default", author="lena", created=NOW - 12, updated=NOW - 2,
        progress=Progress(3, 5, "reading the third section"),
    ),
    Task(
        id="t-0004", state="submitted", title="Review the firewall rules of the build machines", capability="review",
        priority=7, project="default", author="lena", created=NOW - 65, updated=NOW - 65,
    ),
    Task(
        id="t-0003", state="completed", title="漢字かな交じり文を要約して, crème brûlée 👩‍👩‍👧", agent="worker-2",
        role="worker", project="default", author="otto", created=NOW - 3700, updated=NOW - 3600, address=ADDRESS,
    ),
    Task(
        id="t-0002", state="failed", title="Run the tests of the parser", agent="worker-2", capability="command",
        project="parser", author="otto", reason="lease_ended", strikes=3, created=NOW - 90000, updated=NOW - 88000,
    ),
    Task(
        id="t-0001", state="input_required", title="Delete the old backups", agent="keeper", role="operator",
        project="default", author="lena", created=NOW - 700_000, updated=NOW - 1000,
    ),
)  # fmt: skip
AGENTS = (
    Agent(
        id="worker-1", role="worker", capabilities=("answer", "summarise"), node="node-1", attached=True, local=True,
        slots=2, load=1, since=NOW - 4000, binary_type="agent",
    ),
    Agent(
        id="worker-2", role="worker", capabilities=("answer", "command", "review", "summarise"), node="node-2",
        attached=True, slots=1, load=1, since=NOW - 86400 * 3, binary_type="agent",
    ),
    Agent(id="keeper", role="operator", capabilities=("backup",), node="node-3", since=NOW - 500, binary_type="agent"),
)  # fmt: skip
PEERS = (
    Peer(
        id="12D3KooWQ7rTnqg6kYFhnW1Nn8r4HkzPMNb9b1GQ5CkV4vCq2hVZ", name="node-2", role="node",
        addresses=("/ip4/10.0.0.2/tcp/8075", "/ip6/fd00::2/tcp/8075"), connected=True, since=NOW - 7200,
        agent_version="bzzz/0.1.0", rtt_ms=1.84, how="static",
    ),
    Peer(
        id="12D3KooWBmCqnYc3xS1zT1rT7b2mR1xkVQn3Xo4Qw2pYt9y6bB3k", name="node-3", role="node",
        addresses=("/ip4/10.0.0.3/tcp/8075",), connected=False, since=NOW - 600, how="mdns",
    ),
)  # fmt: skip
HEALTH = Health(
    ok=False,
    services=(
        Service(id="journal", state="ready", ok=True, detail="4 MiB, last commit 2 ms", since=NOW - 7300),
        Service(id="mesh", state="ready", ok=True, detail="1 of 2 peers connected", since=NOW - 7299),
        Service(
            id="ledger", state="degraded", ok=False, detail="durability single: no standby", since=NOW - 600,
            depends=("journal", "mesh"),
        ),
    ),
)  # fmt: skip
BRIEF = Content(
    text="Summarise the opening of README.md in two sentences.\n\nKeep to what it says:\n- no opinions\n- no lists",
    content_type="application/msgpack",
)
DECISION = Content(
    text=(
        "BZZZ turns a group of Linux machines into one mesh in which AI agents and people work on tasks as equals. "
        "There is no central server, and no task is lost when a machine dies.\n\nmodel: smollm2-135m\ntokens: 214"
    ),
    number=2, of=2, version_id="5f1c" * 16, author="worker-2", at=NOW - 3600, content_type="text/plain",
    readers=("operator", "worker"),
)  # fmt: skip
EARLIER = replace(DECISION, text="A first try, thrown away by its author.", number=1, at=NOW - 3650)
HISTORY = History(
    versions=(
        Version(number=1, id="ab" * 32, author="worker-2", at=NOW - 3650, size=39),
        Version(number=2, id="cd" * 32, author="worker-2", at=NOW - 3600, size=214),
    )
)
TRACE = (
    Step(at=NOW - 3700, what="submitted", by="otto"),
    Step(at=NOW - 3699.7, what="offered", detail="to worker-2: role worker, load 0"),
    Step(at=NOW - 3699.5, what="claimed", by="worker-2", detail="token 1.1, lease 30 s"),
    Step(at=NOW - 3600, what="completed", by="worker-2", detail=f"decision at {ADDRESS}"),
)


def blank(width: int = 80, height: int = 24) -> Model:
    """A portal at its start, nothing seen yet."""
    return Model(
        now=NOW,
        run="run",
        registry=actions.load(actions.ACTIONS),
        width=width,
        height=height,
        link=Link(since=NOW, socket="/run/bzzz/bzzzd.sock"),
    )


def after(model: Model, *messages: Message) -> Model:
    """The model after the messages; their effects are not performed."""
    for message in messages:
        model, _ = update(model, message)
    return model


def effects_of(model: Model, message: Message) -> Effects:
    return update(model, message)[1]


def keys(names: str) -> list[Key]:
    """Key presses by name, separated by blanks; a single character also types itself."""
    return [Key(name, name if len(name) == 1 else " " if name == "space" else "") for name in names.split()]


def online(width: int = 80, height: int = 24, tasks: tuple[Task, ...] = TASKS) -> Model:
    """Attached as lena, everything seen."""
    return after(
        blank(width, height),
        Online(LENA, STATUS),
        Snapshot(tasks, 1042),
        Answered(("agents",), AGENTS),
        Answered(("peers",), PEERS),
        Answered(("health",), HEALTH),
    )


def opened(width: int = 80, height: int = 24) -> Model:
    """The completed task's page with everything that was asked for."""
    model = after(online(width, height), *keys("j j enter"))
    task = model.tasks["t-0003"]
    return after(
        model,
        Answered(("show", task.id), Shown(task, brief=BRIEF)),
        Answered(("trace", task.id), TRACE),
        Answered(("history", task.id), HISTORY),
        Answered(("decision", task.id, "0"), DECISION),
    )


CHOICES = (Choice("keep", "Keep everything"), Choice("drop", "Drop what is older than a year"))
FIELDS = (
    Field("days", "Days to keep", "number", help="at least 7"),
    Field("where", "Where to", "choice", choices=("disk", "tape")),
    Field("why", "Why", "lines", required=False),
)


def asking(id: str = "p-0001", **fields: Any) -> Asking:
    """A question of worker-1 to lena with a fixed digest: every byte of it is the same each time."""
    return Asking(id, now=NOW, **fields)


def prompted(model: Model) -> Model:
    """Three prompts for lena, one of another's."""
    rows = (
        asking(),
        asking("p-0002", title="Which of them?", kind="choose", choices=CHOICES, expires=NOW + 42, risk="low"),
        asking("p-0003", title="Reboot host-3 for the new kernel", risk="high", expires=NOW + 7200),
    )
    found = [prompt_feed.prompt(one.row()) for one in rows]
    found.append(replace(prompt_feed.prompt(asking("p-0004", title="Format the disk").row()), state="unknown"))
    return after(model, Prompts(tuple(found)))


def prompt_page(model: Model, **fields: Any) -> Model:
    """An opened prompt with its proven text, ready to be answered."""
    one = asking(**fields)
    asked = prove(one.shown(), TRUST, NOW)
    # The salt of its version is random, and no part of what is shown; the digest is not.
    model = after(
        model, Prompts((prompt_feed.prompt(one.row()),)), *keys("1 enter"), Answered(("prompt", one.prompt.id), asked)
    )
    return after(model, Due("ready", f"{one.prompt.id} {one.prompt.digest}"))
