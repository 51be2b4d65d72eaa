"""Streams: numbered items in a bounded ring that subscribers read from where they left off.

A subscriber owns no queue. It is a cursor into the ring: when its client reads slowly the cursor stays where it is,
and when the ring has moved past it, the client is told so (``stream.behind``) and starts again from a snapshot.
So a slow client costs a slow client's own items, never memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from msgspec import Raw

from bzzzd.errors import NotFound
from bzzzd.rpc.access import Access
from bzzzd.rpc.frames import encode
from bzzzd.rpc.registry import nearest


class Waiter(Protocol):
    """What a stream wakes when it has something new."""

    def wake(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """``value`` is the item as it was appended (never changed afterwards), ``raw`` its encoding."""

    number: int
    value: Any
    raw: Raw
    size: int


class Stream:
    """Items numbered from ``start + 1``; the newest ``keep`` of them are held, and at most ``keep_bytes`` encoded.

    ``incarnation`` tells one life of the numbering from another: a restart that begins again at 1 needs a new one.
    Used on the loop's thread only.
    """

    def __init__(self, incarnation: str, *, keep: int = 1024, keep_bytes: int = 8_388_608, start: int = 0) -> None:
        self.incarnation = incarnation
        self.number = start
        self._keep = max(keep, 1)
        self._keep_bytes = keep_bytes
        self._ring: deque[Entry] = deque()
        self._bytes = 0
        self._waiting: set[Waiter] = set()

    def __len__(self) -> int:
        return len(self._ring)

    @property
    def cursor(self) -> tuple[str, int]:
        """The position after the newest item."""
        return (self.incarnation, self.number)

    def append(self, item: Any) -> int:
        """Add an item (a value that MessagePack can carry) and give its number; subscribers get it next turn."""
        raw = encode(item)
        self.number += 1
        ring = self._ring
        ring.append(Entry(self.number, item, Raw(raw), len(raw)))
        self._bytes += len(raw)
        # The newest stays, however large: otherwise nobody would ever see it.
        while len(ring) > self._keep or (self._bytes > self._keep_bytes and len(ring) > 1):
            self._bytes -= ring.popleft().size
        if self._waiting:
            waiting, self._waiting = self._waiting, set()
            for waiter in waiting:
                waiter.wake()
        return self.number

    def reaches(self, incarnation: str, number: int) -> bool:
        """Whether every item after this cursor is still held."""
        return incarnation == self.incarnation and self.number - len(self._ring) <= number <= self.number

    def after(self, number: int, count: int) -> list[Entry]:
        """Up to ``count`` entries that follow ``number``, which must be within reach."""
        ring, waiting = self._ring, self.number - number
        if waiting <= count:  # near the end, which is reached from the end: a full ring is a long way round
            newest = list(islice(reversed(ring), waiting))
            newest.reverse()
            return newest
        skip = len(ring) - waiting
        return list(islice(ring, skip, skip + count))

    def wait(self, waiter: Waiter) -> None:
        """Wake ``waiter`` once, at the next item."""
        self._waiting.add(waiter)

    def forget(self, waiter: Waiter) -> None:
        self._waiting.discard(waiter)


@dataclass(frozen=True, slots=True)
class Feed:
    """What one subscriber reads: the stream, what of it this subscriber may see, and where to begin without a cursor.

    ``view(item)`` gives the item, another value in its place, or ``None`` to hide it. ``snapshot()`` gives the state
    that the stream's items change (or something to await for it). ``history(after, count)`` awaits items that follow
    the number ``after`` and that the stream no longer holds, with the numbers they had: ``None`` when they are trimmed.
    """

    stream: Stream
    view: Callable[[Any], Any] | None = None
    snapshot: Callable[[], Any | Awaitable[Any]] | None = None
    history: Callable[[int, int], Awaitable[Sequence[tuple[int, Any]] | None]] | None = None

    def continues(self, incarnation: str, number: int) -> bool:
        """Whether a cursor may be continued: its items are held, or may be in the history."""
        stream = self.stream
        if self.history is not None and incarnation == stream.incarnation and 0 <= number <= stream.number:
            return True
        return stream.reaches(incarnation, number)


Opener = Callable[[Any, str, dict[str, Any]], Feed]
"""``open(call, stream name, filter)`` gives the feed; raises ``NotFound``, ``InvalidParams`` and the like."""


@dataclass(frozen=True, slots=True)
class StreamKind:
    """A stream that can be subscribed to; a name that ends with ``:`` stands for all that begin with it."""

    name: str
    access: Access
    open: Opener
    doc: str = ""

    @property
    def title(self) -> str:
        return f"{self.name}NAME" if self.name.endswith(":") else self.name


class StreamTable:
    """The streams of one server, by name."""

    def __init__(self) -> None:
        self._kinds: dict[str, StreamKind] = {}

    def __iter__(self) -> Any:
        return iter(self._kinds.values())

    def add(self, name: str, access: Access, open: Opener | Stream, doc: str = "") -> None:
        """List a stream; a bare ``Stream`` is shown whole to everybody whom ``access`` lets in."""
        if name in self._kinds:
            raise ValueError(f"{name}: listed twice")
        if not isinstance(access, Access):
            raise TypeError(f"{name}: a stream is listed with an access rule")
        if isinstance(open, Stream):
            feed = Feed(open)
            opener: Opener = lambda call, name, filter: feed  # noqa: E731
        else:
            opener = open
        self._kinds[name] = StreamKind(name, access, opener, doc)

    def find(self, name: str) -> StreamKind:
        """Raises ``NotFound`` with the nearest name."""
        kind = self._kinds.get(name)
        if kind is None and ":" in name:
            kind = self._kinds.get(name.partition(":")[0] + ":")
        if kind is None:
            titles = [found.title for found in self._kinds.values()]
            hint = nearest(name, titles) or f"; there are: {', '.join(sorted(titles)) or 'none'}"
            raise NotFound(f"no stream is called {name[:64]!r}{hint}", stream=name[:64])
        return kind
