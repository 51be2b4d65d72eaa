"""The interface of the ledger: what every engine takes, gives and guarantees.

The embedded engine (``embedded.py``) implements it; the tests' conformance suite holds any engine to
what is said here.

Guarantees
- One order: accepted commands and the ledger's own decisions are numbered entries, each atomic and
  durable before it is answered.
- One owner: at most one token is in force for a task; a command with an older one is refused.
- Nothing is lost: an accepted task is in exactly one state, and an unfinished one is either open or
  held under a lease that will end.
- Idempotent: a command id, scoped to its author and kept for ``Rules.command_keep_s``, takes effect
  once. The same bytes again give the recorded outcome; other bytes under the same id are a
  ``Conflict``. A refused command changed nothing and is judged afresh when it comes again. Of a lease's
  renewals the last one's id is kept, and one dated no later than that is refused.
- Bounded: a task that is held leaves no more entries the longer it is held. Numbers rise, with gaps where
  an entry was superseded; the last entry always stays.
- Authorised by its author: the grant of the key that signed decides, never who forwarded.
- The term rises with every promotion, restore and migration, and takes back every lease.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from bzzzd.slurp.commands import Author, Command
from bzzzd.slurp.prompt import Prompt, PromptState, Reply
from bzzzd.slurp.task import State, Task

# May ``author`` do "submit", "cancel" or "retry" to this task, "ask" people for it, or "answer" its prompts?
# "cancel" and "retry" are asked for when the author is not the task's own.
May = Callable[[Author, str, Task], bool]

# May the author of a reply still answer? Its grant may have ended, or been revoked, since.
Holds = Callable[[Reply], bool]

# Local statements that belong to a command, like storing the version that it names.
Along = Callable[[sqlite3.Connection], object]


class Rules(Struct, frozen=True, kw_only=True):
    """What an administrator sets. Times are in seconds.

    ``future_s``: how far ahead of the ledger's an author's clock may be. ``stall_s``: a lease found
    ended later than this ended while the ledger was not running (frozen, or the machine suspended),
    so it gets a full period instead. ``events_keep``: how many entries a subscriber can resume over.
    ``max_open``: open tasks before submits are refused as ``Overloaded``; ``max_prompts`` the same for prompts.
    """

    may: May
    holds: Holds
    lease_s: float = 30.0
    max_lease_s: float = 3600.0
    strikes: int = 3
    command_keep_s: float = 30 * 86400.0
    future_s: float = 30.0
    stall_s: float = 5.0
    events_keep: int = 100_000
    max_open: int = 1_000_000
    max_prompts: int = 100_000


class LedgerEvent(Struct, frozen=True, array_like=True):
    """Entry ``number``: at Unix time ``at``, ``kind`` happened and left ``task`` so.

    ``by`` is ``KIND:ID`` of the command's author, or ``ledger``. Kinds: submitted, rejected, claimed,
    renewed, completed, failed, struck (a retryable failure), released, canceled,
    lease_ended, lease_prolonged, lease_dropped, deadline_passed. Entries about a prompt of the task have it as
    the entry left it: prompt_asked, _adopted, _seen, _answered, _begun, _reopened (an answerer may not answer any
    more), _executed, _failed, _canceled, _superseded, _expired, _escalated, _unknown, _settled.
    """

    number: int
    at: float
    kind: str
    by: str
    task: Task
    prompt: Prompt | None = None


class Outcome(Struct, frozen=True, array_like=True):
    """What a command did. ``repeated``: it was done before; ``task`` is as it was left then, ``events`` is empty."""

    task: Task
    events: tuple[LedgerEvent, ...]
    repeated: bool = False
    prompt: Prompt | None = None

    @property
    def adopted(self) -> bool:
        """Whether a question was taken over from the owner before, so that the version that came is of no use."""
        return bool(self.events) and self.events[0].kind == "prompt_adopted"


class Expired(Struct, frozen=True):
    """What time has ended; ``next_at`` (CLOCK_BOOTTIME seconds) is when to look again, None: nothing is waiting."""

    events: tuple[LedgerEvent, ...]
    next_at: float | None


class Step(Struct, frozen=True, array_like=True):
    """One step of a task's way. ``raw`` is the author's envelope as it came; None for the ledger's own."""

    number: int
    at: float
    what: str
    by: str
    state: State
    detail: str
    raw: bytes | None


