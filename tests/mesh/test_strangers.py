"""A peer without a grant of this mesh gets nothing: before, during and after its try."""

import asyncio
import itertools
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import InvitationRefused
from bzzzd.mesh.peer_id import peer_id_of
from bzzzd.mesh.values import JoinTry
from tests.mesh.kit import ECHO, TOPIC, Child, Node, Realm, Town, eventually

Start = Callable[[str, dict[str, Any]], Child]
STRANGER = SigningKey.from_seed(b"s" * 32)
PROTOCOLS = [
    ECHO, "/meshsub/1.1.0", "/meshsub/1.0.0", "/ipfs/kad/1.0.0", "/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0",
    "/ipfs/ping/1.0.0",
]  # fmt: skip


def chains(town: Town) -> dict[str, list[bytes] | None]:
    """What strangers may show. Each is a chain that must not be accepted for the key ``STRANGER``."""
    realm, other, friend = town.realm, Realm(b"z" * 32), SigningKey.generate()
    good = realm.grant(STRANGER)
    return {
        "silent": None,
        "no grant": [],
        "garbage": [b"\xff" * 200],
        "forged": [good[:-1] + bytes([good[-1] ^ 1])],
        "self-made": [Realm(STRANGER.seed).grant(STRANGER)],
        "of another mesh": [other.grant(STRANGER)],
        "of another key": [realm.grant(friend)],
        "expired": [realm.grant(STRANGER, valid_s=-1000.0)],
        "of an agent": [realm.grant(STRANGER, kind="agent")],
    }


async def busy_pair(town: Town) -> tuple[Node, Node]:
    """Two members with a handler, a record and a followed topic: all that a stranger could want."""
    first, second = await town.pair()

    async def echo(peer_id: str, data: bytes) -> bytes:
        return data

    first.mesh.handle(ECHO, echo)
    first.follow()
    second.follow()
    await eventually("the followers", lambda: first.mesh.followers(TOPIC))
    await eventually("the followers", lambda: second.mesh.followers(TOPIC))
    for key in ("/bzzz/a", "/bzzz/other"):
        await first.mesh.dht_put(key, first.record(key, 1))
    assert await second.mesh.request(first.mesh.peer_id, ECHO, b"hello") == b"hello"
    return first, second


@pytest.mark.parametrize(
    "what",
    [
        "silent",
        "no grant",
        "garbage",
        "forged",
        "self-made",
        "of another mesh",
        "of another key",
        "expired",
        "of an agent",
        "guessing at an invitation",
        "silent with an invitation",
    ],
)
async def test_a_stranger_gets_nothing(town: Town, child: Start, what: str) -> None:
    first, second = await busy_pair(town)
    chain = chains(town).get(what)
    asked: list[bytes] = []

    async def decide(tried: JoinTry) -> bytes:
        asked.append(tried.ask)
        raise InvitationRefused("wrong", reason="proof")

    first.mesh.welcome(decide)
    stranger = child(
        "stranger.py",
        {
            "address": first.mesh.addresses[0].split("/p2p/")[0],
            "peer_id": first.mesh.peer_id,
            "seed": STRANGER.seed.hex(),
            "chain": None if chain is None else [raw.hex() for raw in chain],
            "invitation": (b"i" * 8).hex() if "invitation" in what else "",
            "silent": what.startswith("silent"),
            "topic": TOPIC,
            "key": "/bzzz/a",
            "protocols": PROTOCOLS,
            "rounds": 3,
            "patience_s": 12.0,
        },
    )
    hearing = asyncio.create_task(stranger.hear(60.0))
    for number in itertools.count():
        if hearing.done():
            break
        await first.mesh.publish(TOPIC, b"secret %d" % number)
        await second.mesh.publish(TOPIC, b"secret %d" % number)
        await asyncio.sleep(0.02)
    report = await hearing

    assert report["connects"] >= 1
    assert (report["gossip"], report["opened"], report["records"], report["learned"]) == ([], [], [], [])
    assert set(report["listed"]) <= {"/bzzz/join/1"}
    assert not {"let in", "00"} & set(report["joins"])
    assert set(asked) == ({b"give me all"} if what.startswith("guessing") else set())
    if chain is not None:
        assert any(event.kind == "refused" for event in first.events)
    assert peer_id_of(STRANGER.public) not in {peer.peer_id for peer in first.mesh.peers()}
    assert all(event.kind != "joined" for event in first.events if event.peer_id == peer_id_of(STRANGER.public))
    assert all(data != b"from a stranger" for node in (first, second) for _, data in node.messages)
    assert await first.mesh.dht_get("/bzzz/a") == first.record("/bzzz/a", 1)
    sent = await eventually("what was sent", lambda: len(first.messages) == len(second.messages) > 10)
    assert sent


