"""Two nodes with grants of one authority and static peers: what they share; and a stranger, who gets nothing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bzzzd.crypto.keys import SigningKey
from bzzzd.rpc.client import AsyncClient
from bzzzd.storage.versions.records import HeadRecord, head_key, open_head, seal_head
from bzzzd.ucxl.version import version_id
from tests.integration.conftest import Node, NodeMaker, nodes_in, wait_for
from tests.integration.sessions import Session, Watch, refusal

BURST = 40


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Node]]:
    """Two nodes of one mesh that have found each other; alice works on the first, bob on the second."""
    with nodes_in(tmp_path_factory.mktemp("pair")) as make:
        yield _pair(make)


@pytest.fixture
def alice(pair: tuple[Node, Node]) -> Iterator[Session]:
    with pair[0].person() as session:
        yield session


@pytest.fixture
def bob(pair: tuple[Node, Node]) -> Iterator[Session]:
    with pair[1].person() as session:
        yield session


def _pair(make: NodeMaker) -> tuple[Node, Node]:
    authority = SigningKey.generate()
    one, two = make("n1"), make("n2")
    two.write_hap("bob")
    for node, other in ((one, two), (two, one)):
        node.write_daemon(network={"static_peers": [other.address]})
        node.join(authority)
        node.start(ready=False)
    for node in (one, two):
        node.wait_ready()
    meet(one, two)
    return one, two


def connected(node: Node, other: Node) -> bool:
    with node.guest() as guest:
        rows = guest.call("peers", effects=False)["peers"]
    return any(row["peer_id"] == other.peer_id and row["connected"] for row in rows)


def meet(one: Node, two: Node) -> None:
    wait_for("the two nodes to meet", lambda: connected(one, two) and connected(two, one))


def heard(speaker: Session, topic: str, watch: Watch) -> list[Any]:
    """Speak until it is heard: from then on the one follows the topic and the other knows it. Gives what came."""
    said: list[str] = []

    def arrived() -> bool:
        said.append(f"{speaker.id} {len(said)}")
        speaker.publish(topic, said[-1])
        return any(item["payload"] in said for item in watch.look(0.2))

    wait_for(f"a message of {speaker.id} on {topic}", arrived)
    return watch.seen


def settled(speaker: Session, topic: str, watch: Watch) -> None:
    """Have everything that is on its way arrive, and forget it."""
    speaker.publish(topic, "the last one")
    wait_for("the last message", lambda: any(item["payload"] == "the last one" for item in watch.look()))
    watch.seen.clear()


def test_members_know_each_other(pair: tuple[Node, Node]) -> None:
    for node, other in (pair, pair[::-1]):
        row = next(row for row in node.json("peers")["peers"] if row["peer_id"] == other.peer_id)
        assert (row["id"], row["role"], row["connected"], row["how"]) == (other.folder.name, "node", True, "static")
        assert row["addresses"] == [other.address.partition("/p2p/")[0]]
        assert any(member["id"] == other.folder.name for member in node.json("mesh", "members")["members"])
    assert len({node.json("status")["mesh_id"] for node in pair}) == 1
    assert all(node.json("mesh", "init")["founder"] is False for node in pair)


def whole_burst(speaker: Session, watch: Watch) -> list[Any]:
    """What has come of the speaker; nothing before all of it has: a watch shows its own node's messages as well."""
    found = [item for item in watch.look() if item["author"] == speaker.id]
    return found if len(found) >= BURST else []


def test_messages_go_both_ways_signed_by_their_authors_in_order_and_once(alice: Session, bob: Session) -> None:
    here, there = Watch(alice, "topic:talk"), Watch(bob, "topic:talk")
    heard(alice, "talk", there)
    heard(bob, "talk", here)
    settled(alice, "talk", there)
    settled(bob, "talk", here)

    for speaker, watch in ((alice, there), (bob, here)):
        for number in range(BURST):
            speaker.publish("talk", {"number": number, "of": speaker.id})
        items = wait_for("the burst", lambda s=speaker, w=watch: whole_burst(s, w))
        assert [item["payload"] for item in items] == [{"number": n, "of": speaker.id} for n in range(BURST)]
        assert {item["author_key"] for item in items} == {speaker.key.public}
        assert {item["node"] for item in items} == {"n1" if speaker is alice else "n2"}
        watch.seen.clear()


