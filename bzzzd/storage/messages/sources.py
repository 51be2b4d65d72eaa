"""The values that ``order.Tracker`` works on: sources, arrivals, what peers hold, what to ask, what is lost."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

# So many journals of one node, and so many sources in all, are followed on a topic: peers can invent them.
MAX_JOURNALS: Final = 256
MAX_SOURCES: Final = 16_384

Verdict = Literal["new", "held", "repeated", "clone", "full"]
Why = Literal["trimmed", "refused", "unreachable"]


class Source(NamedTuple):
    """One numbering: a node's key, and the name of one of its journals."""

    node: bytes
    journal: str


class Link(NamedTuple):
    """The message before a journal's first one: ``number`` in the sender's ``journal`` before."""

    journal: str
    number: int


class Arrival(NamedTuple):
    """A message whose signatures hold. Only number 1 has ``after``; ``item`` is the caller's, of ``size`` bytes."""

    source: Source
    number: int
    after: Link | None
    digest: bytes
    item: Any = None
    size: int = 0


class Held(NamedTuple):
    """What a peer says it can give of a source: numbers ``first`` to ``last`` (``first > last``: all trimmed).

    ``early`` is the highest number that it holds and has not delivered yet, when there is one.
    """

    first: int
    last: int
    early: int = 0

    @property
    def highest(self) -> int:
        return max(self.last, self.early)


class Ask(NamedTuple):
    """Ask ``peer`` for what it has of ``source`` after the number ``after``; see ``Tracker.asks``."""

    peer: bytes
    source: Source
    after: int


class Lost(NamedTuple):
    """Numbers ``first`` to ``last`` of a source were given up. ``fresh``: nothing of this sender was known before."""

    source: Source
    first: int
    last: int
    why: Why
    fresh: bool


class Chain:
    """One source: everything up to ``position`` is done with; ``known`` is the highest number that surely exists.

    ``top`` is the highest that any peer has claimed: as long as it is done with, nobody's claim needs a look.
    """

    __slots__ = (
        "after", "asked", "child", "children", "denied", "eager", "early", "held", "known", "position", "resting",
        "since", "source", "top",
    )  # fmt: skip

    def __init__(self, source: Source, position: int, now: float) -> None:
        self.source = source
        self.position = position
        self.known = position
        self.top = 0
        self.after: Link | None = None
        self.child: tuple[str, int] | None = None
        self.children: set[str] = set()
        self.early: dict[int, Arrival] = {}
        self.held: dict[bytes, Held] = {}
        self.denied: set[bytes] = set()
        self.resting: dict[bytes, float] = {}
        self.asked: tuple[bytes, int] | None = None
        self.eager = False
        self.since = now
