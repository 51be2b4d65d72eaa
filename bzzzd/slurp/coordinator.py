"""Which node keeps the ledger: a numbered document of the charter, signed by the authority or an administrator."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from bzzzd.crypto.keys import PUBLIC_BYTES
from bzzzd.errors import UNREADABLE, InvalidEnvelope

FIRST: Final = 1
_MOST_STANDBYS: Final = 8

Key = Annotated[bytes, Meta(min_length=PUBLIC_BYTES, max_length=PUBLIC_BYTES)]


class Coordinator(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``node`` is the public key of the node that keeps the ledger; ``at`` is Unix seconds.

    ``standbys`` are the nodes that shall hold a copy, the best first; empty lets the coordinator choose.
    """

    number: Annotated[int, Meta(ge=1, le=2**53)]
    at: Annotated[float, Meta(ge=0, lt=2.0**53)]
    node: Key
    standbys: Annotated[tuple[Key, ...], Meta(max_length=_MOST_STANDBYS)] = ()


_DECODER: Final = msgspec.msgpack.Decoder(Coordinator)


def read_coordinator(payload: bytes) -> Coordinator:
    """Decode the payload of a verified document; raises ``InvalidEnvelope``."""
    try:
        return _DECODER.decode(payload)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"a signed coordinator document has a wrong shape: {error}") from error
