"""What a node is told to follow and serve: always the newest, never two words at once."""

from __future__ import annotations

import asyncio

from bzzzd.errors import Overloaded, Unavailable
from bzzzd.mesh.settling import Settling
from tests.mesh.kit import eventually


class Ear:
    """Hears what ``state`` is; a word takes as long as ``gate`` is shut."""

    def __init__(self) -> None:
        self.state = 0
        self.heard: list[int] = []
        self.gate = asyncio.Event()
        self.under_way = 0
        self.faults: list[Exception] = []
        self.settling = Settling(self.tell)

    async def tell(self) -> None:
        word = self.state
        assert self.under_way == 0
        self.under_way += 1
        try:
            if self.faults:
                raise self.faults.pop()
            await self.gate.wait()
            self.heard.append(word)
        finally:
            self.under_way -= 1

    async def change(self) -> None:
        self.state += 1
        self.settling.changed()
        await asyncio.sleep(0)


async def test_a_word_waits_for_the_one_before_and_many_become_one() -> None:
    ear = Ear()
    for _ in range(5):
        await ear.change()
    ear.gate.set()
    await eventually("the newest", lambda: ear.heard[-1:] == [5])
    assert ear.heard == [1, 5]
    await ear.change()
    await eventually("one more", lambda: ear.heard == [1, 5, 6])


async def test_a_word_that_found_no_room_is_said_again() -> None:
    ear = Ear()
    ear.gate.set()
    ear.faults = [Overloaded("full")]
    await ear.change()
    await eventually("the word", lambda: ear.heard == [1])


async def test_after_the_end_of_the_node_nothing_is_said() -> None:
    ear = Ear()
    ear.faults = [Unavailable("gone")]
    await ear.change()
    await ear.change()
    ear.settling.stop()
    ear.gate.set()
    await asyncio.sleep(0)
    assert ear.heard == []
