"""A client's end of one subscription, sans I/O: what arrived and was not taken yet, and where to go on.

It holds a bounded number of items. When its reader is too slow, further items are dropped *and asked for again*
from the cursor once the reader has caught up; if bzzzd no longer has them, the reader gets a fresh snapshot that
says so. No item is lost in silence.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bzzzd.errors import BzzzError, MalformedFrame

Cursor = tuple[str, int]

_KEEP_BATCHES = 128
"""Notifications held, whatever their number of items: bzzzd bounds each in bytes, so this bounds all of them."""


class Snapshot(NamedTuple):
    """The state to begin with (``None`` where the stream has none); ``missed`` says that items before it are lost."""

    state: Any
    missed: bool
    cursor: Cursor


class Items(NamedTuple):
    """Items in order; ``cursor`` is the position after the last one."""

    items: Sequence[Any]
    cursor: Cursor


Event = Snapshot | Items


class Follower:
    """``keep`` bounds the items held. ``id`` is bzzzd's number for the subscription while there is one.

    States: *idle* (no id; ``wanted`` says that it should be subscribed) → *open* → *idle* again after a
    disconnect or after falling behind its own reader → *ended*.
    """

    def __init__(
        self, stream: str, *, filter: Mapping[str, Any] | None = None, cursor: Cursor | None = None, keep: int = 1024
    ) -> None:
        self.stream = stream
        self.filter = dict(filter or {})
        self.cursor = cursor
        self.id: int | None = None
        self.error: BzzzError | None = None
        self.ended = False
        self._keep = max(keep, 1)
        self._events: deque[Event] = deque()
        self._held = 0

    def params(self) -> dict[str, Any]:
        """What to ask ``subscribe`` for, to begin or to go on."""
        params: dict[str, Any] = {"stream": self.stream, "filter": self.filter}
        if self.cursor is not None:
            params["cursor"] = self.cursor
        return params

    @property
    def wanted(self) -> bool:
        """Whether it should be subscribed now: it is not, and its reader has room."""
        return self.id is None and not self.ended and self.error is None and not self._events

    def opened(self, answer: Any) -> None:
        """The answer to ``subscribe``; raises ``MalformedFrame`` when it is not one."""
        try:
            id, cursor, missed = int(answer["subscription"]), _cursor(answer["cursor"]), bool(answer["reset"])
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedFrame("bzzzd answered subscribe with something else") from error
        goes_on = self.cursor is not None and not missed
        self.id, self.cursor = id, cursor
        if not goes_on:
            self._events.append(Snapshot(answer.get("snapshot"), missed, cursor))

    def arrived(self, batch: Mapping[str, Any]) -> bool:
        """Take in ``stream.items``; ``False`` when there is no room and the subscription has to be ended."""
        items = batch["items"]
        if self._held and (self._held + len(items) > self._keep or len(self._events) >= _KEEP_BATCHES):
            self.id = None
            return False
        self.cursor = _cursor(batch["cursor"])
        self._held += len(items)
        self._events.append(Items(items, self.cursor))
        return True

    def behind(self, told: Mapping[str, Any]) -> bool:
        """Take in ``stream.behind``: bzzzd had no room to keep what was missed. As ``arrived``."""
        if len(self._events) >= _KEEP_BATCHES:
            self.id = None
            return False
        self.cursor = _cursor(told["cursor"])
        self._events.append(Snapshot(told.get("snapshot"), True, self.cursor))
        return True

    def lost(self) -> None:
        """The connection is gone."""
        self.id = None

    def fail(self, error: BzzzError) -> None:
        """It cannot be subscribed: the reader gets ``error`` after what is held."""
        self.id, self.error = None, error

    def end(self) -> None:
        self.id, self.ended = None, True

    def take(self) -> Event | None:
        """The next event, or ``None`` when there is none now; raises the error that ended it."""
        if self._events:
            event = self._events.popleft()
            if isinstance(event, Items):
                self._held -= len(event.items)
            return event
        if self.error is not None:
            raise self.error
        return None


def _cursor(value: Any) -> Cursor:
    incarnation, number = value
    return (str(incarnation), int(number))
