"""What a stream costs: one round trip to choose its protocol, and window updates only when they are due."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from libp2p.custom_types import TProtocol
from libp2p.protocol_muxer.exceptions import MultiselectClientError
from libp2p.protocol_muxer.multiselect import Multiselect
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.stream_muxer.yamux.yamux import YamuxStream

from bzzzd.mesh.library import load
from bzzzd.mesh.negotiation import OneBreathClient


class _End:
    """One end of a pipe that counts its writes."""

    def __init__(self, pipe: trio.StapledStream) -> None:
        self._pipe = pipe
        self.writes = 0

    async def write(self, data: bytes) -> None:
        self.writes += 1
        await self._pipe.send_all(data)

    async def read(self, n: int | None = None) -> bytes:
        return bytes(await self._pipe.receive_some(n))


async def _chosen(spoken: list[str], wanted: list[str]) -> tuple[str, int]:
    here, there = (_End(end) for end in trio.testing.memory_stream_pair())
    server = Multiselect()

    async def serve(stream: object) -> None: ...

    for protocol in spoken:
        server.add_handler(TProtocol(protocol), serve)
    async with trio.open_nursery() as nursery:

        async def answer() -> None:
            await server.negotiate(MultiselectCommunicator(there), 5)

        nursery.start_soon(answer)
        try:
            wishes = [TProtocol(one) for one in wanted]
            return await OneBreathClient().select_one_of(wishes, MultiselectCommunicator(here), 5), here.writes
        finally:
            nursery.cancel_scope.cancel()


def test_the_first_wish_goes_with_the_greeting() -> None:
    assert trio.run(_chosen, ["/a/1"], ["/a/1", "/b/1"]) == ("/a/1", 1)


def test_a_peer_that_does_not_speak_the_first_is_asked_for_the_next() -> None:
    assert trio.run(_chosen, ["/b/1"], ["/a/1", "/b/1"]) == ("/b/1", 2)


def test_a_peer_that_speaks_none_is_an_error() -> None:
    with pytest.raises(ExceptionGroup) as raised:
        trio.run(_chosen, ["/b/1"], ["/a/1"])
    assert isinstance(raised.value.exceptions[0], MultiselectClientError)
    assert "none of /a/1" in str(raised.value.exceptions[0])


class _Conn:
    def __init__(self) -> None:
        self.stream_buffers: dict[int, bytearray] = {}
        self.sent: list[int] = []

    def rtt(self) -> float:
        return 0.0


@pytest.fixture
def loaded() -> None:
    load("0")


@pytest.mark.usefixtures("loaded")
def test_a_window_is_given_back_by_halves_and_whole() -> None:
    async def go() -> list[int]:
        conn = _Conn()
        stream = YamuxStream(1, conn, True)  # type: ignore[arg-type]

        async def send(increment: int, skip_lock: bool = False) -> None:
            conn.sent.append(increment)

        stream.send_window_update = send  # type: ignore[method-assign]
        window = stream.target_recv_window
        for _ in range(8):
            stream.recv_window -= window // 8
            await stream._auto_tune_and_send_window_update(bytes_read=window // 8)
        assert stream.recv_window == sum(conn.sent)
        assert stream.recv_window >= stream.target_recv_window // 2
        return conn.sent

    sent = trio.run(go)
    assert 1 <= len(sent) <= 2, "the window may have grown meanwhile"
