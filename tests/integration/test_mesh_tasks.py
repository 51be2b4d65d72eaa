"""Tasks across real nodes: one keeps the ledger, the others forward to it; agents anywhere do the work."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import BzzzError
from bzzzd.slurp.commands import Cancel
from tests.integration.conftest import Node, NodeMaker, nodes_in, wait_for
from tests.integration.sessions import FINAL, Session, Watch, refusal

LEASE_S = 3.0


def mesh_of(make: NodeMaker, count: int, **slurp: Any) -> list[Node]:
    """Nodes ``n1`` to ``nN`` of one mesh, all connected; ``n1`` keeps the ledger."""
    authority = SigningKey.generate()
    nodes = [make(f"n{number}") for number in range(1, count + 1)]
    for number, node in enumerate(nodes, 1):
        if number > 1:
            node.write_hap(f"person-{number}")
        others = [other.address for other in nodes if other is not node]
        node.write_daemon(network={"static_peers": others}, slurp={"lease_s": LEASE_S, "offer_s": 1.0, **slurp})
        node.join(authority)
        node.make_admin(authority)
        node.start(ready=False)
    for node in nodes:
        node.wait_ready()
    for node in nodes:
        wait_for("the nodes to meet", lambda n=node: peers_of(n) == count - 1)
    return nodes


def peers_of(node: Node) -> int:
    with node.guest() as guest:
        return sum(row["connected"] for row in guest.call("peers", effects=False)["peers"])


def ended(person: Session, task: str) -> Callable[[], bool]:
    return lambda: person.state(task) in FINAL


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    """Three nodes; the only agent works on the third."""
    with nodes_in(tmp_path_factory.mktemp("trio")) as make:
        nodes = mesh_of(make, 3)
        nodes[2].write_agent("far-worker")
        nodes[2].start_agent("far-worker")
        yield nodes


def test_a_guest_of_any_node_asks_the_mesh(trio: list[Node]) -> None:
    one, two, _ = trio
    with two.guest() as guest, one.person() as alice:
        task = guest.call("task.ask", {"title": "Of a guest", "capability": "none-has-it"})["task"]["id"]
        shown = alice.show(task)["task"]
        assert (shown["state"], shown["title"]) == ("submitted", "Of a guest")
        assert f"(uid {os.geteuid()})" in shown["asked_by"]


def test_a_task_of_one_node_is_done_on_another_and_its_decision_shown_on_a_third(trio: list[Node]) -> None:
    one, two, three = trio
    with one.person() as alice, two.person() as bob, three.person() as carol:
        watch = Watch(bob, "tasks")
        task = alice.submit("say hello", capability="run", args={"argv": ["echo", "across the mesh"]})
        wait_for("the task to be done", ended(alice, task))
        shown = bob.show(task)
        assert shown["task"]["state"] == "completed"
        assert shown["task"]["agent"] == "far-worker"
        assert b"across the mesh" in shown["decision"]["content"]
        wait_for("its end on the stream", lambda: "completed" in kinds(watch, task))
        assert kinds(watch, task) == ["submitted", "claimed", "completed"]
        assert alice.steps(task) == bob.steps(task) == carol.steps(task)
        assert {task} <= set(bob.tasks()) & set(carol.tasks())


def kinds(watch: Watch, task: str) -> list[str]:
    items = watch.look(0.1)
    return [item["kind"] for item in items if item.get("task", {}).get("id") == task]


def test_a_task_may_be_asked_for_anywhere(trio: list[Node]) -> None:
    with ExitStack() as stack:
        people = [stack.enter_context(node.person()) for node in trio]
        tasks = [
            person.submit(f"number {number}", capability="run", args={"argv": ["echo", str(number)]})
            for number, person in enumerate(people)
        ]
        for task in tasks:
            for person in people:
                wait_for("the task to be done", ended(person, task))
                assert person.state(task) == "completed"
        assert trio[1].json("task", "show", tasks[0])["task"]["title"] == "number 0"


def test_every_node_names_the_coordinator(trio: list[Node]) -> None:
    for node in trio:
        found = node.json("status")
        assert found["coordinator"] == "n1"
        assert node.json("ledger", "status")["coordinator"] == "n1"
        assert found["tasks"] == trio[0].json("status")["tasks"]


def durable(node: Node) -> str:
    """The standby's id once the ledger is on two nodes."""
    found = node.json("ledger", "status")
    return str(found["standby"]) if found["durability"] == "replicated" else ""


