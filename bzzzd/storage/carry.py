"""Mesh messages as they travel: the author's signed message inside the node's signed numbering.

    carry    {journal, number, topic, message}   signed by the node that sends it
    message  {topic, at, body}                   signed by its author, carried unchanged

The node's number gives order and completeness per node; the author's signature says who speaks.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from bzzzd.crypto.envelope import Envelope, open_envelope, seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import InvalidEnvelope

# What an author's message and its carry may measure, encoded; pubsub drops 1 MiB and more without an error.
MESSAGE_LIMIT: Final = 1_047_000
CARRY_LIMIT: Final = 1_048_000
FUTURE_S: Final = 30.0

Topic = Annotated[str, Meta(pattern=r"\A[!-~]{1,128}\Z")]


class Message(Struct, frozen=True):
    """What an author says on a topic: ``at`` is its Unix time in seconds, ``body`` any MessagePack value."""

    topic: Topic
    at: Annotated[float, Meta(ge=0, lt=2.0**53)]
    body: msgspec.Raw


class Carry(Struct, frozen=True):
    """One numbered message: ``journal`` is the sender's journal incarnation, ``number`` counts from 1 in it."""

    journal: Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
    number: Annotated[int, Meta(ge=1, le=2**53)]
    topic: Topic
    message: bytes


class Received(Struct, frozen=True):
    """A carry whose two signatures hold: ``node`` and ``author`` are public keys.

    The digests cover signer and payload: what a forwarder could encode differently is left out.
    """

    node: bytes
    carry: Carry
    carry_digest: bytes
    author: bytes
    message: Message
    message_digest: bytes


def seal_message(key: SigningKey, mesh_id: str, topic: str, at: float, body: object) -> bytes:
    return seal(key, "message", mesh_id, msgspec.msgpack.encode({"topic": topic, "at": at, "body": body}))


def open_message(
    raw: bytes, mesh_id: str, *, now: float, topic: str | None = None, limit: int = MESSAGE_LIMIT
) -> tuple[Envelope, Message]:
    """Verify an author's message: for ``topic``, and not dated after ``now`` (30 s of drift are forgiven).

    Age is no fault: a message may have waited in a journal. Raises ``InvalidEnvelope`` or ``TooLarge``.
    """
    envelope = open_envelope(raw, kind="message", mesh_id=mesh_id, limit=limit)
    try:
        message = _MESSAGE.decode(envelope.payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidEnvelope(f"this message cannot be used: {error}") from error
    if topic is not None and message.topic != topic:
        raise InvalidEnvelope(f"a message for topic {message.topic!r} came on topic {topic[:128]!r}")
    if message.at > now + FUTURE_S:
        raise InvalidEnvelope(
            f"this message is dated {message.at - now:.0f} s in the future; set the clock of its author's machine",
            at=message.at,
        )
    return envelope, message


def seal_carry(key: SigningKey, mesh_id: str, carry: Carry) -> bytes:
    """Sign ``carry`` as this node."""
    return seal(key, "carry", mesh_id, msgspec.msgpack.encode(carry))


def open_carry(raw: bytes, mesh_id: str, *, now: float, topic: str, limit: int = CARRY_LIMIT) -> Received:
    """Verify what arrived on ``topic``: the node's envelope, then its author's message inside.

    Whether the node is a member and the author may speak there is for the caller, who knows their
    grants. Raises ``InvalidEnvelope`` or ``TooLarge``.
    """
    envelope = open_envelope(raw, kind="carry", mesh_id=mesh_id, limit=limit)
    try:
        carry = _CARRY.decode(envelope.payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidEnvelope(f"this carried message cannot be used: {error}") from error
    if carry.topic != topic:
        raise InvalidEnvelope(f"a message numbered for topic {carry.topic!r} came on topic {topic[:128]!r}")
    author, message = open_message(carry.message, mesh_id, now=now, topic=topic, limit=limit)
    return Received(envelope.author, carry, signed_digest(envelope), author.author, message, signed_digest(author))


def own_digest(node: bytes, carry: Carry) -> bytes:
    """What ``Received.carry_digest`` will be for a carry that this node seals."""
    return hashlib.sha256(node + msgspec.msgpack.encode(carry)).digest()


def signed_digest(envelope: Envelope) -> bytes:
    """SHA-256 of what an envelope's author signed, and of who that was."""
    return hashlib.sha256(envelope.author + envelope.payload).digest()


_MESSAGE: Final = msgspec.msgpack.Decoder(Message)
_CARRY: Final = msgspec.msgpack.Decoder(Carry)
