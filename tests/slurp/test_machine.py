"""The ledger under everything at once: a model that knows only who may hold what watches every entry.

Agents act on any token they ever got, messages come late, twice and out of order, the ledger dies
before its commit, restarts, is frozen, promoted and put back from a backup.
"""

from __future__ import annotations

import contextlib
import copy
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule

from bzzzd.errors import Conflict, NotAllowed, NotFound
from bzzzd.slurp import backup, query, schema, sqlite
from bzzzd.slurp.commands import Claim, Command, open_command
from bzzzd.slurp.ledger import LedgerEvent, Outcome
from bzzzd.slurp.task import FINAL, LEASED, Token

from .kit import MESH, Clock, Maker, Member, agent, atomically, connect, person, raw_of, rules

AGENTS = {"bob": agent("bob"), "carol": agent("carol")}
ALICE = person()
HELD_OPS = ("renew", "complete", "fail", "release")


class Known:
    """What an onlooker knows of one task in the present history."""

    def __init__(self) -> None:
        self.holder: tuple[str, Token] | None = None
        self.completions = 0
        self.strikes = 0
        self.final = False


class LedgerMachine(RuleBasedStateMachine):
    tasks = Bundle("tasks")
    leases = Bundle("leases")  # (agent, task, token): every lease that was ever given, ended or not
    letters = Bundle("letters")  # (member, command, raw): every command that was ever signed
    backups = Bundle("backups")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="bzzz-ledger-")
        self.conn = connect()
        self.clock = Clock()
        self.maker = Maker(self.clock)
        self.rules = rules(lease_s=30.0)
        self.history: dict[str, Known] = {}
        self.accepted: dict[tuple[str, str], Any] = {}
        self.head = 0
        self.given: dict[str, Token] = {}  # the highest token ever given, through all restores
        self.files = 0

    def teardown(self) -> None:
        """Nothing is lost: whatever is left reaches a final state when somebody works on it."""
        try:
            self.end_all_leases()
            for task_id, known in self.history.items():
                if not known.final:
                    outcome = self.run(AGENTS["bob"], self.maker.command("claim", task_id))
                    assert outcome is not None
                    assert self.run(AGENTS["bob"], self.maker.command("complete", task_id, outcome.task.token))
            left = query.counts(self.conn)
            assert sum(left[state] for state in FINAL) == len(self.history)
        finally:
            self.conn.close()
            self.folder.cleanup()

    def end_all_leases(self) -> None:
        while any(known.holder for known in self.history.values()):
            found = sqlite.next_deadline(self.conn, self.clock())
            assert found is not None
            self.clock.go(max(0.0, found - self.clock.boot) + 0.001)
            self.expire()

    # Carrying out, and watching.

    def run(self, who: Member, command: Command, raw: bytes | None = None) -> Outcome | None:
        """Execute what the signed bytes say; None when the ledger refused."""
        raw = raw_of(who, command) if raw is None else raw
        command = open_command(raw, MESH)[1]
        clock = self.clock()
        try:
            outcome = atomically(
                self.conn, lambda conn: sqlite.execute(conn, self.rules, who.author, command, raw, clock)
            )
        except (Conflict, NotAllowed, NotFound):  # StaleToken and FinalState among them
            return None
        self.watch(who, command, outcome)
        return outcome

    def watch(self, who: Member, command: Command, outcome: Outcome) -> None:
        name = (who.author.id, command.id)
        if outcome.repeated:
            assert outcome.events == ()
            assert outcome.task == self.accepted[name]
            return
        assert name not in self.accepted, "a command took effect twice"
        self.accepted[name] = outcome.task
        (event,) = outcome.events
        token = getattr(command, "token", None)
        self.enter(event, None if token is None else (who.author.id, token))

    def enter(self, event: LedgerEvent, actor: tuple[str, Token] | None) -> None:
        """Check an entry against what was known before it, and learn it."""
        assert event.number == self.head + 1
        self.head += 1
        task = event.task
        if event.kind in ("submitted", "rejected"):
            assert task.id not in self.history
            self.history[task.id] = Known()
            return
        known = self.history[task.id]
        assert not known.final, "a final state changed"
        if event.kind == "claimed":
            assert known.holder is None, "two owners"
            assert task.token is not None
            assert task.token > self.given.get(task.id, (0, 0)), "a token was given twice"
            assert task.agent is not None
            self.given[task.id] = task.token
            known.holder = (task.agent, task.token)
            return
        if actor is not None:
            assert actor == known.holder, "somebody acted on a lease that was not in force"
            assert actor[1] == self.given[task.id], "a stale token was accepted"
        if event.kind == "completed":
            known.completions += 1
        if event.kind == "struck" or (event.kind == "lease_ended" and task.reason == "lease_ended") or task.dead:
            known.strikes += 1
        assert task.strikes == known.strikes <= 3
        if task.state not in LEASED:
            known.holder = None
        known.final = task.state in FINAL

    # Members act.

    @initialize(target=tasks)
    def first_task(self) -> str:
        return self.submit(5, None)

    @precondition(lambda self: len(self.history) < 3)  # few tasks, so that histories of one get long
    @rule(target=tasks, priority=st.integers(0, 9), deadline_s=st.none() | st.floats(1, 200))
    def submit(self, priority: int, deadline_s: float | None) -> str:
        task_id = self.maker.new_task_id()
        command = self.maker.command("submit", task_id, priority=priority, deadline_s=deadline_s)
        assert self.run(ALICE, command) is not None
        return task_id

    @rule(target=leases, name=st.sampled_from(sorted(AGENTS)), task=tasks, lease_s=st.sampled_from([None, 5.0, 90.0]))
    def claim(self, name: str, task: str, lease_s: float | None) -> Any:
        known = self.history.get(task)
        open_now = known is not None and known.holder is None and not known.final
        outcome = self.run(AGENTS[name], self.maker.command("claim", task, lease_s=lease_s))
        assert (outcome is not None) == open_now
        return multiple() if outcome is None else (name, task, outcome.task.token)

    @rule(lease=leases, op=st.sampled_from(HELD_OPS), retryable=st.booleans())
    def act_on_a_lease(self, lease: tuple[str, str, Token], op: str, retryable: bool) -> None:
        name, task, token = lease
        known = self.history.get(task)
        fields = {"retryable": retryable} if op == "fail" else {}
        outcome = self.run(AGENTS[name], self.maker.command(op, task, token, **fields))
        if outcome is None and known is not None and op in ("renew", "complete", "release"):
            assert known.holder != (name, token), "the owner was refused"

    @rule(lease=leases, thief=st.sampled_from(sorted(AGENTS)))
    def act_on_the_lease_of_another(self, lease: tuple[str, str, Token], thief: str) -> None:
        name, task, token = lease
        outcome = self.run(AGENTS[thief], self.maker.command("complete", task, token))
        assert outcome is None or thief == name

    @rule(task=tasks)
    def cancel(self, task: str) -> None:
        self.run(ALICE, self.maker.command("cancel", task))

    @precondition(lambda self: len(self.history) < 4)
    @rule(target=tasks, task=tasks)
    def retry(self, task: str) -> Any:
        new = self.maker.new_task_id()
        outcome = self.run(ALICE, self.maker.command("retry", task, new_task=new))
        return multiple() if outcome is None else new

    # The network: letters are signed now and arrive later, again, or never.

    @rule(target=letters, lease=leases, op=st.sampled_from(HELD_OPS))
    def sign_a_letter(self, lease: tuple[str, str, Token], op: str) -> Any:
        name, task, token = lease
        command = self.maker.command(op, task, token)
        return (AGENTS[name], command, raw_of(AGENTS[name], command))

    @rule(target=letters, name=st.sampled_from(sorted(AGENTS)), task=tasks)
    def sign_a_claim(self, name: str, task: str) -> Any:
        command = self.maker.command("claim", task)
        return (AGENTS[name], command, raw_of(AGENTS[name], command))

    @rule(target=leases, letter=letters, times=st.integers(1, 3))
    def deliver(self, letter: tuple[Member, Command, bytes], times: int) -> Any:
        who, command, raw = letter
        got: Any = multiple()
        for again in range(times):
            outcome = self.run(who, command, raw)
            if outcome is None:
                break
            assert again == 0 or outcome.repeated
            if isinstance(command, Claim) and not outcome.repeated:
                got = (who.author.id, command.task, outcome.task.token)
        return got

    @rule(letter=letters)
    def die_before_the_commit(self, letter: tuple[Member, Command, bytes]) -> None:
        who, command, raw = letter

        class Killed(Exception):
            pass

        def work(conn: sqlite3.Connection) -> None:
            sqlite.execute(conn, self.rules, who.author, command, raw, self.clock())
            raise Killed

        with contextlib.suppress(Killed, Conflict, NotAllowed, NotFound):
            atomically(self.conn, work)

    # Time, and the ledger's own life.

    def expire(self) -> None:
        clock = self.clock()
        for event in atomically(self.conn, lambda conn: sqlite.expire(conn, self.rules, clock)).events:
            self.enter(event, None)

    @rule(seconds=st.floats(0, 40))
    def time_passes(self, seconds: float) -> None:
        """The way of a running ledger: it looks at every moment at which something ends."""
        end = self.clock.boot + seconds
        while (found := sqlite.next_deadline(self.conn, self.clock())) is not None and found <= end:
            self.clock.go(max(0.0, found - self.clock.boot) + 0.001)
            self.expire()
        self.clock.go(max(0.0, end - self.clock.boot))

    @rule(seconds=st.floats(0, 1000))
    def the_ledger_is_frozen(self, seconds: float) -> None:
        self.clock.go(seconds)
        self.expire()

    @rule(seconds=st.floats(0, 1000), rebooted=st.booleans())
    def the_ledger_restarts(self, seconds: float, rebooted: bool) -> None:
        self.clock.go(seconds)
        if rebooted:
            self.clock.boot = 1.0
        held = {task for task, known in self.history.items() if known.holder}
        clock = self.clock()
        events = atomically(self.conn, lambda conn: sqlite.on_start(conn, clock, "this")).events
        assert {event.task.id for event in events} == held
        for event in events:
            assert event.kind == "lease_prolonged"
            self.enter(event, None)

    @rule()
    def promote(self) -> None:
        clock = self.clock()
        for event in atomically(self.conn, lambda conn: sqlite.promote(conn, clock)):
            self.enter(event, None)
        assert not any(known.holder for known in self.history.values())

    @rule(target=backups)
    def back_up(self) -> Any:
        self.files += 1
        path = Path(self.folder.name) / str(self.files)
        backup.backup(self.conn, path)
        return (path, copy.deepcopy(self.history), dict(self.accepted), self.head)

    @rule(saved=backups)
    def restore(self, saved: tuple[Path, dict[str, Known], dict[tuple[str, str], Any], int]) -> None:
        checked = backup.check_backup(saved[0], MESH)
        assert checked.tasks == len(saved[1])
        clock = self.clock()
        events = atomically(self.conn, lambda conn: backup.restore(conn, checked, clock, "this"))
        self.history, self.accepted, self.head = copy.deepcopy(saved[1]), dict(saved[2]), saved[3]
        for event in events:
            self.enter(event, None)

    # What holds after every step.

    @invariant()
    def every_task_is_in_one_state_and_has_one_owner_at_most(self) -> None:
        rows = self.conn.execute(f"SELECT {schema.COLUMNS} FROM slurp_tasks").fetchall()
        found = {task.id: task for task in map(schema.task_from_row, rows)}
        assert found.keys() == self.history.keys(), "a task was lost or made up"
        for task_id, known in self.history.items():
            task = found[task_id]
            assert known.completions <= 1
            assert (task.state == "completed") == (known.completions == 1)
            assert (task.state in FINAL) == known.final
            assert (task.state in LEASED) == (known.holder is not None)
            assert known.holder is None or known.holder == (task.agent, task.token)
            assert (task.lease_end is not None) == (task.state in LEASED)

    @invariant()
    def the_counts_are_true(self) -> None:
        true = dict(self.conn.execute("SELECT state, count(*) FROM slurp_tasks GROUP BY state").fetchall())
        assert {state: n for state, n in query.counts(self.conn).items() if n} == true


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(
    max_examples=75,
    stateful_step_count=40,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
