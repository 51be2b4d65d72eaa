"""Tasks across real nodes: one keeps the ledger, the others forward to it; agents anywhere do the work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from bzzzd.crypto.keys import SigningKey
from tests.integration.conftest import Node, NodeMaker, nodes_in, wait_for
from tests.integration.sessions import FINAL, Session, Watch

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
        assert found["tasks"].get("submitted", 0) == 0
