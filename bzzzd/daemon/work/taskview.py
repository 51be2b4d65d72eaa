"""Tasks as a caller may see them: lists, one task with its decision, its trace, progress, and the live stream."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated, Any, Final, Protocol

import msgspec
from msgspec import Meta, Struct

from bzzzd.daemon.gate import Gate
from bzzzd.daemon.work.titles import Titles
from bzzzd.errors import NotAllowed, NotFound, Unavailable, UnknownOutcome
from bzzzd.identity.caller import Caller
from bzzzd.rpc.access import guest, kinds
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.streams import Feed, Stream, StreamTable
from bzzzd.slurp.commands import Half, Id
from bzzzd.slurp.ledger import Ledger, LedgerEvent
from bzzzd.slurp.task import State, Task
from bzzzd.storage.versions.context import ContextStore

_PROGRESS_KEPT: Final = 4096
_LATEST_SHOWN: Final = 200
_UNSEEN: Final = frozenset(
    {
        "renewed", "prompt_seen", "prompt_answered", "prompt_escalated", "prompt_superseded", "prompt_unknown",
        "prompt_executed", "prompt_failed", "prompt_settled", "prompt_reopened",
    }
)  # fmt: skip

# NaN is refused by the bounds too: no comparison holds for it.
Units = Annotated[float, Meta(ge=0, le=1e15)]
_ONE_LINE: Final = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z"


class _Params(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class ListParams(_Params, frozen=True):
    """``after`` is the ``next`` of the page before."""

    state: State | None = None
    project: Id | None = None
    dead_letters: bool = False
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: str | None = None


class TaskParams(_Params, frozen=True):
    id: Id


class ProgressParams(_Params, frozen=True):
    """``done`` of ``total`` units, or of an unknown number; ``note`` is one line. ``token`` is the lease's."""

    task: Id
    token: tuple[Half, Half]
    done: Units
    total: Units | None = None
    note: Annotated[str, Meta(max_length=200, pattern=_ONE_LINE)] = ""


class Call(Protocol):
    """What the server says of a call."""

    @property
    def caller(self) -> Any: ...


class Waiting(Protocol):
    """Tasks that wait on this node to be asked for, as they are shown meanwhile."""

    def find(self, task: str) -> dict[str, Any] | None: ...

    def all(self) -> list[dict[str, Any]]: ...

    def refusal(self, task: str) -> dict[str, Any] | None: ...

    async def seen(self, task: str, kind: str, id: str) -> None: ...


