"""The node's part in the ledger: as coordinator it enters what time ends; as any other it follows the entries.

    unknown ──charter──► follower ◄──charter──► coordinator

A change of the coordinator is a document of the charter; whoever it names acts from then on, whoever
it no longer names stops at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import structlog

from bzzzd.daemon.ledger import audit
from bzzzd.daemon.ledger.line import Line
from bzzzd.daemon.ledger.office import Office
from bzzzd.daemon.ledger.remote import RemoteLedger
from bzzzd.daemon.ledger.seat import Seat
from bzzzd.daemon.ledger.succession import Succession
from bzzzd.daemon.work.leases import Leases
from bzzzd.daemon.work.offers import OfferDesk
from bzzzd.daemon.work.taskview import TaskView
from bzzzd.errors import BzzzError, StorageFailed, Unavailable
from bzzzd.runtime.services import Health
from bzzzd.slurp.ledger import LedgerEvent
from bzzzd.slurp.task import LEASED, Task

_LONGEST_WAIT_S: Final = 3600.0
_PRUNE_S: Final = 3600.0
_PAGE: Final = 500
# How long a follower's question for events waits at the coordinator, and how long it rests after a failure.
_POLL_S: Final = 20.0
_REST_S: Final = 1.0
# Kinds of entries that an administrator looks for in the log; the ordinary way of a task is in its trace.
_WORTH_A_LINE: Final = frozenset({"failed", "rejected", "struck", "lease_ended", "lease_dropped", "deadline_passed"})
_LOG: Final = structlog.get_logger()


class Keeper:
    """The service; ``spawn`` runs its background tasks. ``line`` tells the entries of the ledger kept here."""

    name = "ledger"
    depends = ("store", "mesh")

    def __init__(
        self,
        seat: Seat,
        far: RemoteLedger,
        office: Office,
        succession: Succession,
        offers: OfferDesk,
        view: TaskView,
        leases: Leases,
        *,
        completed: Callable[[Task], None],
        settled: Callable[[], None],
        upto: Callable[[], int | None],
        spawn: Callable[..., Any],
    ) -> None:
        self._seat = seat
        self._far = far
        self._office = office
        self._succession = succession
        self._offers = offers
        self._view = view
        self._leases = leases
        self._completed = completed
        self._settled = settled
        self._spawn = spawn
        self._wake = asyncio.Event()
        self._met = asyncio.Event()
        self._next_at: float | None = None
        self._changing = asyncio.Lock()
        self._cursor = ("", 0)
        self._begun = False
        self.following = False
        # Those who follow prompts: told of each entry, and when everything is to be looked at anew.
        self.prompted: Callable[[LedgerEvent], None] = lambda event: None
        self.anew: Callable[[], None] = lambda: None
        self.line = Line(seat.here, self.told, lambda name, work: spawn(self.name, name, work, ends=True), upto)
        office.changed = self._changed

    # The service.

    async def start(self) -> None:
        await self.settle()
        self._begun = True
        self._spawn(self.name, "expiry", self._expire())
        self._spawn(self.name, "pruning", self._prune())
        self._spawn(self.name, "following", self._follow())

    async def stop(self) -> None:
        self._offers.stop()

    def health(self) -> Health:
        if self._seat.acting:
            return Health(detail=f"kept here, {len(self._leases)} leases")
        if self._office.record is None:
            return Health(detail="no coordinator is known yet")
        if not self.following:
            return Health(detail=f"the coordinator {self._office.name} is away", degraded=True)
        return Health(detail=f"kept by {self._office.name}, {len(self._leases)} leases")

    # Who keeps it.

    def _changed(self) -> None:
        if not self._office.here:
            self._seat.acting = False  # at once: not one more command
        self._spawn(self.name, "another coordinator", self.settle(), ends=True)

    async def settle(self) -> None:
        """Act as the coordinator document in force says."""
        async with self._changing:
            acting = self._office.here
            if acting and not self._seat.acting:
                await self._take_office()
            elif acting:
                await self._succession.stay()
            elif not acting:
                self._seat.acting = False
                self._offers.act(False)
                self._next_at = None
                self.following = False
                self._met.set()
        self._settled()

    async def _take_office(self) -> None:
        await self._succession.inherit()
        head = (await self._seat.here.status()).head
        self.line.begin(head)
        self._leases.clear()
        self._seat.acting = True
        expired = await self._seat.here.start()
        self.line.add(expired.events)
        self._next_at = expired.next_at
        self._wake.set()
        await self._take_stock()
        self._offers.act(True)
        await self._offers.load()
        if self._begun:
            self._replaced()

    def replaced(self) -> None:
        """The ledger was replaced as a whole (restored or promoted): look at everything again."""
        self._spawn(self.name, "taking stock", self._start_over(), ends=True)

    async def _start_over(self) -> None:
        self.line.begin((await self._seat.here.status()).head)
        self._leases.clear()
        await self._take_stock()
        await self._offers.load()
        self._replaced()

    def _replaced(self) -> None:
        self._view.replaced()
        self.anew()

    async def _take_stock(self) -> None:
        after: str | None = None
        for state in sorted(LEASED):
            while True:
                page = await self._seat.list_tasks(state=state, limit=_PAGE, after=after)
                for task in page.tasks:
                    self.noticed(task)
                after = page.next
                if after is None:
                    break

    # As coordinator.

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
            if not self._seat.acting:
                self._next_at = None
                continue
            try:
                expired = await self._seat.here.expire()
            except (Unavailable, StorageFailed):
                # A full disk, say: the store's health tells, and leases end when it takes entries again.
                self._next_at = _boot() + 1.0
                continue
            self.line.add(expired.events)
            self._next_at = expired.next_at

    async def _prune(self) -> None:
        while True:
            try:
                passed = await self._seat.here.prune()
            except (Unavailable, StorageFailed):
                passed = 0
            await asyncio.sleep(0 if passed else _PRUNE_S)

    def told(self, event: LedgerEvent) -> None:
        """An entry in its turn, of the ledger here or of the coordinator's."""
        task = event.task
        self.noticed(task)
        self._view.changed(event)
        self.prompted(event)
        if not self._seat.acting:
            return
        audit.entered(event)
        if event.prompt is not None and event.prompt.looks_at is not None:
            self._look_at(_boot() + max(0.0, event.prompt.looks_at - time.time()))
        self._offers.follow(task)
        if event.kind == "completed":
            self._completed(task)
        elif event.kind in _WORTH_A_LINE:
            _LOG.info(
                f"task {event.kind}", task_id=task.id, agent_id=task.agent, by=event.by, reason=task.reason,
                dead_letter=task.dead,
            )  # fmt: skip

    def noticed(self, task: Task) -> None:
        """How a task stands now."""
        if not self._leases.follow(task):
            self._view.at_rest(task.id)
        elif self._seat.acting and task.lease_end is not None:
            self._look_at(task.lease_end)

    def _look_at(self, at: float) -> None:
        """Time changes something at ``at``, in CLOCK_BOOTTIME seconds."""
        if self._next_at is None or at < self._next_at:
            self._next_at = at
            self._wake.set()

    # As any other.

    def met(self) -> None:
        """A peer has come: it may be the coordinator."""
        self._met.set()

    async def _follow(self) -> None:
        while True:
            if self._seat.acting or self._office.record is None:
                self._met.clear()
                await self._met.wait()
                continue
            try:
                await self._hear()
            except BzzzError:
                self.following = False
                self._met.clear()
                try:
                    async with asyncio.timeout(_REST_S):
                        await self._met.wait()
                except TimeoutError:
                    pass

    async def _hear(self) -> None:
        """One question for what is new; the first, and one to another ledger, makes everything be looked at again."""
        incarnation, number = self._cursor
        wait_s = _POLL_S if self.following else 0.0
        news = await self._far.news(incarnation, number, _PAGE, wait_s)
        if self._seat.acting:
            return
        if news.page.reset or incarnation != news.incarnation:
            self._cursor = (news.incarnation, news.page.head)
            self._leases.clear()
            await self._take_stock()
            self._replaced()
        else:
            for event in news.page.events:
                self.told(event)
            self._cursor = (news.incarnation, news.upto)
        if not self.following:
            self.following = True
            await self._succession.compare(self._far)
            self._settled()


def _boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
