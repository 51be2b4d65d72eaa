"""Catching up: telling peers what is kept here, hearing what they keep, and asking for what is missing.

Heads are told to each peer when it joins, and every few seconds as far as they have changed; ``order.Tracker`` says
what is missing then and whom to ask. An answer is taken in before the next is asked for, so catching up is bounded
in memory, goes as fast as this node keeps up, and resumes wherever it was cut off.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from bzzzd.daemon.messages.arrivals import Arrivals, Intake, Packet
from bzzzd.daemon.messages.channels import Channel, Channels
from bzzzd.errors import BzzzError
from bzzzd.mesh.peer_id import key_of, peer_id_of
from bzzzd.storage.messages.carry import Bundle, Received
from bzzzd.storage.messages.exchange import (
    FETCH_WANTS,
    FOUND_BYTES,
    PROTOCOL,
    TELL_SOURCES,
    Fetch,
    Found,
    Given,
    Head,
    Tell,
    Told,
    Want,
    encode,
    heads_of,
    held_of,
    read_found,
    read_request,
    read_told,
)
from bzzzd.storage.messages.sources import Ask, Held, Lost, Source
from bzzzd.storage.messages.store import MessageStore, Skip

TELL_S: Final = 5.0
_LOOK_S: Final = 0.05
_REQUEST_S: Final = 10.0
_AT_ONCE: Final = 8
# How long packets that wait to be taken in may keep us from asking for what seems to be missing, in seconds.
_BACKLOG_S: Final = 2.0
_NAMES: Final = 16
_NAMED: Final = 4096
# A peer hears from us at least this often, in seconds: who runs twice is seen although nobody speaks.
_ALIVE_S: Final = 30.0


class Requests(Intake, Protocol):
    """The mesh, as catching up sees it."""

    async def request(self, peer_id: str, protocol: str, data: bytes, timeout: float = 10.0) -> bytes: ...


class CatchUp:
    """``lost`` is told what nobody has any more, ``twins`` which node runs twice."""

    def __init__(
        self,
        store: MessageStore,
        mesh: Requests,
        channels: Channels,
        arrivals: Arrivals,
        *,
        lost: Callable[[Channel, Lost], None],
        twins: Callable[[Source], None],
        spawn: Callable[..., Any],
    ) -> None:
        self._store = store
        self._mesh = mesh
        self._channels = channels
        self._arrivals = arrivals
        self._lost = lost
        self._twins = twins
        self._spawn = spawn
        # What each connected peer was told last: the topics' versions.
        self._told: dict[str, dict[str, int]] = {}
        self._telling: set[str] = set()
        self._names: OrderedDict[str, dict[str, None]] = OrderedDict()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._wanted = asyncio.Event()
        self._clear_at = 0.0
        self.fetched = 0

    # Peers.

    def joined(self, peer_id: str) -> None:
        self._told[peer_id] = {}
        self._tell_soon(peer_id, always=True)

    def left(self, peer_id: str) -> None:
        self._told.pop(peer_id, None)
        now = asyncio.get_running_loop().time()
        for channel in self._channels:
            channel.tracker.gone(key_of(peer_id), now)

    def ask_about(self, channel: Channel) -> None:
        """A topic is followed from now on: peers are asked what they keep of it."""
        for peer_id in self._told:
            self._spawn("topics", "question", self._tell(peer_id, (), (channel.name,)), ends=True)

    def look(self) -> None:
        """Something is missing."""
        self._wanted.set()

    async def run(self) -> None:
        """Tell heads, for as long as the node runs."""
        turn = 0
        while True:
            await asyncio.sleep(TELL_S)
            turn += 1
            for peer_id in tuple(self._told):
                self._tell_soon(peer_id, always=turn % round(_ALIVE_S / TELL_S) == 0)

    # Telling.

    def _tell_soon(self, peer_id: str, *, always: bool = False) -> None:
        if peer_id not in self._telling and (always or self._changed(peer_id)):
            self._telling.add(peer_id)
            self._spawn("topics", "heads", self._tell_changed(peer_id), ends=True)

    def _changed(self, peer_id: str) -> list[Channel]:
        told = self._told.get(peer_id)
        if told is None:
            return []
        return [channel for channel in self._channels if told.get(channel.name) != channel.version]

    async def _tell_changed(self, peer_id: str) -> None:
        try:
            first = not self._told.get(peer_id)
            versions = {channel.name: channel.version for channel in self._changed(peer_id)}
            ask = tuple(name for name in versions if self._followed(name)) if first else ()
            if await self._tell(peer_id, tuple(versions), ask) and peer_id in self._told:
                self._told[peer_id] |= versions
        finally:
            self._telling.discard(peer_id)

    def _followed(self, name: str) -> bool:
        channel = self._channels.get(name)
        return channel is not None and channel.followed

    async def _tell(self, peer_id: str, topics: Sequence[str], ask: tuple[str, ...]) -> bool:
        try:
            heads = await self._heads(topics)
            answer = await self._mesh.request(
                peer_id, PROTOCOL, encode(Tell(self._store.own.journal, heads, ask)), _REQUEST_S
            )
            with self._mesh.judging(peer_id):
                heads = read_told(answer).heads
            self._hear(peer_id, heads)
        except BzzzError:
            return False  # the peer has gone, or is slow: it is told again in a few seconds
        return True

    async def _heads(self, topics: Sequence[str]) -> dict[str, tuple[Head, ...]]:
        found: dict[str, tuple[Head, ...]] = {}
        count = 0
        kept = await self._store.heads(topics)
        for name in topics:
            sources = kept.get(name, {})
            channel = self._channels.get(name)
            for source, early in channel.tracker.held().items() if channel is not None else ():
                held = sources.get(source, Held(1, 0))
                sources[source] = held._replace(early=early)
            count += len(sources)
            if count > TELL_SOURCES:
                break
            found[name] = heads_of(sources)
        return found

    def _hear(self, peer_id: str, heads: dict[str, tuple[Head, ...]]) -> None:
        now, key = asyncio.get_running_loop().time(), key_of(peer_id)
        if peer_id not in self._told:
            return
        for name, sources in heads.items():
            channel = self._channels.get(name)
            if channel is not None and channel.followed:
                channel.tracker.told(key, held_of(sources), now)
                if channel.tracker.lagging:
                    self.look()

    def _name(self, peer_id: str, own: str) -> None:
        """A node takes a new name at each start and never an earlier one again, unless two of it take turns."""
        names = self._names.setdefault(peer_id, {})
        self._names.move_to_end(peer_id)
        if own not in names:
            names[own] = None
        elif next(reversed(names)) != own:
            names[own] = names.pop(own)
            self._twins(Source(key_of(peer_id), own))
        while len(names) > _NAMES or len(self._names) > _NAMED:
            if len(names) > _NAMES:
                del names[next(iter(names))]
            else:
                self._names.popitem(last=False)

    # Answering.

    async def answer(self, peer_id: str, raw: bytes) -> bytes:
        """Serve ``PROTOCOL``."""
        request = read_request(raw)
        if isinstance(request, Tell):
            self._name(peer_id, request.own)
            self._hear(peer_id, request.heads)
            return encode(Told(await self._heads([name for name in request.ask if self._channels.get(name)])))
        given: list[Given] = []
        room = FOUND_BYTES
        for want in request.wants:
            source = Source(want.node, want.journal)
            if given and room <= 0:
                break  # what is left out is asked for again
            bundles, held = await self._give(request.topic, source, want.after, room)
            room -= sum(len(message) for bundle in bundles for message in bundle.messages)
            given.append(Given(tuple(bundles), Head(*source, *held) if held is not None else None))
        return encode(Found(tuple(given)))

    async def _give(self, topic: str, source: Source, after: int, room: int) -> tuple[list[Bundle], Held | None]:
        """What is kept, or else what waits here for its turn: it may be what another one waits for."""
        bundles, held = await self._store.give(topic, source, after, room)
        channel = self._channels.get(topic)
        early = channel.tracker.early(source, after) if channel is not None else []
        if early:
            held = (held or Held(1, 0))._replace(early=early[-1].number)
        if not bundles:
            for one in early:
                received: Received | None = one.item
                if received is not None and room > 0:
                    bundles.append(Bundle(received.proof, received.index, (received.raw,)))
                    room -= len(received.raw)
        return bundles, held

    # Asking.

    async def fetch(self) -> None:
        """Ask for what is missing whenever something is, for as long as the node runs."""
        while True:
            await self._wanted.wait()
            lagging = [channel for channel in self._channels if channel.followed and channel.tracker.lagging]
            if not lagging:
                self._wanted.clear()
                continue
            for channel in lagging:
                await self._look_after(channel)
                await asyncio.sleep(0)  # a look at one topic is short, and there may be a thousand
            await asyncio.sleep(_LOOK_S)

    async def _look_after(self, channel: Channel) -> None:
        now = asyncio.get_running_loop().time()
        losses = channel.tracker.losses(now)
        for lost in losses:
            self._lost(channel, lost)
        if losses:
            await self._arrivals.skip(channel, [Skip(lost.source, lost.last) for lost in losses])
        self._ask(channel)

    def _ask(self, channel: Channel) -> None:
        now = asyncio.get_running_loop().time()
        if not self._arrivals.backlog:
            self._clear_at = now
        elif now < self._clear_at + _BACKLOG_S:
            return
        by_peer: dict[bytes, list[Ask]] = {}
        for ask in channel.tracker.asks(now):
            by_peer.setdefault(ask.peer, []).append(ask)
        for peer, asks in by_peer.items():
            for start in range(0, len(asks), FETCH_WANTS):
                self._spawn("topics", "fetch", self._fetch(channel, peer, asks[start : start + FETCH_WANTS]), ends=True)

    async def _fetch(self, channel: Channel, peer: bytes, asks: Sequence[Ask]) -> None:
        wants = tuple(Want(*ask.source, ask.after) for ask in asks)
        answered = False
        peer_id = peer_id_of(peer)
        try:
            async with self._slots:
                raw = await self._mesh.request(peer_id, PROTOCOL, encode(Fetch(channel.name, wants)), _REQUEST_S)
            with self._mesh.judging(peer_id):
                given = read_found(raw, len(wants)).given
            taken = await self._arrivals.take([Packet(channel, peer_id, one.bundles) for one in given if one.bundles])
            self.fetched += taken.fresh
            now = asyncio.get_running_loop().time()
            for ask in asks[len(given) :]:
                channel.tracker.put_off(ask)
            for ask, one in zip(asks, given, strict=False) if taken.complete else ():
                held = Held(one.head.first, one.head.last, one.head.early) if one.head is not None else None
                channel.tracker.answered(ask, held, now, helped=taken.fresh > 0)
            asks = asks[: len(given)]
            answered = taken.complete
        except BzzzError:
            pass  # asked again, of somebody else first
        finally:
            if not answered:
                for ask in asks:
                    channel.tracker.failed(ask, asyncio.get_running_loop().time())
        # What helped is gone on with at once; the rest at the next look.
        self._ask(channel)
