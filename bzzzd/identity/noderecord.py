"""Node records: where a node says that it can be reached, signed by its own key."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from bzzzd.crypto.envelope import open_envelope, seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import UNREADABLE, InvalidEnvelope
from bzzzd.identity.grants import Seconds

NODE_RECORD_BYTES: Final = 8192
MultiaddrText = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^/[!-~]+\Z")]


class NodeRecord(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """``addresses`` are multiaddrs without ``/p2p/ID``; of two records of a key the one with the higher ``seq`` counts.

    ``at`` is Unix seconds; ``seq`` rises with every record of a node, over restarts too.
    """

    addresses: Annotated[tuple[MultiaddrText, ...], Meta(max_length=16)]
    at: Seconds
    seq: Annotated[int, Meta(ge=0)]


_DECODER: Final = msgspec.msgpack.Decoder(NodeRecord)


def seal_node_record(key: SigningKey, mesh_id: str, record: NodeRecord) -> bytes:
    return seal(key, "node-record", mesh_id, msgspec.msgpack.encode(record))


def open_node_record(raw: bytes, mesh_id: str) -> tuple[bytes, NodeRecord]:
    """The signer's key and what it says; raises ``InvalidEnvelope`` or ``TooLarge``."""
    envelope = open_envelope(raw, kind="node-record", mesh_id=mesh_id, limit=NODE_RECORD_BYTES)
    try:
        return envelope.author, _DECODER.decode(envelope.payload)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"a signed node record has a wrong shape: {error}") from error
