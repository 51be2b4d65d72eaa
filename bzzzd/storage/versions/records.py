r"""Records for the DHT: where versions and content can be found, and the rules a holder checks.

The DHT only locates. A head record carries a writer's newest signed version headers for one
address, so whoever reads it can check the writer without trusting the node that stored it; each
writer has a record of its own, so writers never overwrite each other. A pointer record says which
nodes hold a ciphertext. Both are signed by the node that announces them.

    /bzzz-head/<sha256 hex of the base address>/<writer's key>      HeadRecord
    /bzzz-blob/<name of the ciphertext, in hex>                     PointerRecord
    /bzzz-blob/<sha256 hex of "bzzz-address\0" and the base address> PointerRecord: who holds an address
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from bzzzd.crypto.envelope import open_envelope, seal
from bzzzd.crypto.keys import SigningKey, key_text
from bzzzd.errors import UNREADABLE, BzzzError, InvalidEnvelope, TooLarge
from bzzzd.ucxl.address import parse
from bzzzd.ucxl.version import VersionHeader, open_version

# Larger values vanish in libp2p's DHT without an error.
MAX_VALUE_BYTES: Final = 1_044_480
MAX_HEADS: Final = 16
HEAD_NAMESPACE: Final = "bzzz-head"
BLOB_NAMESPACE: Final = "bzzz-blob"

Record = TypeVar("Record", "HeadRecord", "PointerRecord")
NodeId = Annotated[str, Meta(min_length=1, max_length=128)]


class HeadRecord(Struct, frozen=True):
    """A writer's newest versions at ``address``: signed headers, newest last; ``at`` is Unix time in seconds.

    More than one head means that the writer's own versions conflict. ``sequence`` rises with each
    change; of two records the higher one stands.
    """

    address: Annotated[str, Meta(max_length=4096)]
    heads: Annotated[tuple[bytes, ...], Meta(min_length=1, max_length=MAX_HEADS)]
    sequence: Annotated[int, Meta(ge=0, le=2**53)]
    at: Annotated[float, Meta(ge=0, lt=2.0**53)]


class PointerRecord(Struct, frozen=True):
    """The nodes (ids) that hold the ciphertext named ``hash``, of ``size`` bytes."""

    hash: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    size: Annotated[int, Meta(ge=0, le=2**53)]
    holders: Annotated[tuple[NodeId, ...], Meta(min_length=1, max_length=256)]
    at: Annotated[float, Meta(ge=0, lt=2.0**53)]


class Head(Struct, frozen=True):
    """A checked head record: who signed it (node key), who wrote the versions, and their headers."""

    node: bytes
    writer: bytes
    record: HeadRecord
    headers: tuple[VersionHeader, ...]


class Pointer(Struct, frozen=True):
    """A checked pointer record and the key of the node that signed it."""

    node: bytes
    record: PointerRecord


def head_key(address: str, writer: bytes) -> str:
    """Where the head of the writer with this public key is kept, for an address with any temporal part."""
    return f"/{HEAD_NAMESPACE}/{hashlib.sha256(parse(address).base.encode()).hexdigest()}/{key_text(writer)}"


def blob_key(hash: str) -> str:
    """Where the holders of the ciphertext named ``hash`` (64 hex digits) are kept."""
    return f"/{BLOB_NAMESPACE}/{hash}"


def place_name(address: str) -> str:
    """The name under which the holders of an address, with any temporal part, are kept, as if it were content."""
    return hashlib.sha256(b"bzzz-address\0" + parse(address).base.encode()).hexdigest()


def seal_head(key: SigningKey, mesh_id: str, record: HeadRecord) -> bytes:
    """Sign a head record as this node; ``TooLarge`` when the DHT would drop it."""
    return _sized(seal(key, "head", mesh_id, msgspec.msgpack.encode(record)))


def seal_pointer(key: SigningKey, mesh_id: str, record: PointerRecord) -> bytes:
    """Sign a pointer record as this node."""
    return _sized(seal(key, "pointer", mesh_id, msgspec.msgpack.encode(record)))


def open_head(raw: bytes, mesh_id: str) -> Head:
    """Verify the node's signature and every header in it: one address, one writer, no header twice."""
    envelope = open_envelope(_sized(raw), kind="head", mesh_id=mesh_id)
    record = _decode(envelope.payload, _HEAD)
    opened = [open_version(head, mesh_id) for head in record.heads]
    writers = {version.author for version, _ in opened}
    if len(writers) != 1 or {header.address for _, header in opened} != {record.address}:
        raise InvalidEnvelope("a head record holds versions of one address by one writer")
    if len(set(record.heads)) != len(record.heads):
        raise InvalidEnvelope("a head record names each version once")
    return Head(envelope.author, writers.pop(), record, tuple(header for _, header in opened))


