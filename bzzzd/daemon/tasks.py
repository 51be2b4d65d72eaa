"""Tasks over RPC: signed commands to the ledger, with their versions; lists, traces and the live stream."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Final, Protocol, TypeVar

import msgspec
from msgspec import Meta, Struct

from bzzzd.daemon.gate import Gate
from bzzzd.daemon.members import Members
from bzzzd.daemon.offers import OfferDesk
from bzzzd.daemon.titles import Titles
from bzzzd.errors import BzzzError, Conflict, FinalState, InvalidEnvelope, NotAllowed, NotFound, Unavailable
from bzzzd.identity.caller import Caller
from bzzzd.rpc.access import attached, guest, kinds
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.streams import Feed, Stream, StreamTable
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
from bzzzd.slurp.task import LEASED, State, Task
from bzzzd.storage.context import ContextStore, Pending

C = TypeVar("C", bound=Command)
_PROGRESS_KEPT: Final = 4096
_LATEST_SHOWN: Final = 200
_LONGEST_WAIT_S: Final = 3600.0
_PRUNE_S: Final = 3600.0


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


class ListParams(_Params, frozen=True):
    """``after`` is the ``next`` of the page before."""

    state: State | None = None
    project: Id | None = None
    dead_letters: bool = False
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: str | None = None


class TaskParams(_Params, frozen=True):
    id: Id


class DeclineParams(_Params, frozen=True):
    task: Id


class ProgressParams(_Params, frozen=True):
    """``done`` of ``total`` units, or of an unknown number; ``note`` is one line. ``token`` is the lease's."""

    task: Id
    token: tuple[int, int]
    done: float
    total: float | None = None
    note: Annotated[str, Meta(max_length=200)] = ""


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
        stream: Stream,
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
        self._stream = stream
        self._mesh_id = mesh_id
        self._epoch = epoch
        self._completed = completed
        self._spawn = spawn
        self._progress: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._wake = asyncio.Event()
        self._next_at: float | None = None
        self.loads: dict[str, int] = {}
        self._holding: dict[str, str] = {}

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
        return Health(detail=f"embedded, {sum(self.loads.values())} leases")

    def replaced(self) -> None:
        """The ledger was replaced as a whole (restored or promoted): look at everything again."""
        self._spawn(self.name, "taking stock", self._start_over(), ends=True)

    async def _start_over(self) -> None:
        self.loads.clear()
        self._holding.clear()
        self._progress.clear()
        await self._take_stock()
        await self._offers.load()
        self._stream.append({"kind": "replaced", "id": "", "at": time.time()})

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
            except Unavailable:
                self._next_at = _boot() + 1.0
                continue
            self._enter(expired.events)
            self._next_at = expired.next_at

    async def _prune(self) -> None:
        while True:
            passed = await self._ledger.prune()
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
            if event.kind != "renewed":
                self._stream.append(
                    {"kind": event.kind, "number": event.number, "at": event.at, "by": event.by, "task": task.to_map()}
                )
            if event.kind == "completed":
                self._completed(task)

    def _follow(self, task: Task) -> None:
        """Keep what lists show beside the ledger's rows: who holds how many leases, and progress."""
        holder = self._holding.pop(task.id, None)
        if holder is not None:
            self.loads[holder] -= 1
            if not self.loads[holder]:
                del self.loads[holder]
        if task.state in LEASED and task.agent is not None:
            self._holding[task.id] = task.agent
            self.loads[task.agent] = self.loads.get(task.agent, 0) + 1
            self._lease_until(task.lease_end)
        else:
            self._progress.pop(task.id, None)

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
        return {"task": self._map(outcome.task, call.caller)}

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
            "task": self._map(task, call.caller), "token": [task.term, task.counter], "lease_s": task.lease_s,
            "readers": list(self._gate.recipients(author.role, "text/markdown")), "epoch": self._epoch(),
            "brief": brief,
        }  # fmt: skip

    async def renew(self, call: Call, params: CommandParams) -> dict[str, Any]:
        """Keep the lease for one more period."""
        author, command = self._open(params.envelope, Renew)
        task = (await self._run(author, command, params.envelope)).task
        return {"task": self._map(task, call.caller), "lease_s": task.lease_s}

    async def complete(self, call: Call, params: VersionedParams) -> dict[str, Any]:
        """End a task with its decision; command and version are one transaction."""
        author, command = self._open(params.envelope, Complete)
        pending = await self._contexts.check(params.version, params.content, author)
        if pending.id != command.result or pending.header.address != command.address:
            await self._contexts.discard(pending)
            raise InvalidEnvelope("the command names another decision than the one sent")
        self._check_readers(author, pending)
        return {"task": self._map((await self._run(author, command, params.envelope, pending)).task, call.caller)}

    async def fail(self, call: Call, params: FailParams) -> dict[str, Any]:
        """End a task, or give it back for another try, with a reason code and an encrypted explanation."""
        author, command = self._open(params.envelope, Fail)
        pending: Pending | None = None
        if params.version is not None:
            pending = await self._contexts.check(params.version, params.content or b"", author)
            self._check_readers(author, pending)
        if command.detail != (pending.id if pending else None):
            raise InvalidEnvelope("the command names another explanation than the one sent")
        return {"task": self._map((await self._run(author, command, params.envelope, pending)).task, call.caller)}

    def _plain(self, kind: type[Command]) -> Callable[[Call, CommandParams], Any]:
        async def run(call: Call, params: CommandParams) -> dict[str, Any]:
            author, command = self._open(params.envelope, kind)
            return {"task": self._map((await self._run(author, command, params.envelope)).task, call.caller)}

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

    # Looking.

    def _map(self, task: Task, caller: Caller) -> dict[str, Any]:
        shown = task.to_map()
        shown["title"] = self._titles.known(task.brief, caller.role)
        shown["progress"] = self._progress.get(task.id)
        return shown

    async def _full_map(self, task: Task, caller: Caller) -> dict[str, Any]:
        await self._titles.find(task.brief, caller.role)
        return self._map(task, caller)

    async def list(self, call: Call, params: ListParams) -> dict[str, Any]:
        """Tasks, newest first, with titles where the caller may read them."""
        self._gate.check(call.caller, "task.list", "task", "read")
        if params.dead_letters:
            page = await self._ledger.dead_letters(limit=params.limit, after=params.after)
        else:
            page = await self._ledger.list_tasks(
                state=params.state, project=params.project, limit=params.limit, after=params.after
            )
        return {"tasks": [await self._full_map(task, call.caller) for task in page.tasks], "next": page.next}

    async def show(self, call: Call, params: TaskParams) -> dict[str, Any]:
        """One task, with its brief and decision where the caller may read them."""
        caller = call.caller
        self._gate.check(caller, "task.show", f"task:{params.id}", "read")
        task = await self._ledger.show(params.id)
        shown: dict[str, Any] = {
            "task": await self._full_map(task, caller),
            "retries": await self._ledger.retries(task.id),
        }
        brief = await self._titles.brief(task.brief, caller.role) if caller.role else None
        if brief is not None:
            shown["brief"] = msgspec.to_builtins(brief)
        for name, version in (("decision", task.result), ("explanation", task.detail)):
            if version is not None and caller.role:
                try:
                    found = await self._contexts.get_id(version, (caller.role,))
                except (NotAllowed, NotFound):
                    continue
                shown[name] = {
                    "version_id": version, "address": found.version.address, "author": found.version.header.author,
                    "content_type": found.version.header.content_type, "content": found.content,
                    "at": found.version.header.at,
                }  # fmt: skip
        return shown

    async def trace(self, call: Call, params: TaskParams) -> dict[str, Any]:
        """Every step of a task's way: when, what, by whom."""
        self._gate.check(call.caller, "task.trace", f"task:{params.id}", "read")
        steps = await self._ledger.trace(params.id)
        return {
            "id": params.id,
            "steps": [
                {
                    "number": step.number, "at": step.at, "what": step.what, "by": step.by, "state": step.state,
                    "detail": step.detail, "signed": step.raw is not None,
                }
                for step in steps
            ],
        }  # fmt: skip

    def progress(self, call: Call, params: ProgressParams) -> dict[str, Any]:
        """Tell how far the holder of a lease has come; live only, never stored."""
        caller = call.caller
        if self._holding.get(params.task) != caller.id:
            raise NotAllowed(f"{caller.id} does not hold task {params.task}")
        told = {"done": params.done, "total": params.total, "note": params.note, "at": time.time()}
        self._progress[params.task] = told
        self._progress.move_to_end(params.task)
        while len(self._progress) > _PROGRESS_KEPT:
            self._progress.popitem(last=False)
        self._stream.append({"kind": "progress", "id": params.task, "at": told["at"], "progress": told})
        return {}

    def decline(self, call: Call, params: DeclineParams) -> dict[str, Any]:
        """Decline an offer, so that another agent is asked at once."""
        self._offers.refused(params.task, call.caller.id)
        return {}

    def _feed(self, call: Call, name: str, filter: dict[str, Any]) -> Feed:
        caller = call.caller
        self._gate.check(caller, "task.list", "task", "read")
        only, author = filter.get("task"), filter.get("author")
        titles = self._titles

        def view(item: dict[str, Any]) -> dict[str, Any] | None:
            task = item.get("task")
            if only is not None and item["kind"] != "replaced" and only != (task["id"] if task else item["id"]):
                return None
            if author is not None and task is not None and task["author"] != author:
                return None
            title = titles.known(task["brief"], caller.role) if task else None
            return item if title is None else {**item, "task": {**task, "title": title}}  # type: ignore[dict-item]

        async def snapshot() -> dict[str, Any]:
            if only is not None:
                try:
                    tasks = [await self._ledger.show(str(only))]
                except NotFound:
                    tasks = []
            else:
                tasks = list((await self._ledger.list_tasks(limit=_LATEST_SHOWN)).tasks)
            return {"tasks": [await self._full_map(task, caller) for task in tasks]}

        return Feed(self._stream, view, snapshot)

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
        registry.add("task.progress", agents, ProgressParams, self.progress)
        registry.add("task.decline", agents, DeclineParams, self.decline)
        for name, access, kind, doc in (
            ("task.release", agents, Release, "Hand a task back; no strike."),
            ("task.pause", agents, Pause, "Say that the owner waits for a person; the task's deadline stands still."),
            ("task.resume", agents, Resume, "Say that the person has answered."),
            ("task.cancel", members, Cancel, "End a task."),
            ("task.retry", members, Retry, "Ask for the same again as a new task, once it has ended."),
        ):
            registry.add(name, access, CommandParams, self._plain(kind), doc=doc, result=task)
        registry.add("task.list", guest(), ListParams, self.list, result="{tasks, next}", reads=True)
        registry.add(
            "task.show",
            guest(),
            TaskParams,
            self.show,
            reads=True,
            result="{task, brief?, decision?, explanation?, retries}",
        )
        registry.add("task.trace", guest(), TaskParams, self.trace, result="{id, steps}", reads=True)
        streams.add("tasks", guest(), self._feed, "changes and progress of tasks; filter: task, author")
        streams.add("offers", attached(), self._offer_feed, "tasks offered to this agent")


def _boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
