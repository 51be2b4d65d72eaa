"""Takes offered tasks, as many at a time as there are slots, and keeps their leases alive.

    offered ──► errand ──► done          a free slot
       └──────► waiting ──► errand       the ledger freed a slot before this agent heard of it
       └──────► declined                 no slot, no usable handler, or the agent is stopping

The errands do the work; one task for all of them, the keeper, wakes at the earliest moment that any
lease needs something. Without tasks nothing here wakes at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Final

import structlog

from bzzzd.agent.counters import Counters
from bzzzd.agent.errand import Errand, Link
from bzzzd.agent.handlers.registry import Handlers
from bzzzd.agent.lease import boottime
from bzzzd.agent.people.approval import Approvals
from bzzzd.agent.signer import Signer
from bzzzd.agent.talk.discussion import Discussion
from bzzzd.errors import BzzzError
from bzzzd.runtime.services import Health

# asyncio's timers stand still while the machine sleeps, leases do not: hence a look at least this often.
_LOOK_S: Final = 1.0
_RELEASE_S: Final = 3.0

Background = Callable[[str, Coroutine[Any, Any, None]], object]

log = structlog.get_logger()


class Runner:
    """The service that works. ``offered`` is told what bzzzd offers to this agent.

    At the stop, tasks get ``finish_s`` seconds to end by themselves; what has not ended is handed
    back, without a strike, so that another agent takes it at once. ``discuss(claim)`` gives the agent's part in the
    talk about a task. ``background(name, work)`` runs
    a task whose death is noticed.
    """

    name = "runner"

    def __init__(
        self,
        link: Link,
        signer: Signer,
        handlers: Handlers,
        counters: Counters,
        *,
        people: Approvals,
        slots: int,
        depends: tuple[str, ...] = (),
        background: Background,
        finish_s: float = 8.0,
        clock: Callable[[], float] = boottime,
        wall: Callable[[], float] = time.time,
        discuss: Callable[[Mapping[str, Any]], Discussion] | None = None,
    ) -> None:
        self.depends = depends
        self._link = link
        self._signer = signer
        self.handlers = handlers
        self._counters = counters
        self._slots = slots
        self._background = background
        self._finish_s = finish_s
        self._clock = clock
        self._wall = wall
        self._discuss = discuss
        self._people = people
        self._errands: dict[str, Errand] = {}
        self._waiting: deque[tuple[str, float]] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._wakes_at = float("inf")
        self._sooner = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._stopping = False

    @property
    def in_flight(self) -> int:
        return len(self._errands)

    @property
    def slots(self) -> int:
        """Tasks at a time to ask for; 0 when nothing can be done here."""
        return self._slots if self.handlers.capabilities else 0

    async def start(self) -> None:
        self._background("lease keeper", self._keep())

    async def stop(self) -> None:
        self._stopping = True
        for offer, _ in self._waiting:
            self._decline(offer)
        self._waiting.clear()
        await self._until_empty(self._finish_s)
        for errand in list(self._errands.values()):
            errand.hand_back("the agent stops")
        await self._until_empty(_RELEASE_S)
        left = list(self._tasks)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_RELEASE_S)

    def health(self) -> Health:
        missing = "; ".join(f"{name}: {why}" for name, why in self.handlers.missing.items())
        can = ", ".join(self.handlers.capabilities) or "nothing"
        detail = f"{len(self._errands)} of {self._slots} slots in use; can {can}"
        return Health(detail=f"{detail}; cannot {missing}" if missing else detail, degraded=bool(missing))

    def offered(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Take offers; all that fit are claimed in this turn of the loop."""
        for item in items:
            self._counters.offers += 1
            task = str(item["task"])
            if task in self._errands:
                continue
            if self._stopping or not self._usable(item):
                self._decline(task)
            elif len(self._errands) < self._slots:
                self._begin(task)
            elif len(self._waiting) < self._slots:
                self._waiting.append((task, self._clock() + float(item.get("expires_s") or 0.0)))
            else:
                self._decline(task)

    def _usable(self, item: Mapping[str, Any]) -> bool:
        capability = item.get("capability")
        if capability is not None:
            return not self.handlers.unusable(capability)
        return any(not self.handlers.unusable(name) for name in self.handlers.capabilities)

    def _begin(self, task: str) -> None:
        errand = Errand(
            task, link=self._link, signer=self._signer, handlers=self.handlers, counters=self._counters,
            clock=self._clock, wall=self._wall, spawn=self._spawn, wake=self._wake, discuss=self._discuss,
            people=self._people,
        )  # fmt: skip
        self._errands[task] = errand
        self._empty.clear()
        self._spawn(self._carry(errand))

    async def _carry(self, errand: Errand) -> None:
        try:
            await errand.run()
        except Exception as error:  # one task must not end the others
            log.error("task was dropped; its lease will end", task=errand.task, exc_info=error)
        finally:
            del self._errands[errand.task]
            if not self._errands:
                self._empty.set()
            self._next()

    def _next(self) -> None:
        """Give a free slot to an offer that waits and has not expired."""
        while self._waiting and len(self._errands) < self._slots and not self._stopping:
            task, expires = self._waiting.popleft()
            if task not in self._errands and self._clock() < expires:
                self._begin(task)

    def _decline(self, task: str) -> None:
        self._spawn(self._tell_declined(task))

    async def _tell_declined(self, task: str) -> None:
        # An offer that is not declined lapses by itself; this only saves the others the wait.
        with contextlib.suppress(BzzzError):
            await self._link.call("task.decline", {"task": task}, timeout=5.0)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _wake(self, errand: Errand) -> None:
        """The keeper may have to wake sooner for this errand."""
        wakes = errand.work.wakes_at
        if wakes is not None and wakes < self._wakes_at:
            self._sooner.set()

    async def _keep(self) -> None:
        """Wake each errand when its lease needs something."""
        while True:
            now = self._clock()
            for errand in list(self._errands.values()):
                wakes = errand.work.wakes_at
                if wakes is not None and now >= wakes:
                    errand.tick()
            due = [wakes for errand in self._errands.values() if (wakes := errand.work.wakes_at) is not None]
            self._sooner.clear()
            if not due:
                self._wakes_at = float("inf")
                await self._sooner.wait()
                continue
            wait = max(0.0, min(min(due) - self._clock(), _LOOK_S))
            self._wakes_at = now + wait
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._sooner.wait()

    async def _until_empty(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._empty.wait()
