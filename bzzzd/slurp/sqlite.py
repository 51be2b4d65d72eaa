"""The embedded ledger's commands and decisions: statements over a connection that the journal owns.

Every function runs inside a transaction of its caller and either does everything or raises before
its first write. Rules are in ``task.py``; here they meet the rows, the authors and the clock.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from bzzzd.errors import BadInput, BzzzError, Conflict, NotAllowed, Overloaded
from bzzzd.slurp import prompting, promptrows, schema, task
from bzzzd.slurp.commands import (
    Author,
    Cancel,
    Claim,
    Command,
    Complete,
    Fail,
    PromptCommand,
    Release,
    Renew,
    Retry,
    Submit,
)
from bzzzd.slurp.ledger import Expired, LedgerEvent, Outcome, Rules
from bzzzd.slurp.task import LedgerClock, Task

# Entries of one call, so that the writer's other work never waits long for an expiry or a pruning.
BATCH: Final = 256
# A wall clock can be set, so a date is looked at again at least this often.
_DATE_CHECK_S: Final = 60.0

_NEXT_LEASE: Final = "SELECT min(lease_end) FROM slurp_tasks WHERE lease_end IS NOT NULL"
_NEXT_DUE: Final = "SELECT min(due) FROM slurp_tasks WHERE due IS NOT NULL"


def execute(
    conn: sqlite3.Connection, rules: Rules, author: Author, command: Command, raw: bytes, clock: LedgerClock
) -> Outcome:
    """Do one command; see ``Ledger.execute`` for what it raises."""
    by = f"{author.kind}:{author.id}"
    if isinstance(command, Submit | Retry):
        return _again(conn, by, command, raw) or _make(conn, rules, author, command, raw, clock, by)
    if isinstance(command, PromptCommand):
        repeated = _again(conn, by, command, raw)
        if repeated is not None:
            return repeated
        _check_clock(rules, command, clock)
        return prompting.execute(conn, rules, author, command, raw, clock)
    # A command that comes again is rare, and what it did before makes it fail now: so it is looked up then.
    try:
        return _change(conn, rules, author, command, raw, clock, by)
    except (BzzzError, sqlite3.IntegrityError):
        repeated = _again(conn, by, command, raw)
        if repeated is None:
            raise
        return repeated


def _make(
    conn: sqlite3.Connection,
    rules: Rules,
    author: Author,
    command: Submit | Retry,
    raw: bytes,
    clock: LedgerClock,
    by: str,
) -> Outcome:
    _check_clock(rules, command, clock)
    made = _new_task(conn, rules, author, command, clock)
    seq = schema.insert(conn, made)
    event = schema.enter(conn, seq, made, at=clock.wall, kind=made.state, by=by, command=command.id, raw=raw)
    return Outcome(made, (event,))


def _change(
    conn: sqlite3.Connection, rules: Rules, author: Author, command: Command, raw: bytes, clock: LedgerClock, by: str
) -> Outcome:
    _check_clock(rules, command, clock)
    seq, before = schema.find(conn, command.task)
    kind, after = _apply(conn, rules, author, command, before, clock)
    if isinstance(command, Renew):
        _check_order(conn, seq, command)
    # The entry comes first: it is what an id that was used before breaks, and nothing has changed then.
    event = schema.enter(conn, seq, after, at=clock.wall, kind=kind, by=by, command=command.id, raw=raw)
    if kind == "renewed":
        schema.prolong(conn, seq, after)
        return Outcome(after, (event,))
    schema.update(conn, seq, before.state, after)
    return Outcome(after, (event, *prompting.follow(conn, seq, before, after, clock)))


def _check_order(conn: sqlite3.Connection, seq: int, command: Renew) -> None:
    """Refuse a renewal that is dated no later than the lease's last: ids of those before that are not remembered.

    So one that comes again, whoever brings it, gives no lease more time.
    """
    last = schema.last_renewal(conn, seq)
    if last is not None and last.token == command.token and command.at <= last.at:
        raise Conflict(
            f"a renewal of the lease on task {command.task} with this date, or a later one, was counted already; date "
            "each renewal after the one before",
            task=command.task,
        )


def _again(conn: sqlite3.Connection, by: str, command: Command, raw: bytes) -> Outcome | None:
    """What a command did when it came before; ``None`` for a new one."""
    recorded = schema.recorded(conn, by, command.id)
    if recorded is None:
        return None
    known, left, prompt = recorded
    if known != raw:
        raise Conflict(
            f"the command id {command.id} was used before for another command; make a new id for each command",
            id=command.id,
            task=left.id,
        )
    return Outcome(left, (), repeated=True, prompt=prompt)


def _check_clock(rules: Rules, command: Command, clock: LedgerClock) -> None:
    """Refuse a date in the future, and one from before the oldest id that is still known to have been used."""
    ahead = command.at - clock.wall
    if ahead > rules.future_s:
        raise BadInput(
            f"the command is dated {ahead:.0f} s in the future; set this machine's clock (timedatectl) and try again",
            ahead_s=ahead,
            limit_s=rules.future_s,
        )
    if -ahead > rules.command_keep_s:
        raise BadInput(
            f"the command is {-ahead / 86400:.0f} days old, and whether it was done before is no longer known; "
            "look at the task, then send a new command",
            age_s=-ahead,
            limit_s=rules.command_keep_s,
        )


def _new_task(
    conn: sqlite3.Connection, rules: Rules, author: Author, command: Submit | Retry, clock: LedgerClock
) -> Task:
    named = command.new_task if isinstance(command, Retry) else command.task
    open_tasks, exists = schema.room(conn, named)
    if open_tasks >= rules.max_open:
        raise Overloaded(
            f"{rules.max_open} tasks are open already; submit again when some are done", limit=rules.max_open
        )
    if isinstance(command, Retry):
        made = _retried(conn, rules, author, command, clock)
    else:
        made = _submitted(conn, author, command, clock)
    if exists:
        raise Conflict(f"there is a task {made.id} already; choose another id", task=made.id)
    return made if rules.may(author, "submit", made) else task.reject(made, "not_allowed", clock)


def _submitted(conn: sqlite3.Connection, author: Author, command: Submit, clock: LedgerClock) -> Task:
    if command.retry_of is not None:
        task.check_ended(schema.find(conn, command.retry_of)[1])
    return task.submit(
        id=command.task,
        author=author.id,
        author_kind=author.kind,
        brief=command.brief,
        now=clock,
        role=command.role,
        capability=command.capability,
        priority=command.priority,
        project=command.project,
        retry_of=command.retry_of,
        deadline_s=command.deadline_s,
        approve=command.approve,
    )


def _retried(conn: sqlite3.Connection, rules: Rules, author: Author, command: Retry, clock: LedgerClock) -> Task:
    ended = schema.find(conn, command.task)[1]
    _check_own(rules, author, "retry", ended)
    return task.retry(ended, new_id=command.new_task, author=author.id, author_kind=author.kind, now=clock)


def _apply(
    conn: sqlite3.Connection,
    rules: Rules,
    author: Author,
    command: Command,
    before: Task,
    clock: LedgerClock,
) -> tuple[str, Task]:
    """What happened, and the task after it."""
    key = author.key
    match command:
        case Claim():
            return "claimed", _claimed(conn, rules, author, command, before, clock)
        case Renew():
            return "renewed", task.renew(before, key, command.token, clock)
        case Complete(token=token, result=result, address=address):
            return "completed", task.complete(before, key, token, result=result, address=address, now=clock)
        case Fail(token=token, reason=reason, retryable=retryable, detail=detail):
            after = task.fail(
                before, key, token, reason=reason, retryable=retryable, detail=detail, limit=rules.strikes, now=clock
            )
            return ("failed" if after.state == "failed" else "struck"), after
        case Release():
            return "released", task.release(before, key, command.token, clock)
        case Cancel():
            _check_own(rules, author, "cancel", before)
            return "canceled", task.cancel(before, command.reason, clock)
        case _:
            raise BadInput(f"the ledger has no command {type(command).__name__}")


def _claimed(
    conn: sqlite3.Connection, rules: Rules, author: Author, command: Claim, before: Task, clock: LedgerClock
) -> Task:
    if author.kind != "agent":
        raise NotAllowed(f"only agents claim tasks, and {author.id} is a {author.kind}")
    if before.role not in ("", author.role):
        raise NotAllowed(
            f"task {before.id} is for the role {before.role}, and {author.id} has {author.role}", task=before.id
        )
    if before.capability and before.capability not in author.capabilities:
        raise NotAllowed(
            f"task {before.id} needs the capability {before.capability}, which the grant of {author.id} doesn't list",
            task=before.id,
        )
    lease_s = min(command.lease_s or rules.lease_s, rules.max_lease_s)
    return task.claim(before, agent=author.id, key=author.key, term=schema.term(conn), lease_s=lease_s, now=clock)


def _check_own(rules: Rules, author: Author, operation: str, found: Task) -> None:
    """A task is its author's; others need a rule."""
    own = found.author == author.id and found.author_kind == author.kind
    if not own and not rules.may(author, operation, found):
        raise NotAllowed(
            f"{author.id} may not {operation} task {found.id} of {found.author}; its author can, or a role "
            "that the policy allows it",
            task=found.id,
        )


