import asyncio
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from bzzzd.errors import BadInput, Conflict, InvalidEnvelope, NotFound, P2PInitFailed, TooLarge, Unavailable
from bzzzd.mesh.values import MAX_MESSAGE_BYTES, MAX_RECORD_BYTES, MeshEvent
from tests.mesh.kit import ECHO, LIMIT_S, TOPIC, Node, Town, eventually
from tests.ports import free_port


async def followed(publisher: Node, follower: Node, topic: str = TOPIC) -> None:
    follower.follow(topic)

    async def known() -> bool:
        return follower.mesh.peer_id in await publisher.mesh.followers(topic)

    await eventually("the subscription to be known", known)


async def read(node: Node, key: str, record: bytes) -> None:
    """Until the node reads this record: a member's way into the DHT is opened a moment after it has joined."""

    async def found() -> bool:
        return await node.mesh.dht_get(key) == record

    await eventually("the record", found)


def test_importing_the_mesh_imports_neither_libp2p_nor_trio() -> None:
    code = "import sys, bzzzd.mesh.mesh; print([n for n in ('libp2p', 'trio', 'multiaddr') if n in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


async def test_a_lone_node_starts_listens_and_stops(town: Town) -> None:
    node = await town.node()
    assert node.mesh.addresses[0].startswith("/ip4/127.0.0.1/tcp/")
    assert node.mesh.addresses[0].endswith(f"/p2p/{node.mesh.peer_id}")
    assert (node.mesh.alive, node.mesh.failure, node.mesh.peers()) == (True, None, [])
    await node.mesh.publish(TOPIC, b"to nobody")
    await node.mesh.stop()
    assert not node.mesh.alive
    assert [event.detail for event in node.events if event.kind == "phase"] == [
        "importing", "starting", "listening", "stopped",
    ]  # fmt: skip
    with pytest.raises(Unavailable):
        await node.mesh.publish(TOPIC, b"too late")


async def test_two_nodes_exchange_messages_both_ways_and_do_not_hear_themselves(town: Town) -> None:
    first, second = await town.pair()
    await followed(first, second)
    await followed(second, first)
    await first.mesh.publish(TOPIC, b"from first")
    await second.mesh.publish(TOPIC, b"from second")
    await eventually("both messages", lambda: first.messages and second.messages)
    assert first.messages == [(second.mesh.peer_id, b"from second")]
    assert second.messages == [(first.mesh.peer_id, b"from first")]


async def test_a_burst_of_500_messages_arrives_whole_and_in_order(town: Town) -> None:
    first, second = await town.pair()
    await followed(first, second)
    sent = [b"%04d" % number for number in range(500)]
    for data in sent:
        await first.mesh.publish(TOPIC, data)
    await eventually("the burst", lambda: len(second.messages) >= 500)
    assert [data for _, data in second.messages] == sent
    assert (first.mesh.counters.published, first.mesh.counters.dropped) == (500, 0)


async def test_messages_published_at_once_all_arrive(town: Town) -> None:
    first, second = await town.pair()
    await followed(first, second)
    await asyncio.gather(*(first.mesh.publish(TOPIC, b"%04d" % number) for number in range(500)))
    await eventually("the burst", lambda: len(second.messages) >= 500)
    assert sorted(data for _, data in second.messages) == [b"%04d" % number for number in range(500)]


async def test_the_largest_message_arrives_and_a_larger_one_is_refused(town: Town) -> None:
    first, second = await town.pair()
    await followed(first, second)
    with pytest.raises(TooLarge) as refused:
        await first.mesh.publish(TOPIC, bytes(MAX_MESSAGE_BYTES + 1))
    assert refused.value.data == {"size": MAX_MESSAGE_BYTES + 1, "limit": MAX_MESSAGE_BYTES}
    await first.mesh.publish(TOPIC, b"x" * MAX_MESSAGE_BYTES)
    await eventually("the large message", lambda: second.messages)
    assert len(second.messages[0][1]) == MAX_MESSAGE_BYTES


