"""What the portal shows: tasks, agents, peers, services, contents, as values of their own.

Strings inside are clean (``text.py``): the feeds make these from what the daemon sends. Times are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

FINAL = frozenset({"completed", "failed", "canceled", "rejected"})


class Progress(Struct, frozen=True, gc=False):
    """How far an owner says it is; ``total`` 0 means that it does not know."""

    done: float = 0
    total: float = 0
    note: str = ""


class Task(Struct, frozen=True):
    """A task as the ledger shows it; ``title`` is empty when the caller may not read it."""

    id: str
    state: str = "submitted"
    title: str = ""
    agent: str = ""
    role: str = ""
    capability: str = ""
    priority: int = 5
    project: str = ""
    author: str = ""
    created: float = 0
    updated: float = 0
    strikes: int = 0
    address: str = ""
    reason: str = ""
    retry_of: str = ""
    progress: Progress | None = None


class Agent(Struct, frozen=True):
    id: str
    role: str = ""
    capabilities: tuple[str, ...] = ()
    node: str = ""
    attached: bool = False
    local: bool = False
    slots: int = 1
    load: float = 0
    since: float = 0
    binary_type: str = ""


class Peer(Struct, frozen=True):
    id: str
    name: str = ""
    role: str = ""
    addresses: tuple[str, ...] = ()
    connected: bool = False
    since: float = 0
    agent_version: str = ""
    rtt_ms: float | None = None
    how: str = ""
    received: int = 0
    sent: int = 0
    skew_s: float | None = None


class Service(Struct, frozen=True):
    id: str
    state: str = ""
    ok: bool = False
    detail: str = ""
    since: float = 0
    depends: tuple[str, ...] = ()


class Health(Struct, frozen=True):
    ok: bool = False
    services: tuple[Service, ...] = ()


class Status(Struct, frozen=True):
    """The node that the portal is attached to; ``ledger_away`` when it cannot reach the ledger."""

    node_id: str = ""
    mesh_id: str = ""
    build: str = ""
    phase: str = ""
    durability: str = ""
    coordinator: str = ""
    development: bool = False
    ledger_away: bool = False
    warnings: tuple[str, ...] = ()


class Step(Struct, frozen=True):
    """One step on a task's way."""

    at: float
    what: str
    by: str = ""
    detail: str = ""


class Version(Struct, frozen=True):
    number: int
    id: str
    author: str = ""
    at: float = 0
    size: int = 0


class History(Struct, frozen=True):
    versions: tuple[Version, ...] = ()
    conflict: bool = False


class Content(Struct, frozen=True):
    """Decrypted content of one version: ``number`` of ``of``, as a clean block of text."""

    text: str
    number: int = 0
    of: int = 0
    version_id: str = ""
    author: str = ""
    at: float = 0
    content_type: str = ""
    readers: tuple[str, ...] = ()
    conflict: bool = False


class Shown(Struct, frozen=True):
    """The answer of ``task.show``; ``explanation`` says why a task failed."""

    task: Task
    brief: Content | None = None
    decision: Content | None = None
    explanation: Content | None = None


class Fault(Struct, frozen=True):
    """An error as the daemon or the client library gave it."""

    code: str
    message: str
    data: Mapping[str, Any] = field(default_factory=dict)


class Need(Struct, frozen=True):
    """A row of the inbox. ``kind`` is prompt, unknown, mention or task; ``target`` what opening it opens.

    ``expires`` is 0 where there is no end; ``risk`` that of a prompt.
    """

    id: str
    kind: str
    title: str
    by: str = ""
    at: float = 0
    expires: float = 0
    risk: str = ""
    target: str = ""
