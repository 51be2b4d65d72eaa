import asyncio
import time

import pytest
from libp2p.abc import INetStream
from libp2p.peer.id import ID

from bzzzd.errors import BadInput, BzzzError, NotFound, Overloaded, TooLarge, Unavailable, UnknownOutcome
from bzzzd.mesh.ids import id_named
from tests.mesh.kit import ECHO, Node, Town, eventually

Handler = object


async def serve(server: Node, handler: object) -> None:
    server.mesh.handle(ECHO, handler)  # type: ignore[arg-type]

    def offered() -> bool:
        return server.mesh._node is not None and ECHO in server.mesh._node._requests._offered

    await eventually("the handler", offered)


async def test_the_largest_request_and_answer_pass_and_larger_ones_are_refused(town: Town) -> None:
    limit = 300_000
    first = await town.node("first", max_request_bytes=limit)
    second = await town.node("second", static_peers=first.mesh.addresses, max_request_bytes=limit)
    await eventually("the peer", lambda: second.mesh.peers()[0].connected)

    async def answer(peer_id: str, data: bytes) -> bytes:
        return b"x" * int(data[:10])

    await serve(first, answer)
    ask = second.mesh.request
    assert len(await ask(first.mesh.peer_id, ECHO, (b"%010d" % limit).ljust(limit, b" "))) == limit
    with pytest.raises(BzzzError, match="over the limit"):
        await ask(first.mesh.peer_id, ECHO, b"%010d" % (limit + 1))
    with pytest.raises(TooLarge):
        await ask(first.mesh.peer_id, ECHO, bytes(limit + 1))


async def test_a_request_over_the_servers_limit_is_an_error_with_its_code(town: Town) -> None:
    first = await town.node("first", max_request_bytes=1000)
    second = await town.node("second", static_peers=first.mesh.addresses)
    await eventually("the peer", lambda: second.mesh.peers()[0].connected)

    async def answer(peer_id: str, data: bytes) -> bytes:
        return b""

    await serve(first, answer)
    with pytest.raises(TooLarge) as refused:
        await second.mesh.request(first.mesh.peer_id, ECHO, bytes(2000))
    assert refused.value.data == {"size": 2000, "limit": 1000}


async def test_a_handlers_error_reaches_the_asker_with_code_message_and_data(town: Town) -> None:
    first, second = await town.pair()

    async def answer(peer_id: str, data: bytes) -> bytes:
        if data == b"missing":
            raise NotFound("no such task", task="t1")
        raise KeyError("secret detail")

    await serve(first, answer)
    with pytest.raises(NotFound, match="no such task") as missing:
        await second.mesh.request(first.mesh.peer_id, ECHO, b"missing")
    assert missing.value.data == {"task": "t1"}
    with pytest.raises(BzzzError) as broken:
        await second.mesh.request(first.mesh.peer_id, ECHO, b"broken")
    assert "KeyError" in broken.value.message
    assert "secret" not in broken.value.message


async def test_an_answer_that_does_not_come_in_time_is_an_unknown_outcome(town: Town) -> None:
    first, second = await town.pair()
    ended = asyncio.Event()

    async def never(peer_id: str, data: bytes) -> bytes:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return b""

    await serve(first, never)
    with pytest.raises(UnknownOutcome, match="no answer within"):
        await second.mesh.request(first.mesh.peer_id, ECHO, b"", timeout=0.2)
    with pytest.raises(UnknownOutcome):
        async with asyncio.timeout(20):
            pending = asyncio.create_task(second.mesh.request(first.mesh.peer_id, ECHO, b"", timeout=15))
            await eventually("the request", lambda: first.mesh._bridge and len(first.mesh._bridge._asks) == 2)
            await first.mesh.stop()
            await pending
    assert ended.is_set()


async def test_requests_at_once_are_bounded_for_each_peer(town: Town) -> None:
    first, second = await town.pair()
    release = asyncio.Event()

    async def wait(peer_id: str, data: bytes) -> bytes:
        await release.wait()
        return data

    await serve(first, wait)
    asking = [asyncio.create_task(second.mesh.request(first.mesh.peer_id, ECHO, b"x")) for _ in range(40)]

    def refused() -> bool:
        return first.mesh.counters.requests_refused == 8

    await eventually("the refusals", refused)
    release.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert sum(answer == b"x" for answer in answers) == 32
    assert sum(isinstance(answer, Overloaded) for answer in answers) == 8
    assert await second.mesh.request(first.mesh.peer_id, ECHO, b"again") == b"again"