async def test_many_large_messages_arrive_though_they_are_more_than_the_queues_hold(town: Town) -> None:
    first, second = await town.pair()
    await followed(first, second)
    await asyncio.gather(*(first.mesh.publish(TOPIC, bytes([number]) * 900_000) for number in range(40)))
    await eventually("all", lambda: len(second.messages) >= 40)
    assert sorted(data[0] for _, data in second.messages) == list(range(40))
    assert first.mesh.counters.dropped == 0


async def test_after_unsubscribing_nothing_comes(town: Town) -> None:
    first, second = await town.pair()
    got: list[bytes] = []

    def take(topic: str, peer_id: str, data: bytes) -> None:
        got.append(data)

    second.mesh.subscribe("a", take)
    await followed(first, second, "b")
    await eventually("topic a", lambda: first.mesh.followers("a"))
    second.mesh.unsubscribe("a", take)

    async def gone() -> bool:
        return not await first.mesh.followers("a")

    await eventually("nobody to follow a", gone)
    await first.mesh.publish("a", b"unheard")
    await first.mesh.publish("b", b"heard")
    await eventually("the heard one", lambda: second.messages)
    assert got == []


async def test_a_subscription_made_before_the_start_counts(town: Town) -> None:
    first = await town.node("first")
    second = Node(town.realm, "second", static_peers=first.mesh.addresses)
    town.nodes.append(second)
    second.follow()
    await second.mesh.start()
    await eventually("a follower", lambda: first.mesh.followers(TOPIC))


async def test_a_message_reaches_a_node_over_another_that_follows_the_topic(town: Town) -> None:
    middle = await town.node("middle")
    left = await town.node("left", static_peers=middle.mesh.addresses)
    right = await town.node("right", static_peers=middle.mesh.addresses)
    await followed(middle, right)
    await followed(left, middle)
    await left.mesh.publish(TOPIC, b"across")
    await eventually("the message", lambda: right.messages)
    assert right.messages == [(left.mesh.peer_id, b"across")]


async def test_records_put_on_one_node_are_read_on_the_other_and_the_better_one_wins(town: Town) -> None:
    first, second = await town.pair()
    await first.mesh.dht_put("/bzzz/a", first.record("/bzzz/a", 1))
    await read(second, "/bzzz/a", first.record("/bzzz/a", 1))
    await second.mesh.dht_put("/bzzz/a", second.record("/bzzz/a", 2))
    await read(first, "/bzzz/a", second.record("/bzzz/a", 2))
    assert await first.mesh.dht_get("/bzzz/unknown") is None


async def test_a_lone_node_keeps_its_records_and_gives_them_to_who_comes_later(town: Town) -> None:
    first = await town.node("first")
    await first.mesh.dht_put("/bzzz/a", first.record("/bzzz/a", 1))
    assert await first.mesh.dht_get("/bzzz/a") == first.record("/bzzz/a", 1)
    second = await town.node("second", static_peers=first.mesh.addresses)
    await read(second, "/bzzz/a", first.record("/bzzz/a", 1))


async def test_forged_records_are_refused_by_their_writer_and_by_their_reader(town: Town) -> None:
    first, second = await town.pair()
    forged = first.record("/bzzz/other", 1)
    with pytest.raises(InvalidEnvelope, match="another key"):
        await first.mesh.dht_put("/bzzz/a", forged)

    # A member whose own check is broken offers it all the same: the other keeps nothing and reads nothing.
    first.mesh._node._records._validator._validators["bzzz"] = _Lenient()  # type: ignore[union-attr,assignment]
    await first.mesh.dht_put("/bzzz/a", forged)
    assert second.mesh._node is not None
    assert second.mesh._node._records._store.get(b"/bzzz/a") is None
    assert await second.mesh.dht_get("/bzzz/a") is None
    assert await first.mesh.dht_get("/bzzz/a") == forged


class _Lenient:
    def validate(self, key: str, value: bytes) -> None: ...

    def select(self, key: str, values: list[bytes]) -> int:
        return 0


