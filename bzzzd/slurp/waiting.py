"""The open tasks of one need, best first: the queue behind the matcher, bounded by leaving the rest in the ledger."""

from __future__ import annotations

from heapq import heapify, heappop, heappush, nsmallest
from typing import Literal

from bzzzd.slurp.task import Task

Need = tuple[str, str]
Rank = tuple[int, float, str]
Place = Literal["queued", "parked", "offered", "gone"]


class Waiting:
    """An open task in memory. ``stamp`` changes whenever it moves, which makes timers set before void.

    ``wakes`` is when the first timer of a parked task goes off.
    """

    __slots__ = ("agent", "id", "need", "place", "rank", "stamp", "wakes")

    def __init__(self, task: Task) -> None:
        self.id = task.id
        self.need: Need = (task.role, task.capability)
        self.rank: Rank = (-task.priority, task.created, task.id)
        self.place: Place = "gone"
        self.agent: str | None = None
        self.stamp = 0
        self.wakes = 0.0


class Queue:
    """Tasks with a priority up to ``floor`` may have been left in the ledger; -1: none were.

    ``known`` counts every task in memory, ``queued`` those that wait in line. A task leaves the heap
    lazily: its entry is dropped when it comes up. The entry's number tells it from a later one of
    the same task.
    """

    __slots__ = ("_heap", "floor", "keep", "known", "parked", "queued")

    def __init__(self, keep: int) -> None:
        self._heap: list[tuple[Rank, int, Waiting]] = []
        self.keep = keep
        self.parked: dict[str, Waiting] = {}
        self.queued = 0
        self.known = 0
        self.floor = -1

    @property
    def hungry(self) -> bool:
        """The line is getting short, and the ledger has more."""
        return self.floor >= 0 and self.queued < self.keep // 2

    @property
    def empty(self) -> bool:
        return self.known == 0 and self.floor < 0

    def head(self) -> Waiting | None:
        """The best task in line."""
        while self._heap:
            waiting = self._heap[0][2]
            if waiting.place == "queued":
                return waiting
            heappop(self._heap)
        return None

    def push(self, waiting: Waiting, number: int) -> list[Waiting]:
        """Put a task in line; gives the tasks that are left to the ledger because the line got too long."""
        waiting.place = "queued"
        heappush(self._heap, (waiting.rank, number, waiting))
        self.queued += 1
        return self._trim() if self.queued >= 2 * self.keep else []

    def park(self, waiting: Waiting) -> None:
        """Set a task aside that nobody free may have now."""
        waiting.place = "parked"
        self.parked[waiting.id] = waiting

    def leave(self, waiting: Waiting) -> None:
        """Take a task out of the line, or from where it was parked."""
        if waiting.place == "queued":
            self.queued -= 1
            if len(self._heap) > 2 * self.queued + 64:
                waiting.place = "gone"
                self._heap = self._live()
                heapify(self._heap)
        elif waiting.place == "parked":
            del self.parked[waiting.id]
        waiting.place = "gone"

    def _live(self) -> list[tuple[Rank, int, Waiting]]:
        return [entry for entry in self._heap if entry[2].place == "queued"]

    def _trim(self) -> list[Waiting]:
        """Keep the best. Whatever ranks no higher than the first that is left has to come from the ledger later."""
        live = self._live()
        best = nsmallest(self.keep, live)
        left = [waiting for _, _, waiting in set(live).difference(best)]
        for waiting in left:
            waiting.place = "gone"
            self.floor = max(self.floor, -waiting.rank[0])
        self._heap, self.queued = best, len(best)
        self.known -= len(left)
        return left
