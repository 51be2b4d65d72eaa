"""What nodes ask each other about versions (``/bzzz/versions/1``) and content (``/bzzz/blob/1``).

Offer   these I have; which do you lack?        Lacking
Push    take these                               Taken
Find    what do you have of an address?          Found
Fetch   give me this version with its content    Carried
Browse  which addresses do you have?             Browsed

Chunks  how is this content made up?             ChunkList
Chunk   give me one piece of it                  the bytes
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from bzzzd.errors import UNREADABLE, InvalidEnvelope
from bzzzd.storage.versions.adopt import Carried
from bzzzd.storage.versions.naming import HASH_BYTES

VERSIONS_PROTOCOL: Final = "/bzzz/versions/1"
BLOB_PROTOCOL: Final = "/bzzz/blob/1"
MOST_IDS: Final = 4096
MOST_VERSIONS: Final = 1024
# What one message may carry; the transport takes 8 MiB.
MESSAGE_BYTES: Final = 2_097_152
MOST_CHUNKS: Final = 196_608

Hash = Annotated[bytes, Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]
Hashes = Annotated[tuple[Hash, ...], Meta(max_length=MOST_IDS)]
Base = Annotated[str, Meta(min_length=1, max_length=4096)]


class _Frame(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    pass


class Offer(_Frame, frozen=True, tag="offer"):
    """Ids of versions that the sender holds."""

    ids: Hashes


class Push(_Frame, frozen=True, tag="push"):
    """Versions to take; what comes without its content is fetched from the sender."""

    versions: Annotated[tuple[Carried, ...], Meta(max_length=MOST_VERSIONS)]


class Find(_Frame, frozen=True, tag="find"):
    """The versions of the address's base beyond ``have``; with the content of the one that ``address`` picks.

    ``digest`` is that of the asker's ids (``ids_digest``); where it holds more of them than fit, ``have`` is
    None and only whether they differ is asked.
    """

    address: Base
    digest: Hash
    have: Hashes | None


class Fetch(_Frame, frozen=True, tag="fetch"):
    id: Hash


class Browse(_Frame, frozen=True, tag="browse"):
    """Addresses behind ``after`` that ``pattern`` ("" for all) finds."""

    pattern: Annotated[str, Meta(max_length=4096)]
    after: Annotated[str, Meta(max_length=4096)]
    limit: Annotated[int, Meta(ge=1, le=1000)]


class Lacking(_Frame, frozen=True):
    ids: Hashes


class Refused(_Frame, frozen=True):
    """Why a version was not taken: its id, an error's code and message. ``WAIT``: its content is being fetched."""

    id: Hash
    code: Annotated[str, Meta(max_length=64)]
    message: Annotated[str, Meta(max_length=2000)]


class Taken(_Frame, frozen=True):
    """All that was pushed is held now, but these."""

    refused: Annotated[tuple[Refused, ...], Meta(max_length=MOST_VERSIONS)]


class Found(_Frame, frozen=True):
    """Versions that the asker lacks; ``differs`` when there are more, ask again with what is known then."""

    versions: Annotated[tuple[Carried, ...], Meta(max_length=MOST_VERSIONS)]
    differs: bool


class Entry(_Frame, frozen=True):
    """An address: how many versions and heads it has there, and the latest one's signed header."""

    versions: Annotated[int, Meta(ge=1)]
    heads: Annotated[int, Meta(ge=1)]
    latest: Carried


class Browsed(_Frame, frozen=True):
    """``last`` is the address to go on behind; empty at the end."""

    entries: Annotated[tuple[Entry, ...], Meta(max_length=1000)]
    last: Annotated[str, Meta(max_length=4096)]


class Chunks(_Frame, frozen=True, tag="chunks"):
    hash: Hash


class Chunk(_Frame, frozen=True, tag="chunk"):
    hash: Hash
    index: Annotated[int, Meta(ge=0, lt=MOST_CHUNKS)]


class ChunkList(_Frame, frozen=True):
    """``hashes`` are those of the chunks, one after the other."""

    size: Annotated[int, Meta(ge=0, le=2**53)]
    hashes: Annotated[bytes, Meta(max_length=MOST_CHUNKS * HASH_BYTES)]


Question = Offer | Push | Find | Fetch | Browse
BlobQuestion = Chunks | Chunk
T = TypeVar("T")

encode: Final = msgspec.msgpack.Encoder().encode
_QUESTION: Final[msgspec.msgpack.Decoder[Question]] = msgspec.msgpack.Decoder(Question)
_BLOB_QUESTION: Final[msgspec.msgpack.Decoder[BlobQuestion]] = msgspec.msgpack.Decoder(BlobQuestion)
_ANSWERS: Final[dict[type[Any], msgspec.msgpack.Decoder[Any]]] = {
    kind: msgspec.msgpack.Decoder(kind) for kind in (Lacking, Taken, Found, Browsed, Carried, ChunkList)
}


def open_question(raw: bytes) -> Question:
    try:
        return _QUESTION.decode(raw)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"this is no question about versions: {error}") from error


def open_blob_question(raw: bytes) -> BlobQuestion:
    try:
        return _BLOB_QUESTION.decode(raw)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"this is no question about content: {error}") from error


def open_answer(raw: bytes, kind: type[T]) -> T:
    """A member's answer, which must be of ``kind``."""
    try:
        found: T = _ANSWERS[kind].decode(raw)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"a member answered with something that is no {kind.__name__}: {error}") from error
    return found
