"""Crashes at any moment: after a restart no task is lost, none is done twice, and everybody finds the way back."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from bzzzd.errors import BzzzError, Unavailable, UnknownOutcome, Unreachable
from bzzzd.rpc.client import AsyncClient
from bzzzd.rpc.follower import Event, Items
from tests.integration.conftest import Node, NodeMaker, nodes_in, wait_for
from tests.integration.sessions import FINAL, Session

TASKS = 60
OUTSTANDING = 16
KILLS = 4
LEASE_S = 4.0
STOP_S = 20.0
SLOTS = 2
AGENTS = ("worker-1", "worker-2", "worker-3")


class Works:
    """A node with three agents and short leases; a task may lose its owner often before it is given up."""

    def __init__(self, make: NodeMaker) -> None:
        self.node = node = make(slurp={"lease_s": LEASE_S, "offer_s": 1.0, "strikes": 50})
        node.start()
        for id in AGENTS:
            node.write_agent(id, agent={"slots": SLOTS})
        self.agents = {id: node.start_agent(id, attached=False) for id in AGENTS}
        self.attached()

    def attached(self) -> None:
        wait_for("the agents to be attached", lambda: all(self.node.attached(id) for id in AGENTS))
        assert all(agent.running for agent in self.agents.values())

    def kill(self, victim: str) -> None:
        """End a process at once and start another in its place, without waiting for it."""
        node = self.node
        if victim in self.agents:
            self.agents[victim].kill()
            self.agents[victim] = node.start_agent(victim, attached=False)
            return
        assert node.daemon is not None
        node.daemon.kill()
        node.check_journal()
        node.start(ready=False)


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    with nodes_in(tmp_path_factory.mktemp("works")) as make:
        yield Works(make)


class Stream:
    """Submits numbered tasks one after the other from a thread; a submit without an answer is sent again as it was."""

    def __init__(self, node: Node, count: int, pool: ThreadPoolExecutor) -> None:
        self._node = node
        self._count = count
        self.tasks: dict[str, int] = {}
        with node.guest() as guest:
            self.before = progress(guest.call("status", effects=False))
        self.done: Future[None] = pool.submit(self._run)

    def _run(self) -> None:
        waiting: tuple[int, str, dict[str, Any]] | None = None
        end = time.monotonic() + 100
        while len(self.tasks) < self._count:
            assert time.monotonic() < end, "the stream of tasks did not come to its end"
            try:
                with self._node.person() as alice:
                    while len(self.tasks) < self._count:
                        number, task, params = waiting or self._next(alice)
                        waiting = number, task, params
                        alice.call("task.submit", **params)
                        self.tasks[task], waiting = number, None
                        self._hold(alice)
            except (Unreachable, UnknownOutcome, Unavailable):
                time.sleep(0.02)

    def _next(self, alice: Session) -> tuple[int, str, dict[str, Any]]:
        number = len(self.tasks)
        task, params = alice.brief(
            f"Number {number}", capability="run", args={"argv": ["sh", "-c", f"sleep 0.0{number % 10}; echo {number}"]}
        )
        return number, task, params

    def _hold(self, alice: Session) -> None:
        """Do not run far ahead of the agents, so that crashes meet submits as well as claims and completions."""
        while self.before + len(self.tasks) - progress(alice.call("status")) > OUTSTANDING:
            time.sleep(0.02)


def progress(status: Any) -> int:
    return sum(status["tasks"].get(state, 0) for state in FINAL)


def reached(node: Node, count: int) -> bool:
    try:
        with node.guest() as guest:
            return progress(guest.call("status", effects=False)) >= count
    except BzzzError:
        return False


def settled(node: Node, tasks: dict[str, int]) -> None:
    """Every task has come to one end, by one owner, with one decision."""
    with node.person() as alice:

        def ended() -> bool:
            rows = alice.tasks()
            return all(rows[task]["state"] in FINAL for task in tasks)

        wait_for("every task to end", ended, 90.0)
        kept = alice.call("context.list", pattern="ucxl://any:any@default:any/*^/decision", limit=1000)["entries"]
        for task, number in tasks.items():
            steps = alice.steps(task)
            shown = alice.show(task)
            assert shown["task"]["state"] == "completed", (task, steps)
            assert (steps[0], steps[-1], steps.count("completed")) == ("submitted", "completed", 1)
            assert json.loads(shown["decision"]["content"])["stdout"] == f"{number}\n"
            decisions = [(entry["address"], entry["versions"]) for entry in kept if f":{task}/" in entry["address"]]
            assert decisions == [(shown["task"]["address"], 1)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_task_is_lost_or_done_twice_when_processes_are_killed(works: Works, seed: int) -> None:
    node, chance = works.node, random.Random(seed)
    moments = sorted(chance.sample(range(1, TASKS - 5), KILLS))
    victims = ["bzzzd", chance.choice(AGENTS), *(chance.choice(("bzzzd", *AGENTS)) for _ in range(KILLS - 2))]
    chance.shuffle(victims)
    with ThreadPoolExecutor(1) as pool:
        stream = Stream(node, TASKS, pool)
        for moment, victim in zip(moments, victims, strict=True):
            there = stream.before + moment
            wait_for(f"task {moment}", lambda n=there: reached(node, n) or stream.done.done(), 60.0)
            # Somewhere between two answers, not right after one.
            time.sleep(chance.uniform(0.0, 0.03))
            works.kill(victim)
        stream.done.result(100)
    node.wait_ready()
    settled(node, stream.tasks)
    # Everybody has found the way back.
    works.attached()
    with node.person() as alice:
        assert len(alice.tasks()) == stream.before + TASKS


def test_a_daemon_that_is_stopped_under_load_ends_well_and_the_work_goes_on(works: Works) -> None:
    node = works.node
    with ThreadPoolExecutor(1) as pool:
        stream = Stream(node, TASKS, pool)
        wait_for("some of the tasks", lambda: reached(node, stream.before + 10))
        assert node.daemon is not None
        assert node.daemon.stop(STOP_S) == 0
        assert not node.socket.exists()
        assert "Traceback" not in node.daemon.text
        node.check_journal()
        node.start()
        stream.done.result(100)
    settled(node, stream.tasks)
    with node.person() as alice:
        rows = alice.tasks()
        assert {rows[task]["strikes"] for task in stream.tasks} == {0}


def test_agents_that_are_stopped_under_load_hand_their_leases_back(works: Works) -> None:
    node, held = works.node, len(AGENTS) * SLOTS
    with node.person() as alice:
        tasks = [alice.submit("Long", capability="run", args={"argv": ["sleep", "600"]}) for _ in range(held + 2)]
        wait_for("all hands to be at work", lambda: alice.call("status")["tasks"].get("working") == held)
        with ThreadPoolExecutor(len(AGENTS)) as pool:
            ends = [pool.submit(agent.stop, STOP_S) for agent in works.agents.values()]
            assert [end.result() for end in ends] == [0] * len(AGENTS)
        rows = alice.tasks()
        assert {rows[task]["state"] for task in tasks} == {"submitted"}
        assert {rows[task]["strikes"] for task in tasks} == {0}
        assert sum("released" in alice.steps(task) for task in tasks) == held


async def test_clients_come_back_by_themselves(node: Node) -> None:
    """A portal, a subscription and an agent outlive a daemon that was killed, and one that was stopped."""
    said = node.folder / "portal.jsonl"
    with said.open("wb") as out:
        portal = node.run(
            "bzzz-hap", "--config", str(node.folder / "hap.yaml"), "--headless", stdin=subprocess.PIPE, stdout=out
        )

    def links() -> list[str]:
        # The last line may be half written.
        told = [json.loads(line) for line in said.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [line["state"] for line in told if line["type"] == "link"]

    def restart(end: signal.Signals) -> None:
        wait_for("the portal to be online", lambda: links()[-1:] == ["online"])
        assert node.daemon is not None
        node.daemon.process.send_signal(end)
        node.daemon.process.wait(STOP_S)
        wait_for("the portal to notice", lambda: links()[-1:] != ["online"])
        node.start()

    def submit() -> str:
        with node.person() as alice:
            return alice.submit("Is anybody there?", capability="nobody")

    node.start_agent()
    async with AsyncClient(str(node.socket), "test", sign=node.person().sign) as client:
        events = client.subscribe("tasks")
        await anext(events)
        for end in (signal.SIGKILL, signal.SIGTERM):
            await asyncio.to_thread(restart, end)
            await client.ready(STOP_S)
            task = await asyncio.to_thread(submit)
            async with asyncio.timeout(STOP_S):
                while not _mentions(await anext(events), task):
                    pass
            await asyncio.to_thread(wait_for, "the agent to attach", lambda: node.attached("worker-1"))
    wait_for("the portal to list the newest task", lambda: links()[-1:] == ["online"] and task in said.read_text())
    assert portal.process.stdin is not None
    portal.process.stdin.close()
    assert portal.ended() == 0


def _mentions(event: Event, task: str) -> bool:
    """Whether a stream of tasks has told about ``task``, as an item or in its snapshot."""
    rows = [item.get("task") or {} for item in event.items] if isinstance(event, Items) else event.state["tasks"]
    return any(row.get("id") == task for row in rows)