class TaskView:
    """``holder(task id)`` gives the agent that holds a task here, if any."""

    def __init__(
        self,
        ledger: Ledger,
        contexts: ContextStore,
        gate: Gate,
        titles: Titles,
        stream: Stream,
        holder: Callable[[str], str | None],
    ) -> None:
        self._ledger = ledger
        self._contexts = contexts
        self._gate = gate
        self._titles = titles
        self._stream = stream
        self._holder = holder
        self.outbox: Waiting | None = None
        self._progress: OrderedDict[str, dict[str, Any]] = OrderedDict()

    # What happened.

    def changed(self, event: LedgerEvent) -> None:
        """Show an event of the ledger to whoever follows the stream.

        Renewals are of no interest to anybody, nor what happens to a prompt while its task stays as it is.
        """
        if event.kind not in _UNSEEN:
            self._stream.append(
                {
                    "kind": event.kind, "number": event.number, "at": event.at, "by": event.by,
                    "task": event.task.to_map(),
                }
            )  # fmt: skip

    def waiting(self, kind: str, by: str, shown: dict[str, Any]) -> None:
        """A command waits on this node for the coordinator, or was refused after it had waited."""
        self._stream.append({"kind": kind, "number": 0, "at": time.time(), "by": by, "task": shown})

    def waiting_map(self, shown: dict[str, Any], caller: Caller) -> dict[str, Any]:
        """A task that waits here, for a caller."""
        brief, role = shown["brief"], caller.role
        said = {"title": self._titles.known(brief, role), "asked_by": self._titles.asked_by(brief, role)}
        return {**shown, **said, "progress": None}

    def _waiting(self, caller: Caller, project: str | None = None) -> list[dict[str, Any]]:
        found = [] if self.outbox is None else self.outbox.all()
        return [self.waiting_map(one, caller) for one in found if project in (None, one["project"])]

    def at_rest(self, task_id: str) -> None:
        """Nobody holds the task, so its progress is of the past."""
        self._progress.pop(task_id, None)

    def replaced(self) -> None:
        """The ledger was replaced as a whole: everything shown before is to be asked for again."""
        self._progress.clear()
        self._stream.append({"kind": "replaced", "id": "", "at": time.time()})

    # Looking.

    def map(self, task: Task, caller: Caller) -> dict[str, Any]:
        """A task for a caller, with its title where it is in memory and the caller may read it."""
        shown = task.to_map()
        shown["title"] = self._titles.known(task.brief, caller.role)
        shown["asked_by"] = self._titles.asked_by(task.brief, caller.role)
        shown["progress"] = self._progress.get(task.id)
        if self.outbox is not None and (refused := self.outbox.refusal(task.id)) is not None:
            shown["refused"] = refused
        return shown

    async def _full_map(self, task: Task, caller: Caller) -> dict[str, Any]:
        await self._titles.find(task.brief, caller.role)
        return self.map(task, caller)

    async def list(self, call: Call, params: ListParams) -> dict[str, Any]:
        """Tasks, newest first, with titles where the caller may read them."""
        self._gate.check(call.caller, "task.list", "task", "read")
        first = params.after is None and params.state is None and not params.dead_letters
        waiting = self._waiting(call.caller, params.project) if first else []
        try:
            if params.dead_letters:
                page = await self._ledger.dead_letters(limit=params.limit, after=params.after)
            else:
                page = await self._ledger.list_tasks(
                    state=params.state, project=params.project, limit=params.limit, after=params.after
                )
        except (Unavailable, UnknownOutcome):
            if not waiting:
                raise
            return {"tasks": waiting[: params.limit], "next": None}
        tasks = [await self._full_map(task, call.caller) for task in page.tasks]
        return {"tasks": [*waiting, *tasks], "next": page.next}

    async def show(self, call: Call, params: TaskParams) -> dict[str, Any]:
        """One task, with its brief and decision where the caller may read them."""
        caller = call.caller
        self._gate.check(caller, "task.show", f"task:{params.id}", "read")
        waits = self.outbox.find(params.id) if self.outbox is not None else None
        if waits is not None:
            await self._seen(params.id, caller)
            return {"task": self.waiting_map(waits, caller), "retries": []}
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
        await self._seen(params.id, caller)
        return shown

    async def _seen(self, task: str, caller: Caller) -> None:
        if self.outbox is not None and self.outbox.refusal(task) is not None:
            await self.outbox.seen(task, caller.kind, caller.id)

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
        if self._holder(params.task) != caller.id:
            raise NotAllowed(f"{caller.id} does not hold task {params.task}")
        told = {"done": params.done, "total": params.total, "note": params.note, "at": time.time()}
        self._progress[params.task] = told
        self._progress.move_to_end(params.task)
        while len(self._progress) > _PROGRESS_KEPT:
            self._progress.popitem(last=False)
        self._stream.append({"kind": "progress", "id": params.task, "at": told["at"], "progress": told})
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
            return item if task is None or title is None else {**item, "task": {**task, "title": title}}

        async def snapshot() -> dict[str, Any]:
            waiting = [one for one in self._waiting(caller) if only in (None, one["id"])]
            try:
                if only is not None:
                    tasks = [await self._ledger.show(str(only))]
                else:
                    tasks = list((await self._ledger.list_tasks(limit=_LATEST_SHOWN)).tasks)
            except (NotFound, Unavailable, UnknownOutcome):
                tasks = []  # those of a coordinator that is away come when it is back, as a `replaced`
            return {"tasks": [*waiting, *[await self._full_map(task, caller) for task in tasks]]}

        return Feed(self._stream, view, snapshot)

    def register(self, registry: Registry, streams: StreamTable) -> None:
        anybody = guest()
        registry.add("task.list", anybody, ListParams, self.list, result="{tasks, next}", reads=True)
        registry.add(
            "task.show", anybody, TaskParams, self.show, reads=True,
            result="{task, brief?, decision?, explanation?, retries}",
        )  # fmt: skip
        registry.add("task.trace", anybody, TaskParams, self.trace, result="{id, steps}", reads=True)
        registry.add("task.progress", kinds("agent"), ProgressParams, self.progress)
        streams.add("tasks", anybody, self._feed, "changes and progress of tasks; filter: task, author")
