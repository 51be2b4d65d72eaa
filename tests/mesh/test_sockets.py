"""Whoever dialled closes: no connection is dropped from the swarm's books while it lives, no socket outlives it."""

from __future__ import annotations

import trio
from multiaddr import Multiaddr

from bzzzd.mesh.ids import id_named
from bzzzd.mesh.network import endpoint_of
from tests.mesh.kit import Realm, Town, eventually


async def test_no_dialled_socket_outlives_its_node(town: Town) -> None:
    _, second = await town.pair()
    assert second.mesh._node is not None
    assert second.mesh._bridge is not None
    swarm = second.mesh._node._swarm
    dialled = list(swarm.dialled)
    assert dialled

    async def drop() -> None:
        swarm.connections.clear()  # as the library's trimming does before it closes

    await second.mesh._bridge.call(drop)
    await second.mesh.stop()
    assert [plug.fileno() for plug in dialled] == [-1] * len(dialled)


async def test_a_connection_that_is_made_while_a_peers_others_close_stays_known(town: Town) -> None:
    first, lone = await town.node("first"), await town.node("lone", realm=Realm(b"l" * 32))
    assert lone.mesh._node is not None
    assert lone.mesh._bridge is not None
    swarm, peer_id = lone.mesh._node._swarm, id_named(first.mesh.peer_id)
    endpoint = endpoint_of(Multiaddr(first.mesh.addresses[0].split("/p2p/")[0]))
    assert endpoint is not None

    async def replace() -> bool:
        old = await swarm.reach(endpoint, peer_id)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(swarm.close_peer, peer_id)
            await old.muxed_conn.event_closed.wait()
            made = await swarm.reach(endpoint, peer_id)
        return swarm.get_connections(peer_id) == [made]

    assert await lone.mesh._bridge.call(replace)


async def test_a_connection_whose_close_is_cut_short_is_nobodys_any_more(town: Town) -> None:
    first, second = await town.pair()
    assert second.mesh._node is not None
    assert second.mesh._bridge is not None
    swarm, peer_id = second.mesh._node._swarm, id_named(first.mesh.peer_id)
    (plug,) = (plug for plug in swarm.dialled if plug.fileno() >= 0)

    async def cut_short() -> bool:
        (old,) = swarm.get_connections(peer_id)
        async with old.muxed_conn.streams_lock, trio.open_nursery() as nursery:  # as if its peer did not read
            nursery.start_soon(swarm.end, old)
        return old in swarm.get_connections(peer_id)

    assert not await second.mesh._bridge.call(cut_short)
    assert plug.fileno() == -1
    await eventually("it to be told", lambda: "left" in second.kinds())
    await eventually("the two to meet again", lambda: second.kinds().count("joined") == 2)
