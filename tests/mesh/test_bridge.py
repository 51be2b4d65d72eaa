import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import trio

from bzzzd.errors import NotFound, Overloaded, Unavailable
from bzzzd.mesh.bridge import Bridge
from bzzzd.mesh.describe import describe
from tests.mesh.kit import eventually

Main = Callable[[Bridge], Awaitable[None]]
Start = Callable[..., Bridge]


async def forever(bridge: Bridge) -> None:
    await trio.sleep_forever()


@pytest.fixture
async def deaths() -> list[BaseException | None]:
    return []


@pytest.fixture
async def start(deaths: list[BaseException | None]) -> AsyncIterator[Start]:
    bridges: list[Bridge] = []

    def begin(main: Main = forever, **limits: int) -> Bridge:
        bridge = Bridge(asyncio.get_running_loop(), on_death=deaths.append, **limits)
        bridges.append(bridge)
        bridge.start(lambda: main)
        return bridge

    yield begin
    for bridge in bridges:
        assert await bridge.stop(5)


async def double(number: int) -> int:
    await trio.lowlevel.checkpoint()
    return number * 2


async def test_a_call_runs_in_the_trio_thread_and_answers_on_the_loop(start: Start) -> None:
    bridge = start()

    async def where() -> str:
        return threading.current_thread().name

    assert await bridge.call(where) == "mesh"
    assert await asyncio.gather(*(bridge.call(double, number) for number in range(500))) == list(range(0, 1000, 2))


async def test_an_error_of_a_call_is_raised_at_the_caller(start: Start) -> None:
    async def fail() -> None:
        raise NotFound("no such thing")

    bridge = start()
    with pytest.raises(NotFound, match="no such thing"):
        await bridge.call(fail)
    assert await bridge.call(double, 2) == 4


async def test_cancelling_a_call_cancels_it_in_the_thread(start: Start) -> None:
    bridge = start()
    seen: list[str] = []

    async def long() -> None:
        try:
            seen.append("begun")
            await trio.sleep_forever()
        finally:
            seen.append("ended")

    task = asyncio.create_task(bridge.call(long))
    await eventually("the call to begin", lambda: seen)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually("the call to end", lambda: seen == ["begun", "ended"])


async def test_calls_under_way_are_bounded(start: Start) -> None:
    bridge = start(max_calls=4)
    waiting = [asyncio.create_task(bridge.call(trio.sleep_forever)) for _ in range(4)]
    await eventually("the calls to be made", lambda: len(bridge._calls) == 4)
    with pytest.raises(Overloaded):
        await bridge.call(double, 1)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await bridge.call(double, 1) == 2


async def test_what_is_posted_comes_in_order_and_a_fault_loses_nothing(start: Start) -> None:
    got: list[int] = []
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: faults.append(context))

    def take(number: int) -> None:
        if number == 50:
            raise ValueError("fifty")
        got.append(number)

    async def main(bridge: Bridge) -> None:
        for number in range(100):
            bridge.post(take, number)
        await trio.sleep_forever()

    start(main)
    await eventually("all to come", lambda: len(got) == 99)
    assert got == [number for number in range(100) if number != 50]
    assert [str(fault["exception"]) for fault in faults] == ["fifty"]


async def test_a_producer_waits_while_the_loop_does_not_take(start: Start) -> None:
    produced = 0
    taken = 0
    blocked = threading.Event()

    def take() -> None:
        nonlocal taken
        blocked.wait(5)
        taken += 1

    async def main(bridge: Bridge) -> None:
        nonlocal produced
        for _ in range(200):
            await bridge.room()
            bridge.post(take, size=10)
            produced += 1
        await trio.sleep_forever()

    watcher = threading.Timer(0.3, blocked.set)
    most: list[int] = []
    watcher.function = lambda: (most.append(produced), blocked.set())
    watcher.start()
    start(main, max_queued=16)
    await eventually("all to be taken", lambda: taken == 200)
    watcher.join()
    assert most[0] <= 17


