"""How many invitation tries are looked at: per address, in all, and at once. Pure; the caller brings the time.

Keys are cheap to make, addresses are not, so a stranger is counted by its address. One that guessed
wrong waits 1 s, then twice as long each time, up to a minute.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from bzzzd.mesh.membership import Patience

_ADDRESSES: Final = 1024


class Bucket:
    """Tokens that refill at ``rate`` a second up to ``burst``."""

    __slots__ = ("_burst", "_left", "_rate", "_since")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._since = 0.0

    def take(self, now: float) -> bool:
        """Take one token, if there is one."""
        self._left = min(self._burst, self._left + max(now - self._since, 0.0) * self._rate)
        self._since = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Turnstile:
    """Lets tries through while they are few. ``enter`` gives the refusal, or nothing; then ``leave`` must follow."""

    def __init__(
        self,
        *,
        rate: float = 5.0,
        burst: float = 30.0,
        rate_in_all: float = 50.0,
        burst_in_all: float = 200.0,
        at_once: int = 32,
        at_once_per_address: int = 8,
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._all = Bucket(rate_in_all, burst_in_all)
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self._wrong: Patience[str] = Patience()
        self._inside: dict[str, int] = {}
        self._at_once = at_once
        self._at_once_per_address = at_once_per_address

    def enter(self, address: str, now: float) -> str:
        """Why a try from ``address`` is not looked at now; empty when it is, and counted as inside."""
        if not self._wrong.ready(address, now):
            return "the last try from this address was wrong; wait a minute"
        if self._inside.get(address, 0) >= self._at_once_per_address or sum(self._inside.values()) >= self._at_once:
            return "too many are joining at this moment; try again shortly"
        # The address first: a flood from one must not use up what is there for all.
        if not self._bucket(address).take(now):
            return "too many tries came from this address; try again shortly"
        if not self._all.take(now):
            return "too many tries came; try again shortly"
        self._inside[address] = self._inside.get(address, 0) + 1
        return ""

    def leave(self, address: str) -> None:
        left = self._inside.get(address, 0) - 1
        if left > 0:
            self._inside[address] = left
        else:
            self._inside.pop(address, None)

    def wrong(self, address: str, now: float) -> None:
        """A try was a wrong guess: make the address wait."""
        self._wrong.refused(address, now)

    def right(self, address: str) -> None:
        self._wrong.forget(address)

    def _bucket(self, address: str) -> Bucket:
        bucket = self._buckets.pop(address, None) or Bucket(self._rate, self._burst)
        self._buckets[address] = bucket
        if len(self._buckets) > _ADDRESSES:
            self._buckets.popitem(last=False)
        return bucket
