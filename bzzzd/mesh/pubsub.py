"""Publish and subscribe: opaque bytes by topic, for members, with back-pressure from end to end.

A publisher waits for room in its peers' queues; a peer's frames are read one after the other, and not
before the asyncio side has room; so a slow reader anywhere slows its senders and nothing piles up. A
peer that reads nothing at all for 5 to 10 s is disconnected, so that it holds up nobody else.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import trio
from google.protobuf.message import DecodeError
from libp2p.abc import INetStream
from libp2p.io.exceptions import IOException
from libp2p.network.stream.exceptions import StreamError
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.pubsub.utils import maybe_consume_signed_record
from libp2p.pubsub.validators import PUBSUB_SIGNING_PREFIX
from libp2p.utils.varint import encode_varint_prefixed

from bzzzd.crypto.keys import verify
from bzzzd.errors import BadInput, BzzzError
from bzzzd.mesh.conduct import Offence
from bzzzd.mesh.frames import VarintFrames
from bzzzd.mesh.host import MemberHost
from bzzzd.mesh.peer_id import key_of_raw, peer_id_of
from bzzzd.mesh.router import MemberRouter, OutboundQueue
from bzzzd.mesh.values import Counters

_FRAME_BYTES: Final = 1024 * 1024
_SEEN_S: Final = 120
_SWEEP_S: Final = 30
# Yamux gives a write up after 5 s without a window; this is for what does not even get there.
_STALLED_S: Final = 10.0
_TOPICS_PER_PEER: Final = 4096
_PREFIX: Final = PUBSUB_SIGNING_PREFIX.encode()

Deliver = Callable[[str, str, bytes], None]
Blame = Callable[[ID, Offence], None]
Room = Callable[[], Awaitable[None]]


def signed_bytes(message: rpc_pb2.Message) -> bytes:
    """What a gossip message's signature covers, per the libp2p pubsub specification."""
    bare = rpc_pb2.Message(from_id=message.from_id, data=message.data, seqno=message.seqno, topicIDs=message.topicIDs)
    return _PREFIX + bare.SerializeToString()


