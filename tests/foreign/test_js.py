"""A js-libp2p peer: a member with a grant for its peer id, and nobody without one."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bzzzd.crypto.keys import SigningKey
from bzzzd.mesh.peer_id import peer_id_of
from tests.mesh.kit import ECHO, TOPIC, Child, Node, Town, eventually

Start = Callable[[dict[str, Any]], Child]
STARTING_S = 60.0
PROTOCOLS = (ECHO, "/meshsub/1.1.0", "/ipfs/kad/1.0.0", "/ipfs/id/1.0.0", "/ipfs/ping/1.0.0")


def setup(key: SigningKey, chain: list[bytes] | None) -> dict[str, Any]:
    return {
        "seed": key.seed.hex(),
        "chain": None if chain is None else [raw.hex() for raw in chain],
        "listen": ["/ip4/127.0.0.1/tcp/0"],
        "topic": TOPIC,
    }


async def gossips(ours: Node, theirs: Child, peer_id: str) -> None:
    """Both hear the other's messages, signed by their author."""

    async def heard() -> bool:
        await ours.mesh.publish(TOPIC, b"from python")
        await theirs.ask(do="publish", data="from javascript")
        messages = (await theirs.ask(do="messages"))["result"]
        return (peer_id, b"from javascript") in ours.messages and {
            "from": ours.mesh.peer_id,
            "data": "from python",
        } in messages

    await eventually("gossip both ways", heard)
    burst = [f"number {number}" for number in range(100)]
    for text in burst:
        await ours.mesh.publish(TOPIC, text.encode())
        await theirs.ask(do="publish", data=text)

    async def all_heard() -> bool:
        messages = (await theirs.ask(do="messages"))["result"]
        there = [message["data"] for message in messages if message["data"].startswith("number")]
        here = [data.decode() for _, data in ours.messages if data.startswith(b"number")]
        return there == here == burst

    await eventually("two bursts, complete and in order", all_heard)


async def test_with_a_grant_it_connects_gossips_both_ways_and_reads_records(town: Town, js: Start) -> None:
    key = SigningKey.generate()
    ours = await town.node("ours")
    ours.follow()
    theirs = js(setup(key, [town.realm.grant(key, id="javascript")]))
    told = await theirs.hear(STARTING_S)
    assert told["peer_id"] == peer_id_of(key.public)
    joined = (await theirs.ask(do="connect", address=ours.mesh.addresses[0]))["result"]
    assert (joined["joined"], joined["chain"]) == (True, [raw.hex() for raw in ours.chain])
    row = (await eventually("the member", ours.mesh.peers))[0]
    assert (row.peer_id, row.id, row.connected) == (told["peer_id"], "javascript", True)
    await eventually("its agent version", lambda: ours.mesh.peers()[0].agent_version.startswith("js-libp2p/"))
    assert (await theirs.ask(do="agent", peer_id=ours.mesh.peer_id))["result"] == "bzzz/0.0-test"
    assert (await theirs.ask(do="ping"))["result"] < 5000
    await gossips(ours, theirs, told["peer_id"])

    await ours.mesh.dht_put("/bzzz/a", ours.record("/bzzz/a", 7))
    got = (await theirs.ask(do="get", key="/bzzz/a"))["result"]
    assert got == ours.record("/bzzz/a", 7).decode(errors="replace")


async def test_ours_dials_it_and_joins(town: Town, js: Start) -> None:
    key = SigningKey.generate()
    theirs = js(setup(key, [town.realm.grant(key, id="javascript")]))
    told = await theirs.hear(STARTING_S)
    ours = await town.node("ours", static_peers=tuple(told["addresses"]))
    ours.follow()
    await eventually("the joining", lambda: "joined" in ours.kinds())
    await gossips(ours, theirs, told["peer_id"])


@pytest.mark.parametrize("what", ["silent", "no grant", "of another key"])
async def test_without_a_grant_it_is_cut_off_and_got_nothing(town: Town, js: Start, what: str) -> None:
    ours, beside = await town.pair()
    ours.follow()
    beside.follow()
    await ours.mesh.dht_put("/bzzz/a", ours.record("/bzzz/a", 1))
    chains = {"silent": None, "no grant": [], "of another key": [town.realm.grant(SigningKey.generate())]}
    theirs = js(setup(SigningKey.generate(), chains[what]))
    told = await theirs.hear(STARTING_S)

    async def chatter() -> None:
        while True:
            await ours.mesh.publish(TOPIC, b"secret")
            await asyncio.sleep(0.02)

    chattering = asyncio.create_task(chatter())
    try:
        joined = (await theirs.ask(do="connect", address=ours.mesh.addresses[0])).get("result")
        assert joined is None or joined["joined"] is False
        for protocol in PROTOCOLS:
            assert "failed" in await theirs.ask(do="open", protocol=protocol)
        assert "failed" in await theirs.ask(do="identify")
        await theirs.ask(do="publish", data="let me in")
        assert (await theirs.ask(do="get", key="/bzzz/a")).get("result") is None

        async def cut_off() -> bool:
            return (await theirs.ask(do="connected"))["result"] == []

        await eventually("the end of its connection", cut_off)
    finally:
        chattering.cancel()
    assert (await theirs.ask(do="messages"))["result"] == []
    assert all(data != b"let me in" for node in (ours, beside) for _, data in node.messages)
    assert told["peer_id"] not in {peer.peer_id for peer in ours.mesh.peers()}
    assert all(event.kind != "joined" for event in ours.events if event.peer_id == told["peer_id"])
