"""Bytes between the loop and a thread that works on them, a few pieces at a time.

The thread blocks; the loop never does. Whoever is left alone for ``IDLE_S`` seconds gives up, so that a
client which goes away leaves no thread behind.
"""

from __future__ import annotations

import asyncio
import io
import queue
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

PIECES: Final = 4
IDLE_S: Final = 120.0
_PIECE_BYTES: Final = 1_048_576
_END: Final = b""


class Inward(io.BufferedIOBase):
    """The loop feeds, the thread reads."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(PIECES)
        self._rest = memoryview(_END)
        self._ended = False

    async def feed(self, piece: bytes) -> None:
        """Hand over the next piece; waits while the thread has enough. ``TimeoutError`` when it takes nothing."""
        async with asyncio.timeout(IDLE_S):
            await self._room.acquire()
        self._queue.put(piece)

    def end(self) -> None:
        """That was all."""
        self._queue.put(_END)

    def abort(self) -> None:
        """It will never be complete: the thread's next read fails."""
        self._queue.put(None)

    def stop(self) -> None:
        """For the thread: it reads no more, and nobody shall wait for it."""
        for _ in range(PIECES):
            self._loop.call_soon_threadsafe(self._room.release)

    def read(self, size: int | None = -1, /) -> bytes:
        """For the thread: the next bytes, at most ``size``; empty at the end."""
        while not self._rest and not self._ended:
            try:
                piece = self._queue.get(timeout=IDLE_S)
            except queue.Empty as error:
                raise OSError("nothing more came") from error
            if piece is None:
                raise OSError("the sender gave up")
            self._ended = not piece
            self._rest = memoryview(piece)
            self._loop.call_soon_threadsafe(self._room.release)
        count = len(self._rest) if size is None or size < 0 else size
        part, self._rest = bytes(self._rest[:count]), self._rest[count:]
        return part


class Outward(io.BufferedIOBase):
    """The thread writes, the loop takes."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: queue.Queue[bytes | BaseException] = queue.Queue(PIECES)
        self._some = asyncio.Event()
        self._gathered: list[bytes] = []
        self._size = 0
        self._closed = False

    async def take(self) -> bytes:
        """The next piece; empty at the end. Raises what the thread gave to ``fail``, or ``TimeoutError``."""
        async with asyncio.timeout(IDLE_S):
            while True:
                self._some.clear()
                try:
                    found = self._queue.get_nowait()
                except queue.Empty:
                    await self._some.wait()
                    continue
                if isinstance(found, BaseException):
                    raise found
                return found

    def abandon(self) -> None:
        """Nobody takes anything any more: the thread's next write fails."""
        self._closed = True
        while True:
            try:
                self._queue.get_nowait()
            except queue.Empty:
                return

    def write(self, piece: Buffer, /) -> int:
        """For the thread."""
        data = bytes(piece)
        self._gathered.append(data)
        self._size += len(data)
        if self._size >= _PIECE_BYTES:
            self._send()
        return len(data)

    def _send(self) -> None:
        if self._gathered:
            whole = b"".join(self._gathered)
            self._gathered, self._size = [], 0
            for start in range(0, len(whole), _PIECE_BYTES):
                self._put(whole[start : start + _PIECE_BYTES])

    def end(self) -> None:
        """For the thread: that was all."""
        self._send()
        self._put(_END)

    def fail(self, error: BaseException) -> None:
        """For the thread: it will never be complete."""
        self._put(error)

    def _put(self, piece: bytes | BaseException) -> None:
        if self._closed:
            raise OSError("nobody takes it any more")
        try:
            self._queue.put(piece, timeout=IDLE_S)
        except queue.Full as error:
            raise OSError("nobody takes it any more") from error
        self._loop.call_soon_threadsafe(self._some.set)
