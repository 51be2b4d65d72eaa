"""Tasks over RPC: signed commands to the ledger, with the versions that they name; and what time does to leases."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import structlog
from msgspec import Struct

from bzzzd.daemon.gate import Gate
from bzzzd.daemon.leases import Leases
from bzzzd.daemon.members import Members
from bzzzd.daemon.offers import OfferDesk
from bzzzd.daemon.taskview import TaskView
from bzzzd.daemon.titles import Titles
from bzzzd.errors import (
    BzzzError,
    Conflict,
    FinalState,
    InvalidEnvelope,
    NotAllowed,
    NotFound,
    StorageFailed,
    Unavailable,
)
from bzzzd.rpc.access import attached, kinds
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.streams import Feed, StreamTable
from bzzzd.runtime.services import Health
from bzzzd.slurp.brief import brief_address, open_brief
from bzzzd.slurp.commands import (
    Author,
    Cancel,
    Claim,
    Command,
    Complete,
    Fail,
    Id,
    Pause,
    Release,
    Renew,
    Resume,
    Retry,
    Submit,
    author_of,
    open_command,
)
from bzzzd.slurp.ledger import Expired, Ledger, LedgerEvent, Outcome
from bzzzd.slurp.task import LEASED, Task
from bzzzd.storage.context import ContextStore, Pending

C = TypeVar("C", bound=Command)
_LONGEST_WAIT_S: Final = 3600.0
_PRUNE_S: Final = 3600.0
# Kinds of entries that an administrator looks for in the log; the ordinary way of a task is in its trace.
_WORTH_A_LINE: Final = frozenset({"failed", "rejected", "struck", "lease_ended", "lease_dropped", "deadline_passed"})
_LOG: Final = structlog.get_logger()


class _Params(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class CommandParams(_Params, frozen=True):
    """``envelope`` is a signed command (kind ``command``)."""

    envelope: bytes


class VersionedParams(_Params, frozen=True):
    """A signed command with the version that it names: signed header and plaintext."""

    envelope: bytes
    version: bytes
    content: bytes


class FailParams(_Params, frozen=True):
    """As ``VersionedParams``; without an explanation both are left out."""

    envelope: bytes
    version: bytes | None = None
    content: bytes | None = None


class DeclineParams(_Params, frozen=True):
    task: Id


class Call(Protocol):
    """What the server says of a call."""

    @property
    def caller(self) -> Any: ...


class TaskDesk:
    """The service between RPC and the ledger; ``spawn`` runs its background tasks."""

    name = "ledger"
    depends = ("store",)

    def __init__(
        self,
        ledger: Ledger,
        contexts: ContextStore,
        members: Members,
        gate: Gate,
        offers: OfferDesk,
        titles: Titles,
        view: TaskView,
        leases: Leases,
        mesh_id: str,
        *,
        epoch: Callable[[], int],
        completed: Callable[[Task], None],
        spawn: Callable[..., Any],
    ) -> None:
        self._ledger = ledger
        self._contexts = contexts
        self._members = members
        self._gate = gate
        self._offers = offers
        self._titles = titles
        self._view = view
        self._mesh_id = mesh_id
        self._epoch = epoch
        self._completed = completed
        self._spawn = spawn
        self._wake = asyncio.Event()
        self._next_at: float | None = None
        self._leases = leases

    # The service.

    async def start(self) -> None:
        expired = await self._ledger.start()
        self._enter(expired.events)
        self._next_at = expired.next_at
        await self._take_stock()
        await self._offers.load()
        self._spawn(self.name, "expiry", self._expire())
        self._spawn(self.name, "pruning", self._prune())

    async def stop(self) -> None:
        self._offers.stop()

    def health(self) -> Health:
        return Health(detail=f"embedded, {len(self._leases)} leases")

    def replaced(self) -> None:
        """The ledger was replaced as a whole (restored or promoted): look at everything again."""
        self._spawn(self.name, "taking stock", self._start_over(), ends=True)

    async def _start_over(self) -> None:
        self._leases.clear()
        await self._take_stock()
        await self._offers.load()
        self._view.replaced()

    async def _take_stock(self) -> None:
        after: str | None = None
        for state in sorted(LEASED):
            while True:
                page = await self._ledger.list_tasks(state=state, limit=500, after=after)
                for task in page.tasks:
                    self._follow(task)
                after = page.next
                if after is None:
                    break

    async def _expire(self) -> None:
        while True:
            wait = _LONGEST_WAIT_S if self._next_at is None else max(0.0, self._next_at - _boot())
            self._wake.clear()
            try:
                async with asyncio.timeout(min(wait, _LONGEST_WAIT_S)):
                    await self._wake.wait()
                continue
            except TimeoutError:
                pass
            try:
                expired: Expired = await self._ledger.expire()
            except (Unavailable, StorageFailed):
                # A full disk, say: the store's health tells, and leases end when it takes entries again.
                self._next_at = _boot() + 1.0
                continue
            self._enter(expired.events)
            self._next_at = expired.next_at

    async def _prune(self) -> None:
        while True:
            try:
                passed = await self._ledger.prune()
            except (Unavailable, StorageFailed):
                passed = 0
            await asyncio.sleep(0 if passed else _PRUNE_S)

    def _lease_until(self, at: float | None) -> None:
        if at is not None and (self._next_at is None or at < self._next_at):
            self._next_at = at
            self._wake.set()

    # What happened.

    def _enter(self, events: tuple[LedgerEvent, ...]) -> None:
        for event in events:
            task = event.task
            self._follow(task)
            self._offers.follow(task)
            self._view.changed(event)
            if event.kind == "completed":
                self._completed(task)
            elif event.kind in _WORTH_A_LINE:
                _LOG.info(
                    f"task {event.kind}", task_id=task.id, agent_id=task.agent, by=event.by, reason=task.reason,
                    dead_letter=task.dead,
                )  # fmt: skip

    def _follow(self, task: Task) -> None:
        if self._leases.follow(task):
            self._lease_until(task.lease_end)
        else:
            self._view.at_rest(task.id)

    # Commands.

    def _open(self, raw: bytes, kind: type[C]) -> tuple[Author, C]:
        envelope, command = open_command(raw, self._mesh_id)
        if not isinstance(command, kind):
            told = type(command).__name__.lower()
            raise InvalidEnvelope(f"the signed command is {told}, and the method is for {kind.__name__.lower()}")
        return author_of(envelope, self._members.grant_of(envelope.author)), command

    async def _run(self, author: Author, command: Command, raw: bytes, pending: Pending | None = None) -> Outcome:
        along = None if pending is None else partial(self._contexts.insert, pending=pending)
        try:
            outcome = await self._ledger.execute(author, command, raw, along)
        except BzzzError:
            if pending is not None:
                await self._contexts.discard(pending)
            raise
        self._enter(outcome.events)
        return outcome

    async def submit(self, call: Call, params: VersionedParams) -> dict[str, Any]:
        """Submit a task: the signed command and its brief's signed header and plaintext."""
        author, command = self._open(params.envelope, Submit)
        brief = open_brief(params.content)
        pending = await self._contexts.check(params.version, params.content, author)
        expected = brief_address(author.id, author.role, command.project, command.task)
        if pending.id != command.brief or pending.header.address != expected:
            await self._contexts.discard(pending)
            raise InvalidEnvelope(f"the command names another brief than the one sent, which belongs at {expected}")
        self._check_readers(author, pending)
        self._titles.remember(pending.id, brief.title, frozenset({*pending.header.readers, author.role}))
        outcome = await self._run(author, command, params.envelope, pending)
        return {"task": self._view.map(outcome.task, call.caller)}

    async def claim(self, call: Call, params: CommandParams) -> dict[str, Any]:
        """Take an offered task: a lease with a fencing token, and the brief when the agent's role may read it."""
        author, command = self._open(params.envelope, Claim)
        try:
            outcome = await self._run(author, command, params.envelope)
        except (Conflict, NotAllowed, FinalState):
            self._offers.refused(command.task, author.id)
            raise
        task = outcome.task
        try:
            brief: bytes | None = await self._contexts.content(task.brief, (author.role,))
        except (NotAllowed, NotFound):
            brief = None
        return {
            "task": self._view.map(task, call.caller), "token": [task.term, task.counter], "lease_s": task.lease_s,
            "readers": list(self._gate.recipients(author.role, "text/markdown")), "epoch": self._epoch(),
            "brief": brief,
        }  # fmt: skip

    async def renew(self, call: Call, params: CommandParams) -> dict[str, Any]:
        """Keep the lease for one more period."""
        author, command = self._open(params.envelope, Renew)
        task = (await self._run(author, command, params.envelope)).task
        return {"task": self._view.map(task, call.caller), "lease_s": task.lease_s}

    async def complete(self, call: Call, params: VersionedParams) -> dict[str, Any]:
        """End a task with its decision; command and version are one transaction."""
        author, command = self._open(params.envelope, Complete)
        pending = await self._contexts.check(params.version, params.content, author)
        if pending.id != command.result or pending.header.address != command.address:
            await self._contexts.discard(pending)
            raise InvalidEnvelope("the command names another decision than the one sent")
        self._check_readers(author, pending)
        return {"task": self._view.map((await self._run(author, command, params.envelope, pending)).task, call.caller)}

    async def fail(self, call: Call, params: FailParams) -> dict[str, Any]:
        """End a task, or give it back for another try, with a reason code and an encrypted explanation."""
        author, command = self._open(params.envelope, Fail)
        pending: Pending | None = None
        if params.version is not None:
            pending = await self._contexts.check(params.version, params.content or b"", author)
            self._check_readers(author, pending)
        if command.detail != (pending.id if pending else None):
            raise InvalidEnvelope("the command names another explanation than the one sent")
        return {"task": self._view.map((await self._run(author, command, params.envelope, pending)).task, call.caller)}

    def _plain(self, kind: type[Command]) -> Callable[[Call, CommandParams], Any]:
        async def run(call: Call, params: CommandParams) -> dict[str, Any]:
            author, command = self._open(params.envelope, kind)
            return {"task": self._view.map((await self._run(author, command, params.envelope)).task, call.caller)}

        return run

    def _check_readers(self, author: Author, pending: Pending) -> None:
        """A header may name fewer readers than policy does, never others."""
        allowed = self._gate.recipients(author.role, pending.header.content_type)
        extra = sorted(set(pending.header.readers) - set(allowed))
        if extra:
            raise NotAllowed(
                f"policy does not let {', '.join(extra)} read {pending.header.content_type} of role {author.role}; "
                f"leave them out (allowed: {', '.join(allowed)})"
            )

    def decline(self, call: Call, params: DeclineParams) -> dict[str, Any]:
        """Decline an offer, so that another agent is asked at once."""
        self._offers.refused(params.task, call.caller.id)
        return {}

    def _offer_feed(self, call: Call, name: str, filter: dict[str, Any]) -> Feed:
        return Feed(self._offers.listen(call.caller.id))

    def register(self, registry: Registry, streams: StreamTable) -> None:
        members, agents = kinds("person", "admin", "agent"), kinds("agent")
        task = "{task}"
        registry.add("task.submit", members, VersionedParams, self.submit, result=task)
        registry.add(
            "task.claim", agents, CommandParams, self.claim, result="{task, token, lease_s, brief, readers, epoch}"
        )
        registry.add("task.renew", agents, CommandParams, self.renew, result="{task, lease_s}")
        registry.add("task.complete", agents, VersionedParams, self.complete, result=task)
        registry.add("task.fail", agents, FailParams, self.fail, result=task)
        registry.add("task.decline", agents, DeclineParams, self.decline)
        for name, access, kind, doc in (
            ("task.release", agents, Release, "Hand a task back; no strike."),
            ("task.pause", agents, Pause, "Say that the owner waits for a person; the task's deadline stands still."),
            ("task.resume", agents, Resume, "Say that the person has answered."),
            ("task.cancel", members, Cancel, "End a task."),
            ("task.retry", members, Retry, "Ask for the same again as a new task, once it has ended."),
        ):
            registry.add(name, access, CommandParams, self._plain(kind), doc=doc, result=task)
        streams.add("offers", attached(), self._offer_feed, "tasks offered to this agent")


def _boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
