"""A lease as its owner sees it: until when it holds, and who wants to know when it is extended."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

# The owner stops this part of the lease before its end, and at least and at most so many seconds.
_MARGIN_PART: Final = 0.1
_MARGIN_LEAST_S: Final = 0.2
_MARGIN_MOST_S: Final = 3.0


def boottime() -> float:
    """Seconds of CLOCK_BOOTTIME: it never jumps, and it goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def margin(lease_s: float) -> float:
    """How long before a lease's end its owner stops: a tenth, 0.2 s to 3 s, and never more than half."""
    return min(max(lease_s * _MARGIN_PART, _MARGIN_LEAST_S), _MARGIN_MOST_S, lease_s / 2)


class Lease:
    """Held from the *sending* of the request that got it, since its answer may have been slow.

    ``stop_at`` is when the owner stops working unless the lease is extended; ``renew_at`` is a
    third of the way. All are seconds of ``boottime``.
    """

    def __init__(self, sent: float, lease_s: float) -> None:
        self._watchers: list[Callable[[float], None]] = []
        self._set(sent, lease_s)

    def _set(self, sent: float, lease_s: float) -> None:
        self.ends = sent + lease_s
        self.stop_at = self.ends - margin(lease_s)
        self.renew_at = sent + lease_s / 3

    def extend(self, sent: float, lease_s: float) -> None:
        """Take a renewal that was sent at ``sent``; an answer that came out of order shortens nothing."""
        if sent + lease_s <= self.ends:
            return
        self._set(sent, lease_s)
        for watcher in list(self._watchers):
            watcher(self.stop_at)

    def watch(self, watcher: Callable[[float], None]) -> Callable[[], None]:
        """Call ``watcher`` with ``stop_at`` at every extension; gives what ends that."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)
