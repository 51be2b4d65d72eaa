"""Addresses of peers as text becomes them: a multiaddr, and the peer id that it may end in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from libp2p.peer.id import ID
from multiaddr import Multiaddr

from bzzzd.errors import P2PInitFailed


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """A peer's address without, and its id from, ``/p2p/ID``."""

    peer_id: ID | None
    address: Multiaddr


def parse_peers(texts: Iterable[str], own: ID, key: str = "network.static_peers") -> list[PeerAddress]:
    """Peers from their multiaddrs; our own address is skipped, so that all nodes may share one list.

    Raises ``P2PInitFailed``, naming ``key``, for a text that is none.
    """
    found: list[PeerAddress] = []
    for text in texts:
        try:
            address, _, id_text = text.partition("/p2p/")
            peer_id = ID.from_base58(id_text) if id_text else None
            parsed = Multiaddr(address)
            parsed.value_for_protocol("tcp")
        except Exception as error:  # multiaddr raises a dozen kinds
            raise P2PInitFailed(
                f"{key}: {text!r} cannot be dialled ({error}); expected one like /ip4/192.0.2.7/tcp/8075/p2p/12D3KooW…"
            ) from error
        if peer_id != own:
            found.append(PeerAddress(peer_id, parsed))
    return found
