"""The ledger's entries in their order, once each: told to whoever follows here, and to other nodes that wait for more.

Commands are answered side by side, so their entries may come out of order, and one whose caller went
away does not come at all. What is missing for longer than a moment is read from the ledger itself; what is
missing there was superseded by a later entry, and is passed over.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

from bzzzd.errors import BzzzError
from bzzzd.slurp.ledger import EventPage, Ledger, LedgerEvent

KEPT: Final = 8192
_PATIENCE_S: Final = 0.1
_PAGE: Final = 500


class Line:
    """``tell(event)`` hears every entry after ``begin``. ``upto()`` is the last number that may be told."""

    def __init__(
        self,
        ledger: Ledger,
        tell: Callable[[LedgerEvent], None],
        spawn: Callable[[str, Coroutine[Any, Any, None]], object],
        upto: Callable[[], int | None] = lambda: None,
        keep: int = KEPT,
    ) -> None:
        self._ledger = ledger
        self._tell = tell
        self._spawn = spawn
        self._upto = upto
        self._early: dict[int, LedgerEvent] = {}
        self._kept: deque[LedgerEvent] = deque(maxlen=keep)
        self._waiting: set[asyncio.Future[None]] = set()
        self._filling = False
        self.number = 0

    def begin(self, number: int) -> None:
        """The ledger stands at entry ``number``; what follows is told."""
        self.number = number
        self._early.clear()
        self._kept.clear()
        self._wake()

    def add(self, events: Iterable[LedgerEvent]) -> None:
        """Entries that were made; those whose turn it is are told now."""
        for event in events:
            if event.number > self.number:
                self._early[event.number] = event
        before = self.number
        while (event_ := self._early.pop(self.number + 1, None)) is not None:
            self._next(event_)
        if self.number != before:
            self._wake()
        if self._early and not self._filling:
            self._filling = True
            asyncio.get_running_loop().call_later(_PATIENCE_S, self._fill_soon)

    def _next(self, event: LedgerEvent) -> None:
        self.number = event.number
        self._kept.append(event)
        self._tell(event)

    def _fill_soon(self) -> None:
        self._spawn("filling a gap of events", self._fill())

    async def _fill(self) -> None:
        try:
            while self._early and min(self._early) > self.number + 1:
                page = await self._ledger.events(self.number, _PAGE)
                upto = self._upto()
                found = [event for event in page.events if upto is None or event.number <= upto]
                if not found:
                    return
                self._filling = True
                for event in found:
                    if event.number > self.number:
                        self._next(event)
                self._early = {number: event for number, event in self._early.items() if number > self.number}
                self._wake()
                self.add(())
        except BzzzError:
            return  # the ledger's own health says so, and the next entry asks again
        finally:
            self._filling = False

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def after(self, since: int, limit: int, wait_s: float) -> EventPage:
        """Told entries after ``since``, at most ``limit``; when there are none, waits ``wait_s`` seconds for one."""
        if since > self.number:
            return EventPage((), self.number, reset=True)
        if since == self.number and wait_s:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            try:
                async with asyncio.timeout(wait_s):
                    await future
            except TimeoutError:
                pass
            finally:
                self._waiting.discard(future)
            if since > self.number:
                return EventPage((), self.number, reset=True)
        if since >= self.number:
            return EventPage((), self.number)
        if self._kept and self._kept[0].number <= since + 1:
            skip = bisect_right(self._kept, since, key=lambda event: event.number)
            found = [self._kept[at] for at in range(skip, min(skip + limit, len(self._kept)))]
            return EventPage(tuple(found), self.number)
        page = await self._ledger.events(since, limit)
        events = tuple(event for event in page.events if event.number <= self.number)
        return EventPage(events, self.number, page.reset)
