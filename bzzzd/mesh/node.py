"""The libp2p node: builds its parts in the one order that works, keeps them, and takes them down.

    host (no listen addresses) → pubsub, router, DHT → admission's wrapper → listen → dial static peers

A peer that connected before pubsub runs would never join the gossip mesh, on either end; that is why
listening comes last. Everything here runs in the trio thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, Final

import trio
from libp2p.abc import INetStream
from libp2p.host.exceptions import StreamFailure
from libp2p.io.exceptions import IOException
from libp2p.network.exceptions import SwarmException
from libp2p.network.stream.exceptions import StreamError
from libp2p.peer.id import ID
from libp2p.protocol_muxer.exceptions import MultiselectError
from libp2p.tools.anyio_service import background_trio_service

from bzzzd.errors import BadInput, Unavailable
from bzzzd.mesh.admission import Admission
from bzzzd.mesh.bridge import Bridge
from bzzzd.mesh.conduct import Conduct, Offence
from bzzzd.mesh.dht import Records
from bzzzd.mesh.dialler import Dialler
from bzzzd.mesh.enough import most_members
from bzzzd.mesh.frames import last_words
from bzzzd.mesh.host import MemberHost
from bzzzd.mesh.ids import id_named, id_of
from bzzzd.mesh.invited import Reception, Visits
from bzzzd.mesh.listeners import listen_on
from bzzzd.mesh.membership import Member, Membership
from bzzzd.mesh.network import build_swarm, why_unreachable
from bzzzd.mesh.peers import Peers
from bzzzd.mesh.pubsub import MemberPubsub
from bzzzd.mesh.router import MemberRouter
from bzzzd.mesh.streams import Requests
from bzzzd.mesh.values import (
    EventKind,
    JoinTry,
    MeshEvent,
    PeerInfo,
)
from bzzzd.mesh.wiring import Connections, Wiring

_UPKEEP_S: Final = 2.0
_INTRODUCE_S: Final = 10.0
_RECHECK_EVERY: Final = 30
_HANG_UP_S: Final = 1.0
_ORDINARY: Final = (
    StreamError,
    StreamFailure,
    IOException,
    MultiselectError,
    SwarmException,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
)


class Node:
    """One running node; its coroutines are what the facade calls across the bridge."""

    def __init__(self, bridge: Bridge, wiring: Wiring) -> None:
        settings = wiring.settings
        self._bridge = bridge
        self._wiring = wiring
        self._tally = wiring.tally
        self._nursery: trio.Nursery | None = None
        self._told: tuple[PeerInfo, ...] = ()
        self._introducing: set[bytes] = set()
        self._conduct = Conduct()
        self._most_members = most_members(settings.max_connections, settings.max_strangers)
        self._members = Membership(wiring.admit, self._left_out_s)
        self._admission = Admission(
            self._members,
            wiring.own_chain,
            timeout_s=settings.join_timeout_s,
            entered=self._entered,
            refused=self._refused,
            invited=Reception(self._ask_inviter, self._tally).answer,
            briefing=wiring.briefing,
            learn=self._learn,
            superseded=self._superseded,
            renew=self._renew,
            renewed=self._renewed,
        )
        self._swarm = build_swarm(wiring.seed, settings)
        self._swarm.settled = self._admission.settled
        self._host = MemberHost(
            self._swarm,
            self._members,
            self._admission.answer,
            max_streams=settings.max_streams_per_peer,
            on_fault=self._stream_fault,
            on_crowd=self._crowded,
        )
        self._router = MemberRouter(self._tally)
        self._pubsub = MemberPubsub(
            self._host, self._router, deliver=self._deliver, room=bridge.room, tally=self._tally, blame=self._blame
        )
        self._records = Records(self._host, wiring.rules, lambda peer_id: self._blame(peer_id, "forged"))
        self._requests = Requests(self._host, self._ask_loop, limit=settings.max_request_bytes, tally=self._tally)
        self._visits = Visits(self._host, self._swarm)
        self._dialler = Dialler(
            self._host,
            self._swarm,
            self._admission,
            self._refused,
            self._tally,
            lambda peer: self._left_out_s(peer.to_bytes()) > 0,
        )
        self._bootstrap = self._dialler.configure(settings.static_peers, settings.bootstrap_peers)
        # Whoever was told of, until its last connection has ended; one whose grant we alone take is not among them.
        self._joined: set[bytes] = set()
        self._peers = Peers(self._host, self._swarm, self._members, self._dialler)
        self._swarm.register_notifee(Connections(self._ended))

    # Life.

    async def run(self) -> None:
        """Run until cancelled. Any part that dies takes the node with it, for the bridge to report."""
        self._phase("starting")
        try:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(self._host.run(listen_addrs=[]))
                for service in (self._router, self._pubsub, self._records.service):
                    await stack.enter_async_context(background_trio_service(service))
                await self._pubsub.wait_until_ready()
                await self.follow(self._wiring.topics)
                await self.offer(self._wiring.protocols)
                settings = self._wiring.settings
                await listen_on(self._swarm, settings.listen, some=settings.some_listen)
                addresses = self._where()
                self._tell_peers()
                self._phase("listening")
                self._bridge.post(self._wiring.on_ready, self, addresses)
                stack.push_async_callback(self._hang_up)
                async with trio.open_nursery() as self._nursery:
                    self._start(self._dial)
                    if not settings.held:
                        await self.open()
                    await self._upkeep()
        finally:
            self._pubsub.seen_messages.stop()

    async def open(self) -> None:
        """Let members in and dial them, from now on."""
        self._admission.opened.set()

    async def _dial(self) -> None:
        await self._admission.opened.wait()
        async with trio.open_nursery() as nursery:
            await self._dialler.keep(nursery)
            nursery.start_soon(self._dialler.bootstrap, self._bootstrap, lambda: not len(self._members))

    async def _hang_up(self) -> None:
        """Close the sockets, so that peers notice at once. A polite end of each would cost 0.3 s."""
        with last_words(_HANG_UP_S):
            for connection in self._swarm.get_connections():
                muxed: Any = connection.muxed_conn
                with suppress(Exception):  # what is broken already is closed enough
                    await muxed.secured_conn.close()

    async def listen_on(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """The machine's addresses have changed: listen on these from now on; gives where it does."""
        await listen_on(self._swarm, wanted, some=True)
        return self._where()

    def _where(self) -> tuple[str, ...]:
        return tuple(map(str, self._host.get_addrs()))

    async def _upkeep(self) -> None:
        """Every two seconds: members that are not in the gossip mesh or the DHT yet, grants that ended, the table."""
        turn = 0
        while True:
            self._bridge.beat = time.monotonic()
            self._tally.evicted = self._swarm.waiting.evicted
            turn += 1
            if turn % _RECHECK_EVERY == 0:
                self._drop_expired()
            for member in self._members.all():
                peer_id = id_of(member.raw_id)
                if not self._host.is_peer_connected(peer_id):
                    self._ended(peer_id)  # it became a member when its connection had ended already
                elif peer_id not in self._pubsub.peers:
                    self._start(self._introduce, member)
            self._dialler.part_doubles()
            for peer_id in self._dialler.make_room(self._most_members):
                self._start(self._host.disconnect, peer_id)
            self._tell_peers()
            await trio.sleep(_UPKEEP_S)

    def _start(self, task: Callable[..., Any], *args: Any) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(task, *args)

    def _phase(self, name: str) -> None:
        self._event("phase", name)

    def _event(self, kind: EventKind, detail: str = "", peer_id: str = "", id: str = "") -> None:
        event = MeshEvent(kind=kind, at=time.time(), detail=detail, peer_id=peer_id, id=id)
        self._bridge.post(self._wiring.on_event, event)

    def _tell_peers(self) -> None:
        table = self._peers.table()
        if table != self._told:
            self._told = table
            self._bridge.post(self._wiring.on_peers, table)

    # Peers come and go.

    def _entered(self, member: Member) -> None:
        self._tally.joined += 1
        self._joined.add(member.raw_id)
        # The table first: whoever hears of the event looks there at once.
        self._tell_peers()
        self._event("joined", member.grant.role, str(id_of(member.raw_id)), member.grant.id)
        self._start(self._introduce, member)

    async def _introduce(self, member: Member) -> None:
        """Open a member's way into gossip and DHT, and learn what it says about itself.

        Once at a time for each: on a machine that is short of time a second try would only take from the first.
        """
        if member.raw_id in self._introducing:
            return
        self._introducing.add(member.raw_id)
        try:
            peer_id = id_of(member.raw_id)
            await self._pubsub.ensure_peer_stream(peer_id, timeout=_INTRODUCE_S)
            if peer_id not in self._host.agent_versions:
                await self._host.identify(peer_id)
            if self._host.is_member(peer_id) and not self._records.routes_to(peer_id):
                await self._records.enter(peer_id)
        finally:
            self._introducing.discard(member.raw_id)

    def _superseded(self, stream: INetStream) -> None:
        for connection in self._swarm.get_connections(stream.muxed_conn.peer_id):
            if connection.muxed_conn is stream.muxed_conn:
                self._dialler.superseded(connection)

    def _refused(self, peer_id: ID, reason: str) -> None:
        self._tally.refused += 1
        self._event("refused", reason, str(peer_id))

    def _ended(self, peer_id: ID) -> None:
        """One connection has ended. With a peer's last one its membership ends, whatever it was."""
        if peer_id == self._host.get_id():
            return  # a bootstrap peer that is this node; what the host knows of itself stays
        self._pubsub.connection_ended(peer_id)
        self._swarm.forget_meters()
        if self._host.is_peer_connected(peer_id):
            return
        self._records.leave(peer_id)
        self._requests.forget(peer_id)
        self._host.forget(peer_id)
        member = self._members.remove(peer_id.to_bytes())
        joined = peer_id.to_bytes() in self._joined
        self._joined.discard(peer_id.to_bytes())
        if member is not None:
            self._tell_peers()
            if joined:
                self._event("left", "", str(peer_id), member.grant.id)
        if member is not None or joined:
            self._dialler.lost(peer_id, news=joined)

    def _drop_expired(self) -> None:
        ended = self._members.expired()
        for member, _ in ended:
            self._members.remove(member.raw_id)
        self._tell_peers()
        for member, reason in ended:
            peer_id = id_of(member.raw_id)
            self._event("left", reason, str(peer_id), member.grant.id)
            self._start(self._host.disconnect, peer_id)

    def _stream_fault(self, peer_id: ID, error: Exception) -> None:
        """Count what a peer sent that made no sense. Streams that end early are nothing to count."""
        if not isinstance(error, _ORDINARY):
            self._tally.invalid += 1
            self._blame(peer_id, "garbage")

    def _left_out_s(self, raw_id: bytes) -> float:
        return self._conduct.left_out_s(raw_id, time.monotonic())

    def _crowded(self, peer_id: ID) -> None:
        self._tally.streams_refused += 1
        self._blame(peer_id, "streams")

    def _blame(self, peer_id: ID, what: Offence) -> None:
        """Count what a member did; one that goes on and on is cut off. Strangers have other bounds."""
        member = self._members.get(peer_id.to_bytes())
        if member is None:
            return
        self._tally.offences += 1
        if self._conduct.offence(member.raw_id, what, time.monotonic()):
            self._tally.cut_off += 1
            self._members.remove(member.raw_id)
            left_s = self._left_out_s(member.raw_id)
            detail = f"it went on sending what does not hold (last: {what}); it is kept out for {left_s:.0f} s"
            self._tell_peers()
            self._event("cut_off", detail, str(peer_id), member.grant.id)
            self._start(self._host.disconnect, peer_id)

    def blame(self, peer_id: str, what: Offence) -> None:
        """Something that a member sent was found wrong on the other side of the bridge."""
        self._blame(id_named(peer_id), what)

    @property
    def load(self) -> dict[str, int]:
        """How much there is of what is bounded; may be read from any thread."""
        strangers, contacts = len(self._swarm.waiting), len(self._dialler.known)
        connections, streams = len(self._swarm.get_connections()), self._host.streams_open
        return {"connections": connections, "strangers": strangers, "streams": streams, "contacts": contacts}

    # Across the bridge.

    def _deliver(self, topic: str, peer_id: str, data: bytes) -> None:
        self._bridge.post(self._wiring.deliver, topic, peer_id, data, size=len(data))

    async def _ask_loop(self, protocol: str, peer_id: str, data: bytes) -> bytes:
        return await self._bridge.ask(self._wiring.answer, protocol, peer_id, data)

    async def _learn(self, peer_id: ID, papers: bytes) -> None:
        if self._wiring.briefing.learn is not None:
            await self._bridge.ask(self._wiring.briefing.learn, str(peer_id), papers)

    async def _renew(self, peer_id: ID, chain: Sequence[bytes]) -> tuple[bytes, ...]:
        renewal = self._wiring.renewal
        return await self._bridge.ask(renewal.give, str(peer_id), chain) if renewal is not None else ()

    async def _renewed(self, chain: Sequence[bytes]) -> None:
        if self._wiring.renewal is not None:
            await self._bridge.ask(self._wiring.renewal.take, chain)

    async def show(self, chain: Sequence[bytes]) -> None:
        self._admission.show(chain)

    async def _ask_inviter(self, tried: JoinTry) -> bytes:
        return await self._bridge.ask(self._wiring.decide, tried)

    async def visit(
        self, peer_id: str, addresses: Sequence[str], invitation: bytes, ask: bytes,
        prove: Callable[[bytes], bytes], timeout_s: float,
    ) -> bytes:  # fmt: skip
        return await self._visits.ask(peer_id, addresses, invitation, ask, prove, timeout_s)

    def publish(self, topic: str, data: bytes) -> Coroutine[Any, Any, None] | None:
        """Done at once, unless peers have to be waited for."""
        return None if self._pubsub.publish_now(topic, data) else self._pubsub.publish(topic, data)

    async def follow(self, topics: Sequence[str]) -> None:
        await self._pubsub.follow(topics)

    async def followers(self, topic: str) -> list[str]:
        return [str(peer) for peer in self._pubsub.followers(topic)]

    async def dht_put(self, key: str, value: bytes) -> None:
        await self._records.put(key, value)

    async def dht_get(self, key: str) -> bytes | None:
        return await self._records.get(key)

    async def offer(self, protocols: frozenset[str]) -> None:
        await self._requests.offer(protocols)

    async def request(self, peer_id: str, protocol: str, data: bytes, timeout_s: float) -> bytes:
        try:
            parsed = id_named(peer_id)
        except Exception as error:  # base58's own errors
            raise BadInput(f"{peer_id!r} is not a peer id: expected base58 text like 12D3KooW…") from error
        if parsed == self._host.get_id():
            raise Unavailable(f"peer {peer_id} is this node itself; it has no stream to itself")
        return await self._requests.request(parsed, protocol, data, timeout_s)

    async def recheck(self) -> None:
        """Ask about every member's grants again, now: a revocation, a renewal or a policy has come."""
        self._drop_expired()
        self._dialler.wake()

    async def know(self, peer_id: str, addresses: Sequence[str], how: str) -> None:
        """Somebody says where a peer is."""
        self._dialler.know(id_named(peer_id), addresses, how)

    async def dial_back(self, address: str, timeout_s: float) -> str:
        """Why nobody can be reached at an address from here; empty when somebody answers."""
        return await why_unreachable(address, timeout_s)
