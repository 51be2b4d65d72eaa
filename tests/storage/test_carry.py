from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bzzzd.crypto.envelope import seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import InvalidEnvelope, TooLarge
from bzzzd.mesh.values import MAX_MESSAGE_BYTES
from bzzzd.storage.messages.carry import (
    MESSAGE_LIMIT,
    PACKET_LIMIT,
    Bundle,
    Carry,
    digest_of,
    open_bundle,
    open_message,
    open_numbered,
    pack,
    seal_carry,
    seal_message,
    unpack,
)
from bzzzd.storage.messages.sources import Link, Source

MESH = "mesh-1"
NODE, AUTHOR = SigningKey.from_seed(bytes(32)), SigningKey.from_seed(bytes([1]) * 32)
NOW = 1000.0
JOURNAL, BEFORE = "0" * 32, "1" * 32


def message(topic: str = "news", at: float = NOW, body: object = "hello") -> bytes:
    return seal_message(AUTHOR, MESH, topic, at, body)


def carried(*raws: bytes, topic: str = "news", first: int = 1, after=None, start: int = 0, mesh: str = MESH) -> Bundle:
    carry = Carry(JOURNAL, topic, first, after, tuple(map(digest_of, raws)))
    return Bundle(seal_carry(NODE, mesh, carry), start, raws[start:])


def test_what_an_author_says_arrives_with_both_names_and_its_place():
    raws = [message(body={"text": "hello", "n": n}) for n in range(3)]
    numbered = open_bundle(carried(*raws, first=7), MESH, topic="news")
    for index, raw in enumerate(raws):
        received = open_numbered(numbered, index, MESH, now=NOW)
        assert (received.source, received.author) == (Source(NODE.public, JOURNAL), AUTHOR.public)
        assert (received.number, received.index, received.raw, received.after) == (7 + index, index, raw, None)
        assert msgspec.msgpack.decode(received.message.body) == {"text": "hello", "n": index}


def test_a_part_of_what_was_numbered_together_can_be_handed_on():
    raws = [message(body=n) for n in range(4)]
    whole = carried(*raws, after=(BEFORE, 9))
    numbered = open_bundle(Bundle(whole.carry, 2, tuple(raws[2:3])), MESH, topic="news")
    assert open_numbered(numbered, 0, MESH, now=NOW).number == 3
    first = open_numbered(open_bundle(whole, MESH, topic="news"), 0, MESH, now=NOW)
    assert (first.number, first.after) == (1, Link(BEFORE, 9))


def test_age_is_no_fault_but_the_future_is():
    open_message(message(at=0.0), MESH, now=NOW)
    open_message(message(at=NOW + 29), MESH, now=NOW)
    with pytest.raises(InvalidEnvelope, match="31 s in the future"):
        open_message(message(at=NOW + 31), MESH, now=NOW)


def test_a_message_stays_on_its_topic():
    with pytest.raises(InvalidEnvelope, match="came on topic"):
        open_message(message(), MESH, now=NOW, topic="other")
    with pytest.raises(InvalidEnvelope, match="came on topic"):
        open_bundle(carried(message()), MESH, topic="other")
    numbered = open_bundle(carried(message("other")), MESH, topic="news")
    with pytest.raises(InvalidEnvelope, match="came on topic"):
        open_numbered(numbered, 0, MESH, now=NOW)


RAW = message()
GOOD = carried(RAW)


@pytest.mark.parametrize(
    "bundle",
    [
        Bundle(b"", 0, (RAW,)),
        Bundle(RAW, 0, (RAW,)),
        Bundle(GOOD.carry[:-1] + b"x", 0, (RAW,)),
        Bundle(GOOD.carry, 0, (RAW[:-1] + b"x",)),
        Bundle(GOOD.carry, 1, (RAW,)),
        Bundle(GOOD.carry, 0, (RAW, RAW)),
        carried(RAW, mesh="mesh-2"),
        carried(RAW, first=2, after=(BEFORE, 1)),
        carried(RAW, after=(JOURNAL, 1)),
        Bundle(seal(NODE, "carry", MESH, b"\xc1"), 0, (RAW,)),
        Bundle(seal(NODE, "carry", MESH, msgspec.msgpack.encode([JOURNAL, "news", 0, None, [bytes(32)]])), 0, (RAW,)),
        Bundle(seal(NODE, "carry", MESH, msgspec.msgpack.encode(["x", "news", 1, None, [bytes(32)]])), 0, (RAW,)),
    ],
)
def test_forged_and_damaged_carries_are_refused(bundle):
    with pytest.raises(InvalidEnvelope):
        open_bundle(bundle, MESH, topic="news")


@pytest.mark.parametrize(
    "raw",
    [
        b"not signed",
        RAW[:-1] + b"x",
        seal(AUTHOR, "message", MESH, msgspec.msgpack.encode({"topic": "news", "at": "noon", "body": 1})),
        seal_message(AUTHOR, MESH, "news", NOW, msgspec.Raw(b"\xa2\xff\xfe")),
        seal_message(AUTHOR, MESH, "news", NOW, msgspec.Raw(b"\x81\x80\x01")),
        seal_message(AUTHOR, MESH, "news", NOW, msgspec.Raw(b"\x91" * 100_000 + b"\xc0")),
    ],
)
def test_a_message_that_its_author_did_not_sign_is_refused(raw):
    with pytest.raises(InvalidEnvelope):
        open_numbered(open_bundle(carried(raw), MESH, topic="news"), 0, MESH, now=NOW)


@pytest.mark.parametrize("topic", ["", "with space", "tab\t", "ünicode", "x" * 129])
def test_a_topic_is_visible_ascii(topic):
    with pytest.raises(InvalidEnvelope):
        open_message(message(topic), MESH, now=NOW)


def test_what_pubsub_would_drop_is_refused_before_it_gets_a_number():
    room = MESSAGE_LIMIT - len(message(body=bytes(70_000))) + 70_000
    raw = message(body=bytes(room))
    assert len(raw) == MESSAGE_LIMIT
    open_message(raw, MESH, now=NOW)
    assert len(pack([carried(raw, after=(BEFORE, 2**53))])) <= MAX_MESSAGE_BYTES == PACKET_LIMIT
    with pytest.raises(TooLarge):
        open_message(message(body=bytes(room + 1)), MESH, now=NOW)


def test_a_packet_comes_back_as_it_went():
    bundles = [carried(message(body=n), first=n + 1) for n in range(3)]
    assert unpack(pack(bundles)) == bundles


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_packet_or_are_refused(raw):
    with suppress(InvalidEnvelope, TooLarge):
        unpack(raw)


def test_a_carry_that_numbers_beyond_what_heads_can_tell_is_invalid():
    last = 2**53 - 2
    assert open_bundle(carried(message(), first=last), MESH, topic="news").carry.first == last
    with pytest.raises(InvalidEnvelope, match="beyond"):
        open_bundle(carried(message(), message(), first=last), MESH, topic="news")