class TaskPage(Struct, frozen=True, array_like=True):
    """Tasks, newest first; ``next`` is the ``after`` of the following page, None on the last."""

    tasks: tuple[Task, ...]
    next: str | None


class PromptPage(Struct, frozen=True, array_like=True):
    """Prompts, newest first; ``next`` is the ``after`` of the following page, None on the last."""

    prompts: tuple[Prompt, ...]
    next: str | None


class EventPage(Struct, frozen=True, array_like=True):
    """Events in order up to ``head``, the last number. ``reset``: the cursor is too old, or not of this ledger."""

    events: tuple[LedgerEvent, ...]
    head: int
    reset: bool = False


class Status(Struct, frozen=True):
    """``incarnation`` changes when numbers start anew: cursors of another one are void.

    ``durability`` is ``single`` while an acknowledged entry is on one node's disk alone, ``replicated`` while
    nothing is acknowledged that ``standby`` does not hold too; ``reason`` says why it is single.
    A ledger that was made from a copy says of which incarnation (``base``) and up to which entry (``based_on``).
    """

    engine: str
    durability: str
    term: int
    incarnation: str
    head: int
    counts: Mapping[str, int]
    dead_letters: int
    leases: int
    coordinator: str = ""
    standby: str = ""
    reason: str = ""
    base: str = ""
    based_on: int = 0


class Backup(Struct, frozen=True):
    """A file that passed ``backup.check_backup``: up to which entry it goes, and how many tasks it holds."""

    path: Path
    term: int
    head: int
    tasks: int


class Ledger(Protocol):
    """One ledger, seen from the node that holds it or votes on it."""

    async def start(self) -> Expired:
        """Come back after any absence: every live lease gets one full period, and its end in it is no strike."""

    async def execute(self, author: Author, command: Command, raw: bytes, along: Along | None = None) -> Outcome:
        """Do ``command``, which ``open_command`` made from ``raw`` and ``author_of`` gave its author.

        ``along`` is durable no later than the command, and undone with it where both are local; it
        doesn't run for a repeated command, nor for a question that was adopted. Raises ``StaleToken``,
        ``FinalState``, ``Conflict``, ``NotAllowed``, ``NotFound``, ``BadInput`` (the author's clock) and
        ``Overloaded``; nothing has changed then.
        """

    async def expire(self) -> Expired:
        """Enter what time has ended. Call it at ``next_at``: one that comes late counts as an absence."""

    async def prune(self) -> int:
        """Forget command ids that are past their time, a bounded number a call; gives how many entries it passed."""

    async def show(self, task_id: str) -> Task: ...

    async def list_tasks(
        self, *, state: State | None = None, project: str | None = None, limit: int = 100, after: str | None = None
    ) -> TaskPage: ...

    async def dead_letters(self, *, limit: int = 100, after: str | None = None) -> TaskPage: ...

    async def open_needs(self) -> list[tuple[str, str]]:
        """Every (role, capability) that an open task asks for."""

    async def open_tasks(self, role: str, capability: str, limit: int) -> list[Task]:
        """Open tasks that ask for exactly this role and capability: by priority, then age."""

    async def trace(self, task_id: str, *, limit: int = 1000, after: int = 0) -> list[Step]:
        """Every step with a number over ``after``, in order."""

    async def retries(self, task_id: str) -> list[str]:
        """Tasks that were made to retry this one, oldest first."""

    async def prompt(self, prompt_id: str) -> Prompt: ...

    async def list_prompts(
        self,
        *,
        live: bool = False,
        state: PromptState | None = None,
        task: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> PromptPage:
        """``live``: only those that something can become of still, ``unknown`` ones among them."""

    async def events(self, since: int, limit: int = 500) -> EventPage: ...

    async def status(self) -> Status: ...

    async def backup(self, target: Path) -> None:
        """Write a whole copy to ``target``, which must not exist; ``backup.check_backup`` reads it through."""

    async def restore(self, checked: Backup) -> Status:
        """Replace everything by a backup; the term rises, and leases are taken back without a strike."""

    async def promote(self) -> Status:
        """Make this copy the ledger: the term rises, so that whatever the former one promised is void."""
