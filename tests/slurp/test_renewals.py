"""Leases that are renewed for long leave little in the ledger, and nothing is decided by what is gone."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import data, floats, integers, sampled_from

from bzzzd.errors import BzzzError, Conflict
from bzzzd.slurp import query, replica, sqlite
from bzzzd.slurp.backup import backup, check_backup
from bzzzd.slurp.commands import Renew
from bzzzd.slurp.ledger import Outcome
from bzzzd.slurp.schema import SUPERSEDED
from bzzzd.slurp.task import Token

from .kit import MESH, Clock, Maker, Member, agent, atomically, connect, person, raw_of, rules
from .test_replica import INCARNATION, node, rows_of

T = TypeVar("T")
KINDS = ", ".join(f"'{kind}'" for kind in sorted(SUPERSEDED))
OPS = ("claim", "renew", "complete", "fail", "release", "cancel", "ask", "answer", "begin", "finish")
KEEP_S = 200.0


def hoarding(conn: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Do ``work`` as a ledger that takes no entry away: what was superseded is put back behind it."""
    kept = conn.execute(f"SELECT * FROM slurp_entries WHERE kind IN ({KINDS})").fetchall()
    try:
        return atomically(conn, work)
    finally:
        conn.executemany("INSERT OR IGNORE INTO slurp_entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", kept)


def lasting(conn: sqlite3.Connection) -> list[Any]:
    """All entries of a ledger but those that a later one superseded."""
    return conn.execute(
        f"""SELECT * FROM slurp_entries AS e WHERE kind NOT IN ({KINDS}) OR NOT EXISTS
        (SELECT 1 FROM slurp_entries AS n WHERE n.task = e.task AND n.kind = e.kind AND n.number > e.number)
        ORDER BY number"""
    ).fetchall()


class Twins(RuleBasedStateMachine):
    """A ledger, one that takes nothing away, and a standby of the first that copies when it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.maker = Maker(self.clock)
        self.rules = rules(command_keep_s=KEEP_S)
        self.alice, self.bob = person(), agent("bob")
        self.ledger, self.hoarder, self.copy = node(), node(), node()
        self.names = 0
        self.tokens: dict[str, Token] = {}
        self.letters: list[tuple[Member, Any, bytes]] = []
        self.done: set[str] = set()
        atomically(self.copy, lambda conn: replica.apply(conn, INCARNATION, 1, 0, [], fresh=True))

    def both(self, work: Callable[[sqlite3.Connection], Any]) -> tuple[Any, Any]:
        answers = []
        for conn, run in ((self.ledger, atomically), (self.hoarder, hoarding)):
            try:
                answers.append(run(conn, work))
            except BzzzError as error:
                answers.append((error.code, error.message))
        return answers[0], answers[1]

    def deliver(self, who: Member, command: Any, raw: bytes) -> Any:
        clock = self.clock()
        held = self.held()
        ours, theirs = self.both(lambda conn: sqlite.execute(conn, self.rules, who.author, command, raw, clock))
        if isinstance(command, Renew) and isinstance(theirs, Outcome) and theirs.repeated and ours != theirs:
            # What the other still remembers changes nothing there, and is refused here.
            assert ours[0] in ("CONFLICT", "STALE_TOKEN", "FINAL_STATE", "BAD_INPUT"), ours
            assert self.held() == held
        else:
            assert ours == theirs
        if isinstance(ours, Outcome) and not ours.repeated:
            assert command.id not in self.done, "a command took effect twice"
            self.done.add(command.id)
        return ours

    def held(self) -> list[Any]:
        return self.ledger.execute("SELECT * FROM slurp_tasks ORDER BY seq").fetchall()

    @precondition(lambda self: self.names < 3)
    @rule()
    def submit(self) -> None:
        self.names += 1
        command = self.maker.command("submit", f"t-{self.names}")
        self.deliver(self.alice, command, raw_of(self.alice, command))

    def letter(self, data: Any, ops: tuple[str, ...]) -> tuple[Member, Any, bytes] | None:
        task, op = f"t-{data.draw(integers(1, self.names))}", data.draw(sampled_from(ops))
        free = op in ("claim", "cancel", "answer")
        token = None if free else self.tokens.get(task)
        if token is None and not free:
            return None
        who = self.alice if op in ("cancel", "answer") else self.bob
        command = self.maker.command(op, task, token)
        return who, command, raw_of(who, command)

    @precondition(lambda self: self.names)
    @rule(data=data())
    def change(self, data: Any) -> None:
        made = self.letter(data, OPS)
        if made is not None:
            outcome = self.deliver(*made)
            if isinstance(outcome, Outcome) and outcome.task.token is not None:
                self.tokens[outcome.task.id] = outcome.task.token

    @precondition(lambda self: self.tokens)
    @rule(data=data(), times=integers(1, 5))
    def renew(self, data: Any, times: int) -> None:
        for _ in range(times):
            made = self.letter(data, ("renew",))
            if made is not None:
                self.deliver(*made)
                self.letters.append(made)
            self.clock.go(9.0)

    @precondition(lambda self: self.names)
    @rule(data=data())
    def sign_a_letter(self, data: Any) -> None:
        made = self.letter(data, ("renew", "complete", "release"))
        if made is not None:
            self.letters.append(made)

    @precondition(lambda self: self.letters)
    @rule(data=data())
    def a_letter_comes(self, data: Any) -> None:
        self.deliver(*data.draw(sampled_from(self.letters)))

    @rule(seconds=floats(0, 100))
    def time_passes(self, seconds: float) -> None:
        self.clock.go(seconds)
        clock = self.clock()
        ours, theirs = self.both(lambda conn: sqlite.expire(conn, self.rules, clock))
        assert ours == theirs

    @rule()
    def restart(self) -> None:
        clock = self.clock()
        ours, theirs = self.both(lambda conn: sqlite.on_start(conn, clock, "this"))
        assert ours == theirs

    @rule(limit=integers(1, 50))
    def prune(self, limit: int) -> None:
        clock = self.clock()
        seen = rows_of(self.ledger)
        for conn, run in ((self.ledger, atomically), (self.hoarder, hoarding)):
            while run(conn, lambda conn: sqlite.prune(conn, self.rules, clock, limit)):
                pass
        now = rows_of(self.ledger)
        assert (now[0], now[2], now[3]) == (seen[0], seen[2], seen[3])
        assert [row[0] for row in now[1]] == [row[0] for row in seen[1]]

    @rule(limit=integers(1, 5))
    def copies(self, limit: int) -> None:
        after = query.head(self.copy)
        rows = replica.read(self.ledger, after, limit, 1 << 20)
        atomically(self.copy, lambda conn: replica.apply(conn, INCARNATION, 1, after, rows, fresh=False))

    @invariant()
    def both_say_the_same(self) -> None:
        (tasks, entries, counts, prompts), others = rows_of(self.ledger), rows_of(self.hoarder)
        assert (tasks, counts, prompts) == (others[0], others[2], others[3])
        assert entries == lasting(self.hoarder)
        assert query.head(self.ledger) == query.head(self.hoarder)
        clock = self.clock()
        assert sqlite.next_deadline(self.ledger, clock) == sqlite.next_deadline(self.hoarder, clock)

    @invariant()
    def no_task_has_two_of_a_kind_that_supersedes(self) -> None:
        assert lasting(self.ledger) == rows_of(self.ledger)[1]

    def teardown(self) -> None:
        while query.head(self.copy) < query.head(self.ledger):
            self.copies(3)
        late = node()
        rows = replica.read(self.ledger, 0, 10_000, 1 << 24)
        atomically(late, lambda conn: replica.apply(conn, INCARNATION, 1, 0, rows, fresh=True))
        self.clock.go(2 * KEEP_S)
        for conn in (self.ledger, self.hoarder, self.copy, late):
            while sqlite.prune(conn, self.rules, self.clock()):
                pass
        for conn in (self.hoarder, self.copy, late):
            assert rows_of(conn) == rows_of(self.ledger)
            conn.close()
        self.ledger.close()


Twins.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestTwins = Twins.TestCase


class Long:
    """A ledger with one task in bob's hands."""

    def __init__(self) -> None:
        self.conn = connect()
        self.clock = Clock()
        self.maker = Maker(self.clock)
        self.bob = agent("bob")
        self.do("submit", who=person())
        token = self.do("claim").task.token
        assert token is not None
        self.token = token

    def do(self, op: str, token: Token | None = None, who: Member | None = None, **fields: Any) -> Outcome:
        author = who or self.bob
        command = self.maker.command(op, "t-1", token, **fields)
        return self.run(author, command)

    def run(self, who: Member, command: Any) -> Outcome:
        raw = raw_of(who, command)
        return atomically(self.conn, lambda conn: sqlite.execute(conn, rules(), who.author, command, raw, self.clock()))

    def renew(self, times: int) -> None:
        for _ in range(times):
            self.clock.go(10.0)
            self.do("renew", self.token)


