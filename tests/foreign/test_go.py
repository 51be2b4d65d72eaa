"""The go-libp2p daemon: a member with a grant for its peer id, and nobody without one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bzzzd.crypto.keys import SigningKey
from bzzzd.mesh.peer_id import peer_id_of
from tests.foreign.p2pd import Daemon, Refused, StartDaemon, raw_id
from tests.mesh.kit import ECHO, TOPIC, Town, eventually

PING = "/ipfs/ping/1.0.0"


@pytest.fixture
async def go(p2pd: Path, tmp_path: Path) -> AsyncIterator[StartDaemon]:
    daemons: list[Daemon] = []

    def start(key: SigningKey) -> Daemon:
        daemons.append(Daemon(p2pd, tmp_path, key))
        return daemons[-1]

    yield start
    for daemon in daemons:
        await daemon.stop()


async def test_with_a_grant_it_connects_pings_and_gossips_both_ways(town: Town, go: StartDaemon) -> None:
    key = SigningKey.generate()
    ours, beside = await town.pair()
    ours.follow()
    beside.follow()
    theirs = go(key)
    await eventually("the daemon", theirs.up)
    await theirs.subscribe(TOPIC)
    await theirs.connect(ours.mesh.addresses[0], ours.mesh.peer_id)
    answer = await theirs.join(ours.mesh.peer_id, [town.realm.grant(key, id="go")])
    assert answer["chain"] == ours.chain
    row = await eventually("the member", lambda: next((p for p in ours.mesh.peers() if p.id == "go"), None))
    assert (row.peer_id, row.connected) == (peer_id_of(key.public), True)

    stream = await theirs.open(ours.mesh.peer_id, PING)
    assert await stream.echoes(b"p" * 32)
    await stream.close()

    async def heard() -> bool:
        await ours.mesh.publish(TOPIC, b"from python")
        await theirs.publish(TOPIC, b"from go")
        there = (raw_id(ours.mesh.peer_id), b"from python") in theirs.messages
        return there and all((peer_id_of(key.public), b"from go") in node.messages for node in (ours, beside))

    await eventually("gossip both ways", heard)
    # Go checks messages side by side, so their order is its own; and it queues no more than 32 for a subscriber.
    for turn in range(5):
        burst = {b"turn %d number %d" % (turn, number) for number in range(20)}
        for data in sorted(burst):
            await ours.mesh.publish(TOPIC, data)
            await theirs.publish(TOPIC, data)

        def complete(burst: set[bytes] = burst) -> bool:
            at_theirs = {data for peer, data in theirs.messages if peer == raw_id(ours.mesh.peer_id)}
            at_ours = [{data for peer, data in n.messages if peer == peer_id_of(key.public)} for n in (ours, beside)]
            return all(burst <= heard for heard in (at_theirs, *at_ours))

        await eventually("the burst, both ways", complete)


@pytest.mark.parametrize("what", ["silent", "no grant", "of another key"])
async def test_without_a_grant_it_is_cut_off_and_got_nothing(town: Town, go: StartDaemon, what: str) -> None:
    key = SigningKey.generate()
    ours, beside = await town.pair()
    ours.follow()
    beside.follow()
    theirs = go(key)
    await eventually("the daemon", theirs.up)
    await theirs.subscribe(TOPIC)
    await theirs.connect(ours.mesh.addresses[0], ours.mesh.peer_id)
    for protocol in (PING, ECHO, "/meshsub/1.1.0", "/ipfs/kad/1.0.0", "/ipfs/id/1.0.0"):
        with pytest.raises(Refused):
            await theirs.open(ours.mesh.peer_id, protocol)
    if what != "silent":
        chain = {"no grant": [], "of another key": [town.realm.grant(SigningKey.generate())]}[what]
        assert (await theirs.join(ours.mesh.peer_id, chain))["refused"]

    async def cut_off() -> bool:
        await ours.mesh.publish(TOPIC, b"secret")
        await theirs.publish(TOPIC, b"let me in")
        await asyncio.sleep(0.02)
        return await theirs.peers() == []

    await eventually("the end of its connection", cut_off)
    assert all(data != b"secret" for _, data in theirs.messages)
    assert all(data != b"let me in" for node in (ours, beside) for _, data in node.messages)
    assert all(event.kind != "joined" for event in ours.events if event.peer_id == peer_id_of(key.public))
