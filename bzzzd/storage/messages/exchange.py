"""What nodes say to each other about kept messages, over ``/bzzz/messages/1``: heads, and requests for what is missing.

    Tell   {own journal, heads of topics, topics that are asked about}   →  Told   {heads of those}
    Fetch  {topic, [source and number]}                     →  Found  [bundles and head of each]

Everything is bounded where it is decoded. Signatures are checked by ``carry.py``, whoever handed a message on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from bzzzd.errors import UNREADABLE, InvalidEnvelope
from bzzzd.storage.messages.carry import Bundle, JournalName, Topic
from bzzzd.storage.messages.sources import Held, Source

PROTOCOL: Final = "/bzzz/messages/1"
TELL_TOPICS: Final = 1024
TELL_SOURCES: Final = 16_384
FETCH_WANTS: Final = 16
# What one answer carries at most, besides a single large message, in bytes.
FOUND_BYTES: Final = 262_144

_Key = Annotated[bytes, Meta(min_length=32, max_length=32)]
_Count = Annotated[int, Meta(ge=0, le=2**53)]


class Head(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A source, and which of its numbers can be given: see ``order.Held``."""

    node: _Key
    journal: JournalName
    first: _Count
    last: _Count
    early: _Count


class Want(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    node: _Key
    journal: JournalName
    after: _Count


class Given(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The answer to one want; no ``head`` when the source is not known."""

    bundles: Annotated[tuple[Bundle, ...], Meta(max_length=1024)]
    head: Head | None


_Heads = Annotated[tuple[Head, ...], Meta(max_length=TELL_SOURCES)]


class Tell(Struct, frozen=True, tag="tell", forbid_unknown_fields=True):
    """``own`` is the sender's name for its numbering since its start: one that comes back shows that it runs twice."""

    own: JournalName
    heads: Annotated[dict[Topic, _Heads], Meta(max_length=TELL_TOPICS)]
    ask: Annotated[tuple[Topic, ...], Meta(max_length=TELL_TOPICS)]


class Fetch(Struct, frozen=True, tag="fetch", forbid_unknown_fields=True):
    topic: Topic
    wants: Annotated[tuple[Want, ...], Meta(min_length=1, max_length=FETCH_WANTS)]


class Told(Struct, frozen=True, tag="told", forbid_unknown_fields=True):
    heads: Annotated[dict[Topic, _Heads], Meta(max_length=TELL_TOPICS)]


class Found(Struct, frozen=True, tag="found", forbid_unknown_fields=True):
    given: Annotated[tuple[Given, ...], Meta(max_length=FETCH_WANTS)]


def encode(value: Tell | Fetch | Told | Found) -> bytes:
    return _ENCODER.encode(value)


def read_request(raw: bytes) -> Tell | Fetch:
    """Raises ``InvalidEnvelope``."""
    try:
        request: Tell | Fetch = _REQUESTS.decode(raw)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"this is no request for messages: {error}") from error
    return request


def read_told(raw: bytes) -> Told:
    """Raises ``InvalidEnvelope``."""
    try:
        return _TOLD.decode(raw)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"a peer told its heads in a way that cannot be used: {error}") from error


def read_found(raw: bytes, wants: int) -> Found:
    """The answer to the first of that many wants. Raises ``InvalidEnvelope``."""
    try:
        found = _FOUND.decode(raw)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"a peer gave messages in a way that cannot be used: {error}") from error
    if not 0 < len(found.given) <= wants:
        raise InvalidEnvelope(f"{len(found.given)} answers came to {wants} questions")
    return found


def heads_of(found: Mapping[Source, Held]) -> tuple[Head, ...]:
    return tuple(Head(*source, *held) for source, held in found.items())


def held_of(heads: tuple[Head, ...]) -> dict[Source, Held]:
    return {Source(head.node, head.journal): Held(head.first, head.last, head.early) for head in heads}


_ENCODER: Final = msgspec.msgpack.Encoder()
_REQUESTS: Final = msgspec.msgpack.Decoder(Tell | Fetch)
_TOLD: Final = msgspec.msgpack.Decoder(Told)
_FOUND: Final = msgspec.msgpack.Decoder(Found)
