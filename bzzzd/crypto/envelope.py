"""Signed envelopes: bytes that say who wrote them, for which mesh, and of what kind.

The signature covers ``domain ‖ payload``, and the domain holds the kind, its major number and the
mesh id, so an envelope can't be used as another kind, in another mesh, or under another version's
rules. What was signed is carried and stored exactly as it is; it is verified before the payload is
decoded and never encoded again. On the wire: a MessagePack array
``[major, kind, mesh_id, author, payload, signature]``, each part in its shortest form. The signature
doesn't cover the framing, so another form is refused: forwarders could otherwise give what one
author signed many digests, and ids are digests.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from bzzzd.crypto.keys import SigningKey, verify
from bzzzd.errors import UNREADABLE, InvalidEnvelope, OtherMesh, TooLarge

MAJOR: Final = 1
DEFAULT_LIMIT: Final = 1_048_576


class _Wire(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    major: int
    kind: str
    mesh_id: str
    author: bytes
    payload: bytes
    signature: bytes


_DECODER: Final = msgspec.msgpack.Decoder(_Wire)
_ENCODER: Final = msgspec.msgpack.Encoder()


class Envelope:
    """A verified envelope. ``author`` is the signer's public key; ``raw`` is what to carry and store."""

    __slots__ = ("_digest", "author", "kind", "mesh_id", "payload", "raw")

    def __init__(self, kind: str, mesh_id: str, author: bytes, payload: bytes, raw: bytes) -> None:
        self.kind = kind
        self.mesh_id = mesh_id
        self.author = author
        self.payload = payload
        self.raw = raw
        self._digest: bytes | None = None

    @property
    def digest(self) -> bytes:
        """SHA-256 of the whole envelope, signature included."""
        if self._digest is None:
            self._digest = hashlib.sha256(self.raw).digest()
        return self._digest

    @property
    def id(self) -> str:
        return self.digest.hex()


def _domain(kind: str, mesh_id: str) -> bytes:
    return f"bzzz/{kind}/{MAJOR}\0{mesh_id}\0".encode()


def seal(key: SigningKey, kind: str, mesh_id: str, payload: bytes) -> bytes:
    """Sign ``payload`` as an envelope of ``kind`` in ``mesh_id``; gives the bytes to send."""
    signature = key.sign(_domain(kind, mesh_id) + payload)
    return _ENCODER.encode(_Wire(MAJOR, kind, mesh_id, key.public, payload, signature))


def kind_of_envelope(raw: bytes) -> str:
    """The kind that an envelope gives itself, unverified; empty when it is none."""
    try:
        return _DECODER.decode(raw).kind
    except UNREADABLE:
        return ""


def payload_of_stored(raw: bytes) -> bytes:
    """The payload of an envelope that was opened before it was stored here; it is not verified again."""
    return _DECODER.decode(raw).payload


def open_envelope(raw: bytes, *, kind: str, mesh_id: str, limit: int = DEFAULT_LIMIT) -> Envelope:
    """Check size, kind, mesh, major and signature; the payload is still undecoded data.

    Raises ``TooLarge`` over ``limit`` bytes and ``InvalidEnvelope`` for everything else.
    """
    if len(raw) > limit:
        raise TooLarge(
            f"a {kind} envelope of {len(raw)} bytes is over the limit of {limit}", size=len(raw), limit=limit
        )
    try:
        wire = _DECODER.decode(raw)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"this is not a signed {kind} envelope") from error
    if _ENCODER.encode(wire) != raw:
        raise InvalidEnvelope(f"this {kind} envelope is not encoded in the shortest form")
    if wire.kind != kind:
        raise InvalidEnvelope(f"expected a {kind} envelope, got one of kind {wire.kind[:40]!r}", kind=wire.kind[:40])
    if wire.major != MAJOR:
        raise InvalidEnvelope(f"this {kind} envelope has major {wire.major}; this version reads {MAJOR}")
    if wire.mesh_id != mesh_id:
        raise OtherMesh(f"this {kind} envelope belongs to mesh {wire.mesh_id[:40]!r}, not to {mesh_id!r}")
    if not verify(wire.author, wire.signature, _domain(kind, mesh_id) + wire.payload):
        raise InvalidEnvelope(f"the signature of this {kind} envelope is wrong")
    return Envelope(kind, mesh_id, wire.author, wire.payload, raw)
