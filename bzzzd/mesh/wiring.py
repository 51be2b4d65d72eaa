"""What a libp2p node is made of, whom it tells, and how it hears of connections that end."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from libp2p.abc import INetConn, INetStream, INetwork, INotifee
from libp2p.peer.id import ID
from multiaddr import Multiaddr

from bzzzd.mesh.pubsub import Deliver
from bzzzd.mesh.streams import Answer
from bzzzd.mesh.values import Admit, Briefing, Counters, JoinTry, MeshEvent, MeshSettings, PeerInfo, RecordRule, Renewal


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What a node is made of and whom it tells. The callbacks run on the asyncio loop.

    ``on_ready`` gets the node itself and the addresses where it listens.
    """

    settings: MeshSettings
    seed: bytes
    own_chain: tuple[bytes, ...]
    admit: Admit
    rules: Mapping[str, RecordRule]
    tally: Counters
    on_event: Callable[[MeshEvent], None]
    on_ready: Callable[[Any, tuple[str, ...]], None]
    on_peers: Callable[[tuple[PeerInfo, ...]], None]
    deliver: Deliver
    answer: Answer
    decide: Callable[[JoinTry], Coroutine[Any, Any, bytes]]
    briefing: Briefing
    renewal: Renewal | None
    topics: tuple[str, ...]
    protocols: frozenset[str]


class Connections(INotifee):
    """Hears of connections that end."""

    def __init__(self, ended: Callable[[ID], None]) -> None:
        self._ended = ended

    async def disconnected(self, network: INetwork, conn: INetConn) -> None:
        self._ended(conn.muxed_conn.peer_id)

    async def connected(self, network: INetwork, conn: INetConn) -> None: ...
    async def opened_stream(self, network: INetwork, stream: INetStream) -> None: ...
    async def closed_stream(self, network: INetwork, stream: INetStream) -> None: ...
    async def listen(self, network: INetwork, multiaddr: Multiaddr) -> None: ...
    async def listen_close(self, network: INetwork, multiaddr: Multiaddr) -> None: ...
