"""One topic on this node: the order of what arrives, and the live items that its subscribers read."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from bzzzd.errors import Overloaded
from bzzzd.rpc.streams import Stream
from bzzzd.storage.messages.order import Tracker
from bzzzd.storage.messages.store import Topic

MESH_PREFIX: Final = "bzzz/topic/"
MAX_TOPICS: Final = 1024
# What is at hand for subscribers; older messages are read from the journal.
_KEPT: Final = 256
_KEPT_BYTES: Final = 1_048_576


class Channel:
    """``last`` is the newest number that was shown; ``version`` rises with everything that a peer could ask for."""

    def __init__(self, name: str, incarnation: str, last: int = 0) -> None:
        self.name = name
        self.tracker = Tracker()
        self.followed = False
        self.last = last
        self.version = 1
        self._incarnation = incarnation
        self._stream: Stream | None = None
        self._early: dict[int, dict[str, Any]] = {}

    @property
    def mesh_topic(self) -> str:
        return MESH_PREFIX + self.name

    @property
    def heard(self) -> bool:
        """Whether anybody here has subscribed since the start."""
        return self._stream is not None

    def stream(self) -> Stream:
        """The topic's items under the numbers that the journal gives them."""
        if self._stream is None:
            self._stream = Stream(self._incarnation, keep=_KEPT, keep_bytes=_KEPT_BYTES, start=self.last)
        return self._stream

    def show(self, number: int, item: dict[str, Any]) -> None:
        """Give subscribers the message ``number``, after those before it: writers may be told in another order."""
        if number > self.last:  # one that was published before keeps its number
            self._early[number] = item
        while (following := self._early.pop(self.last + 1, None)) is not None:
            self.last += 1
            if self._stream is not None:
                self._stream.append(following)


class Channels:
    """The topics of this node, by name; the one whose last listener is longest ago makes room for another."""

    def __init__(self, incarnation: str) -> None:
        self._incarnation = incarnation
        self._all: OrderedDict[str, Channel] = OrderedDict()

    def __iter__(self) -> Any:
        return iter(tuple(self._all.values()))

    def get(self, name: str) -> Channel | None:
        return self._all.get(name)

    def load(self, topic: Topic, now: float) -> Channel:
        """A topic that is kept from an earlier life."""
        channel = self._all[topic.name] = Channel(topic.name, self._incarnation, topic.last)
        for position in topic.positions:
            channel.tracker.know(position.source, position.last, position.after, now)
        return channel

    def open(self, name: str) -> tuple[Channel, Channel | None]:
        """The channel ``name``, made when it is new, and the one that had to go for it. Raises ``Overloaded``."""
        channel = self._all.get(name)
        if channel is not None:
            self._all.move_to_end(name)
            return channel, None
        gone = None
        if len(self._all) >= MAX_TOPICS:
            gone = next((one for one in self._all.values() if not one.heard), None)
            if gone is None:
                raise Overloaded(f"{MAX_TOPICS} topics are in use on this node, the most there can be")
            del self._all[gone.name]
        channel = self._all[name] = Channel(name, self._incarnation)
        return channel, gone
