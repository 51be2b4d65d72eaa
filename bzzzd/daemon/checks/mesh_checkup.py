"""What the doctor looks at around a node: its reach, the clocks, whether the mesh is one, the versions."""

from __future__ import annotations

import asyncio
from collections import Counter
from statistics import median
from typing import Final

from bzzzd import __version__
from bzzzd.daemon.peers.peering import Peering
from bzzzd.daemon.peers.skew import LIMIT_S, Skew
from bzzzd.daemon.status import Finding
from bzzzd.errors import BzzzError
from bzzzd.mesh.interfaces import beyond_this_machine
from bzzzd.mesh.values import PeerInfo

_ASKED: Final = 3


def clock_findings(skews: dict[str, Skew], names: dict[str, str]) -> list[Finding]:
    """Whose clock is wrong: ours where most peers say so, else theirs. Pure."""
    wrong = {peer: skew.certain for peer, skew in skews.items() if abs(skew.certain) > LIMIT_S}
    if not wrong:
        return [("ok", "clocks", f"{len(skews)} peers agree with this one", "")] if skews else []
    fix = "set it: timedatectl set-ntp true"
    if len(wrong) > len(skews) / 2 and len({value > 0 for value in wrong.values()}) == 1:
        ahead = -median(wrong.values())
        word = "ahead of" if ahead > 0 else "behind"
        sure = "" if len(skews) > 1 else "; with one peer, it may as well be the peer's"
        why = f"this machine's clock is {abs(ahead):.1f} s {word} {len(wrong)} of {len(skews)} peers{sure}"
        return [("bad", "clock", why, fix)]
    return [
        (
            "warn",
            f"clock of {names.get(peer, peer)}",
            f"it is {abs(value):.1f} s {'ahead of' if value > 0 else 'behind'} this machine's",
            f"on that machine, {fix}",
        )
        for peer, value in sorted(wrong.items())
    ]


def version_findings(peers: list[PeerInfo], own: str) -> list[Finding]:
    """Peers that run another version. Pure."""
    told = Counter(peer.agent_version for peer in peers if peer.connected and peer.agent_version)
    others = {version: count for version, count in told.items() if version != own}
    if not others:
        return [("ok", "versions", f"{sum(told.values())} peers run {own}", "")] if told else []
    seen = ", ".join(f"{count} times {version}" for version, count in sorted(others.items()))
    return [("warn", "versions", f"this node runs {own}, its peers {seen}", "bring all nodes to one version")]


class MeshCheckup:
    def __init__(self, peering: Peering) -> None:
        self._peering = peering

    def look(self) -> list[Finding]:
        """What is known without asking anybody."""
        peering = self._peering
        peers = peering.mesh.peers()
        found = clock_findings(peering.exchange.clocks.all(), {peer.peer_id: peer.id or peer.peer_id for peer in peers})
        found += version_findings(peers, f"bzzz/{__version__}")
        nearby = peering.nearby
        if nearby is not None and nearby.failure:
            fix = "allow UDP port 5353 and multicast, or name nodes in network.bootstrap_peers and set mdns: false"
            found.append(("warn", "multicast", f"nodes of this network are not found: {nearby.failure}", fix))
        if nearby is not None and nearby.others:
            meshes = len(set(nearby.others.values()))
            why = f"{len(nearby.others)} nodes of {meshes} other mesh(es) are on this network"
            fix = "if they should be one, join the smaller to the larger: bzzz mesh invite, bzzz mesh join"
            found.append(("warn", "other meshes", why, fix))
        return found

    async def ask(self) -> list[Finding]:
        """What others see of this node: whether they can reach it, and whom they are connected to."""
        peers = {peer.peer_id: peer for peer in self._peering.mesh.peers() if peer.connected}
        asked = list(peers)[:_ASKED]
        answers = await asyncio.gather(*(self._peering.exchange.seen_by(one) for one in asked), return_exceptions=True)
        reached: dict[str, str] = {}
        beyond: set[str] = set()
        for answer in answers:
            if isinstance(answer, BzzzError):
                continue
            if isinstance(answer, BaseException):
                raise answer
            for address, why in answer.unreachable.items():
                reached[address] = "" if not why else reached.get(address, why)
            beyond |= {name for name in answer.connected if name not in peers and name != self._peering.mesh.peer_id}
        return [*_reach(reached, len(asked)), *_split(beyond, len(peers))]


def _reach(reached: dict[str, str], asked: int) -> list[Finding]:
    if not reached:
        return []
    shut = {address: why for address, why in reached.items() if why}
    if not shut:
        return [("ok", "reachable", f"{asked} peers were asked, and reach {', '.join(reached)}", "")]
    found: list[Finding] = []
    for address, why in shut.items():
        away = beyond_this_machine(address)
        fix = "open this TCP port in the firewall" if away else "set network.listen: [auto]"
        level = "bad" if len(shut) == len(reached) else "warn"
        found.append((level, f"address {address}", f"peers do not reach it: {why}", fix))
    return found


def _split(beyond: set[str], connected: int) -> list[Finding]:
    if not beyond:
        return [("ok", "one mesh", f"connected to all that {connected} peers reach", "")] if connected else []
    why = f"peers are connected to {len(beyond)} nodes that this one does not reach; records kept there may be missed"
    fix = f"see why they are not reached (bzzz peers): {', '.join(sorted(beyond)[:4])}"
    return [("warn", "mesh and DHT split", why, fix)]
