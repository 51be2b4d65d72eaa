"""The wrapper around every stream handler: a stranger reaches the join protocol, a member all of them.

Cutting a stranger off after it connected leaks: by then it has been gossiped to and served. So the
choice is made where a stream's protocol is negotiated, both for streams that come in and for those that
libp2p's own parts (pubsub, DHT, identify) open by themselves. Identify is refused to strangers as well:
it would tell them our addresses and protocols, and nothing in joining needs it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Any, Final

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import StreamHandlerFn, TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.host.exceptions import StreamFailure
from libp2p.identity.identify.identify import ID as IDENTIFY
from libp2p.identity.identify.pb.identify_pb2 import Identify
from libp2p.identity.identify_push.identify_push import push_identify_to_peer
from libp2p.identity.update import update_peerstore_from_identify
from libp2p.peer.id import ID
from libp2p.protocol_muxer.multiselect import Multiselect
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from multiaddr import Multiaddr

from bzzzd.mesh.frames import VarintFrames
from bzzzd.mesh.membership import Membership
from bzzzd.mesh.negotiation import OneBreathClient
from bzzzd.mesh.network import MemberSwarm
from bzzzd.mesh.protocols import JOIN
from bzzzd.mesh.values import OUR_AGENT

_GOSSIP: Final = "/meshsub/"
_NEGOTIATE_S: Final = 5
_IDENTIFY_S: Final = 5.0
_IDENTIFY_BYTES: Final = 65_536
_STRANGER_STREAMS: Final = 4
_LONGEST_AGENT: Final = 64

_Chosen = tuple[TProtocol | None, StreamHandlerFn | None]


class _AtTheDoor(MultiselectCommunicator):
    """Hears what a stranger's stream is to be; gossip waits here until its peer was let in or turned away.

    Other implementations open their gossip stream as soon as they connect, beside the one that joins, and
    some (go-libp2p) never again when it was refused.
    """

    def __init__(self, stream: INetStream, settled: Callable[[], Awaitable[object]]) -> None:
        super().__init__(stream)
        self._settled = settled

    async def read(self) -> str:
        wanted = await super().read()
        if wanted.startswith(_GOSSIP):
            await self._settled()
        return wanted


# Whose stream a task serves; what is found wrong deep inside the library's handlers is then nobody else's.
SPEAKER: Final[ContextVar[ID | None]] = ContextVar("speaker", default=None)


class MemberHost(BasicHost):
    """A libp2p host whose protocols exist for members only."""

    def __init__(
        self,
        network: MemberSwarm,
        members: Membership,
        join_handler: StreamHandlerFn,
        *,
        max_streams: int,
        on_fault: Callable[[ID, Exception], None],
        on_crowd: Callable[[ID], None] = lambda peer_id: None,
    ) -> None:
        self._addrs: tuple[list[str], list[Multiaddr]] = ([], [])
        super().__init__(network=network, negotiate_timeout=_NEGOTIATE_S, disable_identify_address_discovery=True)
        self._members = members
        self._swarm = network
        self._join_handler = join_handler
        self.multiselect.add_handler(JOIN, join_handler)
        self.multiselect_client = OneBreathClient()
        self._max_streams = max_streams
        self._on_fault = on_fault
        self._on_crowd = on_crowd
        self._streams: Counter[ID] = Counter()
        self.agent_versions: dict[ID, str] = {}

    @property
    def streams_open(self) -> int:
        """Inbound streams that are being served."""
        return self._streams.total()

    def is_member(self, peer_id: ID) -> bool:
        return peer_id.to_bytes() in self._members

    async def _swarm_stream_handler(self, net_stream: INetStream) -> None:
        """Negotiate and serve one inbound stream; nothing it does reaches the connection it came on."""
        peer_id = net_stream.muxed_conn.peer_id
        member = self.is_member(peer_id)
        if self._streams[peer_id] >= (self._max_streams if member else _STRANGER_STREAMS):
            self._on_crowd(peer_id)
            await net_stream.reset()
            return
        self._streams[peer_id] += 1
        SPEAKER.set(peer_id)
        try:
            protocol, handler = await (self._let_choose if member else self._receive)(net_stream, peer_id)
            if protocol is None or handler is None or (protocol != JOIN and not self.is_member(peer_id)):
                await net_stream.reset()
                return
            net_stream.set_protocol(protocol)
            await handler(net_stream)
        except Exception as error:  # a stream is a boundary: its fault must not end its connection's task
            self._on_fault(peer_id, error)
            await net_stream.reset()
        finally:
            self._streams[peer_id] -= 1
            if not self._streams[peer_id]:
                del self._streams[peer_id]

    async def _let_choose(self, stream: INetStream, peer_id: ID) -> _Chosen:
        return await self.multiselect.negotiate(MultiselectCommunicator(stream), _NEGOTIATE_S)

    async def _receive(self, stream: INetStream, peer_id: ID) -> _Chosen:
        """A stranger's stream: of the join protocol, or of gossip if the peer becomes a member meanwhile."""
        selector = Multiselect({JOIN: self._join_handler})

        async def settled() -> None:
            if await self._swarm.settled(peer_id):
                selector.handlers = self.multiselect.handlers

        return await selector.negotiate(_AtTheDoor(stream, settled), _NEGOTIATE_S)

    async def new_stream(self, peer_id: ID, protocol_ids: Sequence[TProtocol]) -> INetStream:
        """Open a stream to a connected member; to anybody else only one of the join protocol."""
        if not self.is_member(peer_id) and list(protocol_ids) != [JOIN]:
            raise StreamFailure(f"peer {peer_id} is not a member")
        if not self._network.get_connections(peer_id):
            raise StreamFailure(f"peer {peer_id} is not connected")
        return await super().new_stream(peer_id, protocol_ids)

    def get_addrs(self) -> list[Multiaddr]:
        """Our addresses with our peer id. Kept, because every gossip message asks for them."""
        listening = list(self._network.listeners)
        if self._addrs[0] != listening:
            self._addrs = (listening, super().get_addrs())
        return self._addrs[1]

    def _schedule_identify(self, peer_id: ID, *, reason: str) -> None:
        """Not by itself: ``identify`` runs once a peer is a member."""

    async def identify(self, peer_id: ID) -> None:
        """Learn a member's addresses, protocols and agent version. A peer that does not answer is let be.

        One of another implementation is told ours as well: it asked when it connected, a stranger then, was
        refused, and some (go-libp2p) do not ask twice.
        """
        with trio.move_on_after(_IDENTIFY_S):
            try:
                stream = await self.new_stream(peer_id, [IDENTIFY])
                try:
                    told = Identify.FromString(await VarintFrames(stream, _IDENTIFY_BYTES).next())
                finally:
                    await stream.close()
            except Exception as error:
                self._on_fault(peer_id, error)
                return
            await update_peerstore_from_identify(self.peerstore, peer_id, told)
            agent = "".join(char for char in told.agent_version[:_LONGEST_AGENT] if char.isprintable())
            self.agent_versions[peer_id] = agent
            if not agent.startswith(OUR_AGENT):
                await push_identify_to_peer(self, peer_id)

    def forget(self, peer_id: ID) -> None:
        """Drop what is kept about a peer that has gone; strangers' ids are cheap to make."""
        self.agent_versions.pop(peer_id, None)
        store: Any = self.peerstore
        store.peer_data_map.pop(peer_id, None)
        store.peer_record_map.pop(peer_id, None)
