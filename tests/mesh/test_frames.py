from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from libp2p.utils.varint import encode_varint_prefixed

from bzzzd.errors import MalformedFrame, TooLarge
from bzzzd.mesh.frames import VarintFrames, frame, read_frame

LIMIT = 2000


class Pieces:
    """A stream that gives what was written in pieces of the given sizes."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data = data
        self._sizes = sizes

    async def read(self, n: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        size = min(self._sizes.pop(0) if self._sizes else 1 << 20, n or 1 << 20)
        piece, self._data = self._data[:size], self._data[size:]
        return piece


def taken(reading: Any) -> Any:
    async def run() -> Any:
        return await reading()

    return trio.run(run)


bodies = st.lists(st.binary(max_size=LIMIT), max_size=5)
pieces = st.lists(st.integers(1, 50), max_size=60)


@settings(deadline=None, max_examples=60)
@given(bodies, pieces)
def test_frames_come_whole_however_they_are_cut(sent: list[bytes], sizes: list[int]) -> None:
    stream: Any = Pieces(b"".join(frame(body) for body in sent), sizes)

    async def read() -> list[bytes]:
        return [await read_frame(stream, LIMIT) for _ in sent]

    assert taken(read) == sent


@settings(deadline=None, max_examples=60)
@given(bodies, pieces)
def test_varint_frames_come_whole_however_they_are_cut(sent: list[bytes], sizes: list[int]) -> None:
    stream: Any = Pieces(b"".join(encode_varint_prefixed(body) for body in sent), sizes)
    frames = VarintFrames(stream, LIMIT)

    async def read() -> list[bytes]:
        return [await frames.next() for _ in sent]

    assert taken(read) == sent


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=100), pieces)
def test_garbage_is_a_frame_or_a_refusal_but_nothing_else(data: bytes, sizes: list[int]) -> None:
    async def read() -> None:
        frames = VarintFrames(Pieces(data, list(sizes)), LIMIT)  # type: ignore[arg-type]
        while True:
            await frames.next()

    with pytest.raises((MalformedFrame, TooLarge)):
        taken(read)
    with pytest.raises((MalformedFrame, TooLarge)):
        taken(lambda: _all(Pieces(data, list(sizes))))


async def _all(stream: Any) -> None:
    while True:
        await read_frame(stream, LIMIT)


def test_a_frame_over_the_limit_is_refused_before_its_body_is_read() -> None:
    ours, varint = Pieces(frame(bytes(LIMIT + 1)), []), Pieces(encode_varint_prefixed(bytes(LIMIT + 1)), [4])
    with pytest.raises(TooLarge):
        taken(lambda: read_frame(ours, LIMIT))  # type: ignore[arg-type]
    assert len(ours._data) == LIMIT + 1
    with pytest.raises(TooLarge):
        taken(VarintFrames(varint, LIMIT).next)  # type: ignore[arg-type]
