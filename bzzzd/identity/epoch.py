"""Epochs: which keys the roles have from a point on, as one signed, numbered document of the charter.

A removed member knows the secrets of its roles up to then, so removal starts an epoch, in which every
role has a new key. The document holds the public halves; the secrets go to the nodes entitled to them
(``identity/entitled.py``). ``previous`` names the document that this one follows by its hash, so
whoever has the one in force can check all those before it.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from bzzzd.crypto.envelope import open_envelope, seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import UNREADABLE, InvalidEnvelope
from bzzzd.identity.grants import Name, Recipient

KIND: Final = "epoch"
EPOCH_LIMIT: Final = 262_144
TAG_BYTES: Final = 8
MAX_ROLES: Final = 256
_KEPT_LIMIT: Final = 131_072

Digest = Annotated[bytes, Meta(min_length=32, max_length=32)]


class EpochRecord(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is signed; ``at`` is Unix seconds.

    ``recipients`` are the roles' public keys. ``revocations`` is the number of the list of revocations
    that the epoch was made under: who serves its secrets knows at least that list. ``earlier`` says
    whether a node that becomes entitled later gets the secrets of earlier epochs as well. ``kept``
    holds the secrets, encrypted to ``recovery``, whose own secret is split among people.
    """

    number: Annotated[int, Meta(ge=1, le=2**53)]
    at: Annotated[float, Meta(ge=0, lt=2.0**53)]
    recipients: Annotated[dict[Name, Recipient], Meta(min_length=1, max_length=MAX_ROLES)]
    previous: Digest | None = None
    revocations: Annotated[int, Meta(ge=0, le=2**53)] = 0
    earlier: bool = True
    recovery: Recipient | None = None
    kept: Annotated[bytes, Meta(max_length=_KEPT_LIMIT)] = b""


class Epoch(Struct, frozen=True):
    """A verified document: ``raw`` as signed by ``author``, ``digest`` its SHA-256."""

    record: EpochRecord
    author: bytes
    digest: bytes
    raw: bytes

    @property
    def number(self) -> int:
        return self.record.number

    @property
    def tag(self) -> bytes:
        """What ciphertext is marked with: short, and another one where two administrators signed one number."""
        return self.digest[:TAG_BYTES]

    @property
    def rank(self) -> tuple[int, bytes]:
        """Of two documents the one with the lower rank stands: the higher number, then the lower digest."""
        return -self.record.number, self.digest


_DECODER: Final = msgspec.msgpack.Decoder(EpochRecord)


def seal_epoch(key: SigningKey, mesh_id: str, record: EpochRecord) -> bytes:
    return seal(key, KIND, mesh_id, msgspec.msgpack.encode(record))


def read_epoch(payload: bytes) -> EpochRecord:
    """The record in a document's payload; ``InvalidEnvelope`` when it breaks a rule."""
    try:
        record = _DECODER.decode(payload)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"a signed epoch has a wrong shape: {error}") from error
    if len(set(record.recipients.values())) != len(record.recipients):
        raise InvalidEnvelope("a signed epoch gives two roles one key; each has a key of its own")
    return record


def open_epoch(raw: bytes, mesh_id: str) -> Epoch:
    """Verify signature and shape; whether its author may sign one is for the charter."""
    envelope = open_envelope(raw, kind=KIND, mesh_id=mesh_id, limit=EPOCH_LIMIT)
    return Epoch(read_epoch(envelope.payload), envelope.author, envelope.digest, raw)