async def test_an_older_record_does_not_replace_a_newer_one(town: Town) -> None:
    first, _ = await town.pair()
    await first.mesh.dht_put("/bzzz/a", first.record("/bzzz/a", 2))
    with pytest.raises(Conflict, match="newer"):
        await first.mesh.dht_put("/bzzz/a", first.record("/bzzz/a", 1))


async def test_records_that_the_dht_would_lose_are_refused(town: Town) -> None:
    node = await town.node()
    with pytest.raises(TooLarge):
        await node.mesh.dht_put("/bzzz/a", bytes(MAX_RECORD_BYTES + 1))
    with pytest.raises(TooLarge):
        await node.mesh.dht_get("/bzzz/" + "k" * 128)
    for key in ("plain", "/unknown/a", "/bzzz", "bzzz/a"):
        with pytest.raises(BadInput, match="namespace"):
            await node.mesh.dht_put(key, b"")


async def test_requests_are_answered_and_know_their_asker(town: Town) -> None:
    first, second = await town.pair()

    async def echo(peer_id: str, data: bytes) -> bytes:
        return peer_id.encode() + b" " + data

    first.mesh.handle(ECHO, echo)
    await eventually("the handler", lambda: first.mesh._node and first.mesh._node._requests._offered)
    answer = await second.mesh.request(first.mesh.peer_id, ECHO, b"hello")
    assert answer == second.mesh.peer_id.encode() + b" hello"
    await eventually("the count", lambda: first.mesh.counters.requests_served == 1)


async def test_peers_tell_id_role_version_address_and_how_they_were_found(town: Town) -> None:
    first, second = await town.pair()

    def versions() -> bool:
        return all(node.mesh.peers()[0].agent_version for node in (first, second))

    await eventually("identify", versions)
    theirs, ours = first.mesh.peers()[0], second.mesh.peers()[0]
    assert (theirs.id, theirs.role, theirs.how, theirs.connected) == ("second", "worker", "inbound", True)
    assert (ours.id, ours.how) == ("first", "static")
    assert ours.agent_version == theirs.agent_version == "bzzz/0.0-test"
    assert first.mesh.addresses[0].startswith(ours.addresses[0])
    assert ours.since > 1e9
    await eventually("a round trip", lambda: (second.mesh.peers()[0].rtt_ms or 0) > 0)


async def test_a_static_peer_that_is_away_is_listed_as_not_connected(town: Town) -> None:
    absent = Node(town.realm, "absent").mesh.peer_id
    node = await town.node(static_peers=(f"/ip4/127.0.0.1/tcp/1/p2p/{absent}",))
    await eventually("the row", node.mesh.peers)
    row = node.mesh.peers()[0]
    assert (row.peer_id, row.connected, row.how) == (absent, False, "static")


async def test_a_static_peer_that_answers_as_somebody_else_is_not_joined(town: Town) -> None:
    first = await town.node("first")
    address, other = first.mesh.addresses[0].split("/p2p/")[0], Node(town.realm, "other").mesh.peer_id
    node = await town.node("here", static_peers=(f"{address}/p2p/{other}",))
    await eventually("the refusal", lambda: "refused" in node.kinds())
    refusal = next(event for event in node.events if event.kind == "refused")
    assert "does not answer as this peer" in refusal.detail
    assert (refusal.peer_id, node.mesh.peers()[0].connected, first.mesh.peers()) == (other, False, [])


async def test_handlers_given_before_the_start_serve_the_first_peer(town: Town) -> None:
    async def echo(peer_id: str, data: bytes) -> bytes:
        return data

    first = Node(town.realm, "first")
    town.nodes.append(first)
    first.mesh.handle(ECHO, echo)
    await first.mesh.start()
    second = await town.node("second", static_peers=first.mesh.addresses)
    await eventually("the peer", lambda: second.mesh.peers()[0].connected)
    assert await second.mesh.request(first.mesh.peer_id, ECHO, b"early") == b"early"


