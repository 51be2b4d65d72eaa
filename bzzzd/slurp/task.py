r"""A task's life: a pure state machine over frozen values; times are passed in.

    submit ─┬─► rejected                        no grant or rule allows it
            │
            ▼   claim (token counter + 1)      a prompt is asked
        submitted ──────────────────► working ◄═══════════════► input_required
            ▲                            │      it is begun or ends    │
            │  release          no strike│                             │
            ├────────────────────────────┴─────────────────────────────┤
            │  lease ended, or fail marked as retryable: one strike    │
            └───── fewer than the limit ◄──────────────────────────────┤
                                                                       │
    the limit reached ──► failed, a dead letter ◄──────────────────────┤
    fail                ──► failed              ◄──────────────────────┤
    complete            ──► completed           ◄──────────────────────┘
    cancel              ──► canceled   (from any state that is not final)
    the task's deadline ──► failed     (from submitted and working; it stands still in input_required)

The state names are those of the A2A protocol. Final states stay final: ``retry`` makes a new task.

A lease is held in ``working`` and ``input_required``, by one key, under a token ``(term, counter)``
that rises with every claim; whoever holds an older token is refused (``StaleToken``), so an owner
that was presumed dead can't write over its successor. Whether a lease has ended is decided by the
ledger's entry (``lease_ended``), never by comparing clocks: a renewal that comes before that entry counts.

Two clocks, on purpose: a lease is a short promise and counts in seconds of CLOCK_BOOTTIME, which
nobody can set; a task's own deadline is a date ("by then"), so it counts on the wall clock and a
reboot doesn't shift it.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from bzzzd.errors import Conflict, FinalState, NotAllowed, StaleToken

State = Literal["submitted", "working", "input_required", "completed", "failed", "canceled", "rejected"]
Token = tuple[int, int]

STATES: Final[tuple[State, ...]] = (
    "submitted",
    "working",
    "input_required",
    "completed",
    "failed",
    "canceled",
    "rejected",
)
FINAL: Final[frozenset[State]] = frozenset({"completed", "failed", "canceled", "rejected"})
LEASED: Final[frozenset[State]] = frozenset({"working", "input_required"})


class LedgerClock(Struct, frozen=True):
    """The ledger's own reading of time: ``boot`` is CLOCK_BOOTTIME, ``wall`` Unix time, both in seconds."""

    boot: float
    wall: float


class Task(Struct, frozen=True, array_like=True):
    """One task as the ledger knows it: first what its author asked for, which never changes, then its fate.

    ``created``, ``updated`` and ``due`` are Unix seconds, ``lease_end`` CLOCK_BOOTTIME seconds;
    ``term`` and ``counter`` are those of the last claim. ``grace`` marks a lease that the ledger
    itself prolonged when it came back, and that nobody has renewed since.
    ``brief``, ``result`` and ``detail`` are ids of encrypted versions.
    """

    id: str
    author: str
    author_kind: str
    role: str
    capability: str
    priority: int
    project: str
    brief: str
    retry_of: str | None
    deadline_s: float | None
    approve: bool
    created: float
    # From here on, what changes.
    state: State
    updated: float
    strikes: int = 0
    term: int = 0
    counter: int = 0
    agent: str | None = None
    agent_key: bytes | None = None
    lease_s: float | None = None
    lease_end: float | None = None
    grace: bool = False
    due: float | None = None
    left_s: float | None = None
    result: str | None = None
    address: str | None = None
    reason: str | None = None
    detail: str | None = None
    dead: bool = False

    @property
    def token(self) -> Token | None:
        """The fencing token in force; None while nobody holds the task."""
        return (self.term, self.counter) if self.state in LEASED else None

    def to_map(self) -> dict[str, Any]:
        """What every member may see: no content, no keys."""
        token = self.token
        return {
            "id": self.id,
            "state": self.state,
            "role": self.role,
            "capability": self.capability,
            "priority": self.priority,
            "project": self.project,
            "author": self.author,
            "agent": self.agent,
            "created": self.created,
            "updated": self.updated,
            "strikes": self.strikes,
            "token": None if token is None else list(token),
            "brief": self.brief,
            "approve": self.approve,
            "due": self.due,
            "lease_s": self.lease_s,
            "address": self.address,
            "result": self.result,
            "reason": self.reason,
            "detail": self.detail,
            "dead_letter": self.dead,
            "retry_of": self.retry_of,
        }