def expire(conn: sqlite3.Connection, rules: Rules, clock: LedgerClock) -> Expired:
    """Enter what time has ended, a batch at most; ``next_at`` lies in the past when there is more."""
    events = prompting.expire(conn, clock, BATCH)
    for seq, found in schema.overdue(conn, clock.wall, BATCH):
        events += _decide(conn, seq, found, task.deadline_passed(found, clock), "deadline_passed", clock)
    for seq, found in schema.ended_leases(conn, clock.boot, BATCH):
        assert found.lease_end is not None
        if clock.boot - found.lease_end > rules.stall_s:
            events += _decide(conn, seq, found, task.lease_prolonged(found, clock), "lease_prolonged", clock)
        else:
            ended = task.lease_ended(found, limit=rules.strikes, now=clock)
            events += _decide(conn, seq, found, ended, "lease_ended", clock)
    return Expired(tuple(events), next_deadline(conn, clock))


def on_start(conn: sqlite3.Connection, clock: LedgerClock, incarnation: str) -> Expired:
    """A ledger that comes back gives every live lease one full period: its owner couldn't renew meanwhile.

    ``incarnation`` is the journal's. Another one than at the last start means that the file was put
    back from a copy, so it may have given tokens that it no longer knows of: the term rises.
    """
    known = schema.incarnation(conn)
    schema.set_incarnation(conn, incarnation)
    if known not in ("", incarnation):
        return Expired(promote(conn, clock), next_deadline(conn, clock))
    events = tuple(
        event
        for seq, found in schema.leased(conn)
        for event in _decide(conn, seq, found, task.lease_prolonged(found, clock), "lease_prolonged", clock)
    )
    return Expired(events, next_deadline(conn, clock))