async def test_many_requests_one_after_the_other_leave_nothing_behind(town: Town) -> None:
    first, second = await town.pair()

    async def echo(peer_id: str, data: bytes) -> bytes:
        return data

    await serve(first, echo)
    for number in range(300):
        assert await second.mesh.request(first.mesh.peer_id, ECHO, b"%d" % number) == b"%d" % number
    for node in (first, second):
        assert node.mesh._node is not None
        connections = node.mesh._node._swarm.get_connections()
        assert sum(len(connection.get_streams()) for connection in connections) < 20
        await eventually("all to be closed", lambda node=node: not node.mesh._node._requests._serving)  # type: ignore[union-attr]


async def test_a_handler_is_registered_once(town: Town) -> None:
    node = await town.node()

    async def echo(peer_id: str, data: bytes) -> bytes:
        return data

    node.mesh.handle(ECHO, echo)
    with pytest.raises(BadInput, match="already"):
        node.mesh.handle(ECHO, echo)


async def test_a_cancelled_request_leaves_the_mesh_usable(town: Town) -> None:
    first, second = await town.pair()
    begun = asyncio.Event()

    async def slow(peer_id: str, data: bytes) -> bytes:
        if data == b"slow":
            begun.set()
            await asyncio.Event().wait()
        return data

    await serve(first, slow)
    task = asyncio.create_task(second.mesh.request(first.mesh.peer_id, ECHO, b"slow"))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await second.mesh.request(first.mesh.peer_id, ECHO, b"quick") == b"quick"


async def test_a_stopped_mesh_answers_unavailable(town: Town) -> None:
    first, second = await town.pair()
    await second.mesh.stop()
    with pytest.raises(Unavailable):
        await second.mesh.request(first.mesh.peer_id, ECHO, b"")


async def test_a_question_goes_over_a_second_stream_when_the_first_ends_before_it_is_asked(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where two connections crossed, and the one that was chosen is parted at that moment."""
    first, second = await town.pair()

    async def answer(peer_id: str, data: bytes) -> bytes:
        return data

    await serve(first, answer)
    assert second.mesh._node is not None
    swarm, cuts = second.mesh._node._swarm, [True]
    new_stream = swarm.new_stream

    async def cut(peer_id: ID) -> INetStream:
        stream = await new_stream(peer_id)
        if cuts.pop():
            await stream.reset()
        return stream

    monkeypatch.setattr(swarm, "new_stream", cut)
    cuts[:] = [False, True]
    assert await second.mesh.request(first.mesh.peer_id, ECHO, b"again") == b"again"
    assert not cuts
    second.mesh._node._requests._idle.forget(id_named(first.mesh.peer_id))
    cuts[:] = [True, True]
    with pytest.raises(Unavailable, match="cannot be asked"):
        await second.mesh.request(first.mesh.peer_id, ECHO, b"never")


async def test_streams_that_were_idle_for_too_long_end(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bzzzd.mesh.streams._IDLE_S", 0.0)
    first, second = await town.pair()

    async def answer(peer_id: str, data: bytes) -> bytes:
        return data

    await serve(first, answer)
    assert second.mesh._node is not None
    (connection,) = second.mesh._node._swarm.get_connections(id_named(first.mesh.peer_id))
    for _ in range(20):
        assert await second.mesh.request(first.mesh.peer_id, ECHO, b"one more") == b"one more"
    asked = [stream for stream in connection.get_streams() if stream.get_protocol() == ECHO]
    assert len(asked) <= 2


async def test_a_member_whose_connection_ended_before_it_was_entered_is_none(town: Town) -> None:
    first, second = await town.pair()
    stranger = Node(town.realm, "third")
    node = first.mesh._node
    assert node is not None
    assert first.mesh._bridge is not None

    def enter() -> None:
        raw_id = id_named(stranger.mesh.peer_id).to_bytes()
        node._entered(node._members.add(raw_id, stranger.chain, now=time.time(), how="inbound"))

    await first.mesh._bridge.call(enter)
    await eventually("it to be gone", lambda: "third" in [event.id for event in first.events if event.kind == "left"])
    assert second.mesh.peers()[0].connected
