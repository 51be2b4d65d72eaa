"""Three machines in one mesh: a task that only the third can do, power cuts in a stream of tasks, a rolling upgrade."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.appliance.conftest import Box, wait_for

AGENT = """binary_type: agent
agent: {{role: worker, slots: 2, handlers: [{handlers}]}}
ai: {{provider: none}}
network: {{socket: /run/bzzz/bzzzd.sock}}
security: {{}}
"""
RUN = "{kind: command, capability: run}"
PRESS = "{kind: command, capability: press}"
STREAM = 30
JOURNAL_CHECK = """
import sqlite3
journal = sqlite3.connect("file:/var/lib/bzzz/journal.sqlite?mode=ro", uri=True)
found = journal.execute("PRAGMA quick_check").fetchall()
assert found == [("ok",)], found
"""


@pytest.fixture(scope="module")
def boxes(machines: Callable[[int], list[Box]], older: Path) -> list[Box]:
    """Installed in a lower version, so that the last test can upgrade them; joined by invitations."""
    found = machines(3)
    for box in found:
        box.install(older)
        handlers = f"{RUN}, {PRESS}" if box.name == "n3" else RUN
        box.run("tee", "/etc/bzzz/agent.yaml", input=AGENT.format(handlers=handlers).encode())
        box.run("systemctl", "restart", "bzzz-agent", limit_s=90)
        box.wait_healthy()
    first = found[0]
    first.add_user("alice", "bzzz")
    first.run("bzzz", "mesh", "admin", "add", "alice")
    for box in found[1:]:
        token = first.bzzz("mesh", "invite", "--yes", "--no-wait", user="alice")["token"]
        box.run("bzzz", "mesh", "join", token, "--yes", limit_s=120)
        box.wait_healthy()
    second = found[1]
    second.add_user("bob", "bzzz")
    token = first.bzzz("mesh", "invite", "--person", "bob", "--role", "operator", "--yes", "--no-wait", user="alice")[
        "token"
    ]
    second.run("bzzz", "mesh", "join", token, "--yes", user="bob", limit_s=120)
    together(found)
    return found


def together(boxes: list[Box]) -> None:
    for box in boxes:
        wait_for(
            f"{box.name} to see the others",
            lambda box=box: sum(peer["connected"] for peer in box.bzzz("peers")["peers"]) == len(boxes) - 1,
            120,
        )


def submit(box: Box, title: str, capability: str, *command: str) -> str:
    answer = box.run(
        "bzzz", "task", "submit", title, "--capability", capability, "--json", *(("--", *command) if command else ()),
        user="alice",
    )  # fmt: skip
    return str(json.loads(answer)["task"]["id"])


def states(box: Box, user: str = "alice") -> Counter[str]:
    return Counter(task["state"] for task in box.bzzz("task", "list", "--limit", "500", user=user)["tasks"])


def test_one_mesh_and_everybody_is_healthy(boxes: list[Box]) -> None:
    assert len({box.status()["mesh_id"] for box in boxes}) == 1
    assert {box.status()["coordinator"] for box in boxes} == {"n1"}
    for box in boxes:
        box.wait_healthy()


def test_a_task_given_on_the_first_is_done_on_the_third_and_read_on_the_second(boxes: list[Box]) -> None:
    first, second, _ = boxes
    task = submit(first, "press this", "press", "echo", "pressed")
    wait_for("the task", lambda: first.bzzz("task", "show", task, user="alice")["task"]["state"] == "completed", 90)
    shown = first.bzzz("task", "show", task, user="alice")["task"]
    assert shown["agent"] == "n3-agent"
    read = wait_for("bob to read it", lambda: second.run("bzzz", "context", "get", shown["address"], user="bob"), 60)
    assert "pressed" in read


def test_power_cuts_in_a_stream_of_tasks_lose_nothing_and_do_nothing_twice(boxes: list[Box]) -> None:
    first = boxes[0]
    given: list[str] = []
    for box in (boxes[1], boxes[2], boxes[0]):
        given += [submit(first, f"job {len(given) + number}", "run", "true") for number in range(STREAM // 3)]
        box.machine.cut_power()
        box.machine.boot()
        box.wait_healthy()
        together(boxes)
    wait_for("every task to end", lambda: not {"submitted", "working"} & set(states(first)), 180)
    tasks = {task["id"]: task for task in first.bzzz("task", "list", "--limit", "500", user="alice")["tasks"]}
    assert set(given) <= set(tasks)
    assert {tasks[id]["state"] for id in given} == {"completed"}
    for id in given:
        steps = [step["what"] for step in first.bzzz("task", "trace", id, user="alice")["steps"]]
        assert steps.count("completed") == 1
    for box in boxes:  # bzzzd holds its journal alone, so it stops for the look
        box.run("systemctl", "stop", "bzzzd", limit_s=90)
        box.run("/usr/lib/bzzz/bin/python3", "-c", JOURNAL_CHECK)
        box.start()
        box.wait_healthy()
    together(boxes)


def test_a_rolling_upgrade_with_two_versions_side_by_side(boxes: list[Box], deb: Path) -> None:
    first = boxes[0]
    given: list[str] = []
    for box in reversed(boxes):
        given += [submit(first, f"rolling {len(given) + number}", "run", "true") for number in range(4)]
        box.install(deb)
        box.wait_healthy()
        together(boxes)
        assert box.status()["build"] != "0.0.9"
    wait_for("every task to end", lambda: not {"submitted", "working"} & set(states(first)), 180)
    tasks = {task["id"]: task["state"] for task in first.bzzz("task", "list", "--limit", "500", user="alice")["tasks"]}
    assert {tasks[id] for id in given} == {"completed"}
