"""Mesh messages as they travel: the authors' signed messages under the numbering that a node signed for them.

    message  {topic, at, body}                               signed by its author, carried unchanged
    carry    {journal, topic, first, after, digests}         signed by the node that sends them: the numbers
                                                             ``first``, ``first + 1`` … belong to these messages
    bundle   [carry, start, [message, …]]                    unsigned: a carry with some of its messages in a row

One signature numbers many messages when they are many, and any node can hand on a part of them with it. The
numbering gives order and completeness per node; the author's signature says who speaks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from bzzzd.crypto.envelope import Envelope, open_envelope, seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import UNREADABLE, InvalidEnvelope, TooLarge
from bzzzd.storage.messages.sources import Link, Source

# What an author's message may measure, encoded: one alone in its bundle fits into what the mesh takes (1,044,480).
MESSAGE_LIMIT: Final = 1_043_000
PACKET_LIMIT: Final = 1_044_480
CARRY_MESSAGES: Final = 256
# What is numbered together besides a first message, in bytes: a packet of more waits longer than it saves.
CARRY_BYTES: Final = 131_072
FUTURE_S: Final = 30.0

Topic = Annotated[str, Meta(pattern=r"\A[!-~]{1,128}\Z")]
JournalName = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
Number = Annotated[int, Meta(ge=1, le=2**53)]
_Digest = Annotated[bytes, Meta(min_length=32, max_length=32)]


class Message(Struct, frozen=True):
    """What an author says on a topic: ``at`` is its Unix time in seconds, ``body`` any MessagePack value."""

    topic: Topic
    at: Annotated[float, Meta(ge=0, lt=2.0**53)]
    body: msgspec.Raw


class Carry(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Numbers for messages of one topic: ``journal`` is the sender's name for its numbering since its last start.

    ``after`` names the message before number 1, in the journal before: it stands there, unless there was none, and
    nowhere else. ``digests`` are the SHA-256 of the messages.
    """

    journal: JournalName
    topic: Topic
    first: Number
    after: tuple[JournalName, Number] | None
    digests: Annotated[tuple[_Digest, ...], Meta(min_length=1, max_length=CARRY_MESSAGES)]


class Bundle(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A sealed carry, and the messages that belong to its digests from index ``start`` on."""

    carry: bytes
    start: Annotated[int, Meta(ge=0, lt=CARRY_MESSAGES)]
    messages: Annotated[tuple[bytes, ...], Meta(min_length=1, max_length=CARRY_MESSAGES)]


class Received(Struct, frozen=True):
    """One message whose two signatures hold, with its place: ``raw`` is the author's envelope, ``proof`` the carry.

    ``digest`` covers the author and what it signed: what a forwarder could encode differently is left out.
    """

    source: Source
    number: int
    after: Link | None
    author: bytes
    message: Message
    digest: bytes
    raw: bytes
    proof: bytes
    index: int


class Numbered(Struct, frozen=True):
    """A bundle whose carry holds: whose it is, and its messages with their numbers, not looked into yet."""

    source: Source
    carry: Carry
    proof: bytes
    start: int
    messages: tuple[bytes, ...]


def seal_message(key: SigningKey, mesh_id: str, topic: str, at: float, body: object) -> bytes:
    return seal(key, "message", mesh_id, msgspec.msgpack.encode({"topic": topic, "at": at, "body": body}))


def open_message(
    raw: bytes, mesh_id: str, *, now: float, topic: str | None = None, limit: int = MESSAGE_LIMIT
) -> tuple[Envelope, Message]:
    """Verify an author's message: for ``topic``, and not dated after ``now`` (30 s of drift are forgiven).

    Age is no fault: a message may have waited in a journal. Raises ``InvalidEnvelope`` or ``TooLarge``.
    """
    envelope = open_envelope(raw, kind="message", mesh_id=mesh_id, limit=min(limit, MESSAGE_LIMIT))
    message = _message_of(envelope)
    if topic is not None and message.topic != topic:
        raise InvalidEnvelope(f"a message for topic {message.topic!r} came on topic {topic[:128]!r}")
    if message.at > now + FUTURE_S:
        raise InvalidEnvelope(
            f"this message is dated {message.at - now:.0f} s in the future; set the clock of its author's machine",
            at=message.at,
        )
    return envelope, message


def _message_of(envelope: Envelope) -> Message:
    try:
        message = _MESSAGE.decode(envelope.payload)
        # The body is handed on as it is: one that cannot be read must not reach those who would try.
        msgspec.msgpack.decode(message.body)
    except (msgspec.DecodeError, ValueError, TypeError, RecursionError) as error:
        raise InvalidEnvelope(f"this message cannot be used: {error}") from error
    return message


def seal_carry(key: SigningKey, mesh_id: str, carry: Carry) -> bytes:
    """Sign ``carry`` as this node."""
    return seal(key, "carry", mesh_id, _ENCODER.encode(carry))


def digest_of(raw: bytes) -> bytes:
    """What a carry says of a message."""
    return hashlib.sha256(raw).digest()


def signed_digest(envelope: Envelope) -> bytes:
    """SHA-256 of what an envelope's author signed, and of who that was."""
    return hashlib.sha256(envelope.author + envelope.payload).digest()


def pack(bundles: Sequence[Bundle]) -> bytes:
    """Bundles of one topic as one gossip message."""
    return _ENCODER.encode(bundles)


def unpack(raw: bytes) -> list[Bundle]:
    """What ``pack`` made, checked in shape alone. Raises ``InvalidEnvelope`` or ``TooLarge``."""
    if len(raw) > PACKET_LIMIT:
        raise TooLarge(f"{len(raw)} bytes of messages are over the limit of {PACKET_LIMIT}", size=len(raw))
    try:
        return _PACKET.decode(raw)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"these are no carried messages: {error}") from error


