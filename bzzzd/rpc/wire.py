"""The MessagePack-RPC wire, sans I/O: cutting a byte stream into frames, and checking a frame's shape.

    request       [0, id, method, [params]]      id: 0 to 2**32 - 1; params: one map (left out when empty)
    response      [1, id, error, result]         error: nil, or {code, message, data}
    notification  [2, method, [params]]

Source: https://github.com/msgpack-rpc/msgpack-rpc/blob/master/spec.md. Only ``msgpack`` is imported here, because
the command line starts with this module.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgpack

from bzzzd.errors import MalformedFrame, TooLarge

API: Final = 1
MIN_API: Final = 1

REQUEST: Final = 0
RESPONSE: Final = 1
NOTIFICATION: Final = 2
MAX_ID: Final = 2**32 - 1

READ_SIZE: Final = 262_144
"""Bytes taken from a socket at once; the largest piece that a frame's limit may be overrun by."""

MAX_FRAME: Final = 68_157_440
"""Bytes of the largest frame that a client accepts: 64 MiB of content and what surrounds it."""

_KEEP_BUFFER: Final = 1_048_576


class Splitter:
    """Cuts a byte stream into whole MessagePack values without building anything from them.

    A value is decoded only once all of it is there, so a five-byte header that promises four thousand million
    elements costs five bytes. ``limit`` is in bytes a frame and may be changed between two ``feed`` calls;
    ``most`` is the highest it will ever be. ``partial`` is how many bytes are held of a frame that is not complete.
    """

    __slots__ = ("_base", "_most", "_rest", "_unpacker", "limit", "partial")

    def __init__(self, limit: int, most: int | None = None) -> None:
        self.limit = limit
        self._most = max(limit, most or 0)
        self.partial = 0
        self._rest = bytearray()
        self._restart()

    def _restart(self) -> None:
        # Room for a whole frame and for the read that completed it and began the next.
        self._unpacker = msgpack.Unpacker(max_buffer_size=self._most + 2 * READ_SIZE)
        self._base = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take what the socket gave; give the frames it completed, in order.

        Raises ``StreamBroken``, which carries ``MalformedFrame`` (not MessagePack) or ``TooLarge`` and the frames
        that were whole before the fault; the stream cannot be used after it.
        """
        frames: list[bytes] = []
        if len(data) <= READ_SIZE:
            self._cut(data, frames)
        else:
            for start in range(0, len(data), READ_SIZE):
                self._cut(data[start : start + READ_SIZE], frames)
        return frames

    def _cut(self, data: bytes, frames: list[bytes]) -> None:
        unpacker, rest, limit = self._unpacker, self._rest, self.limit
        held = self.partial
        size, start = held + len(data), 0
        if held:
            rest += data
        base = self._base
        skip, tell = unpacker.skip, unpacker.tell
        try:
            unpacker.feed(data)
            while start < size:
                skip()
                end = tell() - base
                if end - start > limit:
                    raise StreamBroken(_too_large(end - start, limit), frames)
                # Of bytes that are one whole frame, the usual case, this slice is the same object.
                frames.append(_copy(rest, start, end) if held else data[start:end])
                start = end
        except msgpack.OutOfData:
            if size - start > limit:
                raise StreamBroken(_too_large(size - start, limit), frames) from None
            if held:
                del rest[:start]
            else:
                rest += data[start:]
            self._base = base + start
            self.partial = size - start
            return
        except msgpack.BufferFull:
            raise StreamBroken(_too_large(size - start, limit), frames) from None
        except ValueError as error:
            fault = MalformedFrame("these bytes are not MessagePack; the connection is closed")
            raise StreamBroken(fault, frames) from error
        if held:
            self._rest = bytearray()
            self.partial = 0
        if size > _KEEP_BUFFER:  # a large frame leaves no large buffer behind
            self._restart()
        else:
            self._base = base + start


def _copy(buffer: bytearray, start: int, end: int) -> bytes:
    with memoryview(buffer) as view:
        return bytes(view[start:end])


class StreamBroken(Exception):
    """The byte stream stopped being frames: ``error`` says why, ``frames`` came whole before it."""

    def __init__(self, error: MalformedFrame | TooLarge, frames: list[bytes]) -> None:
        super().__init__(error.message)
        self.error = error
        self.frames = frames


def _too_large(size: int, limit: int) -> TooLarge:
    return TooLarge(f"a frame is over the limit of {limit} bytes; send large content in parts", size=size, limit=limit)


class Reader:
    """Turns a trusted stream (what bzzzd sends its clients) straight into checked frames."""

    __slots__ = ("_limit", "_unpacker")

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self._limit = limit
        self._unpacker = msgpack.Unpacker(max_buffer_size=limit + 2 * READ_SIZE)

    def feed(self, data: bytes) -> Iterator[list[Any]]:
        """The frames that ``data`` completes, one by one; raises ``MalformedFrame`` or ``TooLarge``."""
        try:
            self._unpacker.feed(data)
            for frame in self._unpacker:
                if frame.__class__ is not list or len(frame) != 4 or frame[0] != RESPONSE:
                    check_frame(frame)
                yield frame
        except msgpack.BufferFull:
            raise _too_large(self._limit + 1, self._limit) from None
        except (ValueError, msgpack.UnpackException) as error:
            raise MalformedFrame("the other side sent bytes that are not MessagePack") from error


def check_frame(frame: Any) -> int:
    """Give the kind of a decoded frame; raises ``MalformedFrame`` naming what is wrong with its shape."""
    if not isinstance(frame, list) or not frame:
        raise MalformedFrame(f"a frame is an array of three or four elements, not {_shape(frame)}")
    kind = frame[0]
    if kind in (REQUEST, RESPONSE):
        _check_length(frame, 4)
        if type(frame[1]) is not int or not 0 <= frame[1] <= MAX_ID:
            raise MalformedFrame(f"a frame's id is a whole number from 0 to {MAX_ID}, not {_shape(frame[1])}")
    elif kind == NOTIFICATION:
        _check_length(frame, 3)
    else:
        raise MalformedFrame(f"a frame begins with 0, 1 or 2, not {_shape(kind)}")
    if kind != RESPONSE:
        method, params = frame[-2:]
        if not isinstance(method, str):
            raise MalformedFrame(f"a method is named by a string, not {_shape(method)}")
        if not isinstance(params, list):
            raise MalformedFrame(f"parameters are an array that holds one map, not {_shape(params)}")
    return int(kind)


def _check_length(frame: list[Any], length: int) -> None:
    if len(frame) != length:
        raise MalformedFrame(f"a frame of kind {frame[0]} has {length} elements, not {len(frame)}")


def _shape(value: Any) -> str:
    # Never the value: it may be a secret that was sent to the wrong place.
    if isinstance(value, int) and not isinstance(value, bool):
        return "another number"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    return {str: "a string", bytes: "bytes", dict: "a map", float: "a float", type(None): "nil"}.get(
        type(value), type(value).__name__
    )
