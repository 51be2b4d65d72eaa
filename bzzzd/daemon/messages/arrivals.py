"""Messages that arrive, from gossip or asked for: checked, put in order, kept in one transaction, shown.

    packet ──▶ queue ──▶ signatures ──▶ grants ──▶ order ──▶ journal ──▶ subscribers
                            │ (many: in a thread)  │ unknown key: its chain is asked for, the packet waits

A message that does not hold is refused, and its number counts as done with: what follows it must not wait. What the
queue holds is reported to the mesh, so that peers wait; nothing is dropped that is not asked for again.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any, Final, NamedTuple, Protocol

from bzzzd.daemon.messages.channels import MESH_PREFIX, Channel
from bzzzd.daemon.messages.speakers import Speakers, Unknown
from bzzzd.errors import BzzzError
from bzzzd.mesh.judging import is_sender_s
from bzzzd.mesh.peer_id import peer_id_of
from bzzzd.storage.messages.carry import Bundle, Numbered, Received, digest_of, open_bundle, open_numbered, unpack
from bzzzd.storage.messages.sources import Arrival, Link, Source
from bzzzd.storage.messages.store import MessageStore, Skip

_BATCH_PACKETS: Final = 64
_BATCH_BYTES: Final = 262_144
# Fewer signatures than these are checked at once: a thread's turn takes longer.
_AT_ONCE: Final = 4
_STRANGE_PACKETS: Final = 64
# Of packets that wait for a grant, all together; the mesh does not count them any more.
_STRANGE_BYTES: Final = 8_388_608


class Intake(Protocol):
    """The mesh, as arrivals see it."""

    def hold(self, size: int) -> None: ...
    def release(self, size: int) -> None: ...
    def blame(self, peer_id: str) -> None: ...
    def judging(self, peer_id: str) -> AbstractContextManager[None]: ...


class Packet(NamedTuple):
    """Bundles of one topic that ``peer_id`` sent."""

    channel: Channel
    peer_id: str
    bundles: Sequence[Bundle]


class Taken(NamedTuple):
    """``complete`` is false when some of it waits for a grant; ``fresh`` counts what had not been here before."""

    complete: bool
    fresh: int


def _size(packet: Packet) -> int:
    return sum(len(message) for bundle in packet.bundles for message in bundle.messages)


class _Raw(NamedTuple):
    channel: Channel
    peer_id: str
    raw: bytes


class _Checked(NamedTuple):
    """One message of a packet: ``received`` is ``None`` when it does not hold, ``fault`` when that is the sender's."""

    source: Source
    number: int
    after: Link | None
    digest: bytes
    received: Received | None
    fault: bool


