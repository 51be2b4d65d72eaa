import asyncio
import itertools
import time

import pytest

from bzzzd.agent.handlers.base import JSON, Job, Product
from bzzzd.agent.lease import boottime
from bzzzd.errors import BadInput, CircuitOpen, FinalState, ModelFailed, NotReady, TooLarge
from tests.agent.daemon import Daemon
from tests.agent.rig import Make, Rig, Scripted, ended, gives


class Gate:
    """A handler that works until the test opens it."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.handler = Scripted(self._run)

    async def _run(self, job: Job) -> Product:
        await self.open.wait()
        return Product(b"done")

    async def begun(self, count: int = 1) -> None:
        async with asyncio.timeout(30):
            while len(self.handler.jobs) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)


async def idle(rig: Rig) -> None:
    async with asyncio.timeout(30):
        while rig.runner.in_flight:  # noqa: ASYNC110 - the last answer is still on its way to the agent
            await asyncio.sleep(0.005)


async def test_a_task_is_claimed_and_completed_with_a_signed_decision(daemon: Daemon, make: Make) -> None:
    rig = await make(gives(Product(b"# The decision")))
    task = daemon.submit()
    await ended(daemon, task)
    assert task.log == ["task.claim", "task.complete"]
    assert (task.content, task.content_type) == (b"# The decision", "text/markdown")
    assert task.address == f"ucxl://a1:worker@default:{task.id}/*^/decision"
    assert task.readers == ("operator", "worker")
    await idle(rig)
    assert rig.counters.endings["completed"] == 1
    assert "context.prepare" not in daemon.calls
    (proof,) = daemon.attaches
    assert (proof.kind, proof.id, proof.role, proof.capabilities, proof.slots) == (
        "agent",
        "a1",
        "worker",
        ("empty",),
        1,
    )


async def test_content_of_another_type_asks_for_its_own_readers(daemon: Daemon, make: Make) -> None:
    await make(gives(Product(b"{}", JSON)))
    task = daemon.submit()
    await ended(daemon, task)
    assert (task.content_type, task.readers) == ("application/json", ("worker",))


@pytest.mark.parametrize(
    ("raised", "log", "reason", "retryable"),
    [
        (BadInput("no argv"), "task.fail", "bad_input", False),
        (ModelFailed("the model cut its stream"), "task.fail", "model_failed", True),
        (ValueError("secret words"), "task.fail", "handler_crashed", True),
        (Product(b"why", failure="time_limit"), "task.fail", "time_limit", False),
        (CircuitOpen("left alone"), "task.release", "", False),
    ],
)
async def test_what_a_handler_raises_decides_the_tasks_fate(
    daemon: Daemon, make: Make, raised: Product | Exception, log: str, reason: str, retryable: bool
) -> None:
    await make(gives(raised))
    task = daemon.submit()
    await ended(daemon, task)
    assert task.log == ["task.claim", log]
    assert (task.reason, task.retryable) == (reason, retryable)
    assert b"secret" not in (task.content or b"")
    if task.content:
        assert task.address.endswith("/failure")


async def test_a_handler_cancelled_from_inside_is_a_crash_and_not_the_end_of_the_agent(
    daemon: Daemon, make: Make
) -> None:
    async def run(job: Job) -> Product:
        raise asyncio.CancelledError("a library's own")

    await make(Scripted(run))
    tasks = [daemon.submit(), daemon.submit()]
    await ended(daemon, tasks[0])
    assert tasks[0].reason == "handler_crashed"


@pytest.mark.parametrize(("brief", "reason"), [(b"\xc1 no brief", "bad_input"), (b"\x80", "bad_input")])
async def test_a_brief_that_cannot_be_read_fails_the_task(
    daemon: Daemon, make: Make, brief: bytes, reason: str
) -> None:
    rig = await make(gives(Product(b"x")))
    task = daemon.submit(brief=brief)
    await ended(daemon, task)
    assert (task.state, task.reason) == ("failed", reason)
    hidden = daemon.submit(offer=False)
    hidden.brief = None
    daemon.offer(hidden)
    await ended(daemon, hidden)
    assert (hidden.reason, hidden.retryable) == ("brief_unreadable", True)
    await idle(rig)
    assert rig.counters.endings["failed"] == 2


async def test_an_unknown_capability_is_handed_back(daemon: Daemon, make: Make) -> None:
    await make(gives(Product(b"x")))
    task = daemon.submit("juggling")
    await ended(daemon, task)
    assert task.log == ["task.claim", "task.release"]


async def test_no_more_than_its_slots_are_worked_on_and_a_freed_one_is_used_at_once(daemon: Daemon, make: Make) -> None:
    gate = Gate()
    rig = await make(gate.handler, slots=2)
    tasks = [daemon.submit() for _ in range(5)]
    await gate.begun(2)
    await daemon.until(lambda: len(daemon.declined) == 1)
    assert rig.runner.in_flight == 2
    assert daemon.declined == [tasks[4].id]
    gate.open.set()
    await ended(daemon, *tasks[:4])
    assert [task.state for task in tasks] == ["completed"] * 4 + ["submitted"]


async def test_an_offer_that_expired_while_it_waited_is_not_claimed(daemon: Daemon, make: Make) -> None:
    gate = Gate()
    await make(gate.handler, slots=1)
    first, second = daemon.submit(), daemon.submit(offer=False)
    daemon.offer(second, expires_s=0.0)
    await gate.begun()
    gate.open.set()
    await ended(daemon, first)
    third = daemon.submit()
    await ended(daemon, third)
    assert second.log == []


async def test_offers_are_declined_while_the_handler_is_unusable(daemon: Daemon, make: Make) -> None:
    handler = gives(Product(b"x"))
    handler.unusable = "the model is left alone"
    await make(handler)
    task = daemon.submit()
    await daemon.until(lambda: daemon.declined == [task.id])
    assert task.log == []


async def test_a_refused_claim_leaves_the_slot_free(daemon: Daemon, make: Make) -> None:
    rig = await make(gives(Product(b"x")))
    taken = daemon.submit(offer=False)
    taken.state, taken.lease_end = "working", boottime() + 60
    daemon.offer(taken)
    free = daemon.submit()
    await ended(daemon, free)
    assert rig.counters.endings["refused"] == 1
    assert free.state == "completed"


async def test_a_lease_is_renewed_while_the_work_goes_on(daemon: Daemon, make: Make) -> None:
    daemon.lease_s = 0.9
    gate = Gate()
    rig = await make(gate.handler)
    task = daemon.submit()
    await daemon.until(lambda: task.log.count("task.renew") >= 3)
    gate.open.set()
    await ended(daemon, task)
    await daemon.until(lambda: task.state == "completed")
    assert rig.counters.renewals >= 3


async def test_renewals_are_dated_in_their_order_also_when_the_wall_clock_is_set_back(
    daemon: Daemon, make: Make
) -> None:
    daemon.lease_s = 0.9
    gate = Gate()
    rig = await make(gate.handler)
    task = daemon.submit()
    await daemon.until(lambda: len(task.renewed) >= 1)
    rig.behind_s = 3600.0
    await daemon.until(lambda: len(task.renewed) >= 3)
    gate.open.set()
    await ended(daemon, task)
    assert task.renewed == sorted(set(task.renewed))
    assert task.renewed[0] <= time.time()


async def test_work_stops_a_margin_before_a_lease_that_cannot_be_renewed(daemon: Daemon, make: Make) -> None:
    daemon.lease_s = 5.0  # its margin is half a second, which a busy machine may need

    def refuse(method: str) -> None:
        if method == "task.renew":
            raise NotReady("the ledger is away")

    daemon.before = refuse
    gate = Gate()
    rig = await make(gate.handler)
    task = daemon.submit()
    await gate.begun()
    async with asyncio.timeout(30):
        while not gate.handler.cancelled:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert boottime() < task.lease_end
    assert task.log == ["task.claim"]
    assert daemon.calls.count("task.renew") > 2
    assert rig.counters.endings["lost"] == 1


async def test_a_cancelled_task_stops_at_the_next_renewal(daemon: Daemon, make: Make) -> None:
    daemon.lease_s = 1.0
    gate = Gate()
    rig = await make(gate.handler)
    task = daemon.submit()
    await gate.begun()
    task.state = "canceled"
    async with asyncio.timeout(30):
        while rig.counters.endings["lost"] == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert gate.handler.cancelled == 1
    assert rig.runner.in_flight == 0


@pytest.mark.parametrize("method", ["task.claim", "task.complete"])
async def test_a_lost_answer_is_asked_for_again_with_the_same_id(daemon: Daemon, make: Make, method: str) -> None:
    daemon.lose = [method]
    rig = await make(gives(Product(b"once")))
    task = daemon.submit()
    await daemon.until(lambda: daemon.calls.count(method) == 2)
    async with asyncio.timeout(30):
        while rig.counters.endings["completed"] == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert task.log == ["task.claim", "task.complete"]
    assert (task.state, task.counter) == ("completed", 1)


async def test_work_goes_on_while_the_daemon_restarts(daemon: Daemon, make: Make) -> None:
    gate = Gate()
    await make(gate.handler)
    task = daemon.submit()
    await gate.begun()
    await daemon.stop()
    gate.open.set()
    await asyncio.sleep(0)
    await daemon.start()
    await daemon.until(lambda: task.state == "completed")
    assert task.log == ["task.claim", "task.complete"]
    assert len(daemon.attaches) == 2


async def test_offers_made_after_a_reconnect_are_taken(daemon: Daemon, make: Make) -> None:
    rig = await make(gives(Product(b"x")))
    await daemon.stop()
    await daemon.start()
    await rig.attached()
    task = daemon.submit()
    await ended(daemon, task)
    assert task.state == "completed"


async def test_a_result_that_is_refused_becomes_a_failure_with_its_reason(daemon: Daemon, make: Make) -> None:
    def refuse(method: str) -> None:
        if method == "task.complete":
            raise TooLarge("content over the limit")

    daemon.before = refuse
    await make(gives(Product(b"x" * 100)))
    task = daemon.submit()
    await ended(daemon, task)
    assert (task.state, task.reason, task.content) == ("failed", "result_too_large", None)


async def test_stopping_lets_work_end_and_hands_back_the_rest(daemon: Daemon, make: Make) -> None:
    async def run(job: Job) -> Product:
        await asyncio.sleep(0.1 if job.task["id"] == "t-1" else 60)
        return Product(b"x")

    handler = Scripted(run)
    rig = await make(handler, slots=2, finish_s=3.0)
    quick, slow = daemon.submit(), daemon.submit()
    async with asyncio.timeout(30):
        while len(handler.jobs) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    stopping = asyncio.create_task(rig.runner.stop())
    await asyncio.sleep(0)
    late = daemon.submit()
    started = time.monotonic()
    await stopping
    assert time.monotonic() - started < 30
    assert quick.log == ["task.claim", "task.complete"]
    assert slow.log == ["task.claim", "task.release"]
    assert (late.log, daemon.declined) == ([], [late.id])
    assert rig.runner.in_flight == 0


async def test_stopping_ends_in_bounded_time_when_the_daemon_is_gone(daemon: Daemon, make: Make) -> None:
    gate = Gate()
    rig = await make(gate.handler, finish_s=0.1)
    daemon.submit()
    await gate.begun()
    await daemon.stop()
    started = time.monotonic()
    await rig.runner.stop()
    assert time.monotonic() - started < 30
    assert rig.runner.in_flight == 0


async def test_progress_is_told_at_most_twice_a_second(daemon: Daemon, make: Make) -> None:
    async def run(job: Job) -> Product:
        for count in itertools.count():
            job.progress(count, None, f"step {count}" + "x" * 500)
            if len(daemon.progress) >= 2:
                return Product(b"x")
            await asyncio.sleep(0.005)
        raise AssertionError

    await make(Scripted(run))
    started = time.monotonic()
    task = daemon.submit()
    await ended(daemon, task)
    await daemon.until(lambda: task.state == "completed")
    assert time.monotonic() - started > 0.4
    assert daemon.progress[0][1].startswith("step 0")
    assert len(daemon.progress[0][1]) == 200


async def test_a_grant_is_renewed_at_half_of_its_time(
    daemon: Daemon, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bzzzd.agent.daemon_link._GRANT_AGAIN_S", 0.05)
    daemon.grant_s = 0.4
    rig = await make(gives(Product(b"x")))
    await daemon.until(lambda: len(daemon.attaches) >= 3)
    await rig.attached()
    task = daemon.submit()
    await ended(daemon, task)
    assert task.state == "completed"


async def test_many_tasks_at_once_are_all_done_once(daemon: Daemon, make: Make) -> None:
    rig = await make(gives(Product(b"x" * 1024)), slots=64)
    tasks = [daemon.submit() for _ in range(64)]
    await ended(daemon, *tasks)
    await daemon.until(lambda: all(task.state == "completed" for task in tasks))
    assert all(task.log == ["task.claim", "task.complete"] for task in tasks)
    await idle(rig)
    assert rig.counters.endings["completed"] == 64


async def test_health_says_what_it_can_do_and_whether_it_is_attached(daemon: Daemon, make: Make) -> None:
    rig = await make(gives(Product(b"x")))
    assert rig.link.health().detail == "attached as a1 (worker)"
    assert "can empty" in rig.runner.health().detail
    await daemon.stop()
    async with asyncio.timeout(30):
        while rig.link.health().ok:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert not rig.link.health().ok


async def test_a_final_state_at_the_report_is_the_end_of_it(daemon: Daemon, make: Make) -> None:
    def refuse(method: str) -> None:
        if method == "task.complete":
            raise FinalState("canceled meanwhile")

    daemon.before = refuse
    rig = await make(gives(Product(b"x")))
    daemon.submit()
    async with asyncio.timeout(30):
        while rig.counters.endings["lost"] == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    await idle(rig)
    assert daemon.calls.count("task.complete") == 1
