"""The units stopped while they work: in time, with exit status 0, leases handed back, and no strike for any task."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.appliance.conftest import Box, wait_for
from tests.appliance.load import RUNS, Stream

SLOTS = 3
LONG = ("sleep", "250")  # under the 300 s that a handler may take


@pytest.fixture(scope="module")
def box(machines: Callable[[int], list[Box]], deb: Path) -> Box:
    found = machines(1)[0]
    found.install(deb)
    found.run("tee", "/etc/bzzz/agent.yaml", input=RUNS.replace("slots: 1", f"slots: {SLOTS}").encode())
    found.run("systemctl", "restart", "bzzz-agent", limit_s=90)
    found.wait_healthy()
    found.add_user("alice", "bzzz")
    found.run("bzzz", "mesh", "admin", "add", "alice")
    return found


def stop(box: Box, *units: str) -> None:
    """Stop units, and see that systemd found nothing to complain about: no kill, no time-out, exit status 0."""
    pids = [box.show(unit, "MainPID") for unit in units]
    assert "0" not in pids
    began = time.monotonic()
    box.run("systemctl", "stop", *units, limit_s=90)
    assert time.monotonic() - began < 30  # TimeoutStopSec= of both units
    for unit, pid in zip(units, pids, strict=True):
        assert box.show(unit, "Result") == "success", box.sh(f"journalctl -u {unit} -n 30 --no-pager")
        assert (box.show(unit, "ExecMainPID"), box.show(unit, "ExecMainStatus")) == (pid, "0")


@pytest.fixture
def busy(box: Box) -> Iterator[list[str]]:
    """Tasks that fill every slot for longer than a stop takes, and as many that wait."""
    given = [box.submit(f"long {number}", "run", *LONG) for number in range(2 * SLOTS)]
    wait_for("every slot to be taken", lambda: working(box, given) == SLOTS)
    yield given
    for id in given:
        box.bzzz("task", "cancel", id, user="alice")


def working(box: Box, given: list[str]) -> int:
    tasks = box.tasks()
    return sum(tasks[id]["state"] == "working" for id in given)


def unharmed(box: Box, given: list[str]) -> None:
    """Every task waits for an agent again; those that had one were handed back, which is no strike."""
    tasks = box.tasks()
    assert {(tasks[id]["state"], tasks[id]["strikes"]) for id in given} == {("submitted", 0)}
    assert [tasks[id]["reason"] for id in given].count("released") == SLOTS


def test_an_agent_that_is_stopped_hands_its_tasks_back(box: Box, busy: list[str]) -> None:
    stop(box, "bzzz-agent")
    unharmed(box, busy)
    box.start()
    box.wait_healthy()
    wait_for("the tasks to be taken up again", lambda: working(box, busy) == SLOTS)


def test_the_target_stops_the_agent_before_the_daemon(box: Box, busy: list[str]) -> None:
    pids = {unit: box.show(unit, "MainPID") for unit in ("bzzzd", "bzzz-agent")}
    box.run("systemctl", "stop", "bzzz.target", limit_s=90)
    for unit, pid in pids.items():
        assert (box.show(unit, "Result"), box.show(unit, "ExecMainStatus")) == ("success", "0")
        assert box.show(unit, "ExecMainPID") == pid
    box.run("systemctl", "start", "bzzzd", limit_s=90)
    unharmed(box, busy)
    box.start("bzzz.target")
    box.wait_healthy()


def test_a_daemon_that_is_stopped_in_a_stream_of_tasks_loses_none(box: Box) -> None:
    agent = box.show("bzzz-agent", "MainPID")
    with Stream(box) as stream:
        wait_for("the stream to flow", lambda: len(stream.given) > 3)
        stop(box, "bzzzd")
        box.start("bzzzd")
        box.wait_healthy()
        count = len(stream.given)
        wait_for("the stream to flow again", lambda: len(stream.given) > count + 3)
    assert box.show("bzzz-agent", "MainPID") == agent
    stream.check(box)
