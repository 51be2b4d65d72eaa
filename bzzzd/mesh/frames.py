"""Frames on a libp2p stream: bounded reads, in the two length formats that are spoken.

Our own protocols prefix a frame with four bytes, most significant first; gossip uses protobuf's varint.
"""

from __future__ import annotations

from typing import Final

import trio
from libp2p.abc import INetStream

from bzzzd.errors import MalformedFrame, TooLarge

_LENGTH_BYTES: Final = 4
_READ_BYTES: Final = 65_536
_VARINT_LONGEST: Final = 5


def last_words(seconds: float) -> trio.CancelScope:
    """A scope for closing something politely: bounded, and entered even when the task was cancelled."""
    scope = trio.CancelScope(deadline=trio.current_time() + seconds)
    scope.shield = True
    return scope


def frame(body: bytes) -> bytes:
    """``body`` with its length before it."""
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


async def _exactly(stream: INetStream, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        chunk = await stream.read(min(size - len(parts), _READ_BYTES))
        if not chunk:
            raise MalformedFrame(f"the stream ended after {len(parts)} of {size} bytes")
        parts += chunk
    return bytes(parts)


async def read_frame(stream: INetStream, limit: int) -> bytes:
    """One frame of ours. ``TooLarge`` before anything over ``limit`` is read; libp2p's errors when it breaks."""
    size = int.from_bytes(await _exactly(stream, _LENGTH_BYTES), "big")
    if size > limit:
        raise TooLarge(f"a frame of {size} bytes is over the limit of {limit}", size=size, limit=limit)
    return await _exactly(stream, size) if size else b""


class VarintFrames:
    """Reads varint-prefixed frames from a stream, many from one read when they come in a burst."""

    def __init__(self, stream: INetStream, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._buffer = bytearray()

    async def next(self) -> bytes:
        """The next frame. ``TooLarge``, ``MalformedFrame``, or what the stream raises at its end."""
        while True:
            found = self._take()
            if found is not None:
                return found
            chunk = await self._stream.read(_READ_BYTES)
            if not chunk:
                raise MalformedFrame("the stream ended inside a frame")
            self._buffer += chunk

    def _take(self) -> bytes | None:
        size = shift = 0
        for position, byte in enumerate(self._buffer[:_VARINT_LONGEST]):
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return self._body(position + 1, size)
        if len(self._buffer) >= _VARINT_LONGEST:
            raise MalformedFrame("a frame's length is no varint")
        return None

    def _body(self, start: int, size: int) -> bytes | None:
        if size > self._limit:
            raise TooLarge(f"a frame of {size} bytes is over the limit of {self._limit}", size=size, limit=self._limit)
        if len(self._buffer) < start + size:
            return None
        body = bytes(self._buffer[start : start + size])
        del self._buffer[: start + size]
        return body