class Arrivals:
    """``shown`` is told what was kept, ``lagging`` that something is missing."""

    def __init__(
        self,
        store: MessageStore,
        speakers: Speakers,
        mesh: Intake,
        mesh_id: str,
        *,
        find: Callable[[str], Channel | None],
        shown: Callable[[Channel, int, Received], None],
        cloned: Callable[[Channel, Source], None],
        lagging: Callable[[], None],
        spawn: Callable[..., Any],
    ) -> None:
        self._store = store
        self._speakers = speakers
        self._mesh = mesh
        self._mesh_id = mesh_id
        self._find = find
        self._shown = shown
        self._cloned = cloned
        self._lagging = lagging
        self._spawn = spawn
        self._queue: deque[_Raw] = deque()
        self._working = False
        self._lock = asyncio.Lock()
        self._strange: dict[bytes, list[Packet]] = {}
        self._strange_bytes = 0
        self.received = 0
        self.refused = 0

    @property
    def backlog(self) -> bool:
        """Whether packets wait: what seems to be missing may be among them."""
        return self._working

    def arrived(self, mesh_topic: str, peer_id: str, raw: bytes) -> None:
        """Take a gossip message; called on the loop."""
        channel = self._find(mesh_topic.removeprefix(MESH_PREFIX))
        if channel is None:
            return
        self._mesh.hold(len(raw))
        self._queue.append(_Raw(channel, peer_id, raw))
        if not self._working:
            self._working = True
            self._spawn("topics", "arrivals", self._work(), ends=True)

    async def _work(self) -> None:
        try:
            while self._queue:
                taken = [self._queue.popleft()]
                size = len(taken[0].raw)
                while self._queue and len(taken) < _BATCH_PACKETS and size + len(self._queue[0].raw) <= _BATCH_BYTES:
                    taken.append(self._queue.popleft())
                    size += len(taken[-1].raw)
                try:
                    await self.take([packet for raw in taken if (packet := self._unpacked(raw)) is not None])
                finally:
                    self._mesh.release(size)
        finally:
            self._working = False

    def _unpacked(self, raw: _Raw) -> Packet | None:
        try:
            return Packet(raw.channel, raw.peer_id, unpack(raw.raw))
        except BzzzError:
            self.refused += 1
            self._mesh.blame(raw.peer_id)
            return None

    async def take(self, packets: Sequence[Packet]) -> Taken:
        """Take in packets; whatever can be delivered is kept and shown when this returns."""
        complete, fresh = True, 0
        async with self._lock:
            count = sum(len(bundle.messages) for packet in packets for bundle in packet.bundles)
            now = time.time()
            if count < _AT_ONCE:
                checked = [self._check(packet, now) for packet in packets]
            else:
                checked = await asyncio.to_thread(lambda: [self._check(packet, now) for packet in packets])
            repeated: dict[str, list[tuple[Source, int, bytes]]] = {}
            channels: dict[str, Channel] = {}
            for packet, (found, faults) in zip(packets, checked, strict=True):
                self.refused += faults
                # Whoever passes messages on has checked them, and the node that numbered them did so first.
                for _ in range(faults + sum(one.fault for one in found)):
                    self._mesh.blame(packet.peer_id)
                channels[packet.channel.name] = packet.channel
                again, whole = self._order(packet, found)
                complete = complete and whole
                fresh += len(found) - len(again)
                if again:
                    repeated.setdefault(packet.channel.name, []).extend(again)
            for name, channel in channels.items():
                await self._keep(channel)
                if name in repeated:
                    for source in await self._store.differs(name, repeated[name]):
                        self._cloned(channel, source)
                if channel.tracker.lagging:
                    channel.version += 1  # what waits for its turn is something that peers may lack
                    self._lagging()
        return Taken(complete, fresh)

    def _check(self, packet: Packet, now: float) -> tuple[list[_Checked], int]:
        """Verify a packet's signatures; touches nothing that others change."""
        found: list[_Checked] = []
        faults = 0
        for bundle in packet.bundles:
            try:
                numbered = open_bundle(bundle, self._mesh_id, topic=packet.channel.name)
            except BzzzError:
                faults += 1
                continue
            for index in range(len(numbered.messages)):
                found.append(self._check_one(numbered, index, now))
        return found, faults

    def _check_one(self, numbered: Numbered, index: int, now: float) -> _Checked:
        place = numbered.start + index
        after = Link(*numbered.carry.after) if numbered.carry.after is not None and place == 0 else None
        received, fault = None, False
        try:
            received = open_numbered(numbered, index, self._mesh_id, now=now)
        except BzzzError as error:
            fault = is_sender_s(error)
        digest = digest_of(numbered.messages[index])
        return _Checked(numbered.source, numbered.carry.first + place, after, digest, received, fault)

    def _order(self, packet: Packet, found: Sequence[_Checked]) -> tuple[list[tuple[Source, int, bytes]], bool]:
        """Hand a packet's messages to the topic's order; gives those whose number is done with, and if it was all."""
        tracker, now = packet.channel.tracker, asyncio.get_running_loop().time()
        again: list[tuple[Source, int, bytes]] = []
        allowed: dict[tuple[bytes, bytes], bool] = {}
        unknown: bytes | None = None
        for one in found:
            received = one.received
            if received is not None:
                pair = (one.source.node, received.author)
                if pair not in allowed:
                    try:
                        allowed[pair] = self._speakers.may(*pair, packet.channel.name, received.message.at)
                    except Unknown as missing:
                        unknown = missing.key
                        if unknown != one.source.node:
                            tracker.exists(one.source, one.number, now)
                        continue
                if not allowed[pair]:
                    received = None
            if received is None and not self._speakers.chain_of(one.source.node):
                continue  # anybody can invent a key; a number that counts is a known one's
            size = len(received.raw) if received is not None else 0
            verdict = tracker.take(Arrival(one.source, one.number, one.after, one.digest, received, size), now)
            if verdict == "repeated":
                again.append((one.source, one.number, one.digest))
        if unknown is not None:
            self._wait_for_chain(packet, unknown, {peer_id_of(one.source.node) for one in found})
        for source in tracker.clones():
            self._cloned(packet.channel, source)
        return again, unknown is None

    def _wait_for_chain(self, packet: Packet, key: bytes, origins: set[str]) -> None:
        """Set a packet aside until the key's chain is here. What is not taken in here will be asked for again."""
        waiting, size = self._strange.get(key), _size(packet)
        if self._strange_bytes + size > _STRANGE_BYTES:
            return
        if waiting is not None:
            if len(waiting) < _STRANGE_PACKETS:
                waiting.append(packet)
                self._strange_bytes += size
        elif len(self._strange) < _STRANGE_PACKETS:
            self._strange[key] = [packet]
            self._strange_bytes += size
            self._spawn("topics", "grant", self._search(key, [packet.peer_id, *origins]), ends=True)

    async def _search(self, key: bytes, peers: Sequence[str]) -> None:
        found = False
        try:
            found = await self._speakers.search(key, peers)
        finally:
            packets = self._strange.pop(key, [])
            self._strange_bytes -= sum(map(_size, packets))
        if found:
            await self.take(packets)

    async def skip(self, channel: Channel, skips: Sequence[Skip]) -> None:
        """Numbers were given up: remember that, and keep and show what waited behind them."""
        async with self._lock:
            with suppress(BzzzError):  # then they are given up once more after a restart
                await self._store.accept(channel.name, skips)
            await self._keep(channel)

    async def _keep(self, channel: Channel) -> None:
        """Keep and show what the topic's order has ready. What cannot be kept now is taken again later."""
        ready = channel.tracker.ready()
        if not ready:
            return
        arrivals: list[Received | Skip] = [
            one.item if one.item is not None else Skip(one.source, one.number) for one in ready
        ]
        self.refused += sum(one.item is None for one in ready)
        try:
            accepted = await self._store.accept(channel.name, arrivals)
        except BzzzError:
            now = asyncio.get_running_loop().time()
            for one in reversed(ready):
                channel.tracker.rewind(one.source, one.number - 1, now)
            self._lagging()
            return
        channel.version += 1
        for arrival, outcome in zip(arrivals, accepted, strict=True):
            if outcome.number is not None and isinstance(arrival, Received):
                self.received += 1
                self._shown(channel, outcome.number, arrival)