async def test_with_a_grant_the_same_host_is_let_in(town: Town, child: Start) -> None:
    """The counter-proof: the stranger's script gets what there is, once its grant is good."""
    first, _ = await busy_pair(town)
    guest = child(
        "stranger.py",
        {
            "address": first.mesh.addresses[0].split("/p2p/")[0],
            "peer_id": first.mesh.peer_id,
            "seed": STRANGER.seed.hex(),
            "chain": [town.realm.grant(STRANGER, id="guest").hex()],
            "topic": TOPIC,
            "key": "/bzzz/a",
            "protocols": PROTOCOLS,
            "rounds": 3,
            "patience_s": 40.0,
        },
    )
    hearing = asyncio.create_task(guest.hear(80.0))
    while not hearing.done():
        await first.mesh.publish(TOPIC, b"hello %d" % time.monotonic_ns())
        await asyncio.sleep(0.02)
    report = await hearing
    assert "let in" in report["joins"]
    assert report["gossip"]
    assert first.record("/bzzz/a", 1).hex() in report["records"]
    assert f"after {ECHO}" in report["opened"]
    assert any(event.kind == "joined" and event.id == "guest" for event in first.events)


async def test_a_static_peer_that_has_no_grant_is_refused_by_who_dialled_it(town: Town) -> None:
    elsewhere = await town.node("elsewhere", realm=Realm(b"z" * 32))
    node = await town.node("here", static_peers=elsewhere.mesh.addresses)
    await eventually("the refusal", lambda: "refused" in node.kinds() and "refused" in elsewhere.kinds())
    assert "joined" not in node.kinds() + elsewhere.kinds()
    assert [peer.connected for peer in node.mesh.peers()] == [False]


async def test_a_node_that_was_refused_does_not_knock_again_and_again(town: Town) -> None:
    first = await town.node("first")
    first.admit = Realm(b"z" * 32).admit
    second = await town.node("second", static_peers=first.mesh.addresses)
    await eventually("the refusal", lambda: "refused" in second.kinds())
    # Its own hanging up was taken for the loss of a member, and it dialled at once, ten times a second.
    now = time.monotonic()
    await eventually("a while", lambda: time.monotonic() > now + 1.5)
    assert second.mesh.counters.dials == 1


async def test_a_refused_static_peer_is_asked_again_at_once_when_grants_are_rechecked(town: Town) -> None:
    first = await town.node("first")
    allowed = first.admit
    first.admit = Realm(b"z" * 32).admit
    second = await town.node("second", static_peers=first.mesh.addresses)
    await eventually("the refusal", lambda: "refused" in second.kinds())
    first.admit = allowed

    async def let_in() -> bool:
        await second.mesh.recheck()
        return "joined" in second.kinds()

    await eventually("the admission", let_in, 10.0)


async def test_a_node_that_lets_everybody_in_is_still_refused_by_the_other_side(town: Town) -> None:
    lax = await town.node("lax", realm=Realm(b"z" * 32))
    lax.admit = lambda chain: Realm().trust.admit(chain, now=time.time())
    node = await town.node("strict", static_peers=lax.mesh.addresses)
    node.follow()
    lax.follow()
    await eventually("the refusal", lambda: "refused" in node.kinds())
    await node.mesh.publish(TOPIC, b"secret")
    await node.mesh.dht_put("/bzzz/a", node.record("/bzzz/a", 1))
    assert await lax.mesh.dht_get("/bzzz/a") is None
    assert (lax.messages, await node.mesh.followers(TOPIC)) == ([], [])
    assert {"joined", "left"}.isdisjoint(lax.kinds()), "nobody that it alone took for a member came or went"


async def test_a_member_whose_grant_is_no_longer_accepted_is_cut_off(town: Town) -> None:
    first, second = await busy_pair(town)

    def nobody(chain: object) -> Any:
        raise ValueError("revoked")

    first.admit = second.admit = nobody
    await first.mesh.recheck()
    await eventually("the end", lambda: "left" in first.kinds() and "left" in second.kinds())
    assert first.mesh.peers() == []
    await first.mesh.publish(TOPIC, b"secret")
    await eventually("the refusal", lambda: "refused" in first.kinds())
    assert second.messages == []


async def test_silent_connections_are_closed_and_do_not_keep_members_out(town: Town) -> None:
    first = await town.node("first", max_strangers=8, join_timeout_s=2.0)
    host, port = "127.0.0.1", int(first.mesh.addresses[0].split("/")[4])
    silent = [socket.create_connection((host, port)) for _ in range(60)]
    try:
        second = await town.node("second", static_peers=first.mesh.addresses)
        await eventually("the member", lambda: second.mesh.peers()[0].connected)
        await eventually("the evictions", lambda: first.mesh.counters.evicted >= 50)

        def closed() -> bool:
            return all(_ended(one) for one in silent)

        await eventually("all to be closed", closed)
    finally:
        for one in silent:
            one.close()


def _ended(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        while connection.recv(4096):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


async def test_garbage_on_the_port_leaves_the_node_unharmed(town: Town) -> None:
    first = await town.node("first")
    host, port = "127.0.0.1", int(first.mesh.addresses[0].split("/")[4])
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 4096, b"\x13/multistream/1.0.0\n" + b"\xff" * 100, b"\0" * 64):
        with socket.create_connection((host, port)) as connection:
            connection.sendall(garbage)
            await eventually("the end", lambda connection=connection: _ended(connection))
    second = await town.node("second", static_peers=first.mesh.addresses)
    await eventually("the member", lambda: second.mesh.peers()[0].connected)
    assert first.mesh.alive
