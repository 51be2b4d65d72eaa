"""Frames survive every way of arriving, and nothing that is no frame gets past."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bzzzd.errors import MalformedFrame, TooLarge
from bzzzd.rpc.wire import MAX_ID, READ_SIZE, Reader, Splitter, StreamBroken, check_frame

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
IDS = st.integers(0, MAX_ID)
FRAMES = st.one_of(
    st.tuples(st.just(0), IDS, st.text(), st.tuples(VALUES)),
    st.tuples(st.just(1), IDS, VALUES, VALUES),
    st.tuples(st.just(2), st.text(), st.tuples(VALUES)),
)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]


def as_lists(value: Any) -> Any:
    return msgpack.unpackb(msgpack.packb(value))


@settings(max_examples=80, deadline=None)
@given(st.lists(FRAMES, max_size=6), st.lists(st.integers(0, 10_000), max_size=12))
def test_frames_come_out_as_they_went_in_however_the_bytes_are_cut(frames: list[Any], places: list[int]) -> None:
    packed = [msgpack.packb(frame) for frame in frames]
    splitter, found = Splitter(1_000_000), []
    reader, read = Reader(), []
    for piece in cut(b"".join(packed), places):
        found += splitter.feed(piece)
        read += list(reader.feed(piece))
    assert found == packed
    assert splitter.partial == 0
    assert read == [as_lists(frame) for frame in frames]


@settings(max_examples=80, deadline=None)
@given(FRAMES, st.integers(1, 10_000), st.lists(st.integers(0, 10_000), max_size=4))
def test_half_a_frame_is_held_and_counted(frame: Any, missing: int, places: list[int]) -> None:
    packed = msgpack.packb(frame)
    half = packed[: max(len(packed) - missing, 1)] if len(packed) > 1 else packed
    splitter = Splitter(1_000_000)
    for piece in cut(half, places):
        assert splitter.feed(piece) == ([packed] if half == packed else [])
    assert splitter.partial == (0 if half == packed else len(half))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=6))
def test_garbage_is_frames_or_an_error_and_the_same_however_it_is_cut(data: bytes, places: list[int]) -> None:
    def outcome(pieces: list[bytes]) -> tuple[list[bytes], str]:
        splitter, found = Splitter(64), []
        for piece in pieces:
            try:
                found += splitter.feed(piece)
            except StreamBroken as broken:
                return found + broken.frames, broken.error.code
        return found, ""

    whole, fault = outcome([data])
    pieces, other = outcome(cut(data, places))
    assert (whole, fault) == (pieces, other)
    assert data.startswith(b"".join(whole))


@given(st.integers(33, 5_000), st.lists(st.integers(0, 10_000), max_size=5))
@settings(max_examples=40, deadline=None)
def test_a_frame_over_the_limit_is_refused_before_more_of_it_is_held(size: int, places: list[int]) -> None:
    splitter = Splitter(32)
    with pytest.raises(StreamBroken) as caught:
        for piece in cut(msgpack.packb(bytes(size)), places):
            splitter.feed(piece)
    assert isinstance(caught.value.error, TooLarge)
    assert caught.value.error.data["limit"] == 32


def test_frames_before_a_fault_are_still_given() -> None:
    good = msgpack.packb([0, 1, "a", []])
    with pytest.raises(StreamBroken) as caught:
        Splitter(100).feed(good + b"\xc1" + good)
    assert caught.value.frames == [good]
    assert isinstance(caught.value.error, MalformedFrame)


def test_a_header_that_promises_millions_costs_nothing() -> None:
    splitter = Splitter(1_000_000)
    assert splitter.feed(b"\xdd\xff\xff\xff\xff" * 200) == []
    assert splitter.partial == 1000


def test_a_frame_nested_without_end_is_refused() -> None:
    with pytest.raises(StreamBroken, match="not MessagePack"):
        Splitter(1_000_000).feed(b"\x91" * 100_000)


def test_a_large_frame_passes_and_the_limit_can_be_raised() -> None:
    large = msgpack.packb(bytes(3 * READ_SIZE))
    splitter = Splitter(1000, 4 * READ_SIZE)
    splitter.limit = 4 * READ_SIZE
    small = msgpack.packb([1])
    assert splitter.feed(small + large + small) == [small, large, small]
    assert splitter.feed(large) == [large]
    assert splitter.partial == 0


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ("hello", "not a string"),
        ({}, "not a map"),
        ([], "not an array of 0"),
        ([7, 1, "a", []], "begins with 0, 1 or 2"),
        (["0", 1, "a", []], "begins with 0, 1 or 2"),
        ([0, 1, "a"], "has 4 elements, not 3"),
        ([2, "a", [], None], "has 3 elements, not 4"),
        ([0, -1, "a", []], "id is a whole number"),
        ([0, True, "a", []], "id is a whole number"),
        ([1, 2**32, None, None], "id is a whole number"),
        ([0, 1, b"a", []], "named by a string, not bytes"),
        ([0, 1, "a", {}], "an array that holds one map, not a map"),
        ([2, 5, []], "named by a string"),
    ],
)
def test_a_wrong_shape_is_named(frame: Any, words: str) -> None:
    with pytest.raises(MalformedFrame, match=words):
        check_frame(frame)


def test_the_reader_refuses_what_is_no_frame() -> None:
    for data in (msgpack.packb("x"), b"\xc1", msgpack.packb([1, 1, None])):
        with pytest.raises(MalformedFrame):
            list(Reader().feed(data))
    with pytest.raises(TooLarge):
        list(Reader(100).feed(b"\xc6\x01\0\0\0" + bytes(2 * READ_SIZE + 100)))
