"""All that this node does to be among its peers: where it listens, whom it knows, whom it hears, and how they look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import structlog

from bzzzd.config.schema import NetworkSection
from bzzzd.daemon.membership.members import Members
from bzzzd.daemon.peers.addresses import Addresses
from bzzzd.daemon.peers.exchange import Exchange
from bzzzd.daemon.peers.nearby import Nearby
from bzzzd.daemon.peers.peerbook import PeerBook
from bzzzd.errors import BadInput
from bzzzd.identity.node import NodeIdentity
from bzzzd.mesh.mesh import Mesh
from bzzzd.mesh.peer_id import key_of
from bzzzd.mesh.values import MeshEvent, PeerInfo
from bzzzd.rpc.streams import Stream
from bzzzd.runtime.phases import Phase
from bzzzd.runtime.services import ServiceManager


class Peering:
    """Made before the mesh, which asks it where to listen; ``open`` once there is one."""

    mesh: Mesh
    exchange: Exchange

    def __init__(self, network: NetworkSection, manager: ServiceManager, events: Stream) -> None:
        self._network = network
        self._manager = manager
        self._events = events
        self._members: Members | None = None
        self.addresses = Addresses(network, spawn=manager.spawn)
        self.listen: tuple[str, ...] = ()
        self.nearby: Nearby | None = None

    async def prepare(self) -> None:
        """Find out where to listen."""
        self.listen = await self.addresses.wanted()

    def open(self, mesh: Mesh, identity: NodeIdentity, members: Members, state: Path) -> None:
        """Add the services that follow addresses, exchange records and keep the book."""
        self.mesh = mesh
        self.addresses.follow(mesh)
        book = PeerBook(state / "peers.json", identity.mesh_id)
        self.exchange = Exchange(mesh, identity, members, book, self._events, self._manager.spawn)
        self.addresses.settled = self._moved
        self._manager.add(self.addresses, Phase.PROCESS)
        self._manager.add(self.exchange, Phase.PROCESS)
        self._members = members

    def look_around(self, identity: NodeIdentity) -> None:
        """Add multicast discovery, which begins last: nothing waits for it."""
        if self._network.mdns:
            self.nearby = Nearby(self.mesh, identity.mesh_id, self._manager.spawn)
            self._manager.add(self.nearby, Phase.MONITORING)

    def happened(self, event: MeshEvent) -> None:
        """Hear what happens on the mesh."""
        log = structlog.get_logger()
        # Strangers knock as often as they like, and must not fill the log; the metrics count them.
        tell = log.debug if event.kind == "refused" else log.info
        tell(f"mesh_{event.kind}", peer_id=event.peer_id, node=event.id, detail=event.detail)
        if self._members is None:
            return
        if event.kind == "joined":
            self.exchange.met(event.peer_id)
        elif event.kind == "left":
            self.exchange.left(event.peer_id)

    def recheck(self) -> None:
        """Somebody was revoked."""
        if self._members is not None:
            self.exchange.forget_revoked()

    def _moved(self, addresses: Sequence[str]) -> None:
        self.exchange.moved(addresses)
        if self.nearby is not None:
            self.nearby.moved(addresses)
        self._events.append({"source": "mesh", "kind": "addresses", "detail": f"listening on {', '.join(addresses)}"})

    def peers(self) -> list[PeerInfo]:
        """The mesh's peers, without those that were revoked.

        One that is looked for has the name and role of its grant, where that is known.
        """
        return [row for peer in self.mesh.peers() if (row := peer if peer.connected else self._missing(peer))]

    def _missing(self, peer: PeerInfo) -> PeerInfo | None:
        try:
            key = key_of(peer.peer_id)
        except BadInput:  # a configuration can name peers of another kind of key, which are never members
            return peer
        if self._members is None:
            return peer
        if self._members.revoked(key):
            return None
        grant = self._members.known(key)
        return replace(peer, id=grant.id, role=grant.role) if grant is not None else peer

    def rows(self) -> list[dict[str, Any]]:
        """One row for each peer; ``skew_s`` is how far its clock is ahead, None where that was not measured."""
        return [
            {**asdict(peer), "addresses": list(peer.addresses), "skew_s": self._skew(peer.peer_id)}
            for peer in self.peers()
        ]

    def _skew(self, peer_id: str) -> float | None:
        skew = self.exchange.clocks.of(peer_id) if self._members is not None else None
        return round(skew.seconds, 3) if skew is not None else None

    def gauges(self) -> dict[str, tuple[float, str]]:
        """What of it is worth a metric."""
        peers = self.peers()
        skews = [abs(skew.certain) for skew in self.exchange.clocks.all().values()]
        others = len(self.nearby.others) if self.nearby is not None else 0
        load = self.mesh.load
        return {
            "bzzz_mesh_connections": (load.get("connections", 0), "Connections, of members and of strangers."),
            "bzzz_mesh_strangers": (load.get("strangers", 0), "Inbound connections that have shown no grant yet."),
            "bzzz_mesh_streams": (load.get("streams", 0), "Inbound streams that are being served."),
            "bzzz_mesh_contacts": (load.get("contacts", 0), "Peers whose addresses are known."),
            "bzzz_mesh_peers_missing": (sum(not p.connected for p in peers), "Peers that are being looked for."),
            "bzzz_mesh_bytes_received": (sum(p.received for p in peers), "Bytes from the peers connected now."),
            "bzzz_mesh_bytes_sent": (sum(p.sent for p in peers), "Bytes to the peers connected now."),
            "bzzz_mesh_clock_skew_seconds": (max(skews, default=0.0), "Largest certain difference to a peer's clock."),
            "bzzz_mesh_strangers_nearby": (others, "Nodes of other meshes heard by multicast."),
        }
