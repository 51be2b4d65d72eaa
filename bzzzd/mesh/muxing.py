"""Yamux whose locks cost nothing while nobody else wants them.

trio's lock gives up its turn at every acquire, and a turn is a trip through the scheduler and the kernel. A frame
that leaves passed four such locks, one that arrives three. Whoever holds one here gives up no turn inside, save
while it waits for the socket, so they are nearly always free; turns are given up at the socket, and once for each
read and write of a stream, so that nobody starves.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import trio
from libp2p.abc import IMuxedConn, IMuxedStream, ISecureConn
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID
from libp2p.stream_muxer.muxer_multistream import MuxerMultistream
from libp2p.stream_muxer.yamux.yamux import FLAG_ACK, PROTOCOL_ID, TYPE_PING, Yamux, YamuxStream


class QuickLock:
    """Mutual exclusion as by ``trio.Lock``, first come first served; an acquire of a free one goes on at once."""

    __slots__ = ("_held", "_waiting")

    def __init__(self) -> None:
        self._held = False
        self._waiting = trio.lowlevel.ParkingLot()

    async def acquire(self) -> None:
        """Wait for the lock. Cancelled waiters do not get it."""
        if self._held:
            await self._waiting.park()  # whoever releases hands it over, so it stays held
        self._held = True

    def release(self) -> None:
        """Hand it to the one that waits longest."""
        if self._waiting:
            self._waiting.unpark()
        else:
            self._held = False

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class _WriteLock:
    """What a Yamux stream asks of its ``rw_lock``: nobody takes the reading half."""

    def __init__(self) -> None:
        self._lock = QuickLock()

    def write_lock(self) -> QuickLock:
        return self._lock


def quicken(thing: object, *names: str) -> None:
    """Give an object of the library quick locks under these names, before anybody holds those it has."""
    for name in names:
        setattr(thing, name, QuickLock())


class MemberYamux(Yamux):
    """Yamux with quick locks, for itself and its streams."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        quicken(self, "streams_lock", "_write_lock")

    async def open_stream(self) -> YamuxStream:
        return _quick(await super().open_stream())

    async def accept_stream(self) -> IMuxedStream:
        stream = await super().accept_stream()
        return _quick(stream) if isinstance(stream, YamuxStream) else stream

    async def _write_frame(self, data: bytes) -> None:
        """As the library's, which describes each frame for a log that nobody keeps, and gives up a turn more."""
        async with self._write_lock:
            # What is encrypted must be sent, or nothing after it can be read: a cancelled writer stops here.
            await trio.lowlevel.checkpoint_if_cancelled()
            if data[1] == TYPE_PING and not data[3] & FLAG_ACK:
                # The library looks at the clock when its write is over, and a near peer's answer can be read before
                # that: it was then counted from the ping before, or from the beginning of time.
                self._ping_sent_time = trio.current_time()
            await self.secured_conn.write(data)


class MemberMuxers(MuxerMultistream):
    """Speaks Yamux alone, by ``MemberYamux``: the library makes its own class whatever it was given for Yamux."""

    def __init__(self, negotiate_timeout: int) -> None:
        super().__init__({TProtocol(PROTOCOL_ID): MemberYamux}, negotiate_timeout)

    async def new_conn(self, conn: ISecureConn, peer_id: ID) -> IMuxedConn:
        protocol, muxer = await self._selector.select(conn, conn.is_initiator, self.negotiate_timeout)
        return self._annotate_connection(muxer(conn, peer_id), conn, protocol)


def _quick(stream: YamuxStream) -> YamuxStream:
    quicken(stream, "window_lock")
    vars(stream)["rw_lock"] = _WriteLock()
    return stream
