"""Attaching a session: a process proves who it is by signing the nonce that ``hello`` gave it.

Both ends live here: what a client sends (``attach_params``) and how bzzzd reads it (``open_attach``).
The proof names what the client wants to be; what it becomes is decided by its key's grant.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from bzzzd.crypto.envelope import Envelope, open_envelope, seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import UNREADABLE, InvalidEnvelope
from bzzzd.identity.grants import Name
from bzzzd.identity.records import AgentRecord, seal_record

ATTACH_LIMIT: Final = 16_384


class AttachProof(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``nonce`` is the one of this connection's ``hello``; it is accepted once. ``at`` is the client's Unix time."""

    nonce: Annotated[bytes, Meta(min_length=16, max_length=64)]
    at: Annotated[float, Meta(ge=0, lt=2.0**53)]
    kind: Literal["agent", "person"]
    id: Name
    role: Name
    capabilities: Annotated[tuple[Name, ...], Meta(max_length=256)] = ()
    slots: Annotated[int, Meta(ge=0, le=1_000_000)] = 1


_DECODER: Final = msgspec.msgpack.Decoder(AttachProof)
_BINARY_TYPE: Final[dict[str, Literal["agent", "hap"]]] = {"agent": "agent", "person": "hap"}


def attach_params(
    key: SigningKey,
    nonce: bytes,
    mesh_id: str,
    *,
    kind: Literal["agent", "person"],
    id: str,
    role: str,
    capabilities: Sequence[str] = (),
    slots: int = 1,
    chain: Sequence[bytes] = (),
    version: str = "",
) -> dict[str, Any]:
    """The parameters of ``session.attach``: proof, agent record, and the grant chain if one is held."""
    names = tuple(capabilities)
    now = time.time()
    proof = AttachProof(nonce=nonce, at=now, kind=kind, id=id, role=role, capabilities=names, slots=slots)
    record = AgentRecord(
        id=id, public_key=key.public, role=role, capabilities=names, slots=slots, version=version,
        binary_type=_BINARY_TYPE[kind], timestamp=now,
    )  # fmt: skip
    return {
        "envelope": seal(key, "attach", mesh_id, msgspec.msgpack.encode(proof)),
        "chain": list(chain),
        "record": seal_record(key, mesh_id, record),
    }


def bound_nonce(node: bytes, salt: bytes) -> bytes:
    """The nonce that the node with this public key makes of a random ``salt``.

    It says to whoever knows the salt at which node its signer attached; nobody can find a salt that
    makes it another node's.
    """
    return hashlib.sha256(b"bzzz nonce 1\0" + node + salt).digest()


def read_attach(raw: bytes, mesh_id: str) -> tuple[Envelope, AttachProof]:
    """Verify a proof's signature, whatever nonce it answers; raises ``InvalidEnvelope``."""
    envelope = open_envelope(raw, kind="attach", mesh_id=mesh_id, limit=ATTACH_LIMIT)
    try:
        return envelope, _DECODER.decode(envelope.payload)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"this proof of identity has a wrong shape: {error}") from error


def open_attach(raw: bytes, mesh_id: str, nonce: bytes) -> tuple[Envelope, AttachProof]:
    """Verify a proof against this connection's nonce; raises ``InvalidEnvelope``."""
    envelope, proof = read_attach(raw, mesh_id)
    if proof.nonce != nonce:
        raise InvalidEnvelope("this proof of identity answers another nonce; say hello again and sign the new one")
    return envelope, proof