async def test_the_queue_is_bounded_in_bytes_too(start: Start) -> None:
    held: list[int] = []

    async def main(bridge: Bridge) -> None:
        for _ in range(100):
            await bridge.room()
            bridge.post(lambda: held.append(bridge._posted_bytes - bridge._taken_bytes), size=1000)
        await trio.sleep_forever()

    start(main, max_queued_bytes=5000)
    await eventually("all to be taken", lambda: len(held) == 100)
    assert max(held) <= 5000


async def test_a_trio_task_asks_the_loop_and_gets_its_answer_or_its_error(start: Start) -> None:
    bridge = start()

    async def on_loop(number: int) -> int:
        await asyncio.sleep(0)
        if number < 0:
            raise NotFound("negative")
        return number + 1

    async def ask(number: int) -> int:
        return await bridge.ask(on_loop, number)

    assert await bridge.call(ask, 4) == 5
    with pytest.raises(NotFound, match="negative"):
        await bridge.call(ask, -1)


async def test_giving_up_a_question_cancels_its_handler(start: Start) -> None:
    bridge = start()
    ended = asyncio.Event()

    async def on_loop() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def ask() -> bool:
        with trio.move_on_after(0.05):
            await bridge.ask(on_loop)
        return True

    assert await bridge.call(ask)
    async with asyncio.timeout(30):
        await ended.wait()


async def test_the_death_of_the_thread_fails_what_is_pending_and_is_told_once(
    start: Start, deaths: list[BaseException | None]
) -> None:
    async def main(bridge: Bridge) -> None:
        await trio.sleep(0.1)
        raise RuntimeError("the swarm fell over")

    bridge = start(main)
    with pytest.raises(Unavailable, match="the swarm fell over"):
        await bridge.call(trio.sleep_forever)
    assert [describe(death) for death in deaths if death] == ["RuntimeError: the swarm fell over"]
    assert not bridge.alive
    with pytest.raises(Unavailable, match="the swarm fell over"):
        await bridge.call(double, 1)


async def test_a_thread_that_cannot_be_loaded_is_a_death(deaths: list[BaseException | None]) -> None:
    def load() -> Main:
        raise ImportError("no libp2p here")

    bridge = Bridge(asyncio.get_running_loop(), on_death=deaths.append)
    bridge.start(load)
    await eventually("the death", lambda: deaths)
    assert describe(deaths[0] or ValueError()) == "ImportError: no libp2p here"
    assert await bridge.stop(1)


async def test_a_main_that_returns_is_a_death_without_an_error(
    start: Start, deaths: list[BaseException | None]
) -> None:
    async def main(bridge: Bridge) -> None:
        return

    start(main)
    await eventually("the death", lambda: deaths)
    assert deaths == [None]


async def test_stopping_a_thread_that_hangs_gives_up_at_the_limit() -> None:
    release = threading.Event()

    async def main(bridge: Bridge) -> None:
        release.wait(10)

    bridge = Bridge(asyncio.get_running_loop(), on_death=lambda death: None)
    bridge.start(lambda: main)
    assert not await bridge.stop(0.1)
    release.set()
    assert await bridge.stop(5)


def test_the_first_real_error_of_a_group_is_described() -> None:
    group = BaseExceptionGroup("outer", [BaseExceptionGroup("inner", [ValueError("deep")])])
    assert describe(group) == "ValueError: deep"
    assert describe(NotFound("told")) == "told"
    assert describe(KeyError()) == "KeyError"


async def test_a_call_that_waits_for_nothing_is_done_at_once_in_the_thread(start: Start) -> None:
    bridge = start()
    done: list[str] = []

    def now(word: str) -> str:
        done.append(f"{word} in {threading.current_thread().name}")
        if word == "bad":
            raise NotFound("no such word")
        return word.upper()

    assert await bridge.call(double, 1) == 2
    assert await asyncio.gather(*(bridge.call(now, word) for word in "abc")) == ["A", "B", "C"]
    with pytest.raises(NotFound, match="no such word"):
        await bridge.call(now, "bad")
    assert done == [f"{word} in mesh" for word in ("a", "b", "c", "bad")]
