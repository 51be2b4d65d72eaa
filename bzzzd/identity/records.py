"""Agent records: what a process says of itself to the mesh, signed by its own key.

The specification's ``AgentRecord`` with its binary type. A record claims nothing that its key's
grant does not allow: readers check it against the grant before they show it.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from bzzzd.crypto.envelope import open_envelope, seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import UNREADABLE, InvalidEnvelope
from bzzzd.identity.grants import Key, Name, Seconds

RECORD_LIMIT: Final = 16_384


class AgentRecord(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``timestamp`` is Unix seconds; the newest record of a key is the one that counts."""

    id: Name
    public_key: Key
    role: Name
    capabilities: Annotated[tuple[Name, ...], Meta(max_length=256)] = ()
    binary_type: Literal["daemon", "agent", "hap"]
    slots: Annotated[int, Meta(ge=0, le=1_000_000)] = 1
    version: Annotated[str, Meta(max_length=64)] = ""
    timestamp: Seconds


_DECODER: Final = msgspec.msgpack.Decoder(AgentRecord)


def seal_record(key: SigningKey, mesh_id: str, record: AgentRecord) -> bytes:
    return seal(key, "agent-record", mesh_id, msgspec.msgpack.encode(record))


def open_record(raw: bytes, mesh_id: str) -> AgentRecord:
    """Verify and decode; raises ``InvalidEnvelope`` when the record names another key than its signer's."""
    envelope = open_envelope(raw, kind="agent-record", mesh_id=mesh_id, limit=RECORD_LIMIT)
    try:
        record = _DECODER.decode(envelope.payload)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"a signed agent record has a wrong shape: {error}") from error
    if record.public_key != envelope.author:
        raise InvalidEnvelope(f"the agent record of {record.id} names a key that did not sign it")
    return record
