from __future__ import annotations

import msgspec
import pytest

from bzzzd.crypto.envelope import seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import InvalidEnvelope, TooLarge
from bzzzd.storage.carry import Carry, open_carry, open_message, own_digest, seal_carry, seal_message

MESH = "mesh-1"
NODE, AUTHOR = SigningKey.from_seed(bytes(32)), SigningKey.from_seed(bytes([1]) * 32)
NOW = 1000.0
JOURNAL = "0" * 32


def message(topic: str = "news", at: float = NOW, body: object = "hello") -> bytes:
    return seal_message(AUTHOR, MESH, topic, at, body)


def carried(raw: bytes, topic: str = "news", number: int = 1) -> bytes:
    return seal_carry(NODE, MESH, Carry(JOURNAL, number, topic, raw))


def test_what_an_author_says_arrives_with_both_names():
    raw = message(body={"text": "hello", "n": [1, 2]})
    received = open_carry(carried(raw), MESH, now=NOW, topic="news")
    assert (received.node, received.author) == (NODE.public, AUTHOR.public)
    assert received.carry == Carry(JOURNAL, 1, "news", raw)
    assert msgspec.msgpack.decode(received.message.body) == {"text": "hello", "n": [1, 2]}
    assert received.carry_digest == own_digest(NODE.public, received.carry)


def test_age_is_no_fault_but_the_future_is():
    open_message(message(at=0.0), MESH, now=NOW)
    open_message(message(at=NOW + 29), MESH, now=NOW)
    with pytest.raises(InvalidEnvelope, match="31 s in the future"):
        open_message(message(at=NOW + 31), MESH, now=NOW)


def test_a_message_stays_on_its_topic():
    with pytest.raises(InvalidEnvelope, match="came on topic"):
        open_message(message(), MESH, now=NOW, topic="other")
    with pytest.raises(InvalidEnvelope, match="came on topic"):
        open_carry(carried(message()), MESH, now=NOW, topic="other")
    with pytest.raises(InvalidEnvelope, match="came on topic"):
        open_carry(carried(message("other")), MESH, now=NOW, topic="news")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"garbage",
        message(),
        carried(b"not signed"),
        carried(message())[:-1] + b"x",
        carried(message()[:-1] + b"x"),
        seal_carry(NODE, "mesh-2", Carry(JOURNAL, 1, "news", message())),
        seal(
            NODE,
            "carry",
            MESH,
            msgspec.msgpack.encode({"journal": JOURNAL, "number": 0, "topic": "news", "message": b""}),
        ),
        seal(
            NODE, "carry", MESH, msgspec.msgpack.encode({"journal": "x", "number": 1, "topic": "news", "message": b""})
        ),
        seal(NODE, "carry", MESH, b"\xc1"),
        carried(seal(AUTHOR, "message", MESH, msgspec.msgpack.encode({"topic": "news", "at": "noon", "body": 1}))),
    ],
)
def test_forged_and_damaged_messages_are_refused(raw):
    with pytest.raises(InvalidEnvelope):
        open_carry(raw, MESH, now=NOW, topic="news")


@pytest.mark.parametrize("topic", ["", "with space", "tab\t", "ünicode", "x" * 129])
def test_a_topic_is_visible_ascii(topic):
    with pytest.raises(InvalidEnvelope):
        open_message(message(topic), MESH, now=NOW)


def test_what_pubsub_would_drop_is_refused():
    with pytest.raises(TooLarge):
        open_message(message(body=bytes(1_047_000)), MESH, now=NOW)
    with pytest.raises(TooLarge):
        open_carry(carried(message(body=bytes(2000))), MESH, now=NOW, topic="news", limit=1000)