class MemberPubsub(Pubsub):
    """Pubsub whose streams exist with members only.

    ``deliver(topic, peer_id, data)`` gets each message of a followed topic once, with the peer that
    published it (its signature is checked; whoever forwarded it does not matter). ``room`` is awaited
    before a message is taken in. Own messages are not delivered to ourselves.
    """

    def __init__(
        self, host: MemberHost, router: MemberRouter, *, deliver: Deliver, room: Room, tally: Counters, blame: Blame
    ) -> None:
        super().__init__(
            host,
            router,
            seen_ttl=_SEEN_S,
            sweep_interval=_SWEEP_S,
            max_subscriptions_per_peer=_TOPICS_PER_PEER,
            max_inbound_rpc_size=_FRAME_BYTES,
        )
        self._members_host = host
        self._members_router = router
        self._deliver = deliver
        self._room = room
        self._tally = tally
        self._blame = blame
        self._registering: set[ID] = set()
        self._topics_lock = trio.Lock()
        # The library starts at the second of the start: a node that had published faster than one message
        # a second and restarts would repeat numbers, and its peers would take the new messages for old.
        self.counter = time.time_ns()

    def is_peer_blacklisted(self, peer_id: ID) -> bool:
        """A connected peer that is no member. One that is not connected may still be a message's author."""
        return not self._members_host.is_member(peer_id) and self._peer_is_connected(peer_id)

    # Out.

    async def publish(self, topic_id: str | list[str], data: bytes) -> None:
        """Sign and queue one message, after waiting for room; a peer that gives none is disconnected."""
        await self._wait_for_peers()
        self._send([topic_id] if isinstance(topic_id, str) else topic_id, data)

    def publish_now(self, topic: str, data: bytes) -> bool:
        """As ``publish`` when every peer has room; ``False``, and nothing is sent, when one has to be waited for."""
        if any(isinstance(queue, OutboundQueue) and queue.crowded for queue in self.peer_queues.values()):
            return False
        self._send([topic], data)
        return True

    def _send(self, topics: list[str], data: bytes) -> None:
        message = rpc_pb2.Message(
            data=data,
            topicIDs=topics,
            from_id=self.my_id.to_bytes(),
            seqno=self._next_seqno(),
        )
        if self.sign_key is not None:
            message.signature = self.sign_key.sign(_PREFIX + message.SerializeToString())
            message.key = self.host.get_public_key().serialize()
        self._mark_msg_seen(message)
        self._tally.published += 1
        self._members_router.spread(self.my_id, message)

    async def _wait_for_peers(self) -> None:
        for peer_id, queue in list(self.peer_queues.items()):
            while isinstance(queue, OutboundQueue) and queue.crowded:
                with trio.move_on_after(_STALLED_S) as waited:
                    await queue.until_less()
                if waited.cancelled_caught:
                    self._tally.stalled += 1
                    self._blame(peer_id, "slow")
                    self._handle_dead_peer(peer_id)

    async def follow(self, topics: Iterable[str]) -> None:
        """Follow exactly ``topics`` from now on."""
        async with self._topics_lock:
            wanted, present = set(topics), set(self.topic_ids)
            for topic in present - wanted:
                await self.unsubscribe(topic)
            for topic in wanted - present:
                await self.subscribe(topic)

    def followers(self, topic: str) -> list[ID]:
        """The connected members that follow ``topic``."""
        return [peer for peer in self.peer_topics.get(topic, ()) if peer in self.peers]

    # In.

    async def continuously_read_stream(self, stream: INetStream) -> None:
        """Read a member's frames in order until the stream ends; a broken one costs it its connection."""
        peer_id = stream.muxed_conn.peer_id
        frames = VarintFrames(stream, self.max_inbound_rpc_size)
        try:
            while self._members_host.is_member(peer_id):
                await self._take(rpc_pb2.RPC.FromString(await frames.next()), peer_id)
        except (DecodeError, BzzzError):
            self._tally.invalid += 1
            self._blame(peer_id, "garbage")
            self._handle_dead_peer(peer_id)
        except (StreamError, IOException):
            return
        await stream.reset()

    async def _take(self, rpc: rpc_pb2.RPC, peer_id: ID) -> None:
        if not maybe_consume_signed_record(rpc, self.host, peer_id):
            self._tally.invalid += 1
            self._blame(peer_id, "invalid")
            return
        for subscription in rpc.subscriptions:
            self.handle_subscription(peer_id, subscription)
        for message in rpc.publish:
            await self._take_message(message, peer_id)
        if rpc.HasField("control"):
            await self.router.handle_rpc(rpc, peer_id)

    async def _take_message(self, message: rpc_pb2.Message, forwarder: ID) -> None:
        if not self._is_subscribed_to_msg(message) or self._is_msg_seen(message):
            return
        if message.from_id == self.my_id.to_bytes():
            return
        self._tally.received += 1
        if self.is_peer_blacklisted(ID(message.from_id)):
            self._tally.invalid += 1
            return
        if not self._genuine(message):  # whoever forwards it has checked it before, if it is honest
            self._tally.invalid += 1
            self._blame(forwarder, "forged")
            return
        await self._room()
        if self._is_msg_seen(message):  # another forwarder was faster while we waited
            return
        self._mark_msg_seen(message)
        self.notify_subscriptions(message)
        self._members_router.spread(forwarder, message)

    @staticmethod
    def _genuine(message: rpc_pb2.Message) -> bool:
        try:
            return verify(key_of_raw(message.from_id), message.signature, signed_bytes(message))
        except BadInput:
            return False

    def notify_subscriptions(self, publish_message: rpc_pb2.Message) -> None:
        author = peer_id_of(key_of_raw(publish_message.from_id))
        for topic in publish_message.topicIDs:
            if topic in self.topic_ids:
                self._tally.delivered += 1
                self._deliver(topic, author, publish_message.data)

    # Peers.

    async def _handle_new_peer(self, peer_id: ID) -> None:
        """Open our stream to a member, once; a failure is raised for the caller to try again."""
        if peer_id in self.peers or peer_id in self._registering or not self._members_host.is_member(peer_id):
            return
        self._registering.add(peer_id)
        try:
            stream = await self.host.new_stream(peer_id, self.protocols)
        finally:
            self._registering.discard(peer_id)
        # Registered in the same breath as the greeting is made: what is followed from now on is queued
        # behind it. Between the two it would be told to nobody.
        greeting = self.get_hello_packet()
        self.router.add_peer(peer_id, stream.get_protocol())
        self.peers[peer_id] = stream
        queue = self.peer_queues[peer_id] = OutboundQueue()
        try:
            await stream.write(encode_varint_prefixed(greeting.SerializeToString()))
        except BaseException:
            self._handle_dead_peer(peer_id)
            raise
        self.manager.run_task(self.handle_sending_messages, peer_id, stream, queue)
        await self._send_recent_messages_to_new_peer(peer_id)

    def _schedule_peer_stream_retry(self, peer_id: ID) -> None:
        """A gossip stream died while its connection lives: the connection goes, and both sides start afresh.

        A new stream alone would not do. Subscriptions are told once per stream, so a side that has
        forgotten the other's would never hear of them again.
        """
        if self.manager.is_running:
            self.manager.run_task(self.host.disconnect, peer_id)

    def connection_ended(self, peer_id: ID) -> None:
        """One of a peer's connections has ended; if its stream was on that one, the peer starts afresh."""
        stream: Any = self.peers.get(peer_id)
        if stream is not None and stream.muxed_conn.is_closed:
            self._handle_dead_peer(peer_id)