def open_pointer(raw: bytes, mesh_id: str) -> Pointer:
    envelope = open_envelope(_sized(raw), kind="pointer", mesh_id=mesh_id)
    return Pointer(envelope.author, _decode(envelope.payload, _POINTER))


def validate_record(key: str, value: bytes, mesh_id: str, is_member: Callable[[bytes], bool]) -> None:
    """Refuse a value that may not stand at ``key``: wrong place, forged, too large, or not by a member.

    ``is_member`` tells whether a public key is that of a node admitted to the mesh. Whether the
    writer may write the address is for the reader, who knows the writer's grant. Raises
    ``InvalidEnvelope`` or ``TooLarge``.
    """
    try:
        node, place = _check(key, value, mesh_id)
    except (InvalidEnvelope, TooLarge):
        raise
    except BzzzError as error:
        raise InvalidEnvelope(f"the value at {key[:200]!r} cannot be used: {error.message}") from error
    if place != key:
        raise InvalidEnvelope(f"this record belongs at {place}, not at {key[:200]!r}", key=key[:200])
    if not is_member(node):
        raise InvalidEnvelope("this record is not signed by a node of the mesh")


def select_record(values: Sequence[bytes], mesh_id: str) -> int:
    """The index of the record that stands among valid ones of one key, the same on every node.

    Of head records it is the one with the newest version, by its writer's signed time: a node that
    announces an old head again, under whatever sequence, does not win.
    """
    return max(range(len(values)), key=lambda index: _rank(values[index], mesh_id))


def _rank(value: bytes, mesh_id: str) -> tuple[float, int, int, bytes]:
    try:
        head = open_head(value, mesh_id)
    except InvalidEnvelope:  # the kind is signed, so it is a pointer
        return open_pointer(value, mesh_id).record.at, 0, 0, value
    return max(header.at for header in head.headers), len(head.headers), head.record.sequence, value


def _check(key: str, value: bytes, mesh_id: str) -> tuple[bytes, str]:
    if key.startswith(f"/{HEAD_NAMESPACE}/"):
        head = open_head(value, mesh_id)
        return head.node, head_key(head.record.address, head.writer)
    if key.startswith(f"/{BLOB_NAMESPACE}/"):
        pointer = open_pointer(value, mesh_id)
        return pointer.node, blob_key(pointer.record.hash)
    raise InvalidEnvelope(
        f"no record is kept at {key[:200]!r}: keys start with /{HEAD_NAMESPACE}/ or /{BLOB_NAMESPACE}/"
    )


def _sized(raw: bytes) -> bytes:
    if len(raw) > MAX_VALUE_BYTES:
        raise TooLarge(
            f"a record of {len(raw)} bytes is over the DHT's limit of {MAX_VALUE_BYTES}",
            size=len(raw),
            limit=MAX_VALUE_BYTES,
        )
    return raw


def _decode(payload: bytes, decoder: msgspec.msgpack.Decoder[Record]) -> Record:
    try:
        return decoder.decode(payload)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"this record cannot be used: {error}") from error


_HEAD: Final = msgspec.msgpack.Decoder(HeadRecord)
_POINTER: Final = msgspec.msgpack.Decoder(PointerRecord)