def test_a_task_held_for_any_number_of_renewals_leaves_one_of_them(tmp_path: Any) -> None:
    long = Long()
    long.renew(1)
    size = long.conn.execute("PRAGMA page_count").fetchone()
    long.renew(500)
    assert [step.what for step in query.trace(long.conn, "t-1")] == ["submitted", "claimed", "renewed"]
    assert long.conn.execute("PRAGMA page_count").fetchone() == size
    long.do("complete", long.token)
    steps = query.trace(long.conn, "t-1")
    assert [(step.number, step.what) for step in steps] == [
        (1, "submitted"), (2, "claimed"), (503, "renewed"), (504, "completed"),
    ]  # fmt: skip
    backup(long.conn, tmp_path / "backup")
    found = check_backup(tmp_path / "backup", MESH)
    assert (found.tasks, found.head) == (1, 504)


def test_a_ledger_that_comes_back_often_leaves_one_entry_a_task_of_it() -> None:
    long = Long()
    for _ in range(50):
        atomically(long.conn, lambda conn: sqlite.on_start(conn, long.clock(), "this"))
    assert [step.what for step in query.trace(long.conn, "t-1")] == ["submitted", "claimed", "lease_prolonged"]


def test_a_renewal_that_comes_again_late_gives_the_lease_no_more_time() -> None:
    long = Long()
    first = long.maker.command("renew", "t-1", long.token)
    last = long.maker.command("renew", "t-1", long.token, at=first.at + 1)
    long.run(long.bob, first)
    renewed = long.run(long.bob, last)
    long.clock.go(20.0)
    with pytest.raises(Conflict, match="date each renewal after the one before"):
        long.run(long.bob, first)
    again = long.run(long.bob, last)
    assert again == Outcome(renewed.task, (), repeated=True)
    assert query.show(long.conn, "t-1").lease_end == renewed.task.lease_end


def test_the_next_owners_renewals_are_dated_by_its_own_clock() -> None:
    long = Long()
    long.do("renew", long.token, at=long.clock.wall + 29)
    long.do("release", long.token)
    carol = agent("carol")
    token = long.do("claim", who=carol).task.token
    assert long.do("renew", token, who=carol).events[0].kind == "renewed"
