"""The gossip router and its outbound queues, without the library's silent losses.

Scores, adaptive gossip, spam and eclipse protection are off on purpose: every peer here is a member,
and each of them dropped honest bursts (10 of 500 messages arrived). What bounds the node instead are
the byte-bounded queues here, the back-pressure in front of them, and the removal of peers that do not read.
"""

from __future__ import annotations

import time
from typing import Final

import trio
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import PROTOCOL_ID, PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.rpc_queue import RpcQueue
from libp2p.pubsub.utils import safe_bytes_from_hex

from bzzzd.mesh.values import Counters

_DEGREE, _DEGREE_LOW, _DEGREE_HIGH = 8, 6, 12
_QUEUE_ITEMS: Final = 8192
_QUEUE_BYTES: Final = 16 * 1024 * 1024
_CROWDED_BYTES: Final = 4 * 1024 * 1024
_CROWDED_ITEMS: Final = 1024
_MERGED_BYTES: Final = 128 * 1024
# Peers that lose each other graft again at once; a mesh of members needs no grudges.
_BACK_OFF_S: Final = 1
_REQUESTS_PER_S: Final = 1000.0


class OutboundQueue(RpcQueue):
    """What waits to be sent to one peer: bounded in items and bytes; what is small leaves merged."""

    def __init__(self) -> None:
        super().__init__(max_size=_QUEUE_ITEMS)
        self._bytes = 0
        self._less = trio.Event()

    @property
    def crowded(self) -> bool:
        """Whether a publisher should wait before it adds more. Forwarding never waits."""
        return not self.closed and (self._bytes >= _CROWDED_BYTES or len(self) >= _CROWDED_ITEMS)

    def push(self, rpc: rpc_pb2.RPC, priority: bool = False) -> bool:
        size = rpc.ByteSize()
        if self._bytes + size > _QUEUE_BYTES or not super().push(rpc, priority):
            return False
        self._bytes += size
        return True

    async def pop(self) -> rpc_pb2.RPC | None:
        """The next message, with those behind it as long as the whole stays small."""
        first = await super().pop()
        if first is None:
            return None
        rpc, size = first, first.ByteSize()
        while (head := self._head()) is not None and size + head.ByteSize() <= _MERGED_BYTES:
            if rpc is first:  # one message object waits in many peers' queues: merge into a copy
                rpc = rpc_pb2.RPC()
                rpc.MergeFrom(first)
            rpc.MergeFrom(head)
            size += head.ByteSize()
            self._queue.pop()
        self._bytes -= size
        self._less.set()
        self._less = trio.Event()
        return rpc

    def _head(self) -> rpc_pb2.RPC | None:
        waiting = self._queue._priority or self._queue._non_priority
        return waiting[0] if waiting else None

    def close(self) -> None:
        super().close()
        self._less.set()

    async def until_less(self) -> None:
        """Wait until something has left."""
        if not self.closed:
            await self._less.wait()


class MemberRouter(GossipSub):
    """GossipSub that sends what it is given: own messages to every follower it knows, up to a bound."""

    def __init__(self, tally: Counters) -> None:
        super().__init__(
            # 1.2 and later announce every message to every peer once more (IDONTWANT), which costs more
            # than it saves while messages are small.
            protocols=[PROTOCOL_ID_V11, PROTOCOL_ID],
            degree=_DEGREE,
            degree_low=_DEGREE_LOW,
            degree_high=_DEGREE_HIGH,
            heartbeat_interval=1,
            prune_back_off=_BACK_OFF_S,
            unsubscribe_back_off=_BACK_OFF_S,
            do_px=False,
            adaptive_gossip_enabled=False,
            spam_protection_enabled=False,
            eclipse_protection_enabled=False,
        )
        self.scorer = None
        self.max_iwant_requests_per_second = _REQUESTS_PER_S
        self.max_ihave_messages_per_second = _REQUESTS_PER_S
        self._tally = tally

    # What a member asks for in a frame of its own costs no more here than there.

    async def handle_iwant(self, iwant_msg: rpc_pb2.ControlIWant, sender_peer_id: ID) -> None:
        """Give each message once, and no more than the queue holds; the library copies it each time it is named."""
        queue = self.pubsub.peer_queues.get(sender_peer_id) if self.pubsub is not None else None
        if queue is None or not self._check_iwant_rate_limit(sender_peer_id):
            return
        for wish in dict.fromkeys(iwant_msg.messageIDs):
            name = safe_bytes_from_hex(wish)
            found = self.mcache.get(name) if name is not None else None
            if found is not None and not queue.push(rpc_pb2.RPC(publish=[found])):
                self._tally.dropped += 1
                return

    async def handle_ihave(self, ihave_msg: rpc_pb2.ControlIHave, sender_peer_id: ID) -> None:
        """As the library's, for topics that this node follows: it keeps a record of each one that is named."""
        if self.pubsub is not None and ihave_msg.topicID in self.pubsub.topic_ids:
            await super().handle_ihave(ihave_msg, sender_peer_id)

    async def handle_prune(self, prune_msg: rpc_pb2.ControlPrune, sender_peer_id: ID) -> None:
        """As the library's, for topics that this node follows."""
        if self.pubsub is not None and prune_msg.topicID in self.pubsub.topic_ids:
            await super().handle_prune(prune_msg, sender_peer_id)

    async def _do_px(self, px_peers: list[rpc_pb2.PeerInfo]) -> None:
        """Dial nobody whom a peer names here: that is the dialler's, with its bounds."""

    async def publish(self, msg_forwarder: ID, pubsub_msg: rpc_pb2.Message) -> None:
        self.spread(msg_forwarder, pubsub_msg)

    def spread(self, msg_forwarder: ID, pubsub_msg: rpc_pb2.Message) -> None:
        """Queue a message for those who should have it next. Full queues are counted, not waited for."""
        if self.pubsub is None:
            return
        self.mcache.put(pubsub_msg)
        origin = ID(pubsub_msg.from_id)
        receivers = set(self._get_peers_to_send(pubsub_msg.topicIDs, msg_forwarder, origin))
        if msg_forwarder == self.pubsub.my_id:
            for topic in pubsub_msg.topicIDs:
                for peer in self.pubsub.peer_topics.get(topic, ()):
                    if len(receivers) >= _DEGREE_HIGH:
                        break
                    receivers.add(peer)
        rpc = rpc_pb2.RPC(publish=[pubsub_msg])
        for peer in receivers:
            queue = self.pubsub.peer_queues.get(peer)
            if queue is not None and not queue.push(rpc):
                self._tally.dropped += 1
        now = int(time.time())
        for topic in pubsub_msg.topicIDs:
            self.time_since_last_publish[topic] = now
