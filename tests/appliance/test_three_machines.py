"""Three machines in one mesh: a task that only the third can do, power cuts in a stream of tasks, a rolling upgrade."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.appliance.conftest import Box, wait_for
from tests.appliance.load import Stream

AGENT = """binary_type: agent
agent: {{role: worker, slots: 2, handlers: [{handlers}]}}
ai: {{provider: none}}
network: {{socket: /run/bzzz/bzzzd.sock}}
security: {{}}
"""
RUN = "{kind: command, capability: run}"
# A program of the machine's own behind a capability: what everybody in the group may ask for.
PRESS = "{kind: external, capability: press, argv: [/usr/bin/tr, a-z, A-Z]}"


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
    together(found)
    second = found[1]
    second.add_user("bob", "bzzz")
    asked = ("mesh", "invite", "--person", "bob", "--role", "operator", "--yes", "--no-wait")
    token = first.bzzz(*asked, user="alice")["token"]
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


def offering(box: Box, capability: str) -> list[str]:
    """The agents that offer it, as far as a machine has heard."""
    return [row["id"] for row in box.bzzz("agent", "list")["agents"] if capability in row["capabilities"]]


def test_one_mesh_and_everybody_is_healthy(boxes: list[Box]) -> None:
    assert len({box.status()["mesh_id"] for box in boxes}) == 1
    for box in boxes:
        wait_for(f"{box.name} to know the coordinator", lambda box=box: box.status()["coordinator"] == "n1")
        box.wait_healthy()


def test_a_task_of_one_in_the_group_on_the_first_is_done_on_the_third_and_read_on_the_second(boxes: list[Box]) -> None:
    first, second, _ = boxes
    wait_for("the offers of all agents", lambda: len(offering(first, "run")) == 3)
    assert offering(first, "press") == ["n3-agent"]
    first.add_user("carol", "bzzz")  # in the group, and nothing else: no administrator, no grant
    task = first.submit("press this", "press", body="pressed", user="carol")
    done = wait_for("the task", lambda: second.ended(task, user="bob"), 90)
    assert (done["state"], done["agent"]) == ("completed", "n3-agent")
    assert "carol (uid " in second.run("bzzz", "task", "show", task, user="bob")
    read = wait_for("bob to read it", lambda: second.run("bzzz", "context", "get", done["address"], user="bob"))
    assert "PRESSED" in read


def test_a_refusal_on_a_machine_that_joined_names_what_mends_it_there(boxes: list[Box]) -> None:
    """The authority's key is on the first: here nobody is added by ``mesh admin add``, but by an invitation."""
    second = boxes[1]
    second.add_user("dan", "bzzz")
    status, said = second.refused("bzzz", "task", "list", user="dan")
    assert status == 3, said
    assert "bzzz mesh invite --person dan; and dan here: bzzz mesh join INVITATION" in said


def test_power_cuts_in_a_stream_of_tasks_lose_nothing_and_do_nothing_twice(boxes: list[Box], tmp_path: Path) -> None:
    first, second, third = boxes
    with Stream(first, second, users=("alice", "bob")) as stream:
        for box in (second, third, first):  # the coordinator last: its tasks wait on the second meanwhile
            flowing(stream)
            box.machine.cut_power()
            whole(box, tmp_path / box.name)
            flowing(stream)
            box.machine.boot()
            box.wait_healthy()
            together(boxes)
        flowing(stream)
    for box, user in ((first, "alice"), (second, "bob")):
        stream.check(box, user)
    for box in boxes:
        box.run("systemctl", "stop", "bzzzd", limit_s=90)
        whole(box, tmp_path / f"{box.name}-after")
        box.start()
        box.wait_healthy()
    together(boxes)


def flowing(stream: Stream) -> None:
    """Tasks are taken now."""
    before = len(stream.given)
    wait_for("the stream of tasks to flow", lambda: len(stream.given) > before + 2)


def whole(box: Box, copy: Path) -> None:
    """The journal on the disk of a machine whose bzzzd does not run is a sound database."""
    copy.mkdir()
    for part in (box.machine.root / "var/lib/bzzz").glob("journal.sqlite*"):
        shutil.copy2(part, copy / part.name)
    journal = sqlite3.connect(copy / "journal.sqlite")
    try:
        assert journal.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert journal.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] > 0
    finally:
        journal.close()


def test_a_rolling_upgrade_with_two_versions_side_by_side(boxes: list[Box], deb: Path) -> None:
    first, second, _ = boxes
    with Stream(first, second, users=("alice", "bob")) as stream:
        for box in reversed(boxes):
            flowing(stream)
            box.install(deb)
            box.wait_healthy()
            together(boxes)
            assert box.status()["build"] != "0.0.9"
            flowing(stream)
            if box is not first:
                assert len({other.status()["build"] for other in boxes}) == 2
    stream.check(first, "alice")
