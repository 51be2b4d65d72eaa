"""What the ledger's tests share: a clock set by hand, people and agents with keys, a journal without a thread."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

from bzzzd.crypto.keys import SigningKey
from bzzzd.slurp import schema
from bzzzd.slurp.commands import (
    Answer,
    Ask,
    Author,
    Begin,
    Cancel,
    Claim,
    Command,
    Complete,
    Fail,
    Finish,
    Release,
    Renew,
    Retry,
    Seen,
    Settle,
    Submit,
    Withdraw,
    seal_command,
)
from bzzzd.slurp.ledger import Rules
from bzzzd.slurp.question import To
from bzzzd.slurp.task import LedgerClock, Task, Token

T = TypeVar("T")
MESH = "mesh-of-the-tests"
BRIEF = "b" * 64
RESULT = "d" * 64
WALL = 1_700_000_000.0

OPS: dict[str, type[Any]] = {
    "submit": Submit,
    "claim": Claim,
    "renew": Renew,
    "complete": Complete,
    "fail": Fail,
    "release": Release,
    "cancel": Cancel,
    "retry": Retry,
    "ask": Ask,
    "seen": Seen,
    "answer": Answer,
    "begin": Begin,
    "finish": Finish,
    "withdraw": Withdraw,
    "settle": Settle,
}


# What a prompt's command says where a test does not care.
DIGEST, ACTION = "1" * 64, "2" * 64
PROMPT_OPS: dict[str, dict[str, Any]] = {
    "ask": {"version": BRIEF, "digest": DIGEST, "action": ACTION, "to": To(roles=("operator",)), "kind": "approve"},
    "seen": {},
    "answer": {"digest": DIGEST, "choice": "approve"},
    "begin": {"action": ACTION},
    "finish": {"result": "executed"},
    "withdraw": {},
    "settle": {"result": "executed"},
}
HELD_OPS = ("renew", "complete", "fail", "release", "ask", "begin", "finish")


class Clock:
    """``boot`` and ``wall`` go together unless a test moves one alone."""

    def __init__(self) -> None:
        self.boot, self.wall = 1000.0, WALL

    def __call__(self) -> LedgerClock:
        return LedgerClock(self.boot, self.wall)

    def go(self, seconds: float) -> None:
        self.boot += seconds
        self.wall += seconds


class Member:
    """Somebody with a key and a grant."""

    def __init__(
        self, id: str, kind: str, role: str, capabilities: tuple[str, ...] = (), seed: int | None = None
    ) -> None:
        number = sum(id.encode()) if seed is None else seed
        self.key = SigningKey.from_seed(number.to_bytes(32, "big"))
        self.author = Author(id, kind, role, capabilities, self.key.public)


def person(id: str = "alice", role: str = "operator") -> Member:
    return Member(id, "person", role)


def agent(id: str = "agent-1", role: str = "worker", capabilities: tuple[str, ...] = ("answer",)) -> Member:
    return Member(id, "agent", role, capabilities)


def may(author: Author, operation: str, task: Task) -> bool:
    """The tests' policy: observers do nothing, admins everything, the others submit, ask and answer."""
    return author.role == "admin" or (operation in ("submit", "ask", "answer") and author.role != "observer")


class Maker:
    """Makes signed commands with ids of their own, each dated a little after the one before."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._numbers = itertools.count(1)

    def command(self, op: str, task: str, token: Token | None = None, **fields: Any) -> Command:
        if op == "submit":
            fields.setdefault("brief", BRIEF)
        elif op == "complete":
            fields.setdefault("result", RESULT)
            fields.setdefault("address", f"ucxl://agent-1:worker@default:{task}/*^/decision")
        elif op == "fail":
            fields.setdefault("reason", "model_failed")
        elif op in PROMPT_OPS:
            fields = {**PROMPT_OPS[op], "prompt": f"p-{task}", **fields}
            if op == "ask":
                fields.setdefault("expires", self.clock.wall + 3600.0)
        if token is not None:
            fields["token"] = token
        number = next(self._numbers)
        fields.setdefault("id", f"c-{number}")
        fields.setdefault("at", self.clock.wall + number * 1e-5)
        command: Command = OPS[op](task=task, **fields)
        return command

    def new_task_id(self) -> str:
        return f"t-{next(self._numbers)}"


def raw_of(member: Member, command: Command) -> bytes:
    return seal_command(member.key, MESH, command)


def rules(**changed: Any) -> Rules:
    return Rules(**{"may": may, "holds": lambda reply: True, "events_keep": 1000, **changed})


def connect() -> sqlite3.Connection:
    """A ledger in memory, with the settings that the journal gives its connection."""
    conn = sqlite3.connect(":memory:", isolation_level=None)
    conn.execute("PRAGMA foreign_keys=ON")
    for statement in schema.SCHEMA:
        conn.execute(statement)
    return conn


class InlineJournal:
    """The journal's promise without its thread: a write is whole or undone."""

    def __init__(self, incarnation: str = "first") -> None:
        self.incarnation = incarnation
        self.conn = connect()

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return atomically(self.conn, work)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self.conn.execute("PRAGMA query_only=ON")
        try:
            return work(self.conn)
        finally:
            self.conn.execute("PRAGMA query_only=OFF")

    async def close(self) -> None:
        self.conn.close()


def atomically(conn: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    conn.execute("BEGIN IMMEDIATE")
    try:
        result = work(conn)
    except BaseException:
        conn.execute("ROLLBACK")
        raise
    conn.execute("COMMIT")
    return result
