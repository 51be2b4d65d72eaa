"""Topics over RPC and mesh: signed messages published here are kept and gossiped; every follower gets them once.

The parts: ``channels`` (a topic's state), ``outgoing``, ``arrivals``, ``catchup``; this desk serves callers with them.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, Final, Protocol

import msgspec
from msgspec import Meta, Struct

from bzzzd.crypto.envelope import Envelope
from bzzzd.crypto.keys import key_text
from bzzzd.daemon.checks.finding import Finding
from bzzzd.daemon.gate import Gate
from bzzzd.daemon.membership.members import Members
from bzzzd.daemon.messages.arrivals import Arrivals
from bzzzd.daemon.messages.catchup import CatchUp, Requests
from bzzzd.daemon.messages.channels import Channel, Channels
from bzzzd.daemon.messages.outgoing import Outgoing
from bzzzd.daemon.messages.speakers import Speakers
from bzzzd.errors import BzzzError, Conflict, InvalidEnvelope, NotAllowed, NotFound
from bzzzd.identity.caller import Caller
from bzzzd.identity.grants import Trust
from bzzzd.mesh.values import MeshEvent, PeerInfo, RequestHandler
from bzzzd.rpc.access import attached, kinds
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.streams import Feed, Stream, StreamTable
from bzzzd.storage.messages.carry import Message, Received, open_message
from bzzzd.storage.messages.exchange import PROTOCOL
from bzzzd.storage.messages.sources import Lost, Source
from bzzzd.storage.messages.store import Clone, MessageStore, Stored

TopicName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}\Z")]
_SNAPSHOT: Final = 64
# How long a topic is kept up to date for listeners that have gone, in seconds.
_FOLLOW_S: Final = 30 * 86_400.0
_CLONES: Final = 256


class MeshOfTopics(Requests, Protocol):
    """The mesh, as topics see it."""

    def peers(self) -> list[PeerInfo]: ...
    async def publish(self, topic: str, data: bytes) -> None: ...
    def subscribe(self, topic: str, handler: Callable[[str, str, bytes], None]) -> None: ...
    def unsubscribe(self, topic: str, handler: Callable[[str, str, bytes], None]) -> None: ...
    def handle(self, protocol: str, handler: RequestHandler) -> None: ...


class PublishParams(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``envelope`` is a message (kind ``message``) that the caller signed: {topic, at, body}."""

    topic: TopicName
    envelope: bytes


