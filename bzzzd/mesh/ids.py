"""Peer ids as libp2p has them: one object for each, so that its base58 text is made once."""

from __future__ import annotations

from functools import lru_cache

from libp2p.peer.id import ID


@lru_cache(4096)
def id_of(raw: bytes) -> ID:
    """The id whose bytes these are."""
    return ID(raw)


@lru_cache(4096)
def id_named(text: str) -> ID:
    """The id of a base58 text; raises base58's own errors."""
    return id_of(ID.from_base58(text).to_bytes())
