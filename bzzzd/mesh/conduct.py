"""How members behave: offences add up, fade with time, and in the end cost a peer its place for a while. Pure.

Honest peers make mistakes: a message cut short by a lost connection, a record that another node has already
replaced. So single offences cost nothing; what a peer does not get away with is going on.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Literal

# What a peer can do, and what it counts for.
Offence = Literal["garbage", "forged", "invalid", "streams", "slow"]
POINTS: Final[dict[Offence, float]] = {
    "garbage": 10.0,  # frames that do not decode
    "forged": 5.0,  # a signature that does not hold, on a message or a record
    "invalid": 2.0,  # well signed, and still not what it must be
    "streams": 1.0,  # a stream over the limit
    "slow": 5.0,  # read nothing for so long that it was disconnected
}
LIMIT: Final = 100.0
_FADE_PER_S: Final = 1.0
_FIRST_OUT_S: Final = 60.0
_LONGEST_OUT_S: Final = 3600.0
_KEPT: Final = 1024


class _Record:
    __slots__ = ("at", "out_s", "points", "until")

    def __init__(self) -> None:
        self.points = 0.0
        self.at = 0.0
        self.until = 0.0
        self.out_s = 0.0


class Conduct:
    """The score of each peer, by its id's bytes; the last 1,024 that did something are remembered."""

    def __init__(self) -> None:
        self._records: OrderedDict[bytes, _Record] = OrderedDict()

    def offence(self, peer: bytes, what: Offence, now: float) -> bool:
        """Count an offence at ``now`` seconds; whether the peer is to be cut off for it, now."""
        record = self._records.pop(peer, None) or _Record()
        self._records[peer] = record
        if len(self._records) > _KEPT:
            self._records.popitem(last=False)
        if now < record.until:
            return False
        record.points = max(0.0, record.points - max(now - record.at, 0.0) * _FADE_PER_S) + POINTS[what]
        record.at = now
        if record.points < LIMIT:
            return False
        # Whoever was out before stays out twice as long.
        record.out_s = min(record.out_s * 2 or _FIRST_OUT_S, _LONGEST_OUT_S)
        record.until = now + record.out_s
        record.points = 0.0
        return True

    def left_out_s(self, peer: bytes, now: float) -> float:
        """Seconds that a peer still stays out; 0 when it may come."""
        record = self._records.get(peer)
        return max(0.0, record.until - now) if record is not None else 0.0

    def score(self, peer: bytes, now: float) -> float:
        """What is held against a peer, 0 to ``LIMIT``."""
        record = self._records.get(peer)
        return max(0.0, record.points - max(now - record.at, 0.0) * _FADE_PER_S) if record is not None else 0.0
