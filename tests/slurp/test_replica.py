"""Copies of the ledger: whatever was copied is there after a promotion, once, and older tokens are refused."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import data, integers, sampled_from

from bzzzd.errors import BzzzError, Conflict
from bzzzd.slurp import query, replica, sqlite
from bzzzd.slurp.task import LedgerClock, Token

from .kit import Clock, Maker, agent, atomically, connect, person, raw_of, rules

INCARNATION = "first-1"
OPS = ("claim", "renew", "complete", "fail", "release", "cancel", "ask", "answer", "begin", "finish")


def node() -> sqlite3.Connection:
    conn = connect()
    for statement in replica.SCHEMA:
        conn.execute(statement)
    return conn


def rows_of(conn: sqlite3.Connection) -> tuple[list[Any], ...]:
    read = ("SELECT * FROM slurp_tasks ORDER BY seq", "SELECT * FROM slurp_entries ORDER BY number")
    counts = conn.execute("SELECT state, n FROM slurp_counts ORDER BY state").fetchall()
    prompts = conn.execute("SELECT * FROM slurp_prompts ORDER BY seq").fetchall()
    return conn.execute(read[0]).fetchall(), conn.execute(read[1]).fetchall(), counts, prompts


def test_entries_that_do_not_follow_on_are_refused() -> None:
    copy = node()
    with pytest.raises(Conflict):
        replica.apply(copy, INCARNATION, 1, 5, [], fresh=False)
    assert replica.apply(copy, INCARNATION, 1, 0, [], fresh=True) == 0
    with pytest.raises(Conflict):
        replica.apply(copy, "another-2", 1, 0, [], fresh=False)


class Pair(RuleBasedStateMachine):
    """A ledger, its copy, and a promotion at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.maker = Maker(self.clock)
        self.rules = rules()
        self.alice, self.bob = person(), agent("bob")
        self.ledger, self.copy = node(), node()
        self.names = 0
        self.copied = 0
        self.promoted = False
        self.tokens: dict[str, Token] = {}
        atomically(self.copy, lambda conn: replica.apply(conn, INCARNATION, 1, 0, [], fresh=True))

    def run(self, who: Any, op: str, task: str, token: Token | None = None) -> Any:
        command = self.maker.command(op, task, token)
        raw = raw_of(who, command)
        return atomically(
            self.ledger,
            lambda conn: sqlite.execute(conn, self.rules, who.author, command, raw, self.clock()),
        )

    @rule()
    def submit(self) -> None:
        self.names += 1
        self.run(self.alice, "submit", f"t-{self.names}")

    @precondition(lambda self: self.names)
    @rule(
        op=sampled_from(
            ["claim", "renew", "complete", "fail", "release", "cancel", "ask", "answer", "begin", "finish"]
        ),
        data=data(),
    )
    def change(self, op: str, data: Any) -> None:
        task = f"t-{data.draw(integers(1, self.names))}"
        who = self.alice if op in ("cancel", "answer") else self.bob
        token = None if op in ("claim", "cancel", "answer") else self.tokens.get(task)
        if token is None and op not in ("claim", "cancel", "answer"):
            return
        try:
            outcome = self.run(who, op, task, token)
        except BzzzError:
            return
        if outcome.task.token is not None:
            self.tokens[task] = outcome.task.token

    @rule()
    def time_passes(self) -> None:
        self.clock.go(31.0)
        atomically(self.ledger, lambda conn: sqlite.expire(conn, self.rules, self.clock()))

    @precondition(lambda self: not self.promoted)
    @rule(limit=integers(1, 5), again=integers(0, 3))
    def copies(self, limit: int, again: int) -> None:
        after = max(0, self.copied - again)
        rows = replica.read(self.ledger, after, limit + again, 1 << 20)
        found = atomically(self.copy, lambda conn: replica.apply(conn, INCARNATION, 1, after, rows, fresh=False))
        assert found >= self.copied
        self.copied = found

    @precondition(lambda self: not self.promoted)
    @rule()
    def promote(self) -> None:
        before = rows_of(self.copy)[1]
        assert atomically(self.copy, lambda conn: replica.take_office(conn, 2, 1, self.clock(), "second"))
        held = replica.standing(self.copy)
        assert (held.base, held.based_on, held.source, held.office) == (INCARNATION, self.copied, "", 2)
        assert rows_of(self.copy)[1][: len(before)] == before
        former = self.ledger
        self.ledger, self.promoted = self.copy, True
        known = {task for (task,) in self.copy.execute("SELECT id FROM slurp_tasks")}
        for task, token in self.tokens.items():
            if task in known and query.show(former, task).token == token:
                with pytest.raises(BzzzError):
                    self.run(self.bob, "renew", task, token)
        self.tokens = {}

    @invariant()
    def the_copy_is_the_ledger_up_to_where_it_goes(self) -> None:
        if self.promoted:
            return
        theirs = self.ledger.execute("SELECT * FROM slurp_entries WHERE number <= ?", (self.copied,)).fetchall()
        assert rows_of(self.copy)[1] == theirs
        if self.copied == query.head(self.ledger):
            assert rows_of(self.copy) == rows_of(self.ledger)

    def teardown(self) -> None:
        self.ledger.close()
        self.copy.close()


Pair.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestPair = Pair.TestCase


def test_the_first_document_of_a_mesh_begins_its_ledger_as_it_is_and_the_next_raises_the_term() -> None:
    conn, clock = node(), LedgerClock(1.0, 1_700_000_000.0)
    assert not replica.take_office(conn, 1, 1, clock, "first")
    assert query.status(conn, "first").term == 1
    assert replica.take_office(conn, 3, 1, clock, "first")
    term = query.status(conn, "first").term
    assert term > 1_700_000_000
    assert not replica.take_office(conn, 3, 1, clock, "first")
    assert query.status(conn, "first").term == term
