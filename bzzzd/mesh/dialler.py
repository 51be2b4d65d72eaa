"""Dials peers again and again until they are in, and keeps one connection to each.

There is a task for every peer that is known and should be connected. It sleeps while the peer is a member, and
is woken when the peer is lost, was seen by somebody, or came in by itself. Where two peers dial each other, the
one with the smaller id goes first, and whoever finds a second connection closes the one that does not stay.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import trio
from libp2p.abc import INetConn
from libp2p.peer.id import ID
from multiaddr import Multiaddr

from bzzzd.errors import BzzzError, P2PInitFailed, Unavailable
from bzzzd.mesh.addresses import PeerAddress, parse_peers
from bzzzd.mesh.admission import Admission, Refused
from bzzzd.mesh.describe import describe
from bzzzd.mesh.enough import ENOUGH_MEMBERS, EXPLORE_S, Neighbour, explores, leaving
from bzzzd.mesh.host import MemberHost
from bzzzd.mesh.ids import id_of
from bzzzd.mesh.network import Endpoint, MemberSwarm, connected, endpoints_of
from bzzzd.mesh.redial import RETRIES_AT_ONCE, RETRIES_PER_S, Contact, Outcome, Redial
from bzzzd.mesh.turnstile import Bucket
from bzzzd.mesh.values import Counters, How

MOST_CONTACTS: Final = 1024
_DIAL_S: Final = 5.0
_STAGGER_S: Final = 0.25
# How long the peer with the larger id leaves the first word to the other.
_COURTESY_S: Final = 0.25
_DIALS_AT_ONCE: Final = 16
_NOT_WANTED_S: Final = 60.0
_DUPLICATE_S: Final = 2.0


@dataclass(slots=True)
class _Known:
    """A peer that is dialled, unless it is connected."""

    peer_id: ID
    contact: Contact = field(default_factory=Contact)
    redial: Redial = field(default_factory=Redial)
    woken: trio.Event = field(default_factory=trio.Event)
    explored: bool = False


class Dialler:
    """Knows how to reach peers, and does."""

    def __init__(
        self, host: MemberHost, swarm: MemberSwarm, admission: Admission, refused: Refused, tally: Counters,
        kept_out: Callable[[ID], bool],
    ) -> None:  # fmt: skip
        self._host = host
        self._swarm = swarm
        self._admission = admission
        self._refused = refused
        self._tally = tally
        self._kept_out = kept_out
        self._own = host.get_id()
        self._nursery: trio.Nursery | None = None
        self._retries = Bucket(RETRIES_PER_S, RETRIES_AT_ONCE)
        self._dials = trio.CapacityLimiter(_DIALS_AT_ONCE)
        self._doubled: dict[ID, float] = {}
        self.known: dict[ID, _Known] = {}

    async def keep(self, nursery: trio.Nursery) -> None:
        """Begin to dial; the tasks run in ``nursery``."""
        self._nursery = nursery
        for known in self.known.values():
            nursery.start_soon(self._keep, known)
        nursery.start_soon(self._explore)

    def configure(self, static: Sequence[str], bootstrap: Sequence[str]) -> list[PeerAddress]:
        """Make the peers of the configuration known; gives those that are named by an address alone."""
        for peer in parse_peers(static, self._own):
            if peer.peer_id is None:
                raise P2PInitFailed(f"network.static_peers: {peer.address} lacks /p2p/ID; or is it a bootstrap peer?")
            known = self.known.get(peer.peer_id)
            before = known.contact.addresses if known else ()
            self.know(peer.peer_id, (*before, str(peer.address)), "static")
        bare: list[PeerAddress] = []
        for peer in parse_peers(bootstrap, self._own, "network.bootstrap_peers"):
            if peer.peer_id is None:
                bare.append(peer)
            else:
                self.know(peer.peer_id, (str(peer.address),), "bootstrap")
        return bare

    # What is known.

    def know(self, peer_id: ID, addresses: Sequence[str], how: str) -> None:
        """Somebody says where a peer is. One that is missing is dialled at once."""
        if peer_id == self._own:
            return
        known = self.known.get(peer_id)
        if known is None:
            if not addresses or (len(self.known) >= MOST_CONTACTS and not self._make_room()):
                return
            known = self.known[peer_id] = _Known(peer_id)
            if self._nursery is not None:
                self._nursery.start_soon(self._keep, known)
        if addresses:
            known.contact.learn(how, tuple(addresses))
        else:
            known.contact.forget(how)
        if addresses and not self._host.is_member(peer_id) and not known.redial.refused:
            known.redial.news()
            known.woken.set()

    def _make_room(self) -> bool:
        """Forget somebody who is neither connected nor named by the configuration."""
        for peer_id, known in self.known.items():
            if known.contact.how not in ("static", "bootstrap") and not self._host.is_member(peer_id):
                del self.known[peer_id]
                known.woken.set()
                return True
        return False

    def wake(self) -> None:
        """Dial everybody who is missing now: what refused us before may not do so any more."""
        for known in self.known.values():
            if not self._host.is_member(known.peer_id):
                known.redial.news()
                known.woken.set()

    def lost(self, peer_id: ID, *, news: bool) -> None:
        """A member's last connection has ended; it is ``news`` unless the peer never took us for a member.

        Connections that led to no member end all the time, each after a try: they tell nothing of when to try again.
        """
        if known := self.known.get(peer_id):
            if news:
                known.redial.news()
            known.woken.set()

    def how(self, peer_id: ID, otherwise: How) -> How:
        known = self.known.get(peer_id)
        return known.contact.how if known is not None else otherwise

    # Dialling.

    async def _keep(self, known: _Known) -> None:
        pause = 0.0
        while self.known.get(known.peer_id) is known:
            # Nothing is awaited between the look and the new event, so no news falls between them.
            known.woken = woken = trio.Event()
            if self._host.is_member(known.peer_id):
                await woken.wait()
                continue
            if not self._wanted(known):
                with trio.move_on_after(_NOT_WANTED_S * random.uniform(0.8, 1.2)):  # noqa: S311  no secret
                    await woken.wait()
                continue
            if not pause and self._courteous(known):
                with trio.move_on_after(_COURTESY_S):
                    await woken.wait()
                if self._host.is_member(known.peer_id):
                    continue
            outcome = await self._try(known)
            known.explored = False
            if outcome is None:
                pause = 0.0
                continue
            pause = known.redial.failed(outcome, trio.current_time()) * random.uniform(0.8, 1.2)  # noqa: S311
            with trio.move_on_after(pause) as slept:
                await woken.wait()
            if not slept.cancelled_caught:
                pause = 0.0
            # Many that are absent share what retries there are; news of one does not wait.
            while slept.cancelled_caught and not self._retries.take(trio.current_time()):
                with trio.move_on_after(random.uniform(0.2, 2.0)) as slept:  # noqa: S311
                    await woken.wait()

    def _courteous(self, known: _Known) -> bool:
        return known.contact.how not in ("static", "bootstrap") and self._own.to_bytes() > known.peer_id.to_bytes()

    def _wanted(self, known: _Known) -> bool:
        if self._kept_out(known.peer_id):
            return False
        return known.explored or known.contact.how == "static" or len(self._admission.members) < ENOUGH_MEMBERS

    async def _explore(self) -> None:
        """Now and then, try one more of those that are known and not connected, whoever it is."""
        while True:
            await trio.sleep(EXPLORE_S * random.uniform(0.8, 1.2))  # noqa: S311  no secret
            others = [
                known for known in self.known.values()
                if not self._host.is_member(known.peer_id) and not known.redial.refused
            ]  # fmt: skip
            if others and explores(len(self._admission.members), random.random()):  # noqa: S311
                chosen = random.choice(others)  # noqa: S311
                chosen.explored = True
                chosen.woken.set()

    def make_room(self, most: int) -> list[ID]:
        """The members that are to be disconnected, so that no more than ``most`` stay."""
        members = self._admission.members.all()
        here = [Neighbour(one.raw_id, one.since, self.how(id_of(one.raw_id), one.how)) for one in members]
        return [id_of(raw_id) for raw_id in leaving(here, most, time.time())]

    async def _try(self, known: _Known) -> Outcome | None:
        """Dial and join; ``None`` when the peer is in, or has come in meanwhile."""
        async with self._dials:
            if self._host.is_member(known.peer_id):
                return None
            self._tally.dials += 1
            outcome = await self._dial(known)
            if outcome is not None:
                self._tally.dials_failed += 1
            return outcome

    async def _dial(self, known: _Known) -> Outcome | None:
        fault: Exception | None = None
        for address, plug in await self._plugs(known.contact.addresses):
            try:
                with trio.move_on_after(2 * _DIAL_S):
                    outcome = await self.join(await self._swarm.speak(plug, known.peer_id), known.contact.how)
                    if outcome is None:
                        known.contact.good = address
                    return outcome
            except Exception as error:  # libp2p's own errors
                fault = error
        if fault is None:
            return "absent"
        # Somebody answers there who cannot prove this peer id, or speaks something else.
        where = ", ".join(known.contact.addresses)
        self._refused(known.peer_id, f"{where} does not answer as this peer: {describe(fault)}")
        return "unclear"

    async def _plugs(self, addresses: Sequence[str]) -> list[tuple[str, trio.socket.SocketType]]:
        """A socket that is connected to the first of several addresses to answer, each tried a little later."""
        found: list[tuple[str, trio.socket.SocketType]] = []

        async def one(address: str, turn: int, nursery: trio.Nursery) -> None:
            await trio.sleep(turn * _STAGGER_S)
            for endpoint in await self._endpoints(address):
                try:
                    plug = await connected(endpoint)
                except OSError:
                    continue
                if found:
                    plug.close()
                else:
                    found.append((address, plug))
                nursery.cancel_scope.cancel()
                return

        try:
            with trio.move_on_after(_DIAL_S):
                async with trio.open_nursery() as nursery:
                    for turn, address in enumerate(addresses):
                        nursery.start_soon(one, address, turn, nursery)
        except BaseException:
            for _, plug in found:
                plug.close()
            raise
        return found

    @staticmethod
    async def _endpoints(address: str) -> list[Endpoint]:
        try:
            return await endpoints_of(Multiaddr(address))
        except Exception:  # a name that does not resolve, or a text that a member gave and that is no address
            return []

    async def join(self, connection: INetConn, how: Any) -> Outcome | None:
        """Join over a connection that was dialled; one that does not lead to a member is closed."""
        peer_id = connection.muxed_conn.peer_id
        rivals = self._swarm.rivals(connection)
        try:
            if rivals and not self._swarm.stays(connection):
                # The peer has dialled us meanwhile, and that connection stays.
                await self._swarm.end(connection)
                with trio.move_on_after(_DIAL_S):
                    await self._admission.settled(peer_id)
                return None if self._host.is_member(peer_id) else "absent"
            await self._admission.join(self._host.new_stream, peer_id, how, alone=not rivals)
            return None
        except Unavailable:
            return None if self._host.is_member(peer_id) else "unclear"
        except BzzzError:
            return "refused"
        finally:
            if not self._host.is_member(peer_id):
                await self._swarm.end(connection)

    # Nodes that are known by address alone.

    async def bootstrap(self, peers: Sequence[PeerAddress], alone: Callable[[], bool]) -> None:
        """Dial each until it has once been reached, and again whenever nobody is left."""
        async with trio.open_nursery() as nursery:
            for peer in peers:
                nursery.start_soon(self._bootstrap, peer, alone)

    async def _bootstrap(self, peer: PeerAddress, alone: Callable[[], bool]) -> None:
        redial, reached = Redial(), False
        while True:
            outcome: Outcome | None = None
            if not reached or alone():
                outcome = await self._introduce(peer)
                reached = reached or outcome is None
            if outcome is None:
                redial.news()
            await trio.sleep(redial.failed(outcome, trio.current_time()) if outcome else _DUPLICATE_S)

    async def _introduce(self, peer: PeerAddress) -> Outcome | None:
        self._tally.dials += 1
        for _, plug in await self._plugs([str(peer.address)]):
            try:
                with trio.move_on_after(2 * _DIAL_S):
                    connection = await self._swarm.speak(plug, None)
                    peer_id = connection.muxed_conn.peer_id
                    if peer_id == self._own or self._host.is_member(peer_id):
                        await self._swarm.end(connection)
                        # A name of many machines, this one among them: another one may answer to it later.
                        return "refused" if peer_id == self._own else None
                    outcome = await self.join(connection, "bootstrap")
                    if outcome is None:
                        self.know(peer_id, [str(peer.address)], "bootstrap")
                    return outcome
            except Exception as error:  # libp2p's own errors
                self._refused(self._own, f"{peer.address} does not answer as a node: {describe(error)}")
                return "unclear"
        self._tally.dials_failed += 1
        return "absent"

    # Two connections to one peer.

    def superseded(self, connection: Any) -> None:
        """A peer has joined over ``connection`` and knows of no other: what there is of older ones is dead."""
        now = connection._created_at
        for rival in self._swarm.rivals(connection):
            if getattr(rival, "_created_at", now) < now - _DUPLICATE_S:
                self._close(rival)

    def part_doubles(self) -> None:
        """Close second connections that have outlived their making: each side those that it dialled itself."""
        now = trio.current_time()
        doubled: dict[ID, float] = {}
        for member in self._admission.members.all():
            connections = self._swarm.open_to(id_of(member.raw_id))
            if len(connections) < 2:
                continue
            peer_id = id_of(member.raw_id)
            doubled[peer_id] = self._doubled.get(peer_id, now)
            if now - doubled[peer_id] < _DUPLICATE_S:
                continue
            best = self._swarm._select_connection(connections, peer_id)
            for other in connections:
                if other is not best and self._swarm.dialled_here(other):
                    self._close(other)
        self._doubled = doubled

    def _close(self, connection: INetConn) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(self._swarm.end, connection)
