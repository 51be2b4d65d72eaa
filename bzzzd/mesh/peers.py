"""The table of peers: every member that is connected, then those that are being looked for."""

from __future__ import annotations

from typing import Any, Final

from bzzzd.mesh.dialler import Dialler
from bzzzd.mesh.host import MemberHost
from bzzzd.mesh.ids import id_of
from bzzzd.mesh.membership import Member, Membership
from bzzzd.mesh.network import MemberSwarm
from bzzzd.mesh.values import PeerInfo

_RTT_UNKNOWN: Final = 0.0
_SHOWN_MISSING: Final = 256


class Peers:
    """Reads the table off the parts that hold it."""

    def __init__(self, host: MemberHost, swarm: MemberSwarm, members: Membership, dialler: Dialler) -> None:
        self._host = host
        self._swarm = swarm
        self._members = members
        self._dialler = dialler

    def table(self) -> tuple[PeerInfo, ...]:
        """Every member, then every peer that is being looked for."""
        members = [self._row(member) for member in self._members.all()]
        missing = [
            PeerInfo(
                peer_id=str(known.peer_id), id="", role="", addresses=known.contact.addresses, connected=False,
                since=0.0, agent_version="", rtt_ms=None, how=known.contact.how,
            )
            for known in self._dialler.known.values()
            if not self._host.is_member(known.peer_id)
        ]  # fmt: skip
        return (*members, *missing[:_SHOWN_MISSING])

    def _row(self, member: Member) -> PeerInfo:
        peer_id = id_of(member.raw_id)
        connections: list[Any] = self._swarm.get_connections(peer_id)
        known = self._dialler.known.get(peer_id)
        addresses = list(known.contact.addresses) if known else []
        for connection in connections:
            remote = connection.muxed_conn.get_remote_address()
            if remote and not addresses:
                addresses.append(f"/{'ip6' if ':' in remote[0] else 'ip4'}/{remote[0]}/tcp/{remote[1]}")
        rtt = min((c.muxed_conn.rtt() for c in connections if c.muxed_conn.rtt() > _RTT_UNKNOWN), default=_RTT_UNKNOWN)
        meters = [meter for c in connections if (meter := self._swarm.meters.get(c.muxed_conn))]
        return PeerInfo(
            peer_id=str(peer_id),
            id=member.grant.id,
            role=member.grant.role,
            addresses=tuple(addresses),
            connected=bool(connections),
            since=member.since,
            agent_version=self._host.agent_versions.get(peer_id, ""),
            rtt_ms=round(rtt * 1000, 2) if rtt > _RTT_UNKNOWN else None,
            how=self._dialler.how(peer_id, member.how),
            received=sum(meter.received for meter in meters),
            sent=sum(meter.sent for meter in meters),
        )
