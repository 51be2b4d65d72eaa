"""The line of entries, where the ledger has taken some away meanwhile because later ones say the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

from bzzzd.daemon.ledger.line import Line
from bzzzd.slurp.embedded import EmbeddedLedger
from bzzzd.slurp.ledger import LedgerEvent
from tests.slurp.conformance import World
from tests.slurp.kit import Clock, InlineJournal, rules

LIMIT_S = 20.0


class Told(World):
    """A ledger and its line; ``heard`` are the numbers that were told, in order."""

    def __init__(self, journal: InlineJournal) -> None:
        clock = Clock()
        super().__init__(EmbeddedLedger(journal, rules(), clock), clock)
        self.heard: list[int] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.line = Line(self.ledger, self._hear, self._spawn)

    def _hear(self, event: LedgerEvent) -> None:
        self.heard.append(event.number)

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> object:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def reached(self, number: int) -> None:
        async with asyncio.timeout(LIMIT_S):
            while self.line.number < number:
                await self.line.after(self.line.number, 1, LIMIT_S)


@pytest.fixture
async def told() -> AsyncIterator[Told]:
    journal = InlineJournal()
    yield Told(journal)
    await journal.close()


async def test_renewals_that_were_superseded_before_they_were_told_are_passed_over(told: Told) -> None:
    task, token = await told.held()
    outcomes = [await told.do(told.bob, "renew", task.id, token) for _ in range(20)]
    told.line.add(outcomes[-1].events)  # the callers of all the others went away
    await told.reached(22)
    assert told.heard == [1, 2, 22]
    late = await told.do(told.bob, "complete", task.id, token)
    told.line.add([*outcomes[4].events, *late.events])
    assert told.heard == [1, 2, 22, 23]
    for since, numbers in ((0, [1, 2, 22, 23]), (2, [22, 23]), (10, [22, 23]), (22, [23]), (23, [])):
        page = await told.line.after(since, 100, 0.0)
        assert ([event.number for event in page.events], page.head, page.reset) == (numbers, 23, False)
    assert [event.number for event in (await told.line.after(1, 2, 0.0)).events] == [2, 22]


async def test_entries_made_while_a_gap_is_read_are_told_once_and_in_order(told: Told) -> None:
    task, token = await told.held()
    for turn in range(30):
        outcome = await told.do(told.bob, "renew", task.id, token)
        if turn % 3 == 2:
            told.line.add(outcome.events)
        if turn % 9 == 8:
            await told.reached(outcome.events[-1].number)
    await told.reached(32)
    assert told.heard == sorted(set(told.heard))
    assert told.heard[-1] == 32
