"""Threads across real nodes: everybody has every thread whole and once, whoever was away or came late."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from bzzzd.crypto.keys import SigningKey
from bzzzd.hmmm.message import new_thread_id
from tests.integration.conftest import RUN, Node, NodeMaker, wait_for
from tests.integration.sessions import Session, Watch
from tests.integration.test_agent_threads import ended, one_of
from tests.integration.test_threads import post, said

pytestmark = pytest.mark.integration
LIMIT_S = 60.0


def mesh_of(make: NodeMaker, authority: SigningKey, count: int) -> list[Node]:
    """Nodes of one mesh with a person each; not started."""
    nodes = [make(f"n{number}") for number in range(1, count + 1)]
    for number, node in enumerate(nodes, 1):
        node.write_hap(f"person-{number}")
        node.write_daemon(network={"static_peers": [other.address for other in nodes if other is not node]})
        node.join(authority)
    return nodes


def start(*nodes: Node) -> None:
    for node in nodes:
        node.start(ready=False)
    for node in nodes:
        node.wait_ready()
    for node in nodes:
        wait_for("the nodes to meet", lambda node=node: connected(node) >= len(nodes) - 1, LIMIT_S)


def connected(node: Node) -> int:
    with node.guest() as guest:
        return sum(row["connected"] for row in guest.call("peers", effects=False)["peers"])


def count(session: Session, thread: str) -> int:
    rows = session.call("hmmm.list")["threads"]
    return next((row["count"] for row in rows if row["id"] == thread), 0)


def test_three_nodes_talk_and_all_come_to_the_same_state(make_node: NodeMaker) -> None:
    nodes = mesh_of(make_node, SigningKey.generate(), 3)
    start(*nodes)
    with ExitStack() as stack:
        people = [stack.enter_context(node.person()) for node in nodes]
        ears = [Watch(stack.enter_context(node.person()), "hmmm") for node in nodes]
        thread = new_thread_id(time.time())
        plan = post(people[0], thread, "I would begin.", "proposal", window_s=300.0, subject="The work")
        for person in people:
            wait_for("the plan", lambda person=person: count(person, thread) == 1, LIMIT_S)
        no = post(people[2], thread, "Not yet.", "objection", reply_to=plan["id"])
        wait_for("the objection", lambda: count(people[1], thread) == 2, LIMIT_S)
        post(people[1], thread, "Why not?", reply_to=no["id"])
        wait_for("the question", lambda: count(people[0], thread) == 3, LIMIT_S)
        wait_for("the question", lambda: count(people[2], thread) == 3, LIMIT_S)
        views = [person.call("hmmm.show", thread=thread)["messages"] for person in people]
        assert views[0] == views[1] == views[2]
        assert [message["text"] for message in views[0]] == ["I would begin.", "Not yet.", "Why not?"]
        assert views[0][0]["standing"] == "objected"
        for ear in ears:
            wait_for("all on the stream", lambda ear=ear: len(ear.look()) >= 3, LIMIT_S)
            assert [item["message"]["text"] for item in ear.seen] == ["I would begin.", "Not yet.", "Why not?"]


def test_a_late_joiner_reads_the_whole_thread_when_its_authors_node_is_gone(make_node: NodeMaker) -> None:
    one, two, three = mesh_of(make_node, SigningKey.generate(), 3)
    start(one, two)
    threads = [new_thread_id(time.time() + number) for number in range(4)]
    with one.person() as alice, two.person() as bob:
        for thread in threads:
            first = post(alice, thread, f"The first word of {thread}")
            wait_for("the first word", lambda thread=thread: count(bob, thread) == 1, LIMIT_S)
            post(bob, thread, "The second.", "answer", reply_to=first["id"])
        for number in range(20):
            post(alice, threads[0], f"More {number}", "concern")
        wait_for("all of it", lambda: count(bob, threads[0]) == 22, LIMIT_S)
    assert one.daemon is not None
    one.daemon.kill()
    three.start()
    with three.person() as carol, two.person() as bob:
        for thread in threads:
            expected = said(bob, thread)
            wait_for("the thread", lambda t=thread, all=expected: count(carol, t) == len(all), LIMIT_S)
            assert said(carol, thread) == expected
            assert all(text for _, text in expected)
        assert carol.call("hmmm.list")["threads"] == bob.call("hmmm.list")["threads"]


def test_a_node_that_was_away_gets_what_it_missed_once(make_node: NodeMaker) -> None:
    one, two = mesh_of(make_node, SigningKey.generate(), 2)
    start(one, two)
    thread, other = new_thread_id(time.time()), new_thread_id(time.time() + 1)
    with one.person() as alice, two.person() as bob:
        post(alice, thread, "Are you there?")
        wait_for("the question", lambda: count(bob, thread) == 1, LIMIT_S)
    assert two.daemon is not None
    two.daemon.kill()
    with one.person() as alice:
        for number in range(10):
            post(alice, thread, f"Hello {number}", "concern")
        post(alice, other, "Something else.")
    two.start()
    with two.person() as bob, one.person() as alice, two.person() as ears:
        watch = Watch(ears, "hmmm")
        wait_for("what was missed", lambda: count(bob, thread) == 11 and count(bob, other) == 1, LIMIT_S)
        assert said(bob, thread) == said(alice, thread)
        post(bob, thread, "I am back.", "answer")
        wait_for("the answer", lambda: count(alice, thread) == 12, LIMIT_S)
        wait_for("the answer", lambda: any(i["message"]["text"] == "I am back." for i in watch.look()), LIMIT_S)
        ids = [item["message"]["id"] for item in watch.seen]
        assert len(ids) == len(set(ids))


def test_an_objection_from_another_node_reaches_the_agent_and_its_end_the_author(make_node: NodeMaker) -> None:
    one, two = mesh_of(make_node, SigningKey.generate(), 2)
    start(one, two)
    two.write_agent("far", agent={"id": "far", "role": "worker", "handlers": RUN, "plan_s": 3.0})
    two.start_agent("far")
    with one.person() as alice:
        task = alice.submit("from afar", capability="run", args={"argv": ["echo", "far"]})
        plan = one_of(alice, task, "proposal")
        no = post(alice, task, "Why there?", "objection", reply_to=plan["id"])
        one_of(alice, task, "escalation")
        post(alice, task, "I see.", "agreement", reply_to=no["id"])
        assert ended(alice, task)["task"]["state"] == "completed"
        summary = one_of(alice, task, "summary")
        kept = alice.call("context.get", address=f"ucxl://far:worker@default:{task}/*^/thread/summary")
        assert kept["version_id"] in summary["refs"]


def test_the_next_owner_of_a_task_heeds_what_was_said_to_the_one_that_died(make_node: NodeMaker) -> None:
    node = make_node(slurp={"lease_s": 3.0, "offer_s": 1.0})
    node.start()
    for id in ("first", "second"):
        node.write_agent(id, agent={"id": id, "role": "worker", "handlers": RUN, "plan_s": 8.0})
    first = node.start_agent("first")
    with node.person() as alice:
        task = alice.submit("pass it on", capability="run", args={"argv": ["echo", "done"]})
        plan = one_of(alice, task, "proposal")
        assert plan["by"]["id"] == "first"
        post(alice, task, "Mind the stairs.", "concern")
        first.kill()
        node.start_agent("second")
        again = one_of(alice, task, "proposal", 2)
        assert again["by"]["id"] == "second"
        assert ended(alice, task)["task"]["agent"] == "second"
        begun = one_of(alice, task, "answer")
        assert "1 remark" in begun["text"] or "2 remarks" in begun["text"]
        end = one_of(alice, task, "summary")
        assert "Mind the stairs." in end["text"]
        assert (end["by"]["id"], alice.call("hmmm.list")["threads"][0]["state"]) == ("second", "closed")
