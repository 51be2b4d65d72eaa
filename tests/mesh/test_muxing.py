import struct
from typing import Any

import trio
import trio.testing
from libp2p.peer.id import ID
from libp2p.stream_muxer.yamux.yamux import FLAG_ACK, FLAG_SYN, TYPE_PING, YAMUX_HEADER_FORMAT

from bzzzd.mesh.muxing import MemberMuxers, MemberYamux, QuickLock


async def _take(lock: QuickLock, name: str, order: list[str]) -> None:
    async with lock:
        order.append(name)
        await trio.lowlevel.checkpoint()
        order.append(name)


def test_a_lock_is_held_by_one_at_a_time_and_handed_on_in_order() -> None:
    order: list[str] = []

    async def main() -> None:
        lock = QuickLock()
        async with trio.open_nursery() as nursery:
            await lock.acquire()
            for name in "abc":
                nursery.start_soon(_take, lock, name, order)
                await trio.testing.wait_all_tasks_blocked()
            lock.release()

    trio.run(main)
    assert order == list("aabbcc")


def test_who_is_cancelled_while_it_waits_does_not_get_the_lock() -> None:
    order: list[str] = []

    async def main() -> None:
        lock = QuickLock()
        await lock.acquire()
        with trio.move_on_after(0):
            await lock.acquire()
            order.append("cancelled")
        lock.release()
        await _take(lock, "a", order)

    trio.run(main)
    assert order == ["a", "a"]


def test_a_free_lock_costs_no_turn() -> None:
    turns: list[str] = []

    async def other() -> None:
        turns.append("other")

    async def main() -> None:
        lock = QuickLock()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            async with lock:
                turns.append("locked")
            turns.append("released")

    trio.run(main)
    assert turns == ["locked", "released", "other"]


class _Secured:
    """An encrypted connection, whose cipher has moved on as soon as it was given something to write."""

    def __init__(self) -> None:
        self.encrypted: list[bytes] = []

    async def write(self, data: bytes) -> None:
        self.encrypted.append(data)
        await trio.lowlevel.checkpoint()


def test_what_a_cancelled_writer_has_not_begun_is_not_encrypted() -> None:
    """The peer could read nothing that comes after a frame that was encrypted and not sent."""
    muxed, secured = MemberYamux.__new__(MemberYamux), _Secured()
    vars(muxed).update(_write_lock=QuickLock(), secured_conn=secured)

    async def main() -> None:
        await muxed._write_frame(b"one")
        with trio.CancelScope() as scope:
            scope.cancel()
            await muxed._write_frame(b"two")

    trio.run(main)
    assert secured.encrypted == [b"one"]


def test_when_a_ping_was_sent_is_known_before_its_answer_can_come() -> None:
    """The library looks at the clock after its write: a near peer's answer was then timed from the ping before."""
    muxed, sent = MemberYamux.__new__(MemberYamux), []

    class Near(_Secured):
        async def write(self, data: bytes) -> None:
            sent.append(muxed._ping_sent_time)

    vars(muxed).update(_write_lock=QuickLock(), secured_conn=Near(), _ping_sent_time=0.0)

    async def main() -> float:
        began = trio.current_time()
        await muxed._write_frame(struct.pack(YAMUX_HEADER_FORMAT, 0, TYPE_PING, FLAG_ACK, 0, 1))
        await muxed._write_frame(struct.pack(YAMUX_HEADER_FORMAT, 0, TYPE_PING, FLAG_SYN, 0, 1))
        return began

    began = trio.run(main)
    assert sent[0] == 0.0
    assert sent[1] >= began


class _End:
    """One end of a pipe, as what comes out of Noise."""

    def __init__(self, stream: trio.abc.Stream, *, is_initiator: bool) -> None:
        self._stream = stream
        self.is_initiator = is_initiator

    async def read(self, n: int | None = None) -> bytes:
        return bytes(await self._stream.receive_some(n))

    async def write(self, data: bytes) -> None:
        await self._stream.send_all(data)

    async def close(self) -> None:
        await self._stream.aclose()


def test_the_connection_that_is_negotiated_is_ours() -> None:
    """The library makes a class of its own whenever two peers have agreed on Yamux."""
    made: list[object] = []

    async def main() -> None:
        here, there = trio.testing.memory_stream_pair()
        peer = ID(b"peer")

        async def meet(end: Any) -> None:  # the little of a secured connection that a choice of muxer needs
            made.append(await MemberMuxers(5).new_conn(end, peer))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(meet, _End(here, is_initiator=True))
            nursery.start_soon(meet, _End(there, is_initiator=False))

    trio.run(main)
    assert [type(one) for one in made] == [MemberYamux, MemberYamux]
    assert {one.is_initiator for one in made} == {True, False}
