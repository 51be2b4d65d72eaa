"""A network in virtual time: latency, lost frames, parts that do not see each other. Everything follows from a seed."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

REQUEST_S: Final = 10.0


class World:
    """``latency_s`` is one way, drawn evenly between its ends for each frame.

    ``loss`` is the share of gossip frames that go missing, as they do when a queue is full or a connection breaks.
    Requests are repeated by TCP and only fail when there is no way at all.
    """

    def __init__(self, seed: int, *, latency_s: tuple[float, float] = (0.002, 0.08), loss: float = 0.01) -> None:
        self.chance = random.Random(seed)  # noqa: S311  a simulation must repeat itself
        self.now = 0.0
        self.counts: Counter[str] = Counter()
        self._latency_s = latency_s
        self._loss = loss
        self._order = itertools.count()
        self._due: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._part: dict[int, int] = {}
        self._down: set[int] = set()

    # Time.

    def at(self, delay_s: float, work: Callable[..., None], *args: Any) -> None:
        heapq.heappush(self._due, (self.now + delay_s, next(self._order), work, args))

    def run_for(self, seconds: float) -> None:
        end = self.now + seconds
        while self._due and self._due[0][0] <= end:
            self.now, _, work, args = heapq.heappop(self._due)
            work(*args)
        self.now = end

    def run_until(self, condition: Callable[[], bool], limit_s: float, step_s: float = 0.25) -> float | None:
        """Virtual seconds until ``condition`` held (looked at every ``step_s``); ``None`` when it did not."""
        began = self.now
        while not condition():
            if self.now - began >= limit_s:
                return None
            self.run_for(step_s)
        return self.now - began

    # The network.

    def delay_s(self) -> float:
        return self.chance.uniform(*self._latency_s)

    def reaches(self, one: int, other: int) -> bool:
        if one in self._down or other in self._down:
            return False
        return self._part.get(one, 0) == self._part.get(other, 0)

    def split(self, part: dict[int, int]) -> None:
        """Nodes with different numbers do not see each other; an empty map mends it."""
        self._part = part

    def set_up(self, node: int, up: bool) -> None:
        (self._down.discard if up else self._down.add)(node)

    def is_up(self, node: int) -> bool:
        return node not in self._down

    def gossip(self, sender: int, receiver: int, work: Callable[..., None], *args: Any) -> None:
        """One frame that nobody repeats."""
        self.counts["gossip frames"] += 1
        if self.reaches(sender, receiver) and self.chance.random() >= self._loss:
            self.at(self.delay_s(), self._arrive, sender, receiver, work, args)

    def _arrive(self, sender: int, receiver: int, work: Callable[..., None], args: tuple[Any, ...]) -> None:
        if self.reaches(sender, receiver):
            work(*args)

    def request(
        self,
        asker: int,
        answerer: int,
        answer: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[], None] | None = None,
    ) -> None:
        """Ask: ``answer`` runs at the other node, ``done`` with what it gave here, or ``failed`` after a while."""
        self.counts["requests"] += 1

        def fail() -> None:
            if failed is not None and self.is_up(asker):
                failed()

        def there() -> None:
            if self.reaches(asker, answerer):
                self.at(self.delay_s(), back, answer())
            else:
                self.at(REQUEST_S, fail)

        def back(given: Any) -> None:
            if self.reaches(asker, answerer):
                done(given)
            else:
                self.at(REQUEST_S, fail)

        if self.reaches(asker, answerer):
            self.at(self.delay_s(), there)
        else:
            self.at(REQUEST_S, fail)
