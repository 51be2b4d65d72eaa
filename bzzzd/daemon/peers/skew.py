"""How far the clocks of peers are from ours. Pure.

A peer's time lies somewhere between the sending of a question and its answer, so the middle is wrong by at most
half the round trip.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

# Freshness of live requests is 5 s, and half of that is lost on the way and in queues.
LIMIT_S: Final = 2.0
_KEPT: Final = 1024


Turn = Literal["wrong", "right"]


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
        # Kept when a peer leaves: one that comes and goes with a wrong clock is no news each time.
        self._wrong: dict[str, None] = {}

    def measured(self, peer_id: str, sent: float, there: float, took: float) -> Skew:
        """A question left at ``sent`` of our clock, took ``took`` seconds, and was answered at ``there`` of theirs."""
        skew = Skew(there - (sent + took / 2), took / 2)
        self._of.pop(peer_id, None)
        self._of[peer_id] = skew
        if len(self._of) > _KEPT:
            del self._of[next(iter(self._of))]
        return skew

    def turned(self, peer_id: str) -> Turn | None:
        """Whether the newest measurement is the first that is surely over the limit, or the first that is not."""
        skew = self._of.get(peer_id)
        if skew is None or (abs(skew.certain) > LIMIT_S) == (peer_id in self._wrong):
            return None
        if peer_id in self._wrong:
            # A wide error would hide a clock that is as wrong as before.
            if abs(skew.seconds) > LIMIT_S:
                return None
            del self._wrong[peer_id]
            return "right"
        self._wrong[peer_id] = None
        if len(self._wrong) > _KEPT:
            del self._wrong[next(iter(self._wrong))]
        return "wrong"

    def of(self, peer_id: str) -> Skew | None:
        return self._of.get(peer_id)

    def all(self) -> dict[str, Skew]:
        return dict(self._of)

    def forget(self, peer_id: str) -> None:
        self._of.pop(peer_id, None)
