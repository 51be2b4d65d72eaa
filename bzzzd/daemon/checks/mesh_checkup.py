"""What the doctor looks at around a node: its reach, the clocks, whether the mesh is one, the versions."""

from __future__ import annotations

import asyncio
from collections import Counter
from statistics import median
from typing import Final

from bzzzd import __version__
from bzzzd.daemon.checks.finding import Finding
from bzzzd.daemon.peers.exchange import Answer
from bzzzd.daemon.peers.peering import Peering
from bzzzd.daemon.peers.skew import LIMIT_S, Skew
from bzzzd.errors import BzzzError
from bzzzd.mesh.interfaces import beyond_this_machine, read_networks, within
from bzzzd.mesh.values import PeerInfo

_NO_MULTICAST: Final = (
    "allow UDP port 5353 and multicast, or name nodes in network.bootstrap_peers and set network.mdns: false"
)
_ASKED: Final = 3
_CLOCKS_ASKED: Final = 16


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


def multicast_findings(beside: dict[str, str], heard: frozenset[str]) -> list[Finding]:
    """Peers on this machine's networks (name by peer id) that multicast did not tell of. Pure.

    One alone may have it switched off; where nobody is heard, it does not get through.
    """
    if not beside or heard & set(beside):
        return []
    names = ", ".join(sorted(beside.values())[:4])
    why = f"none of the {len(beside)} peers on this machine's networks is heard by multicast: {names}"
    return [("warn", "multicast", why, _NO_MULTICAST)]


class MeshCheckup:
    def __init__(self, peering: Peering) -> None:
        self._peering = peering

    def look(self) -> list[Finding]:
        """What is known without asking anybody: the versions, and what is heard on the network."""
        peering = self._peering
        peers = peering.peers()
        found = version_findings(peers, f"bzzz/{__version__}")
        nearby = peering.nearby
        if nearby is not None and nearby.failure:
            found.append(("warn", "multicast", f"nodes of this network are not found: {nearby.failure}", _NO_MULTICAST))
        elif nearby is not None and nearby.heard is not None:
            networks = read_networks()
            beside = {p.peer_id: p.id for p in peers if p.connected and any(within(a, networks) for a in p.addresses)}
            found += multicast_findings(beside, nearby.heard)
        if nearby is not None and nearby.others:
            meshes = len(set(nearby.others.values()))
            why = f"{len(nearby.others)} nodes of {meshes} other mesh(es) are on this network"
            fix = "if they should be one, join the smaller to the larger: bzzz mesh invite, bzzz mesh join"
            found.append(("warn", "other meshes", why, fix))
        return found

    async def ask(self) -> list[Finding]:
        """What others say: the time, whether they can reach this node, and whom they are connected to."""
        exchange = self._peering.exchange
        peers = {peer.peer_id: peer.id or peer.peer_id for peer in self._peering.peers() if peer.connected}
        # A clock that was set a moment ago is looked at as it is now.
        await exchange.compare_clocks(list(peers)[:_CLOCKS_ASKED])
        found = clock_findings(exchange.clocks.all(), peers)
        asked = list(peers)[:_ASKED]
        answers = await asyncio.gather(*(exchange.seen_by(one) for one in asked), return_exceptions=True)
        seen: list[Answer] = []
        silent: dict[str, str] = {}
        for peer_id, answer in zip(asked, answers, strict=True):
            if isinstance(answer, Answer):
                seen.append(answer)
            elif isinstance(answer, BzzzError):
                silent[peers[peer_id]] = answer.message
            else:
                raise answer
        return [*found, *reach_findings(seen, silent), *_split(seen, {*peers, self._peering.mesh.peer_id})]


def reach_findings(seen: list[Answer], silent: dict[str, str]) -> list[Finding]:
    """Whether peers reach this node's addresses; ``silent`` are those that did not answer, and why. Pure."""
    reached: dict[str, str] = {}
    for answer in seen:
        for address, why in answer.unreachable.items():
            reached[address] = "" if not why else reached.get(address, why)
    if silent and not seen:
        fix = "run bzzz doctor again; if it stays, look at the machines that are named, and at the network between"
        told = "; ".join(f"{name}: {why}" for name, why in silent.items())
        return [("warn", "reachable", f"no peer that was asked whether it reaches this node has answered: {told}", fix)]
    shut = {address: why for address, why in reached.items() if why}
    if not shut:
        why = f"{len(seen)} peers were asked, and reach {', '.join(reached)}"
        return [("ok", "reachable", why, "")] if reached else []
    found: list[Finding] = []
    for address, why in shut.items():
        away = beyond_this_machine(address)
        fix = "open this TCP port in the firewall" if away else "set network.listen: [auto]"
        level = "bad" if len(shut) == len(reached) else "warn"
        found.append((level, f"address {address}", f"peers do not reach it: {why}", fix))
    return found


def _split(seen: list[Answer], here: set[str]) -> list[Finding]:
    beyond = {peer_id for answer in seen for peer_id in answer.connected} - here
    if not beyond:
        return [("ok", "one mesh", f"connected to all that {len(seen)} peers reach", "")] if seen else []
    why = f"peers are connected to {len(beyond)} nodes that this one does not reach; records kept there may be missed"
    fix = f"see why they are not reached (bzzz peers): {', '.join(sorted(beyond)[:4])}"
    return [("warn", "mesh and DHT split", why, fix)]