def test_when_the_coordinator_is_gone_its_standby_takes_over_and_tasks_go_on(make_node: NodeMaker) -> None:
    nodes = mesh_of(make_node, 3)
    one, two, three = nodes
    standby = next(node for node in nodes if node.folder.name == wait_for("a standby", lambda: durable(one)))
    other = three if standby is two else two
    other.write_agent("worker")
    other.start_agent("worker")
    with other.person() as carol, standby.person() as bob:
        done = carol.submit("before", capability="run", args={"argv": ["true"]})
        wait_for("the first task", ended(carol, done))
        left = carol.submit("nobody does this", capability="nothing")
        assert one.daemon is not None
        one.daemon.kill()
        term = standby.json("ledger", "promote")["term"]
        wait_for("the new coordinator", lambda: other.json("status")["coordinator"] == standby.folder.name)
        wait_for("the old tasks", lambda: {done, left} <= set(carol.tasks()))
        after = carol.submit("after", capability="run", args={"argv": ["true"]})
        wait_for("the task after", ended(bob, after))
        shown = bob.show(after)["task"]
        assert (shown["state"], shown["agent"]) == ("completed", "worker")
        assert bob.show(done)["task"]["state"] == "completed"
        assert carol.show(left)["task"]["state"] == "submitted"
        # The former one comes back, sees who keeps the ledger now, and holds a copy or follows.
        one.start()
        wait_for("the former to follow", lambda: one.json("status")["coordinator"] == standby.folder.name)
        with one.person() as alice:
            wait_for("its view", lambda: after in alice.tasks())
            late = alice.submit("late", capability="run", args={"argv": ["true"]})
            wait_for("the late task", ended(alice, late))
        assert one.json("ledger", "status")["term"] == term
        assert not list((one.state / "ledger").glob("*.backup"))


def test_what_is_asked_for_while_the_coordinator_is_away_waits_and_arrives_once(make_node: NodeMaker) -> None:
    one, two = mesh_of(make_node, 2)
    one.write_agent("worker")
    assert one.daemon is not None
    one.daemon.kill()
    with two.person() as bob:
        waiting = [bob.submit(f"later {number}", capability="run", args={"argv": ["true"]}) for number in range(5)]
        dropped = bob.submit("never mind", capability="run", args={"argv": ["true"]})
        bob.call("task.cancel", **bob.command(Cancel, dropped))
        assert {bob.state(task) for task in waiting} == {"waiting"}
        assert two.json("status")["waiting"] == 7
    # What waits is on the disk: a killed node still brings it.
    assert two.daemon is not None
    two.daemon.kill()
    two.start()
    listed = {row["id"]: row["state"] for row in two.json("task", "list")["tasks"]}
    assert listed == dict.fromkeys([*waiting, dropped], "waiting")
    one.start()
    one.start_agent("worker")
    with one.person() as alice, two.person() as bob:
        for task in waiting:
            wait_for("a task to arrive and be done", lambda t=task: t in alice.tasks() and alice.state(t) in FINAL)
            assert alice.state(task) == "completed"
            assert bob.steps(task).count("submitted") == bob.steps(task).count("completed") == 1
        wait_for("the canceled one", lambda: bob.state(dropped) == "canceled")
        assert len(bob.tasks()) == 6
    wait_for("nothing to wait", lambda: two.json("status")["waiting"] == 0)


def test_a_coordinator_killed_under_a_stream_of_tasks_loses_none_and_does_none_twice(make_node: NodeMaker) -> None:
    one, two, three = mesh_of(make_node, 3)
    three.write_agent("worker", agent={"slots": 4})
    three.start_agent("worker")
    tasks: list[str] = []
    with two.person() as bob:
        for number in range(40):
            tasks.append(bob.submit(f"number {number}", capability="run", args={"argv": ["echo", str(number)]}))
            if number == 15:
                assert one.daemon is not None
                one.daemon.kill()
            if number == 25:
                one.start(ready=False)
        wait_for("everything to be done", lambda: len(done_of(bob, tasks)) == len(tasks), 90.0)
        for number, task in enumerate(tasks):
            steps = bob.steps(task)
            assert steps.count("submitted") == steps.count("completed") == 1, steps
            assert json.loads(bob.show(task)["decision"]["content"])["stdout"] == f"{number}\n"
        assert set(bob.tasks()) == set(tasks)


def done_of(person: Session, tasks: list[str]) -> list[str]:
    found = person.tasks()
    return [task for task in tasks if found.get(task, {}).get("state") == "completed"]