def promote(conn: sqlite3.Connection, clock: LedgerClock, above: int = 0) -> tuple[LedgerEvent, ...]:
    """Raise the term over its own and ``above``, and take every lease back: all older tokens are void.

    A term is never lower than the date in Unix seconds at which it began, so that putting the same
    backup back twice doesn't give the same term twice.
    """
    schema.raise_term(conn, max(above, int(clock.wall)))
    return tuple(
        event
        for seq, found in schema.leased(conn)
        for event in _decide(conn, seq, found, task.lease_dropped(found, clock), "lease_dropped", clock)
    )


def _decide(
    conn: sqlite3.Connection, seq: int, before: Task, after: Task, kind: str, clock: LedgerClock
) -> list[LedgerEvent]:
    schema.update(conn, seq, before.state, after)
    event = schema.enter(conn, seq, after, at=clock.wall, kind=kind)
    return [event, *prompting.follow(conn, seq, before, after, clock)]


def next_deadline(conn: sqlite3.Connection, clock: LedgerClock) -> float | None:
    """When ``expire`` has to look next, in CLOCK_BOOTTIME seconds; None: nothing can expire."""
    lease_end: float | None = conn.execute(_NEXT_LEASE).fetchone()[0]
    dates = [date for date in (conn.execute(_NEXT_DUE).fetchone()[0], promptrows.first_time(conn)) if date is not None]
    due = min(dates, default=None)
    if due is None:
        return lease_end
    look = clock.boot + min(max(0.0, due - clock.wall), _DATE_CHECK_S)
    return look if lease_end is None else min(look, lease_end)


def prune(conn: sqlite3.Connection, rules: Rules, clock: LedgerClock, limit: int = 1000) -> int:
    """Forget the ids of commands older than ``command_keep_s``; gives the number of entries passed.

    An author's date may be ``future_s`` ahead, so ids are kept that much longer than old dates are accepted.
    """
    return schema.forget_ids(conn, clock.wall - rules.command_keep_s - rules.future_s, limit)
