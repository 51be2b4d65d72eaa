"""How far the clocks of peers are from ours. Pure.

A peer's time lies somewhere between the sending of a question and its answer, so the middle is wrong by at most
half the round trip.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_KEPT: Final = 1024


class Skew(NamedTuple):
    """The peer's clock is ahead by ``seconds``, give or take ``error``."""

    seconds: float
    error: float

    @property
    def certain(self) -> float:
        """Seconds by which it is surely ahead (or behind, negative): 0 when the error covers it."""
        if abs(self.seconds) <= self.error:
            return 0.0
        return self.seconds - self.error if self.seconds > 0 else self.seconds + self.error


class Clocks:
    """The newest measurement of each peer."""

    def __init__(self) -> None:
        self._of: dict[str, Skew] = {}

    def measured(self, peer_id: str, sent: float, there: float, took: float) -> Skew:
        """A question left at ``sent`` of our clock, took ``took`` seconds, and was answered at ``there`` of theirs."""
        skew = Skew(there - (sent + took / 2), took / 2)
        self._of.pop(peer_id, None)
        self._of[peer_id] = skew
        if len(self._of) > _KEPT:
            del self._of[next(iter(self._of))]
        return skew

    def of(self, peer_id: str) -> Skew | None:
        return self._of.get(peer_id)

    def all(self) -> dict[str, Skew]:
        return dict(self._of)

    def forget(self, peer_id: str) -> None:
        self._of.pop(peer_id, None)