def submit(
    *,
    id: str,
    author: str,
    author_kind: str,
    brief: str,
    now: LedgerClock,
    role: str = "",
    capability: str = "",
    priority: int = 5,
    project: str = "default",
    retry_of: str | None = None,
    deadline_s: float | None = None,
    approve: bool = False,
) -> Task:
    """A new task, open for claims."""
    return Task(
        id=id,
        author=author,
        author_kind=author_kind,
        role=role,
        capability=capability,
        priority=priority,
        project=project,
        brief=brief,
        retry_of=retry_of,
        deadline_s=deadline_s,
        approve=approve,
        created=now.wall,
        state="submitted",
        updated=now.wall,
        due=None if deadline_s is None else now.wall + deadline_s,
    )


def reject(task: Task, reason: str, now: LedgerClock) -> Task:
    """The ledger's word for a task that no grant or rule allows."""
    _not_final(task)
    return _finish(task, "rejected", now, reason=reason)


def claim(task: Task, *, agent: str, key: bytes, term: int, lease_s: float, now: LedgerClock) -> Task:
    """Give the lease to ``agent``, whose every later command must be signed by ``key``."""
    _not_final(task)
    if task.state in LEASED:
        raise Conflict(f"task {task.id} is held by {task.agent}; claim another one", task=task.id, agent=task.agent)
    return replace(
        task,
        state="working",
        updated=now.wall,
        term=term,
        counter=task.counter + 1,
        agent=agent,
        agent_key=key,
        lease_s=lease_s,
        lease_end=now.boot + lease_s,
        grace=False,
        reason=None,
        detail=None,
    )


def renew(task: Task, key: bytes, token: Token, now: LedgerClock) -> Task:
    """One more lease period, counted from now."""
    check_holder(task, key, token)
    assert task.lease_s is not None
    return replace(task, updated=now.wall, lease_end=now.boot + task.lease_s, grace=False)


def pause(task: Task, key: bytes, token: Token, now: LedgerClock) -> Task:
    """The owner asks a person: it keeps renewing, and only the task's own deadline stands still."""
    check_holder(task, key, token)
    if task.state != "working":
        raise Conflict(f"task {task.id} is waiting for input already", task=task.id)
    left = None if task.due is None else max(0.0, task.due - now.wall)
    return replace(task, state="input_required", updated=now.wall, due=None, left_s=left)


def resume(task: Task, key: bytes, token: Token, now: LedgerClock) -> Task:
    """The owner begins what it asked for; the deadline runs again with what was left of it."""
    check_holder(task, key, token)
    if task.state != "input_required":
        raise Conflict(f"task {task.id} is not waiting for input", task=task.id)
    return waited(task, now)


def waited(task: Task, now: LedgerClock) -> Task:
    """Nothing is asked any more; a task that did not wait stays as it is."""
    if task.state != "input_required":
        return task
    return replace(task, state="working", updated=now.wall, due=_due(task, now), left_s=None)


def complete(task: Task, key: bytes, token: Token, *, result: str, address: str, now: LedgerClock) -> Task:
    check_holder(task, key, token)
    return _finish(task, "completed", now, reason=None, result=result, address=address)


def fail(
    task: Task,
    key: bytes,
    token: Token,
    *,
    reason: str,
    retryable: bool,
    detail: str | None,
    limit: int,
    now: LedgerClock,
) -> Task:
    """The owner gives up: for good, or, when ``retryable``, as one of ``limit`` strikes."""
    check_holder(task, key, token)
    if not retryable:
        return _finish(task, "failed", now, reason=reason, detail=detail)
    return _strike(task, now, reason=reason, limit=limit, detail=detail)


def release(task: Task, key: bytes, token: Token, now: LedgerClock) -> Task:
    """The owner hands the task back; no strike."""
    check_holder(task, key, token)
    return _reopen(task, now, reason="released")


def cancel(task: Task, reason: str, now: LedgerClock) -> Task:
    """End the task, whoever holds it; the owner learns it from the refusal of its next command."""
    _not_final(task)
    return _finish(task, "canceled", now, reason=reason)