def test_when_the_agents_node_dies_its_task_goes_to_another_nodes_agent(make_node: NodeMaker) -> None:
    one, two, three = mesh_of(make_node, 3)
    with one.person() as alice, two.agent("second", capabilities=("x",)) as second:
        with three.agent("first", capabilities=("x",)) as first:
            Watch(first, "offers")
            task = alice.submit("outlive your owner", capability="x")
            wait_for("the claim", lambda: claim_of(first, task))
            assert alice.show(task)["task"]["agent"] == "first"
            assert three.daemon is not None
            three.daemon.kill()
        offers = Watch(second, "offers")
        wait_for("the offer to the other", lambda: any(item["task"] == task for item in offers.look(0.2)))
        claimed = wait_for("its claim", lambda: claim_of(second, task))
        done = second.complete(claimed, b"done by the second")
        assert done["task"]["state"] == "completed"
        assert alice.show(task)["decision"]["content"] == b"done by the second"


def test_an_agent_whose_node_was_cut_off_loses_its_lease_and_its_late_result_is_refused(make_node: NodeMaker) -> None:
    one, two, three = mesh_of(make_node, 3)
    with (
        one.person() as alice, two.agent("second", capabilities=("x",)) as second,
        three.agent("first", capabilities=("x",)) as first, three.person() as carol,
    ):  # fmt: skip
        Watch(first, "offers")
        task = alice.submit("outlive a partition", capability="x")
        stale = wait_for("the claim", lambda: claim_of(first, task))
        assert three.daemon is not None
        os.kill(three.daemon.pid, signal.SIGSTOP)
        try:
            offers = Watch(second, "offers")
            wait_for("the offer to the other", lambda: any(item["task"] == task for item in offers.look(0.2)))
            claimed = wait_for("its claim", lambda: claim_of(second, task))
            second.complete(claimed, b"done by the second")
        finally:
            os.kill(three.daemon.pid, signal.SIGCONT)
        wait_for("the cut off node to hear of it", lambda: heard(carol, task) == "completed")
        assert refusal(lambda: first.complete(stale, b"done by the first")).code in ("STALE_TOKEN", "FINAL_STATE")
        for person in (alice, carol):
            shown = person.show(task)
            assert (shown["task"]["agent"], shown["decision"]["content"]) == ("second", b"done by the second")
            assert person.steps(task) == ["submitted", "claimed", "lease_ended", "claimed", "completed"]


def claim_of(agent: Session, task: str) -> Any:
    """What the claim gave; nothing before the offer has come, or while its way to the coordinator is changing.

    Nodes that have dialled each other part with one of their two connections a few seconds later.
    """
    try:
        return agent.claim(task)
    except BzzzError:
        return None


def heard(person: Session, task: str) -> str:
    """How a task stands there; empty while its node cannot ask."""
    try:
        return person.state(task)
    except BzzzError:
        return ""


def test_what_a_former_coordinator_acknowledged_alone_is_put_aside_and_told(make_node: NodeMaker) -> None:
    one, two = mesh_of(make_node, 2)
    wait_for("a copy", lambda: durable(one))
    with one.person() as alice:
        shared = alice.submit("known to both", capability="nothing")
        assert two.daemon is not None
        two.daemon.kill()
        wait_for("the standby to be let go", lambda: one.json("ledger", "status")["durability"] == "single")
        alone = alice.submit("known to one", capability="nothing")
    assert one.daemon is not None
    one.daemon.kill()
    two.start()
    two.json("ledger", "promote")
    with two.person() as bob:
        assert set(bob.tasks()) == {shared}
        later = bob.submit("known to the new one", capability="nothing")
        one.start()
        wait_for("the former to follow", lambda: one.json("status")["coordinator"] == "n2")
        (file,) = wait_for("what is put aside", lambda: list((one.state / "ledger").glob("entries-*.backup")))
        found = [row for row in one.json("doctor")["findings"] if row["what"] == "ledger entries of this node alone"]
        assert [row["level"] for row in found] == ["warn"]
        assert str(file) in str(found[0])
        assert "bzzz ledger restore" in found[0]["fix"]
        wait_for("the copy on the former", lambda: durable(two) == "n1")
        with one.person() as alice:
            assert set(alice.tasks()) == set(bob.tasks()) == {shared, later}
            assert refusal(lambda: alice.show(alone)).code == "NOT_FOUND"
        wait_for("the same head", lambda: head(one) == head(two))


def head(node: Node) -> int:
    return int(node.json("ledger", "status")["head"])