def test_nobody_speaks_in_anothers_name(alice: Session, bob: Session) -> None:
    message = alice.message("talk", "I am alice")
    assert refusal(lambda: bob.call("publish", **message)).code == "NOT_ALLOWED"
    damaged = {**message, "envelope": message["envelope"][:-1] + bytes([message["envelope"][-1] ^ 1])}
    assert refusal(lambda: alice.call("publish", **damaged)).code == "INVALID_ENVELOPE"
    assert refusal(lambda: alice.call("publish", **{**message, "topic": "elsewhere"})).code == "INVALID_ENVELOPE"


def test_a_persons_message_reaches_an_agent_on_the_other_node(pair: tuple[Node, Node], alice: Session) -> None:
    """The specification's test of both programs: from a portal's session through two nodes to an agent's."""
    with pair[1].agent("listener") as listener:
        watch = Watch(listener, "topic:orders")
        heard(alice, "orders", watch)
        item = watch.seen[-1]
        assert (item["author"], item["author_key"], item["node"]) == ("alice", alice.key.public, "n1")
        # And back: the agent answers, and the person's side sees whose answer it is.
        answers = Watch(alice, "topic:orders")
        heard(listener, "orders", answers)
        assert {item["author"] for item in answers.seen} >= {"listener"}


def test_agents_of_one_node_are_listed_on_the_other(pair: tuple[Node, Node]) -> None:
    one, two = pair
    with one.agent("far", capabilities=("dig",), slots=3):
        row = wait_for("the announcement", lambda: listed(two, "far"))
        assert (row["node"], row["role"], row["capabilities"], row["slots"]) == ("n1", "worker", ["dig"], 3)
        assert (row["attached"], row["local"], row["binary_type"]) == (False, False, "agent")


def listed(node: Node, id: str) -> Any:
    with node.guest() as guest:
        rows = guest.call("agent.list", effects=False)["agents"]
    return next((row for row in rows if row["id"] == id), None)


def test_records_put_by_one_are_found_by_the_other(alice: Session, bob: Session) -> None:
    address = "ucxl://alice:admin@garden:map/*^/north"
    version = alice.put(address, b"a tree")
    assert alice.call("context.announce", address=address) == {"address": address, "versions": 1}
    key = head_key(address, alice.key.public)
    found = open_head(bob.call("dht.get", key=key)["value"], bob.mesh_id)
    assert (found.record.address, found.writer) == (address, alice.key.public)
    assert [version_id(head) for head in found.record.heads] == [version]
    # A newer record takes the older one's place everywhere.
    alice.put(address, b"two trees")
    alice.call("context.announce", address=address)
    newer = open_head(bob.call("dht.get", key=key)["value"], bob.mesh_id)
    assert newer.record.sequence > found.record.sequence
    assert [version_id(head) for head in newer.record.heads] != [version]


def test_records_that_are_not_genuine_are_refused(pair: tuple[Node, Node], alice: Session) -> None:
    address = "ucxl://alice:admin@garden:map/*^/south"
    alice.put(address, b"a stone")
    alice.call("context.announce", address=address)
    key = head_key(address, alice.key.public)
    good = alice.call("dht.get", key=key)["value"]
    record: HeadRecord = open_head(good, alice.mesh_id).record
    with pair[1].agent("forger") as forger:
        forged = seal_head(SigningKey.generate(), forger.mesh_id, record)
        assert refusal(lambda: forger.call("dht.put", key=key, value=forged)).exit_status in (2, 3)
        elsewhere = head_key("ucxl://alice:admin@garden:map/*^/west", alice.key.public)
        assert refusal(lambda: forger.call("dht.put", key=elsewhere, value=good)).exit_status == 2
        assert refusal(lambda: forger.call("dht.put", key="/pk/x", value=good)).exit_status == 2
        assert refusal(lambda: forger.call("dht.get", key=elsewhere)).code == "NOT_FOUND"
        forger.call("dht.put", key=key, value=good)


