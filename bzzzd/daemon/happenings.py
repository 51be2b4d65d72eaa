"""What happens to services and the mesh: a stream whose items all say when, and which begins with the newest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from bzzzd.rpc.streams import Feed, Stream

_SHOWN: Final = 200


class Happenings(Stream):
    """``clock`` gives Unix time in seconds; it is asked where an item does not say when it happened."""

    def __init__(self, incarnation: str, clock: Callable[[], float], *, keep: int) -> None:
        super().__init__(incarnation, keep=keep)
        self._clock = clock

    def append(self, item: Any) -> int:
        return super().append(item if item.get("at") else {**item, "at": self._clock()})

    def newest(self) -> dict[str, Any]:
        """Up to the last 200 items, oldest first."""
        kept = min(_SHOWN, len(self))
        return {"events": [entry.value for entry in self.after(self.number - kept, kept)]}

    def feed(self) -> Feed:
        """For a subscriber without a cursor: what happened before it came, then what happens."""
        return Feed(self, None, self.newest)
