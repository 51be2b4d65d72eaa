"""The subscriptions of one session: which streams it reads, up to where, and sending what is new.

State of one subscription: *opening* (its snapshot is being made) → *waiting* at the newest item ⇄ *ready* (items to
send, or the client is not reading) → back to *opening* when the ring moved past it, unless the feed has a history:
then the items come from there, page by page.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from bzzzd.errors import NotFound, Overloaded
from bzzzd.rpc.frames import encode
from bzzzd.rpc.limits import Counters
from bzzzd.rpc.streams import Feed
from bzzzd.rpc.wire import NOTIFICATION

BATCH_ITEMS = 256
BATCH_BYTES = 262_144


class Outlet(Protocol):
    """The way to one client."""

    @property
    def writable(self) -> bool:
        """Whether the client reads what it is sent."""

    def send(self, frame: bytes) -> None: ...
    def soon(self, act: Callable[[], None]) -> None: ...
    def spawn(self, work: Coroutine[Any, Any, None]) -> None: ...


class Opened(Struct, frozen=True, omit_defaults=True):
    """The answer to ``subscribe``, and what ``stream.behind`` carries.

    ``reset`` says that items may have been missed, because the cursor given is not within reach. ``snapshot`` comes
    where the stream has one and no cursor could be continued. ``trimmed`` says that what was missed is kept no longer,
    where a stream keeps more than it holds at hand.
    """

    subscription: int
    cursor: tuple[str, int]
    reset: bool | UnsetType = UNSET
    snapshot: Any = UNSET
    trimmed: bool | UnsetType = UNSET


class Subscription:
    """One reader of one feed. Holds a number, not items."""

    __slots__ = ("_owner", "feed", "id", "number", "open")

    def __init__(self, owner: Subscriptions, id: int, feed: Feed) -> None:
        self._owner = owner
        self.id = id
        self.feed = feed
        self.number = feed.stream.number
        self.open = False

    def wake(self) -> None:
        self._owner.ready(self)


class Subscriptions:
    """All of one session; ``limit`` bounds how many."""

    def __init__(self, outlet: Outlet, limit: int, counters: Counters) -> None:
        self._outlet = outlet
        self._limit = limit
        self._counters = counters
        self._all: dict[int, Subscription] = {}
        self._ready: dict[int, Subscription] = {}
        self._next_id = 1
        self._scheduled = False

    def __len__(self) -> int:
        return len(self._all)

    async def subscribe(self, feed: Feed, cursor: tuple[str, int] | None) -> Opened:
        """Add a subscription; items follow in the loop turn after the answer was sent."""
        if len(self._all) >= self._limit:
            raise Overloaded(
                f"this session has {self._limit} subscriptions, the most there can be; end one first", limit=self._limit
            )
        found = Subscription(self, self._next_id, feed)
        self._next_id += 1
        self._all[found.id] = found
        try:
            if cursor is not None and feed.continues(*cursor):
                found.number = cursor[1]
                opened = Opened(found.id, cursor, reset=False)
            else:
                opened = await self._restart(found, reset=cursor is not None)
        except BaseException:
            self._drop(found.id)
            raise
        self._outlet.soon(lambda: self._start(found))
        return opened

    def unsubscribe(self, id: int) -> None:
        if self._drop(id) is None:
            raise NotFound(f"this session has no subscription {id}", subscription=id)

    def close(self) -> None:
        for id in tuple(self._all):
            self._drop(id)

    def _drop(self, id: int) -> Subscription | None:
        found = self._all.pop(id, None)
        self._ready.pop(id, None)
        if found is not None:
            found.open = False
            found.feed.stream.forget(found)
        return found

    async def _restart(self, found: Subscription, *, reset: bool) -> Opened:
        # The cursor is taken before the snapshot is made: an item of the time between comes twice, none is missed.
        stream = found.feed.stream
        found.number, cursor = stream.number, stream.cursor
        snapshot: Any = UNSET
        if found.feed.snapshot is not None:
            snapshot = found.feed.snapshot()
            if inspect.isawaitable(snapshot):
                snapshot = await snapshot
        return Opened(found.id, cursor, reset=reset, snapshot=snapshot)

    def _start(self, found: Subscription) -> None:
        if found.id in self._all:
            found.open = True
            self.ready(found)

    def ready(self, found: Subscription) -> None:
        """Send what ``found`` has not seen, with everything else that becomes ready in this loop turn."""
        self._ready[found.id] = found
        if not self._scheduled:
            self._scheduled = True
            self._outlet.soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        self.pump()

    def pump(self) -> None:
        """Send until everything is sent or the client stops reading; called again when it reads on."""
        while self._ready:
            # One batch each in turn, so that a busy stream does not keep the others back.
            for found in tuple(self._ready.values()):
                if not self._outlet.writable:
                    return
                self._send_batch(found)

    def _send_batch(self, found: Subscription) -> None:
        stream, view = found.feed.stream, found.feed.view
        if not found.open or found.number == stream.number:
            del self._ready[found.id]
            if found.open:
                stream.wait(found)
            return
        if not stream.reaches(stream.incarnation, found.number):
            self._fell_behind(found)
            return
        items: list[Any] = []
        size = 0
        for entry in stream.after(found.number, BATCH_ITEMS):
            found.number = entry.number
            value = entry.value if view is None else view(entry.value)
            if value is not None:
                items.append(entry.raw if value is entry.value else value)
            size += entry.size
            if size >= BATCH_BYTES:
                break
        self._send_items(found, items)

    def _send_items(self, found: Subscription, items: list[Any]) -> None:
        if items:  # a view may hide them all
            batch = {"subscription": found.id, "cursor": (found.feed.stream.incarnation, found.number), "items": items}
            self._outlet.send(encode((NOTIFICATION, "stream.items", (batch,))))

    def _fell_behind(self, found: Subscription) -> None:
        found.open = False
        del self._ready[found.id]
        self._outlet.spawn(self._catch_up(found) if found.feed.history is None else self._look_back(found))

    async def _look_back(self, found: Subscription) -> None:
        """Send a page of what the stream no longer holds; when that is trimmed as well, start from a snapshot."""
        feed = found.feed
        page = await feed.history(found.number, BATCH_ITEMS) if feed.history is not None else None
        if found.id not in self._all:
            return
        if not page:
            await self._catch_up(found, trimmed=True)
            return
        items: list[Any] = []
        size = 0
        for number, item in page:
            found.number = number
            value = item if feed.view is None else feed.view(item)
            if value is not None:
                raw = encode(value)
                items.append(Raw(raw))
                size += len(raw)
            if size >= BATCH_BYTES:
                break
        self._send_items(found, items)
        self._start(found)

    async def _catch_up(self, found: Subscription, *, trimmed: bool | UnsetType = UNSET) -> None:
        self._counters.stream_behind += 1
        opened = msgspec.structs.replace(await self._restart(found, reset=True), trimmed=trimmed)
        if found.id in self._all:
            self._outlet.send(encode((NOTIFICATION, "stream.behind", (opened,))))
            self._start(found)