def test_decisions_made_on_one_node_are_events_on_the_other(
    pair: tuple[Node, Node], alice: Session, bob: Session
) -> None:
    here, there = Watch(alice, "events"), Watch(bob, "events")
    with pair[0].agent("scribe", capabilities=("write",)) as scribe:
        tasks = [alice.submit(f"Task {number}", capability="write") for number in range(5)]
        for task in tasks:
            ended = scribe.complete(scribe.claim(task), b"done")["task"]

    def decisions(watch: Watch) -> list[Any]:
        return [item for item in watch.look() if item["kind"] == "decision"]

    for watch in (here, there):
        wait_for("the decisions", lambda w=watch: len(decisions(w)) >= 5)
        found = decisions(watch)
        assert [event["task"] for event in found] == tasks
        assert {(event["node"], event["agent"]) for event in found} == {("n1", "scribe")}
        assert (found[-1]["address"], found[-1]["version_id"]) == (ended["address"], ended["result"])


async def test_a_client_of_one_node_is_asked_by_a_client_of_the_other(pair: tuple[Node, Node], alice: Session) -> None:
    one, two = pair
    server = AsyncClient(str(two.socket), "test", sign=two.agent("keeper").sign)
    asked: list[Any] = []

    def answer(params: Any) -> Any:
        asked.append(params)
        return {"data": params["data"].upper()}

    server.offer("peer.request", answer)

    def ask(service: str, data: bytes) -> Callable[[], Any]:
        return lambda: alice.call("peer.request", peer_id=two.peer_id, service=service, data=data)

    async with server:
        await server.call("peer.serve", {"service": "shout"})
        assert (await asyncio.to_thread(ask("shout", b"hello")))["data"] == b"HELLO"
        assert asked == [{"peer_id": one.peer_id, "service": "shout", "data": b"hello"}]
        big = bytes(range(256)) * 4000
        assert (await asyncio.to_thread(ask("shout", big)))["data"] == big.upper()
        assert (await asyncio.to_thread(refusal, ask("whisper", b""))).code == "NOT_FOUND"
    gone = await asyncio.to_thread(refusal, ask("shout", b"hello"))
    assert gone.code in ("NOT_FOUND", "UNAVAILABLE")
    absent = await asyncio.to_thread(
        refusal, lambda: alice.call("peer.request", peer_id=one.peer_id, service="shout", data=b"")
    )
    assert absent.exit_status in (1, 4)


def test_a_stranger_gets_nothing(pair: tuple[Node, Node], make_node: NodeMaker, alice: Session, bob: Session) -> None:
    """A node that founded a mesh of its own dials in: no member anywhere, no message, no record, no agent."""
    one, two = pair
    events = Watch(alice, "events")
    address = "ucxl://alice:admin@garden:map/*^/secret"
    alice.put(address, b"a well")
    alice.call("context.announce", address=address)
    stranger = make_node("n3", network={"static_peers": [one.address, two.address]})
    stranger.start()
    with stranger.person() as eve, one.agent("shy"):
        heard_there, heard_here = Watch(bob, "topic:private"), Watch(eve, "topic:private")
        heard(alice, "private", heard_there)

        # Its own attempts are answered with a refusal that both sides can see.
        refused = wait_for(
            "the refusal",
            lambda: [e for e in events.look() if e["kind"] == "refused" and e["peer_id"] == stranger.peer_id],
        )
        assert refused[0]["source"] == "mesh"
        assert refused[0]["detail"]
        missing = {f"peer {node.peer_id}" for node in pair}
        wait_for("both to be told as missing", lambda: missing <= warned(stranger))
        for node in pair:
            assert all(row["peer_id"] != stranger.peer_id for row in node.json("peers")["peers"])
            assert all(member["id"] != "n3" for member in node.json("mesh", "members")["members"])
        assert [row["connected"] for row in stranger.json("peers")["peers"]] == [False, False]
        assert {member["id"] for member in stranger.json("mesh", "members")["members"]} == {"n3", "alice"}

        eve.publish("private", "let me in")
        alice.publish("private", "a last word")
        wait_for("the last word", lambda: any(item["payload"] == "a last word" for item in heard_there.look()))
        assert {item["author"] for item in heard_there.seen} == {"alice"}
        assert {item["payload"] for item in heard_here.look(0.3)} == {"let me in"}
        key = head_key(address, alice.key.public)
        assert bob.call("dht.get", key=key)["value"]
        assert refusal(lambda: eve.call("dht.get", key=key)).code == "NOT_FOUND"
        assert refusal(lambda: eve.call("peer.request", peer_id=one.peer_id, service="any", data=b"")).code in (
            "UNAVAILABLE",
            "NOT_FOUND",
        )
        assert listed(two, "shy")
        assert listed(stranger, "shy") is None
    assert connected(one, two)