def open_bundle(bundle: Bundle, mesh_id: str, *, topic: str) -> Numbered:
    """Verify that a node gave these messages, on this topic, their numbers. The messages are for ``open_numbered``.

    Whether the node is a member is for the caller. Raises ``InvalidEnvelope`` or ``TooLarge``.
    """
    envelope = open_envelope(bundle.carry, kind="carry", mesh_id=mesh_id)
    try:
        carry = _CARRY.decode(envelope.payload)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"this carry cannot be used: {error}") from error
    if carry.topic != topic:
        raise InvalidEnvelope(f"messages numbered for topic {carry.topic!r} came on topic {topic[:128]!r}")
    # Heads tell numbers up to 2**53, one further than what is held.
    if carry.first + len(carry.digests) >= 2**53:
        raise InvalidEnvelope("this carry numbers messages beyond 2**53")
    if carry.after is not None and (carry.first != 1 or carry.after[0] == carry.journal):
        raise InvalidEnvelope("only the first message of a journal follows one of another journal")
    digests = carry.digests[bundle.start : bundle.start + len(bundle.messages)]
    if tuple(map(digest_of, bundle.messages)) != digests:
        raise InvalidEnvelope("these are not the messages that the carry numbers")
    source = Source(envelope.author, carry.journal)
    return Numbered(source, carry, bundle.carry, bundle.start, bundle.messages)


def open_numbered(numbered: Numbered, index: int, mesh_id: str, *, now: float) -> Received:
    """Verify the author's signature of the message at ``index`` of ``numbered.messages``.

    Whether the author may speak there is for the caller. Raises ``InvalidEnvelope`` or ``TooLarge``.
    """
    carry, place, raw = numbered.carry, numbered.start + index, numbered.messages[index]
    author, message = open_message(raw, mesh_id, now=now, topic=carry.topic)
    after = Link(*carry.after) if carry.after is not None and place == 0 else None
    return Received(
        numbered.source, carry.first + place, after, author.author, message, signed_digest(author), raw,
        numbered.proof, place,
    )  # fmt: skip


_ENCODER: Final = msgspec.msgpack.Encoder()
_MESSAGE: Final = msgspec.msgpack.Decoder(Message)
_CARRY: Final = msgspec.msgpack.Decoder(Carry)
_PACKET: Final = msgspec.msgpack.Decoder(list[Bundle])
