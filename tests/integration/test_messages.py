"""Messages of real nodes: every member gets every message once and in order, whatever happens to nodes and disks."""

from __future__ import annotations

import shutil
import time

from bzzzd.crypto.keys import SigningKey
from tests.integration.churn import churn, mesh_of, peers_of
from tests.integration.conftest import Node, NodeMaker, wait_for
from tests.integration.sessions import Watch


async def test_with_nodes_dying_and_returning_every_message_comes_once_and_in_order(make_node: NodeMaker) -> None:
    nodes = mesh_of(make_node, 4)
    found = await churn(nodes, seconds=12.0, rate=20.0, kill_every=4.0, away=1.0)
    assert found["faults"] == {}
    assert found["kills"] >= 2
    assert found["answered"] > 100


def payloads(watch: Watch) -> list[object]:
    return [item["payload"] for item in watch.seen]


def test_a_member_that_was_away_gets_what_it_missed_also_from_others_than_the_sender(make_node: NodeMaker) -> None:
    one, two, three = mesh_of(make_node, 3)
    with one.person() as alice, two.person() as bob, three.person() as carol:
        watches = [Watch(session, "topic:news") for session in (alice, bob, carol)]
        alice.publish("news", "before")
        for watch in watches:
            wait_for("the first message", lambda w=watch: payloads(w) == ["before"] if w.look() else None)
        cursor = watches[2].seen[-1]["number"]
    assert three.daemon is not None
    three.daemon.kill()
    with one.person() as alice, two.person() as bob:
        watch = Watch(bob, "topic:news")
        for number in range(600):
            alice.publish("news", number)
        wait_for("all of them on the second node", lambda: len(watch.look()) == 600)
    # The sender is gone for good, and what it said is not.
    assert one.daemon is not None
    one.daemon.kill()
    three.start()
    with three.person() as carol:
        stream = Watch(carol, "topic:news")
        assert len(stream.snapshot["items"]) <= 64

        def caught_up() -> bool:
            stream.look()
            (last,) = [item["number"] for item in Watch(carol, "topic:news").snapshot["items"]][-1:]
            return bool(last == cursor + 600)

        wait_for("all that was missed", caught_up)
        # A reader that goes on from where it was gets every one of them from the journal.
        resumed = carol.client.events("topic:news", cursor=(stream._cursor[0], cursor), until=time.monotonic() + 20)
        seen: list[object] = []
        for event in resumed:
            seen += [item["payload"] for item in getattr(event, "items", ())]
            if len(seen) >= 600:
                break
        assert seen == list(range(600))


def test_a_newcomer_gets_what_its_peers_still_keep(make_node: NodeMaker) -> None:
    authority = SigningKey.generate()
    one, two = make_node("n1"), make_node("n2")
    two.write_daemon(network={"static_peers": [one.address]})
    for node in (one, two):
        node.join(authority)
    one.start()
    with one.person() as alice:
        for number in range(300):
            alice.publish("old", number)
        two.start()
        wait_for("the two to meet", lambda: peers_of(one) == peers_of(two) == 1)
        with two.person() as bob:
            watch = Watch(bob, "topic:old")
            before = [item["payload"] for item in watch.snapshot["items"]]
            wait_for("what was said before", lambda: len(before) + len(watch.look()) >= 300)
            assert before + payloads(watch) == list(range(300))


def clones(node: Node) -> list[str]:
    return [row["node"] for row in node.json("status")["clones"]]


def test_a_disk_that_was_put_back_is_shown_until_that_is_settled_and_loses_nothing_new(make_node: NodeMaker) -> None:
    authority = SigningKey.generate()
    one, two = mesh_of(make_node, 2, authority)
    with two.person() as bob, one.person() as alice:
        watch, events = Watch(bob, "topic:news"), Watch(bob, "events")
        Watch(alice, "topic:news")
        for number in range(5):
            alice.publish("news", number)
        wait_for("the first messages", lambda: len(watch.look()) == 5)
        assert one.daemon is not None
        one.daemon.kill()
        saved = one.folder / "saved"
        saved.mkdir()
        for path in one.state.glob("journal.sqlite*"):
            shutil.copy(path, saved)
        one.start()
        with one.person() as again:
            for number in range(5, 10):
                again.publish("news", number)
            wait_for("the next messages", lambda: len(watch.look()) == 10)
        one.daemon.kill()
        for path in one.state.glob("journal.sqlite*"):
            path.unlink()
        for path in saved.iterdir():
            shutil.copy(path, one.state)
        one.start()
        with one.person() as again:
            for number in range(10, 15):
                again.publish("news", number)
            wait_for("what is new", lambda: len(watch.look()) == 15)
            assert payloads(watch) == list(range(15))
            # It has got back what the older disk had lost.
            wait_for(
                "its own lost messages",
                lambda: {item["payload"] for item in Watch(again, "topic:news").snapshot["items"]} == set(range(15)),
            )
        wait_for("the event", lambda: [event for event in events.look() if event["kind"] == "clone"])
        assert clones(two) == ["n1"]
        findings = bob.call("doctor")["findings"]
        (bad,) = [row for row in findings if row["level"] == "bad"]
        assert bad["what"] == "node n1"
        assert "put back to an older state; last seen 20" in bad["why"]
        assert bad["fix"].endswith("bzzz mesh settle n1")
    assert "key of n1, or its disk was put back" in two.bzzz("status").stdout.decode()
    assert two.daemon is not None
    assert two.daemon.stop() == 0
    two.make_admin(authority)
    two.start()
    assert clones(two) == ["n1"]
    unknown = two.bzzz("mesh", "settle", "n2")
    assert (unknown.returncode, b"no node 'n2' was seen running twice here" in unknown.stderr) == (4, True)
    assert two.json("mesh", "settle", "n1")["node"] == "n1"
    assert clones(two) == []
    assert b"node n1" not in two.bzzz("doctor").stdout
    assert two.daemon.stop() == 0
    two.start()
    assert clones(two) == []


def test_a_node_that_runs_twice_is_shown(make_node: NodeMaker) -> None:
    one, two = mesh_of(make_node, 2)
    with one.person() as alice, two.person() as bob:
        watch = Watch(bob, "topic:news")
        alice.publish("news", "one")
        wait_for("the first message", lambda: len(watch.look()) == 1)
    assert one.daemon is not None
    one.daemon.kill()
    twin = make_node("n3", network={"static_peers": [two.address]})
    shutil.rmtree(twin.state, ignore_errors=True)
    shutil.copytree(one.state, twin.state, ignore=shutil.ignore_patterns("*.lock"))
    one.start()
    twin.start()
    with one.person() as alice, twin.agent("talker") as double, two.person() as bob:
        events = Watch(bob, "events")

        def shown() -> bool:
            for session in (alice, double):
                session.publish("news", session.id)
            return any(event["kind"] == "clone" for event in events.look(0.5))

        wait_for("the clone to be shown", shown, 60.0)
        assert set(clones(two)) == {"n1"}
