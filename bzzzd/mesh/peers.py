"""Peers: finds the static ones again and again, and tells who is connected.

A peer that was lost is dialled at once, then with pauses from 0.1 s doubling to 0.5 s, so that one that
returns is back within a second. One that does not join is given up to 10 s, and one that refuses us, or
that we refuse, is asked again after a minute.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import trio
from libp2p.peer.id import ID
from libp2p.transport.exceptions import OpenConnectionError
from multiaddr import Multiaddr

from bzzzd.errors import BzzzError, P2PInitFailed, Unavailable
from bzzzd.mesh.admission import Admission, Refused
from bzzzd.mesh.describe import describe
from bzzzd.mesh.frames import last_words
from bzzzd.mesh.host import MemberHost
from bzzzd.mesh.membership import Member
from bzzzd.mesh.network import Endpoint, MemberSwarm, endpoint_of
from bzzzd.mesh.values import PeerInfo

_DIAL_S: Final = 10.0
_FIRST_PAUSE_S: Final = 0.1
_ABSENT_PAUSE_S: Final = 0.5
_UNCLEAR_PAUSE_S: Final = 10.0
_REFUSED_PAUSE_S: Final = 60.0
_RTT_UNKNOWN: Final = 0.0


@dataclass(slots=True)
class StaticPeer:
    """A peer that the configuration names: its address without, and its id from, ``/p2p/ID``."""

    peer_id: ID
    address: Multiaddr
    endpoint: Endpoint | None
    lost: trio.Event = field(default_factory=trio.Event)


def parse_static(texts: Iterable[str], own: ID) -> list[StaticPeer]:
    """Static peers from their multiaddrs; our own address is skipped, so that all nodes may share one list."""
    found: list[StaticPeer] = []
    for text in texts:
        try:
            whole = Multiaddr(text)
            peer_id = ID.from_base58(str(whole.value_for_protocol("p2p")))
            address = whole.decapsulate(Multiaddr(f"/p2p/{peer_id}"))
            endpoint = endpoint_of(address)
        except Exception as error:  # multiaddr raises a dozen kinds
            raise P2PInitFailed(
                f"network.static_peers: {text!r} cannot be dialled ({error}); "
                "expected one like /ip4/192.0.2.7/tcp/8075/p2p/12D3KooW…"
            ) from error
        if peer_id != own:
            found.append(StaticPeer(peer_id, address, endpoint))
    return found


class Peers:
    """The peer table and the diallers of static peers."""

    def __init__(
        self, host: MemberHost, swarm: MemberSwarm, admission: Admission, static: list[StaticPeer], refused: Refused
    ) -> None:
        self._refused = refused
        self._host = host
        self._swarm = swarm
        self._admission = admission
        self.static = {peer.peer_id: peer for peer in static}

    async def keep(self, nursery: trio.Nursery) -> None:
        for peer in self.static.values():
            nursery.start_soon(self._keep_one, peer)

    async def _keep_one(self, peer: StaticPeer) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            # Nothing is awaited between the look and the new event, so no loss falls between them.
            if self._host.is_member(peer.peer_id):
                peer.lost = trio.Event()
                await peer.lost.wait()
                pause = _FIRST_PAUSE_S
                continue
            longest = await self._connect(peer)
            if longest:
                with trio.move_on_after(pause * random.uniform(0.8, 1.2)):  # noqa: S311  spreads dials, no secret
                    peer.lost = trio.Event()
                    await peer.lost.wait()
                pause = longest if longest == _REFUSED_PAUSE_S else min(pause * 2, longest)

    async def _connect(self, peer: StaticPeer) -> float:
        """Dial and join. Gives 0 when the peer is in, else the longest pause before the next try."""
        connection: Any = None
        try:
            with trio.move_on_after(_DIAL_S):
                connection = await self._swarm.reach(peer.address, peer.endpoint, peer.peer_id)
        except OSError:
            return _ABSENT_PAUSE_S
        except Exception as error:  # libp2p's own errors
            if isinstance(error.__cause__, OpenConnectionError):
                return _ABSENT_PAUSE_S
            # Somebody answers there who cannot prove this peer id, or speaks something else.
            self._refused(peer.peer_id, f"{peer.address} does not answer as this peer: {describe(error)}")
            return _UNCLEAR_PAUSE_S
        if connection is None:
            return _ABSENT_PAUSE_S
        try:
            await self._admission.join(self._host.new_stream, peer.peer_id, "static")
            return 0.0
        except Unavailable:
            return _UNCLEAR_PAUSE_S
        except BzzzError:
            return _REFUSED_PAUSE_S
        finally:
            if not self._host.is_member(peer.peer_id):
                with last_words(1):
                    await connection.close()

    def wake(self) -> None:
        """Dial everybody who is missing now: what refused us before may not do so any more."""
        for peer in self.static.values():
            if not self._host.is_member(peer.peer_id):
                peer.lost.set()

    def lost(self, peer_id: ID) -> None:
        """A peer's last connection has ended: wake its dialler."""
        if peer_id in self.static:
            self.static[peer_id].lost.set()

    def table(self) -> tuple[PeerInfo, ...]:
        """Every member, then every static peer that is being looked for."""
        members = [self._row(member) for member in self._admission.members.all()]
        known = {row.peer_id for row in members}
        missing = [
            PeerInfo(
                peer_id=str(peer.peer_id),
                id="",
                role="",
                addresses=(str(peer.address),),
                connected=False,
                since=0.0,
                agent_version="",
                rtt_ms=None,
                how="static",
            )
            for peer in self.static.values()
            if str(peer.peer_id) not in known
        ]
        return (*members, *missing)

    def _row(self, member: Member) -> PeerInfo:
        peer_id = ID(member.raw_id)
        connections: list[Any] = self._swarm.get_connections(peer_id)
        static = self.static.get(peer_id)
        addresses = [str(static.address)] if static else []
        for connection in connections:
            remote = connection.muxed_conn.get_remote_address()
            if remote and not static:
                addresses.append(f"/{'ip6' if ':' in remote[0] else 'ip4'}/{remote[0]}/tcp/{remote[1]}")
        rtt = min((c.muxed_conn.rtt() for c in connections if c.muxed_conn.rtt() > _RTT_UNKNOWN), default=_RTT_UNKNOWN)
        return PeerInfo(
            peer_id=str(peer_id),
            id=member.grant.id,
            role=member.grant.role,
            addresses=tuple(addresses),
            connected=bool(connections),
            since=member.since,
            agent_version=self._host.agent_versions.get(peer_id, ""),
            rtt_ms=round(rtt * 1000, 2) if rtt > _RTT_UNKNOWN else None,
            how="static" if static else member.how,
        )
