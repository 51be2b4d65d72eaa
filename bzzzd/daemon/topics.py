"""Topics over RPC and mesh: signed messages published here are numbered, kept, gossiped, and taken once there."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, Protocol

import msgspec
from msgspec import Meta, Struct

from bzzzd.daemon.gate import Gate
from bzzzd.daemon.members import Members
from bzzzd.errors import BzzzError, GrantRefused, InvalidEnvelope, NotAllowed, Overloaded
from bzzzd.identity.caller import Caller
from bzzzd.identity.grants import Grant
from bzzzd.rpc.access import attached
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.streams import Feed, Stream, StreamTable
from bzzzd.storage.carry import Received, open_carry, open_message
from bzzzd.storage.messages import MessageStore, Stored

TopicName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}\Z")]
MESH_PREFIX: Final = "bzzz/topic/"
_KEPT: Final = 256
_SNAPSHOT: Final = 64
_MAX_TOPICS: Final = 1024
_MAX_WAITING: Final = 1024


class Gossip(Protocol):
    """The mesh, as topics see it."""

    async def publish(self, topic: str, data: bytes) -> None: ...
    def subscribe(self, topic: str, handler: Callable[[str, str, bytes], None]) -> None: ...


class PublishParams(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``envelope`` is a message (kind ``message``) that the caller signed: {topic, at, body}."""

    topic: TopicName
    envelope: bytes


class TopicDesk:
    """``find_chain(peer_id, key)`` asks the node that carried a message for its author's grant chain."""

    def __init__(
        self,
        store: MessageStore,
        members: Members,
        gate: Gate,
        mesh: Gossip,
        mesh_id: str,
        *,
        own_key: bytes,
        incarnation: str,
        limit_of: Callable[[Caller], int],
        fresh_s: Callable[[Caller], float],
        find_chain: Callable[[str, bytes], Awaitable[list[bytes]]],
        spawn: Callable[..., Any],
    ) -> None:
        self._store = store
        self._members = members
        self._gate = gate
        self._mesh = mesh
        self._mesh_id = mesh_id
        self._own_key = own_key
        self._incarnation = incarnation
        self._limit_of = limit_of
        self._fresh_s = fresh_s
        self._find_chain = find_chain
        self._spawn = spawn
        self._streams: OrderedDict[str, Stream] = OrderedDict()
        self._waiting = 0
        self.received = 0
        self.refused = 0
        self.clones = 0

    async def publish(self, call: Any, params: PublishParams) -> dict[str, Any]:
        """Publish a signed message; numbered and durable here when answered, and handed to the mesh."""
        caller: Caller = call.caller
        self._gate.check(caller, "publish", f"topic:{params.topic}", "write")
        envelope, message = open_message(
            params.envelope, self._mesh_id, now=time.time(), topic=params.topic, limit=self._limit_of(caller)
        )
        if envelope.author != caller.key:
            raise NotAllowed("a message is published by the session of its author; this one is signed by another key")
        age, fresh_s = time.time() - message.at, self._fresh_s(caller)
        if age > fresh_s:
            raise InvalidEnvelope(
                f"this message was signed {age:.0f} s ago, and a live one is at most {fresh_s:g} s old; sign it again",
                age_s=age,
                limit_s=fresh_s,
            )
        published = await self._store.publish(envelope, message)
        if published.carry is not None:
            self._show(params.topic, published.number, envelope.author, self._own_key, message.at, message.body)
            await self._mesh.publish(MESH_PREFIX + params.topic, published.carry)
        return {"number": published.number}

    def _feed(self, call: Any, name: str, filter: dict[str, Any]) -> Feed:
        topic = name.partition(":")[2]
        try:
            msgspec.convert(topic, TopicName)
        except msgspec.ValidationError as error:
            raise InvalidEnvelope(f"{topic[:70]!r} is not a topic's name: 1 to 64 of A-Z a-z 0-9 _ . -") from error
        self._gate.check(call.caller, "subscribe", f"topic:{topic}", "read")
        stream = self._stream(topic)

        async def snapshot() -> dict[str, Any]:
            page = await self._store.latest(topic, _SNAPSHOT)
            return {"items": [self._stored(item) for item in page], "topic": topic}

        return Feed(stream, None, snapshot)

    def _stream(self, topic: str) -> Stream:
        """The live items of a topic; asking for it makes this node follow the topic from then on."""
        stream = self._streams.get(topic)
        if stream is None:
            if len(self._streams) >= _MAX_TOPICS:
                raise Overloaded(f"this node follows {_MAX_TOPICS} topics already, the most there can be")
            stream = self._streams[topic] = Stream(self._incarnation, keep=_KEPT)
            self._mesh.subscribe(MESH_PREFIX + topic, self._arrived)
        return stream

    def _show(self, topic: str, number: int, author: bytes, node: bytes, at: float, body: msgspec.Raw) -> None:
        stream = self._streams.get(topic)
        if stream is not None:
            stream.append(self._item(number, author, node, at, msgspec.msgpack.decode(body)))

    def _item(self, number: int, author: bytes, node: bytes, at: float, body: Any) -> dict[str, Any]:
        return {
            "number": number, "author": self._members.name_of(author), "author_key": author,
            "node": self._members.name_of(node), "at": at, "payload": body,
        }  # fmt: skip

    def _stored(self, item: Stored) -> dict[str, Any]:
        _, message = open_message(item.message, self._mesh_id, now=time.time())
        return self._item(item.number, item.author, item.node, item.at, msgspec.msgpack.decode(message.body))

    def _arrived(self, mesh_topic: str, peer_id: str, raw: bytes) -> None:
        if self._waiting >= _MAX_WAITING:
            self.refused += 1
            return
        self._waiting += 1
        self._spawn("topics", "arrival", self._take(mesh_topic, peer_id, raw), ends=True)

    async def _take(self, mesh_topic: str, peer_id: str, raw: bytes) -> None:
        topic = mesh_topic.removeprefix(MESH_PREFIX)
        try:
            received = open_carry(raw, self._mesh_id, now=time.time(), topic=topic)
            if received.node == self._own_key:
                return
            await self._admit(peer_id, received, topic)
            accepted = await self._store.accept(received)
        except BzzzError:
            # Not ours to answer: a message that does not hold is counted and dropped.
            self.refused += 1
            return
        finally:
            self._waiting -= 1
        self.clones += accepted.verdict == "clone"
        if accepted.number is not None:
            self.received += 1
            message = received.message
            self._show(topic, accepted.number, received.author, received.node, message.at, message.body)

    async def _admit(self, peer_id: str, received: Received, topic: str) -> None:
        """Both must be members, and the author's role must allow it to write on the topic."""
        node = self._members.grant_of(received.node)
        if node.kind != "node":
            raise GrantRefused(f"{node.kind} {node.id} is no node and cannot carry messages")
        author = await self._author(peer_id, received.author)
        self._gate.check_grant(author, f"topic:{topic}", "write")

    async def _author(self, peer_id: str, key: bytes) -> Grant:
        try:
            return self._members.grant_of(key)
        except GrantRefused:
            grant = self._members.admit(await self._find_chain(peer_id, key))
            if grant.key != key:
                raise GrantRefused("the grant shown for a message's author is for another key") from None
            return grant

    def register(self, registry: Registry, streams: StreamTable) -> None:
        registry.add("publish", attached(), PublishParams, self.publish, result="{number}")
        streams.add("topic:", attached(), self._feed, "signed messages of a topic, here and from the mesh")
