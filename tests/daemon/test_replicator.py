"""The standby's place: in step it is waited for, a slow one is let go and told of, and taken back with everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec
import pytest

from bzzzd.daemon.ledger import wire
from bzzzd.daemon.ledger.replicator import SLOW_S, Candidate, Replicator
from bzzzd.errors import UnknownOutcome
from bzzzd.slurp.ledger import Status
from bzzzd.slurp.replica import Row
from bzzzd.storage.versions.adopt import Carried

LIMIT_S = 20.0
_COPY = msgspec.msgpack.Decoder(wire.Copy)


class Bench:
    """A ledger of numbers, one peer that copies it, and the clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.made = 0
        self.copy: list[int] = []
        self.incarnation = ""
        self.term = 1
        self.slow = False
        self.limits: list[float] = []
        self.told: list[tuple[str, str]] = []
        self.change = asyncio.Event()
        self.acting = True
        self.replicator = Replicator(
            self.ask, lambda: [Candidate("peer-2", "n2")], self.read, self.carry, self.tell, clock=lambda: self.now
        )

    def tell(self, kind: str, detail: str) -> None:
        self.told.append((kind, detail))
        self.change.set()

    async def status(self) -> Status:
        return Status("embedded", "single", self.term, f"run-{self.term}", self.made, {}, 0, 0)

    async def read(self, after: int, limit: int, most_bytes: int) -> tuple[int, list[Row]]:
        last = min(self.made, after + limit)
        rows = [Row(number, 1, 0.0, "renewed", "agent:a", None, None, b"") for number in range(after + 1, last + 1)]
        return self.term, rows

    async def carry(self, id: str) -> Carried:
        raise AssertionError("these entries name no version")

    async def ask(self, peer_id: str, data: bytes, seconds: float) -> bytes:
        """The peer takes what comes; a slow one does too, and its answer comes after the limit."""
        asked = _COPY.decode(data)
        self.limits.append(seconds)
        if asked.fresh:
            self.copy, self.incarnation = [], asked.incarnation
        self.copy += [row.number for row in asked.rows if row.number > len(self.copy)]
        if self.slow:
            raise UnknownOutcome(f"no answer within {seconds:g} s")
        return wire.encode(wire.Copied(self.incarnation, len(self.copy)))

    async def enter(self, count: int = 1) -> None:
        """Make entries, and wait for what an acknowledgement waits for."""
        self.made += count
        async with asyncio.timeout(LIMIT_S):
            await self.replicator.durable(self.made)

    async def until(self, standby: str) -> None:
        async with asyncio.timeout(LIMIT_S):
            while self.replicator.standby != standby:
                self.change.clear()
                await self.change.wait()

    def start(self) -> None:
        self.running = asyncio.create_task(self.replicator.run(self, lambda: self.acting))

    async def end(self) -> None:
        self.running.cancel()
        with suppress(asyncio.CancelledError):
            await self.running


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    bench.start()
    yield bench
    await bench.end()


async def test_what_is_acknowledged_with_a_standby_in_step_lies_there(bench: Bench) -> None:
    await bench.until("n2")
    for count in (1, 3, 700):
        await bench.enter(count)
        assert bench.copy == list(range(1, bench.made + 1))
    assert bench.replicator.upto() == bench.made


async def test_a_standby_that_answers_too_late_is_let_go_and_it_is_said_why(bench: Bench) -> None:
    await bench.until("n2")
    bench.slow = True
    await bench.enter()
    assert bench.limits[-1] == SLOW_S
    assert (bench.replicator.standby, bench.replicator.upto()) == ("", None)
    assert "n2 holds no copy: no answer within 3 s" in bench.replicator.reason
    assert bench.told[-1] == ("standby_lost", f"the ledger is on this node alone: {bench.replicator.reason}")


async def test_a_standby_that_was_let_go_is_taken_back_later_with_everything(bench: Bench) -> None:
    await bench.until("n2")
    await bench.enter(2)
    bench.slow = True
    await bench.enter()
    asked = len(bench.limits)
    await bench.enter(600)
    assert len(bench.limits) == asked, "it rests before it is asked again"
    bench.slow = False
    bench.now += 6.0
    await bench.enter()
    await bench.until("n2")
    assert bench.copy == list(range(1, bench.made + 1))
    assert bench.replicator.reason == ""
    assert [kind for kind, _ in bench.told] == ["replicated", "standby_lost", "replicated"]


async def test_a_standby_that_holds_another_ledger_is_begun_anew(bench: Bench) -> None:
    bench.copy, bench.incarnation = [1, 2, 3], "another-9"
    await bench.until("n2")
    await bench.enter(2)
    assert (bench.incarnation, bench.copy) == ("run-1", [1, 2])


async def test_a_node_that_is_no_coordinator_any_more_lets_everybody_go(bench: Bench) -> None:
    await bench.until("n2")
    bench.acting = False
    await bench.enter()
    await bench.until("")
    assert bench.told[-1][0] == "standby_lost"


async def test_nobody_waits_for_a_copy_when_the_copying_has_ended(bench: Bench) -> None:
    await bench.until("n2")
    waiting = asyncio.ensure_future(bench.replicator.durable(bench.made + 1))
    await asyncio.sleep(0)
    await bench.end()
    async with asyncio.timeout(LIMIT_S):
        await waiting
    assert bench.replicator.standby == ""


async def test_another_ledger_is_begun_anew_and_the_standby_counts_once_it_holds_it(bench: Bench) -> None:
    await bench.until("n2")
    await bench.enter(3)
    bench.term, bench.made = 2, 2  # restored from a backup, and at once there are more entries than before
    await bench.enter(3)
    await bench.until("n2")
    assert [kind for kind, _ in bench.told] == ["replicated", "standby_lost", "replicated"]
    assert (bench.incarnation, bench.copy) == ("run-2", [1, 2, 3, 4, 5])