class SettleParams(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``node``: its id, or its public key in hexadecimal digits."""

    node: Annotated[str, Meta(max_length=128)]


class TopicDesk:
    """``find_chain(peer_id, key)`` asks the node that carried a message for its author's grant chain."""

    def __init__(
        self,
        store: MessageStore,
        members: Members,
        gate: Gate,
        mesh: MeshOfTopics,
        mesh_id: str,
        *,
        own_key: bytes,
        trust: Trust,
        events: Stream,
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
        self._events = events
        self._limit_of = limit_of
        self._fresh_s = fresh_s
        self._spawn = spawn
        self._channels = Channels(store.incarnation)
        self._clones: dict[tuple[bytes, str], Clone] = {}
        self._settled: dict[bytes, float] = {}
        self._outgoing = Outgoing(store, mesh.publish, shown=self._sent, spawn=spawn)
        self.speakers = Speakers(
            store, members, gate, trust=trust, find_chain=find_chain,
            connected=lambda: [peer.peer_id for peer in mesh.peers() if peer.connected], spawn=spawn,
        )  # fmt: skip
        self._arrivals = Arrivals(
            store, self.speakers, mesh, mesh_id, find=self._followed, shown=self._taken,
            cloned=self._cloned, lagging=self._look, spawn=spawn,
        )  # fmt: skip
        self._catch_up = CatchUp(
            store,
            mesh,
            self._channels,
            self._arrivals,
            lost=self._lost,
            twins=lambda source: self._cloned(None, source),
            spawn=spawn,
        )
        self.trimmed = 0

    async def open(self) -> None:
        """Follow again what was followed lately, and serve peers."""
        loop, now = asyncio.get_running_loop(), time.time()
        await self.speakers.load()
        self._clones = {(clone.node, clone.journal): clone for clone in await self._store.clones()}
        self._settled = await self._store.settled()
        for topic in await self._store.topics():
            channel = self._channels.load(topic, loop.time())
            if topic.followed is not None and topic.followed > now - _FOLLOW_S:
                self._follow(channel)
        self._mesh.handle(PROTOCOL, self._catch_up.answer)
        for peer in self._mesh.peers():
            if peer.connected:  # before this desk was there to hear of it
                self._catch_up.joined(peer.peer_id)
        self._spawn("topics", "heads", self._catch_up.run())
        self._spawn("topics", "catching up", self._catch_up.fetch())

    def happened(self, event: MeshEvent) -> None:
        """What the mesh says of its peers."""
        if event.kind == "joined":
            self._catch_up.joined(event.peer_id)
        elif event.kind == "left":
            self._catch_up.left(event.peer_id)

    # Callers.

    def publish(self, call: Any, params: PublishParams) -> Awaitable[dict[str, Any]]:
        """Publish a signed message; numbered and durable here when answered, and on its way to the mesh."""
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
        return _numbered(self._outgoing.publish(self._channel(params.topic), envelope, message))

    def _feed(self, call: Any, name: str, filter: dict[str, Any]) -> Feed:
        topic = name.partition(":")[2]
        try:
            msgspec.convert(topic, TopicName)
        except msgspec.ValidationError as error:
            raise InvalidEnvelope(f"{topic[:70]!r} is not a topic's name: 1 to 64 of A-Z a-z 0-9 _ . -") from error
        self._gate.check(call.caller, "subscribe", f"topic:{topic}", "read")
        channel = self._channel(topic)
        stream = channel.stream()
        self._follow(channel)
        self._remember("following", lambda: self._store.follow(topic, time.time()))

        async def snapshot() -> dict[str, Any]:
            page = await self._store.latest(topic, _SNAPSHOT)
            return {"items": [self._stored(item) for item in page], "topic": topic}

        async def history(after: int, count: int) -> list[tuple[int, Any]] | None:
            page = await self._store.read(topic, after, count)
            if page.trimmed:
                return None
            return [(item.number, self._stored(item)) for item in page.items if item.number <= channel.last]

        return Feed(stream, None, snapshot, history)

    # Topics.

    def _channel(self, topic: str) -> Channel:
        channel, gone = self._channels.open(topic)
        if gone is not None:
            self._mesh.unsubscribe(gone.mesh_topic, self._arrivals.arrived)
            self._remember("following", partial(self._store.follow, gone.name, None))
        return channel

    def _remember(self, what: str, work: Callable[[], Awaitable[object]]) -> None:
        """Write something down that only the next start needs; a disk that is full says so itself."""

        async def write() -> None:
            with suppress(BzzzError):
                await work()

        self._spawn("topics", what, write(), ends=True)

    def _follow(self, channel: Channel) -> None:
        if not channel.followed:
            channel.followed = True
            self._mesh.subscribe(channel.mesh_topic, self._arrivals.arrived)
            self._catch_up.ask_about(channel)

    def _followed(self, topic: str) -> Channel | None:
        channel = self._channels.get(topic)
        return channel if channel is not None and channel.followed else None

    def _look(self) -> None:
        self._catch_up.look()

    # What is shown.

    def _sent(self, channel: Channel, number: int, envelope: Envelope, message: Message) -> None:
        channel.show(number, self._item(number, envelope.author, self._own_key, message.at, message.body))

    def _taken(self, channel: Channel, number: int, received: Received) -> None:
        node, message = received.source.node, received.message
        channel.show(number, self._item(number, received.author, node, message.at, message.body))

    def _item(self, number: int, author: bytes, node: bytes, at: float, body: msgspec.Raw) -> dict[str, Any]:
        return {
            "number": number, "author": self._members.name_of(author), "author_key": author,
            "node": self._members.name_of(node), "at": at, "payload": body,
        }  # fmt: skip

    def _stored(self, item: Stored) -> dict[str, Any]:
        message = open_message(item.message, self._mesh_id, now=time.time())[1]
        return self._item(item.number, item.author, item.node, item.at, message.body)

    def _lost(self, channel: Channel, lost: Lost) -> None:
        """Say which messages nobody has any more; a newcomer is not told what was trimmed before it came."""
        if lost.fresh and lost.why == "trimmed":
            return
        self.trimmed += lost.last - lost.first + 1
        node = self._members.name_of(lost.source.node)
        self._events.append(
            {
                "source": "messages", "kind": "trimmed", "topic": channel.name, "node": node, "first": lost.first,
                "last": lost.last, "at": time.time(),
                "detail": f"messages {lost.first} to {lost.last} of {node} on {channel.name} cannot be had: {lost.why}",
            }
        )  # fmt: skip

    def _cloned(self, channel: Channel | None, source: Source) -> None:
        """A node runs twice, or its disk was put back: told once, and kept for status and doctor."""
        if source in self._clones or len(self._clones) >= _CLONES:
            return
        clone = self._clones[source] = Clone(
            source.node, source.journal, channel.name if channel is not None else "", time.time()
        )
        self._events.append({"source": "messages", "kind": "clone", **self._clone_row(clone)})
        self._remember("clone", lambda: self._store.add_clone(clone))
        if source == self._store.own:
            self._store.rename()

    def _clone_row(self, clone: Clone) -> dict[str, Any]:
        node = self._members.name_of(clone.node)
        return {
            "node": node, "key": key_text(clone.node), "topic": clone.topic, "at": clone.at,
            "detail": f"two machines run with the key of {node}, or its disk was put back to an older state",
        }  # fmt: skip

    def _open_clones(self) -> list[Clone]:
        """Those that nobody has settled since they were seen."""
        return [clone for clone in self._clones.values() if clone.at > self._settled.get(clone.node, -math.inf)]

    def clone_rows(self) -> list[dict[str, Any]]:
        """For status: nodes that were seen running twice, until somebody settles it."""
        return [self._clone_row(clone) for clone in self._open_clones()]

    async def settle(self, call: Any, params: SettleParams) -> dict[str, Any]:
        """Stop telling of a node that was seen running twice: its twin is gone, or its disk was put back on purpose.

        Here alone; when it is seen again, it is told again.
        """
        nodes = {
            clone.node: self._members.name_of(clone.node)
            for clone in self._open_clones()
            if params.node in (self._members.name_of(clone.node), clone.node.hex())
        }
        if not nodes:
            raise NotFound(
                f"no node {params.node[:64]!r} was seen running twice here; bzzz doctor lists those that were"
            )
        if len(nodes) > 1:
            keys = ", ".join(node.hex() for node in nodes)
            raise Conflict(f"several nodes were called {params.node}; name the one that is meant by its key: {keys}")
        ((node, name),) = nodes.items()
        at = time.time()
        await self._store.settle(node, at)
        self._settled[node] = at
        detail = f"{call.caller.id} has settled that {name} was seen running twice"
        self._events.append({"source": "messages", "kind": "clone_settled", "node": name, "at": at, "detail": detail})
        return {"node": name, "key": key_text(node)}

    def check(self) -> list[Finding]:
        """For the doctor."""
        fix = (
            "stop one of the two and give it a key of its own; after that, or when the disk was put back on purpose or "
            "lost its power: bzzz mesh settle NODE"
        )
        rows = {row["node"]: row for row in sorted(self.clone_rows(), key=lambda row: row["at"])}
        found: list[Finding] = []
        for node, row in rows.items():
            seen = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(row["at"]))
            found.append(("bad", f"node {node}", f"{row['detail']}; last seen {seen}", fix.replace("NODE", node)))
        return found or [("ok", "messages", "no node was seen running twice", "")]

    @property
    def received(self) -> int:
        return self._arrivals.received

    @property
    def refused(self) -> int:
        return self._arrivals.refused

    @property
    def fetched(self) -> int:
        return self._catch_up.fetched

    @property
    def clones(self) -> int:
        return len({clone.node for clone in self._open_clones()})

    def gauges(self) -> dict[str, tuple[float, str]]:
        """For the metrics."""
        return {
            "bzzz_messages_received": (self.received, "Messages taken from the mesh since the start."),
            "bzzz_messages_refused": (self.refused, "Messages from the mesh that did not hold."),
            "bzzz_messages_fetched": (self.fetched, "Messages asked for, because gossip had not brought them."),
            "bzzz_messages_trimmed": (self.trimmed, "Messages of others that nobody had any more."),
            "bzzz_clones_seen": (self.clones, "Nodes seen running twice, or with an older disk, until settled."),
        }

    def register(self, registry: Registry, streams: StreamTable) -> None:
        registry.add("publish", attached(), PublishParams, self.publish, result="{number}")
        registry.add("mesh.settle", kinds("admin"), SettleParams, self.settle, result="{node, key}")
        streams.add("topic:", attached(), self._feed, "signed messages of a topic, here and from the mesh")


async def _numbered(number: Awaitable[int]) -> dict[str, int]:
    return {"number": await number}
