"""A version: the signed header that names one state of the content at an address.

The header binds address, author, parents, a salted hash of the plaintext, readers and epoch; its
SHA-256, signature included, is the version's id. Content is encrypted and stored elsewhere, under
names that may change, so encrypting it again changes no id.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from bzzzd.crypto.envelope import Envelope, open_envelope, seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import UNREADABLE, InvalidEnvelope
from bzzzd.ucxl.address import parse

KIND: Final = "version"
HEADER_LIMIT: Final = 32_768
MAX_PARENTS: Final = 64
SALT_BYTES: Final = 16
DEFAULT_CONTENT_TYPE: Final = "text/plain"

VersionId = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
RoleName = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{1,64}\Z")]


class VersionHeader(Struct, frozen=True):
    """What a version's author signs.

    ``address`` is canonical with ``*^``; ``author`` the subject id of its grant; ``digest`` the
    SHA-256 of ``salt ‖ plaintext`` (salted, so that a hash seen by members who may not read the
    content does not confirm a guess); ``size`` the plaintext's bytes; ``at`` the author's Unix time
    in seconds; ``epoch`` numbers the role keys that the content is encrypted for.
    """

    address: Annotated[str, Meta(max_length=4096)]
    author: Annotated[str, Meta(min_length=1, max_length=128)]
    parents: Annotated[tuple[VersionId, ...], Meta(max_length=MAX_PARENTS)]
    digest: Annotated[bytes, Meta(min_length=32, max_length=32)]
    salt: Annotated[bytes, Meta(min_length=SALT_BYTES, max_length=SALT_BYTES)]
    readers: Annotated[tuple[RoleName, ...], Meta(min_length=1, max_length=64)]
    epoch: Annotated[int, Meta(ge=1, le=2**53)]
    content_type: Annotated[str, Meta(pattern=r"\A[!-~][ -~]{0,126}\Z")]
    size: Annotated[int, Meta(ge=0, le=2**53)]
    at: Annotated[float, Meta(ge=0, lt=2.0**53)]

    def matches(self, plaintext: bytes) -> bool:
        """Whether this header was made for ``plaintext``."""
        return self.size == len(plaintext) and hmac.compare_digest(self.digest, content_digest(self.salt, plaintext))


def content_digest(salt: bytes, plaintext: bytes) -> bytes:
    digest = hashlib.sha256(salt)
    digest.update(plaintext)
    return digest.digest()


def make_header(
    *,
    address: str,
    author: str,
    plaintext: bytes,
    readers: Iterable[str],
    epoch: int,
    at: float,
    parents: Iterable[str] = (),
    content_type: str = DEFAULT_CONTENT_TYPE,
) -> VersionHeader:
    """The header of ``plaintext`` at ``address`` (its temporal part is dropped), with a fresh salt.

    Raises ``InvalidAddress`` or ``InvalidEnvelope`` for values that no header may hold.
    """
    digest = PlaintextDigest()
    digest.update(plaintext)
    return digest.header(
        address=address, author=author, readers=readers, epoch=epoch, at=at, parents=parents, content_type=content_type
    )


class PlaintextDigest:
    """Makes the header of content that passes piece by piece."""

    def __init__(self) -> None:
        self._salt = os.urandom(SALT_BYTES)
        self._digest = hashlib.sha256(self._salt)
        self.size = 0

    def update(self, piece: bytes) -> None:
        self._digest.update(piece)
        self.size += len(piece)

    def header(
        self,
        *,
        address: str,
        author: str,
        readers: Iterable[str],
        epoch: int,
        at: float,
        parents: Iterable[str] = (),
        content_type: str = DEFAULT_CONTENT_TYPE,
    ) -> VersionHeader:
        """As ``make_header``, for what has passed."""
        header = VersionHeader(
            address=parse(address).base,
            author=author,
            parents=tuple(sorted(set(parents))),
            digest=self._digest.digest(),
            salt=self._salt,
            readers=tuple(sorted(set(readers))),
            epoch=epoch,
            content_type=content_type,
            size=self.size,
            at=at,
        )
        return decode_header(msgspec.msgpack.encode(header))


def decode_header(payload: bytes) -> VersionHeader:
    """The header in an envelope's payload, with every rule checked; else ``InvalidEnvelope``."""
    try:
        header = _DECODER.decode(payload)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"this version header cannot be used: {error}") from error
    if parse(header.address).base != header.address:
        raise InvalidEnvelope(
            f"a version header names its address in canonical form with *^, not as {header.address[:200]!r}"
        )
    if len(set(header.readers)) != len(header.readers) or len(set(header.parents)) != len(header.parents):
        raise InvalidEnvelope("a version header names each reader and each parent once")
    return header


def seal_version(key: SigningKey, mesh_id: str, header: VersionHeader) -> bytes:
    return seal(key, KIND, mesh_id, msgspec.msgpack.encode(header))


def open_version(raw: bytes, mesh_id: str) -> tuple[Envelope, VersionHeader]:
    """Verify a signed header; ``InvalidEnvelope``, ``InvalidAddress`` or ``TooLarge`` when it fails."""
    envelope = open_envelope(raw, kind=KIND, mesh_id=mesh_id, limit=HEADER_LIMIT)
    return envelope, decode_header(envelope.payload)


def read_version(raw: bytes) -> VersionHeader:
    """The header of a signed version that was verified before it was stored; checks nothing again."""
    return _DECODER.decode(_WIRE.decode(raw)[4])


def version_id(raw: bytes) -> str:
    """The id of the version whose signed header is ``raw``: 64 hex digits."""
    return hashlib.sha256(raw).hexdigest()


_DECODER: Final = msgspec.msgpack.Decoder(VersionHeader)
_WIRE: Final = msgspec.msgpack.Decoder(tuple[int, str, str, bytes, bytes, bytes])