async def test_all_that_is_offered_while_the_node_is_busy_is_served(town: Town) -> None:
    """A node that starts offers one protocol after the other, and on a busy machine they reach it together."""
    first, second = await town.pair()
    protocols = [f"/bzzz/echo{number}/1" for number in range(12)]

    async def echo(peer_id: str, data: bytes) -> bytes:
        return data

    busy = threading.Event()
    assert first.mesh._bridge is not None
    first.mesh._bridge.tell(busy.wait, LIMIT_S)
    try:
        for protocol in protocols:
            first.mesh.handle(protocol, echo)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
    finally:
        busy.set()

    async def served(protocol: str) -> bool:
        try:
            return await second.mesh.request(first.mesh.peer_id, protocol, b"yes") == b"yes"
        except NotFound:
            return False

    for protocol in protocols:
        await eventually(f"{protocol} to be served", lambda protocol=protocol: served(protocol), 5.0)


async def test_a_node_that_is_held_lets_nobody_in_and_dials_nobody_before_it_is_opened(town: Town) -> None:
    """So nobody asks a node that starts for what it does not serve yet."""
    first = await town.node("first", held=True)
    second = await town.node("second", static_peers=first.mesh.addresses)
    third = await town.node("third", held=True, static_peers=second.mesh.addresses)
    await eventually("a dial", lambda: second.mesh.counters.dials)
    await eventually("a stranger at the door", lambda: first.mesh.load["connections"])
    assert first.kinds().count("joined") == second.kinds().count("joined") == 0
    assert third.mesh.counters.dials == 0

    async def echo(peer_id: str, data: bytes) -> bytes:
        return data

    first.mesh.handle("/bzzz/late/1", echo)
    await first.mesh.open()
    await eventually("the arrival", lambda: "joined" in second.kinds())
    assert await second.mesh.request(first.mesh.peer_id, "/bzzz/late/1", b"yes") == b"yes"
    await third.mesh.open()
    await eventually("another arrival", lambda: "joined" in third.kinds())


async def test_whoever_hears_of_a_member_finds_it_among_the_peers(town: Town) -> None:
    first = Node(town.realm, "first")
    town.nodes.append(first)
    seen: list[tuple[str, bool]] = []

    def happened(event: MeshEvent) -> None:
        connected = {peer.peer_id for peer in first.mesh.peers() if peer.connected}
        seen.append((event.kind, event.peer_id in connected))

    first.mesh._on_event = happened
    await first.mesh.start()
    second = await town.node("second", static_peers=first.mesh.addresses)
    await eventually("the arrival", lambda: any(kind == "joined" for kind, _ in seen))
    await second.mesh.stop()
    await eventually("the departure", lambda: any(kind == "left" for kind, _ in seen))
    assert {("joined", True), ("left", False)} == {one for one in seen if one[0] in ("joined", "left")}


async def test_a_node_that_dies_is_reported_and_everything_pending_fails(town: Town) -> None:
    first, second = await town.pair()

    async def never(peer_id: str, data: bytes) -> bytes:
        await asyncio.Event().wait()
        return b""

    first.mesh.handle(ECHO, never)
    await eventually("the handler", lambda: first.mesh._node and first.mesh._node._requests._offered)
    pending = asyncio.create_task(second.mesh.request(first.mesh.peer_id, ECHO, b"", timeout=60))
    await eventually("the request", lambda: first.mesh._bridge and first.mesh._bridge._asks)

    async def fall_over() -> None:
        node = second.mesh._node
        assert node is not None
        assert node._nursery is not None
        node._nursery.start_soon(_raise)

    assert second.mesh._bridge is not None
    with suppress(Unavailable):
        await second.mesh._bridge.call(fall_over)
    with pytest.raises(Unavailable, match="fell over"):
        await pending
    assert not second.mesh.alive
    assert second.mesh.failure == "RuntimeError: fell over"
    assert [event.detail for event in second.events if event.kind == "failed"] == [
        "the mesh has stopped: RuntimeError: fell over"
    ]
    with pytest.raises(Unavailable, match="fell over"):
        await second.mesh.publish(TOPIC, b"")
    await eventually("the other to notice", lambda: not first.mesh.peers())


