"""Which peer to ask for messages that are missing. Rules over values, without clock or I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bzzzd.storage.sources import Chain, Held

ASKS_PER_PEER: Final = 4


def offered(chain: Chain, peer: bytes, peers: Mapping[bytes, int]) -> Held | None:
    """What ``peer`` may be able to give: what it said, and of its own messages everything until it denies.

    ``peers`` are those that are there, with how much each is being asked for.
    """
    if peer not in peers or peer in chain.denied:
        return None
    held = chain.held.get(peer)
    if held is None:
        return Held(1, chain.known) if peer == chain.source.node and chain.known > chain.position else None
    return held if max(held.first, chain.position + 1) <= held.highest else None


def choose(chain: Chain, now: float, peers: Mapping[bytes, int]) -> bytes | None:
    """The best peer to ask for what follows a chain's position; ``None`` while nobody can be asked."""
    best: tuple[bool, bool, int, bytes] | None = None
    for peer in {*chain.held, chain.source.node}:
        held = offered(chain, peer, peers)
        if held is None or peers[peer] >= ASKS_PER_PEER or chain.resting.get(peer, 0.0) > now:
            continue
        # One that has the next number before one that begins later; the sender itself before others.
        rank = (held.first > chain.position + 1, peer != chain.source.node, peers[peer], peer)
        best = rank if best is None or rank < best else best
    return best[3] if best is not None else None
