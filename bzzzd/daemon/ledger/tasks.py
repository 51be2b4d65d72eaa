"""Tasks over RPC: signed commands to the ledger, with the versions that they name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from bzzzd.daemon.gate import Gate
from bzzzd.daemon.ledger.clerk import Clerk, Waits
from bzzzd.daemon.ledger.params import CommandParams, OptionalVersionParams, VersionedParams
from bzzzd.daemon.ledger.seat import Seat
from bzzzd.daemon.work.offers import OfferDesk
from bzzzd.daemon.work.taskview import TaskView
from bzzzd.daemon.work.titles import Titles
from bzzzd.errors import (
    Conflict,
    FinalState,
    NotAllowed,
    NotFound,
)
from bzzzd.rpc.access import attached, kinds
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.streams import Feed, StreamTable
from bzzzd.slurp.brief import open_brief
from bzzzd.slurp.commands import (
    Author,
    Cancel,
    Claim,
    Command,
    Complete,
    Fail,
    Id,
    Release,
    Renew,
    Retry,
    Submit,
)
from bzzzd.storage.versions.context import ContextStore, Pending

C = TypeVar("C", bound=Command)


class _Params(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class DeclineParams(_Params, frozen=True):
    task: Id


class Call(Protocol):
    """What the server says of a call."""

    @property
    def caller(self) -> Any: ...


class TaskDesk:
    """The methods between RPC and the ledger, wherever that is kept."""

    def __init__(
        self,
        clerk: Clerk,
        seat: Seat,
        contexts: ContextStore,
        gate: Gate,
        offers: OfferDesk,
        titles: Titles,
        view: TaskView,
        *,
        epoch: Callable[[], int],
    ) -> None:
        self._clerk = clerk
        self._seat = seat
        self._contexts = contexts
        self._gate = gate
        self._offers = offers
        self._titles = titles
        self._view = view
        self._epoch = epoch

    # Commands.

    async def _task(
        self, call: Call, author: Author, command: Command, raw: bytes, pending: Pending | None = None
    ) -> dict[str, Any]:
        """The answer of most methods: the task as the command left it, or that the command waits here."""
        try:
            outcome = await self._clerk.run(author, command, raw, pending)
        except Waits as waits:
            return {"task": self._view.waiting_map(waits.shown, call.caller)}
        return {"task": self._view.map(outcome.task, call.caller)}

    async def submit(self, call: Call, params: VersionedParams) -> dict[str, Any]:
        """Submit a task: the signed command and its brief's signed header and plaintext."""
        author, command = self._clerk.open(params.envelope, Submit)
        brief = open_brief(params.content)
        pending = await self._contexts.check(params.version, params.content, author)
        self._titles.remember(pending.id, brief, frozenset({*pending.header.readers, author.role}))
        return await self._task(call, author, command, params.envelope, pending)

    async def submit_signed(self, call: Call, *, envelope: bytes, version: bytes, content: bytes) -> dict[str, Any]:
        """The same for what this node itself signed."""
        return await self.submit(call, VersionedParams(envelope=envelope, version=version, content=content))

    async def claim(self, call: Call, params: CommandParams) -> dict[str, Any]:
        """Take an offered task: a lease with a fencing token, and the brief when the agent's role may read it.

        ``acts`` says of each act whether policy leaves it to the agent (``free``), to it and people (``approve``),
        or to neither (``no``).
        """
        author, command = self._clerk.open(params.envelope, Claim)
        try:
            outcome = await self._clerk.run(author, command, params.envelope)
        except (Conflict, NotAllowed, FinalState):
            if self._seat.acting:
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
            "brief": brief, "plan_s": self._gate.plan_s(author.role), "acts": self._gate.acts(author.role),
        }  # fmt: skip

    async def renew(self, call: Call, params: CommandParams) -> dict[str, Any]:
        """Keep the lease for one more period. One dated no later than the lease's last renewal is refused."""
        author, command = self._clerk.open(params.envelope, Renew)
        task = (await self._clerk.run(author, command, params.envelope)).task
        return {"task": self._view.map(task, call.caller), "lease_s": task.lease_s}

    async def complete(self, call: Call, params: VersionedParams) -> dict[str, Any]:
        """End a task with its decision; command and version are one transaction."""
        author, command = self._clerk.open(params.envelope, Complete)
        pending = await self._contexts.check(params.version, params.content, author)
        return await self._task(call, author, command, params.envelope, pending)

    async def fail(self, call: Call, params: OptionalVersionParams) -> dict[str, Any]:
        """End a task, or give it back for another try, with a reason code and an encrypted explanation."""
        author, command = self._clerk.open(params.envelope, Fail)
        pending: Pending | None = None
        if params.version is not None:
            pending = await self._contexts.check(params.version, params.content or b"", author)
        return await self._task(call, author, command, params.envelope, pending)

    def _plain(self, kind: type[Command]) -> Callable[[Call, CommandParams], Any]:
        async def run(call: Call, params: CommandParams) -> dict[str, Any]:
            author, command = self._clerk.open(params.envelope, kind)
            return await self._task(call, author, command, params.envelope)

        return run

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
            "task.claim",
            agents,
            CommandParams,
            self.claim,
            result="{task, token, lease_s, brief, readers, epoch, plan_s, acts}",
        )
        registry.add("task.renew", agents, CommandParams, self.renew, result="{task, lease_s}")
        registry.add("task.complete", agents, VersionedParams, self.complete, result=task)
        registry.add("task.fail", agents, OptionalVersionParams, self.fail, result=task)
        registry.add("task.decline", agents, DeclineParams, self.decline)
        for name, access, kind, doc in (
            ("task.release", agents, Release, "Hand a task back; no strike."),
            ("task.cancel", members, Cancel, "End a task."),
            ("task.retry", members, Retry, "Ask for the same again as a new task, once it has ended."),
        ):
            registry.add(name, access, CommandParams, self._plain(kind), doc=doc, result=task)
        streams.add("offers", attached(), self._offer_feed, "tasks offered to this agent")