async def _raise() -> None:
    raise RuntimeError("fell over")


async def test_a_port_that_is_taken_is_a_clear_refusal(town: Town) -> None:
    first = await town.node()
    address = first.mesh.addresses[0].split("/p2p/")[0]
    second = Node(town.realm, "second", listen=(address,))
    with pytest.raises(P2PInitFailed, match=f"cannot listen on {address}: Address already in use"):
        await second.mesh.start()
    assert not second.mesh.alive
    await second.mesh.stop()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"listen": ("/ip4/0.0.0.0/tcp/0",)}, "name the machine's own addresses"),
        ({"listen": ("/ip4/127.0.0.1/udp/0/quic-v1",)}, "expected /ip4"),
        ({"listen": ("127.0.0.1:8075",)}, "not a multiaddr"),
        ({"listen": ("/ip4/203.0.113.1/tcp/0",)}, "cannot listen on"),
        ({"static_peers": ("/ip4/127.0.0.1/tcp/1",)}, "static_peers"),
        ({"static_peers": ("nonsense",)}, "static_peers"),
    ],
)
async def test_wrong_addresses_are_named(town: Town, settings: dict[str, tuple[str, ...]], says: str) -> None:
    node = Node(town.realm, "n", **settings)
    with pytest.raises(P2PInitFailed, match=says):
        await node.mesh.start()
    await node.mesh.stop()


async def test_a_start_that_takes_too_long_is_given_up(town: Town) -> None:
    node = Node(town.realm, "n", start_timeout_s=0.0001)
    with pytest.raises(P2PInitFailed, match="did not start within"):
        await node.mesh.start()


async def test_requests_are_refused_before_they_are_sent_when_nobody_is_there(town: Town) -> None:
    node = await town.node()
    absent = Node(town.realm, "absent").mesh.peer_id
    with pytest.raises(Unavailable, match="not connected"):
        await node.mesh.request(absent, ECHO, b"")
    with pytest.raises(Unavailable, match="this node itself"):
        await node.mesh.request(node.mesh.peer_id, ECHO, b"")
    with pytest.raises(BadInput):
        await node.mesh.request("nobody", ECHO, b"")
    for protocol in ("echo", "/bzzz/join/1", "/ipfs/kad/1.0.0", "/meshsub/1.1.0"):
        with pytest.raises(BadInput):
            await node.mesh.request(absent, protocol, b"")


async def test_a_protocol_that_a_member_does_not_serve_is_not_found(town: Town) -> None:
    first, second = await town.pair()
    with pytest.raises(NotFound, match="does not speak"):
        await second.mesh.request(first.mesh.peer_id, ECHO, b"")


async def test_a_node_that_is_its_own_bootstrap_peer_goes_on_publishing(town: Town) -> None:
    """As in a StatefulSet, whose pods are all told of the first one: it is told of itself."""
    own = f"/ip4/127.0.0.1/tcp/{free_port()}"
    node = await town.node("first", listen=(own,), bootstrap_peers=(own,))
    await eventually("itself to be dialled", lambda: node.mesh.counters.dials)
    end = time.monotonic() + 1.5
    while time.monotonic() < end:  # also while the connection to itself ends, and after
        await node.mesh.publish(TOPIC, b"alone")
        await asyncio.sleep(0.05)
    other = await town.node("second", static_peers=node.mesh.addresses)
    await followed(node, other)
    await node.mesh.publish(TOPIC, b"together")
    await eventually("the message", lambda: b"together" in [data for _, data in other.messages])
    assert "failed" not in node.kinds()


async def test_what_a_task_works_on_counts_as_waiting_until_it_is_done(town: Town) -> None:
    node = await town.node()
    bridge = node.mesh._bridge
    assert bridge is not None

    async def work(why: str) -> None:
        assert bridge._full(), "peers wait from here on"
        raise NotFound(why)

    with pytest.raises(NotFound, match="has failed"):
        await node.mesh.holding(64 * 1024 * 1024, work, "the work has failed")
    assert not bridge._full()
