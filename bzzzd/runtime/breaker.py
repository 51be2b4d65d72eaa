"""The circuit breaker: stops calling what keeps failing, and tries it again carefully."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum

from bzzzd.errors import CircuitOpen


class Circuit(Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Guards the calls to one service.

    ::

                     max_failures in a row
            CLOSED ───────────────────────► OPEN ◄──────────┐
              ▲                               │             │
              │ half_open_trials              │ open_s      │ one
              │ successes                     ▼ later       │ failure
              └─────────────────────────── HALF_OPEN ───────┘
                                       (at most half_open_trials
                                        calls under way at once)

    A result counts only for the state in which its call began: an answer that was still on its way when the
    breaker opened neither closes nor prolongs it. A cancelled call counts as neither, and gives its trial back.

    ``clock`` gives seconds and never goes back (``time.monotonic``). ``counts`` says which exceptions are the
    service's failures; others (a refused input, say) show that it answered, and count as successes.
    For use on one loop or thread; there is no lock inside.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Callable[[], float],
        max_failures: int = 5,
        open_s: float = 30.0,
        half_open_trials: int = 1,
        counts: Callable[[Exception], bool] = lambda error: True,
    ) -> None:
        if max_failures < 1 or half_open_trials < 1 or open_s <= 0:
            raise ValueError("a breaker needs max_failures and half_open_trials of at least 1, and open_s over 0")
        self.name = name
        self._clock = clock
        self._max_failures = max_failures
        self._open_s = open_s
        self._trials = half_open_trials
        self._counts = counts
        self._state = Circuit.CLOSED
        self._failures = 0
        self._successes = 0
        self._under_way = 0
        self._opened_at = 0.0
        self._period = 0  # rises with every change of state; a permit belongs to one period
        self.opened = 0

    @property
    def state(self) -> Circuit:
        """The state now; an open breaker whose time is over shows as half-open."""
        if self._state is Circuit.OPEN and self.retry_after_s == 0:
            return Circuit.HALF_OPEN
        return self._state

    @property
    def retry_after_s(self) -> float:
        """Seconds until an open breaker lets a trial through; 0 in the other states."""
        if self._state is not Circuit.OPEN:
            return 0.0
        return max(0.0, self._opened_at + self._open_s - self._clock())

    def enter(self) -> int:
        """Ask to make one call; gives a permit for ``leave``. Raises ``CircuitOpen`` when no call may be made."""
        if self._state is Circuit.OPEN and self.retry_after_s == 0:
            self._change(Circuit.HALF_OPEN)
        if self._state is Circuit.OPEN or (self._state is Circuit.HALF_OPEN and self._under_way >= self._trials):
            wait = self.retry_after_s
            when = f"in {wait:.1f} s" if wait else "when the trial under way has ended"
            raise CircuitOpen(
                f"{self.name} failed {self._max_failures} times in a row and is left alone; try again {when}",
                service=self.name,
                retry_after_s=wait,
            )
        self._under_way += 1
        return self._period

    def leave(self, permit: int, ok: bool | None) -> None:
        """Report how the call ended: ``None`` when it was cancelled."""
        if permit != self._period:
            return
        self._under_way -= 1
        if ok is None:
            return
        if not ok:
            self._failures += 1
            if self._state is Circuit.HALF_OPEN or self._failures >= self._max_failures:
                self._opened_at = self._clock()
                self.opened += 1
                self._change(Circuit.OPEN)
            return
        self._failures = 0
        if self._state is Circuit.HALF_OPEN:
            self._successes += 1
            if self._successes >= self._trials:
                self._change(Circuit.CLOSED)

    def _change(self, state: Circuit) -> None:
        self._state = state
        self._period += 1
        self._failures = self._successes = self._under_way = 0

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Around one call of the service; raises ``CircuitOpen`` before it when no call may be made."""
        permit = self.enter()
        ok: bool | None = None
        try:
            yield
            ok = True
        except Exception as error:
            ok = not self._counts(error)
            raise
        finally:
            self.leave(permit, ok)