def warned(node: Node) -> set[str]:
    return {row["what"] for row in node.json("doctor")["findings"] if row["level"] == "warn"}


def test_a_node_that_was_killed_is_found_again_and_messages_flow(pair: tuple[Node, Node], alice: Session) -> None:
    one, two = pair
    two.write_agent("steady")
    steady = two.start_agent("steady")
    assert two.daemon is not None
    two.daemon.kill()
    wait_for("the loss to be noticed", lambda: not connected(one, two))
    assert one.http("/readyz")[0] == 200
    two.start()
    meet(one, two)
    with two.person() as bob:
        here, there = Watch(alice, "topic:again"), Watch(bob, "topic:again")
        heard(alice, "again", there)
        heard(bob, "again", here)
    # It has gone on with its numbers: none is taken for another message's, and none was refused.
    page = one.http("/metrics")[1]
    assert "bzzz_clones_seen 0.0" in page
    assert "bzzz_messages_refused 0.0" in page
    # Its agent came back by itself, and is announced again.
    wait_for("the agent to attach", lambda: two.attached("steady"))
    assert steady.running
    wait_for("the announcement", lambda: listed(one, "steady"))


def test_a_node_whose_grant_has_ended_starts_and_is_no_member(make_node: NodeMaker, tmp_path: Path) -> None:
    authority = SigningKey.generate()
    one, two = make_node("n1"), make_node("n2")
    one.join(authority)
    two.join(authority, valid_s=-1.0)
    two.write_daemon(network={"static_peers": [one.address]})
    one.start()
    two.start()
    # Nobody here holds the authority's key, so nobody can renew it.
    wait_for("the refusal", lambda: re.search(r"^bzzz_mesh_refused\w* [1-9]", one.http("/metrics")[1], re.MULTILINE))
    assert not connected(one, two)
    assert "this node's grant has ended" in two.http("/health")[1]


def test_an_agents_id_is_one_agents_in_the_whole_mesh(pair: tuple[Node, Node], bob: Session) -> None:
    one, two = pair
    with one.agent("only"):
        wait_for("the other node to know the agent", lambda: "only" in ids(bob))
        refused = refusal(two.agent("only").__enter__)
        assert refused.code == "GRANT_REFUSED"
        assert "another agent of this mesh, granted by n1" in refused.message


def test_one_id_that_two_nodes_granted_apart_is_shown_on_both(make_node: NodeMaker) -> None:
    one, two = _pair(make_node)
    assert one.daemon is not None
    assert two.daemon is not None
    two.daemon.stop()
    with one.agent("both"):
        pass
    one.daemon.stop()
    two.start()
    with two.agent("both"):
        one.start()
        meet(one, two)
        for node in (one, two):
            with node.person() as person:
                wait_for("the doctor to tell", lambda person=person: "agent both" in doubts(person))
                watch = Watch(person, "events")
                told = wait_for("the event", lambda watch=watch: [e for e in watch.look() if is_twice(e)])
                assert "nodes n1 and n2 each have an agent both" in told[0]["detail"]
        with one.agent("both"):
            pass  # neither is put out


def doubts(person: Session) -> set[str]:
    return {row["what"] for row in person.call("doctor")["findings"] if row["level"] == "warn"}


def is_twice(event: dict[str, Any]) -> bool:
    return event["kind"] == "agent_twice" and event["source"] == "members"


def ids(session: Session) -> set[str]:
    return {row["id"] for row in session.call("mesh.members")["members"]}
