"""Two nodes in processes of their own: what they exchange, and how they find each other again."""

import signal
from collections.abc import Callable
from typing import Any

import pytest

from bzzzd.crypto.keys import SigningKey
from bzzzd.mesh.peer_id import peer_id_of
from tests.mesh.kit import ECHO, TOPIC, Child, Town, eventually
from tests.ports import free_port

Start = Callable[[str, dict[str, Any]], Child]

pytestmark = pytest.mark.integration


def setup(town: Town, key: SigningKey, port: int = 0, *static: str) -> dict[str, Any]:
    return {
        "seed": key.seed.hex(),
        "chain": [town.realm.grant(key, id="child").hex()],
        "authority": town.realm.authority.public.hex(),
        "mesh_id": town.realm.mesh_id,
        "listen": [f"/ip4/127.0.0.1/tcp/{port}"],
        "static_peers": list(static),
    }


async def test_two_processes_exchange_messages_records_and_requests(town: Town, child: Start) -> None:
    one = child("member.py", setup(town, SigningKey.generate()))
    first = await one.hear()
    two = child("member.py", setup(town, SigningKey.generate(), 0, *first["addresses"]))
    second = await two.hear()

    async def meet(who: Child, other: dict[str, Any]) -> bool:
        return other["peer_id"] in (await who.ask(do="peers"))["result"]

    await eventually("the meeting", lambda: meet(one, second))
    await eventually("the meeting", lambda: meet(two, first))

    async def heard(who: Child, by: Child, data: str) -> bool:
        await by.ask(do="publish", data=data)
        return data in (await who.ask(do="messages"))["result"]

    await eventually("a message", lambda: heard(two, one, "from one"))
    await eventually("a message", lambda: heard(one, two, "from two"))

    await one.ask(do="put", key="/bzzz/a", data="value")

    async def known() -> bool:
        return await two.ask(do="get", key="/bzzz/a") == {"result": "value"}

    # A member's way into the DHT is opened after that into gossip.
    await eventually("the record", known)
    assert await two.ask(do="request", peer_id=first["peer_id"], data="hello") == {"result": "hello"}
    assert await one.ask(do="request", peer_id=second["peer_id"], data="hello") == {"result": "hello"}


async def test_a_killed_peer_is_noticed_and_found_again_when_it_returns(town: Town, child: Start) -> None:
    key, port = SigningKey.generate(), free_port()
    peer_id = peer_id_of(key.public)
    here = await town.node("here", static_peers=(f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer_id}",))
    here.follow()
    there = child("member.py", setup(town, key, port))
    await there.hear()

    def connected() -> bool:
        return any(peer.connected for peer in here.mesh.peers())

    async def heard(there: Child, text: str) -> bool:
        await here.mesh.publish(TOPIC, text.encode())
        await there.ask(do="publish", data=text)
        known = (await there.ask(do="messages"))["result"]
        return text in known and any(data == text.encode() for _, data in here.messages)

    for turn in range(3):
        await eventually("the peer", connected)
        await eventually("messages both ways", lambda there=there, turn=turn: heard(there, f"turn {turn}"))
        assert await here.mesh.request(peer_id, ECHO, b"hello") == b"hello"
        there.kill()
        await eventually("the loss", lambda: not connected())
        there = child("member.py", setup(town, key, port))
        await there.hear()
    await eventually("the peer", connected)


async def test_a_peer_that_only_dials_is_back_after_the_listener_was_killed(town: Town, child: Start) -> None:
    key, port = SigningKey.generate(), free_port()
    listener = child("member.py", setup(town, key, port))
    address = (await listener.hear())["addresses"][0]
    dialler = child("member.py", setup(town, SigningKey.generate(), 0, address))
    await dialler.hear()

    async def connected() -> bool:
        return bool((await dialler.ask(do="peers"))["result"])

    async def alone() -> bool:
        return not await connected()

    await eventually("the listener", connected)
    listener.kill()
    await eventually("the loss", alone)
    listener = child("member.py", setup(town, key, port))
    await listener.hear()
    await eventually("the listener again", connected)
    assert await dialler.ask(do="request", peer_id=peer_id_of(key.public), data="hello") == {"result": "hello"}


async def test_a_member_that_stops_reading_is_dropped_and_the_others_hear_everything(town: Town, child: Start) -> None:
    here = await town.node("here")
    other = await town.node("other", static_peers=here.mesh.addresses)
    other.follow()
    frozen = child("member.py", setup(town, SigningKey.generate(), 0, *here.mesh.addresses))
    await frozen.hear()

    async def both() -> bool:
        return len(await here.mesh.followers(TOPIC)) == 2

    await eventually("both followers", both)
    frozen.process.send_signal(signal.SIGSTOP)
    try:
        for number in range(60):
            await here.mesh.publish(TOPIC, bytes([number]) * 500_000)
        await eventually("all", lambda: len(other.messages) == 60, 30.0)
        await eventually("the drop", lambda: len([peer for peer in here.mesh.peers() if peer.connected]) == 1)
        assert [data[0] for _, data in other.messages] == list(range(60))
    finally:
        frozen.process.send_signal(signal.SIGCONT)