def lease_ended(task: Task, *, limit: int, now: LedgerClock) -> Task:
    """Enter the end of a lease. In its ``grace`` it ended while the ledger was away: no strike."""
    if task.grace:
        return _reopen(task, now, reason="ledger_away")
    return _strike(task, now, reason="lease_ended", limit=limit, detail=None)


def lease_dropped(task: Task, now: LedgerClock) -> Task:
    """Take the lease back because the ledger's term rose; no strike."""
    return _reopen(task, now, reason="term_raised")


def lease_prolonged(task: Task, now: LedgerClock) -> Task:
    """One full period from a ledger that was away, during which the owner couldn't renew."""
    assert task.lease_s is not None
    return replace(task, updated=now.wall, lease_end=now.boot + task.lease_s, grace=True)


def deadline_passed(task: Task, now: LedgerClock) -> Task:
    """The date by which the author wanted it is over."""
    _not_final(task)
    return _finish(task, "failed", now, reason="deadline")


def retry(task: Task, *, new_id: str, author: str, author_kind: str, now: LedgerClock) -> Task:
    """A new task that asks for the same as an ended one."""
    check_ended(task)
    return submit(
        id=new_id,
        author=author,
        author_kind=author_kind,
        brief=task.brief,
        now=now,
        role=task.role,
        capability=task.capability,
        priority=task.priority,
        project=task.project,
        retry_of=task.id,
        deadline_s=task.deadline_s,
        approve=task.approve,
    )


def check_ended(task: Task) -> None:
    """Only what has ended can be asked for again."""
    if task.state not in FINAL:
        raise Conflict(
            f"task {task.id} is {task.state}; only an ended task can be retried: cancel it first, or wait",
            task=task.id,
            state=task.state,
        )


def check_holder(task: Task, key: bytes, token: Token) -> None:
    """The one check of ownership: token first, so that a former owner learns that its lease has moved on.

    Raises ``StaleToken``, ``FinalState``, ``NotAllowed`` (another key), or ``Conflict`` (a token that nobody got).
    """
    last = (task.term, task.counter)
    if token > last or task.counter == 0:
        raise Conflict(f"no lease with token {token} was ever given for task {task.id}", task=task.id)
    if token < last or task.state == "submitted":
        raise StaleToken(
            f"the lease with token {token} on task {task.id} has ended; stop working on it",
            task=task.id,
            token=list(token),
            state=task.state,
        )
    _not_final(task)
    if key != task.agent_key:
        raise NotAllowed(f"task {task.id} is held by {task.agent} under another key", task=task.id)


def _not_final(task: Task) -> None:
    if task.state in FINAL:
        raise FinalState(
            f"task {task.id} is {task.state}, and that is final; bzzz task retry makes a new one",
            task=task.id,
            state=task.state,
        )


def _due(task: Task, now: LedgerClock) -> float | None:
    return task.due if task.left_s is None else now.wall + task.left_s


def _reopen(
    task: Task, now: LedgerClock, *, reason: str, strikes: int | None = None, detail: str | None = None
) -> Task:
    return replace(
        task,
        state="submitted",
        updated=now.wall,
        strikes=task.strikes if strikes is None else strikes,
        agent=None,
        agent_key=None,
        lease_s=None,
        lease_end=None,
        grace=False,
        due=_due(task, now),
        left_s=None,
        reason=reason,
        detail=detail,
    )


def _strike(task: Task, now: LedgerClock, *, reason: str, limit: int, detail: str | None) -> Task:
    strikes = task.strikes + 1
    if strikes < limit:
        return _reopen(task, now, reason=reason, strikes=strikes, detail=detail)
    return replace(_finish(task, "failed", now, reason=reason, detail=detail), strikes=strikes, dead=True)


def _finish(
    task: Task,
    state: State,
    now: LedgerClock,
    *,
    reason: str | None,
    detail: str | None = None,
    result: str | None = None,
    address: str | None = None,
) -> Task:
    return replace(
        task,
        state=state,
        updated=now.wall,
        lease_end=None,
        grace=False,
        due=None,
        left_s=None,
        result=result,
        address=address,
        reason=reason,
        detail=detail,
    )
