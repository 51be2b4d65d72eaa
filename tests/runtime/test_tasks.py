import asyncio

import pytest

from bzzzd.runtime.tasks import TaskOwner


class Deaths:
    def __init__(self) -> None:
        self.seen: list[tuple[str, BaseException | None]] = []
        self.happened = asyncio.Event()

    def __call__(self, name: str, error: BaseException | None) -> None:
        self.seen.append((name, error))
        self.happened.set()


async def _forever() -> None:
    await asyncio.Event().wait()


async def test_an_exception_in_a_task_is_reported_with_the_tasks_name() -> None:
    deaths = Deaths()
    owner = TaskOwner(deaths)

    async def breaks() -> None:
        raise LookupError("gone")

    owner.spawn("reader", breaks())
    await asyncio.wait_for(deaths.happened.wait(), 1)
    assert [(name, str(error)) for name, error in deaths.seen] == [("reader", "gone")]
    assert owner.names == ()


async def test_a_task_that_should_run_for_ever_dies_by_returning() -> None:
    deaths = Deaths()
    owner = TaskOwner(deaths)

    async def returns() -> None:
        return

    owner.spawn("loop", returns())
    await asyncio.wait_for(deaths.happened.wait(), 1)
    assert deaths.seen == [("loop", None)]


async def test_a_task_whose_purpose_is_to_end_may_return() -> None:
    deaths = Deaths()
    owner = TaskOwner(deaths)

    async def returns() -> str:
        return "done"

    assert await owner.spawn("once", returns(), ends=True) == "done"
    await asyncio.sleep(0)
    assert deaths.seen == []


async def test_a_task_that_its_caller_cancels_is_no_death() -> None:
    deaths = Deaths()
    owner = TaskOwner(deaths)
    task = owner.spawn("loop", _forever())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert deaths.seen == []


async def test_stopping_ends_every_task_and_reports_none_of_them() -> None:
    deaths = Deaths()
    owner = TaskOwner(deaths)
    tasks = [owner.spawn(f"loop {number}", _forever()) for number in range(3)]
    assert owner.names == ("loop 0", "loop 1", "loop 2")
    assert await owner.stop() == ()
    assert all(task.cancelled() for task in tasks)
    assert deaths.seen == []


async def test_stopping_names_the_tasks_that_refuse_to_end() -> None:
    owner = TaskOwner(Deaths())
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    task = owner.spawn("stubborn", stubborn())
    await asyncio.sleep(0)
    assert await owner.stop(limit_s=0.01) == ("stubborn",)
    release.set()
    await task


async def test_nothing_starts_after_the_stop() -> None:
    owner = TaskOwner(Deaths())
    await owner.stop()
    with pytest.raises(RuntimeError, match="late cannot start"):
        owner.spawn("late", _forever())
