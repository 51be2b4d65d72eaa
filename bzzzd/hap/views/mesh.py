"""The lists of agents, peers, and the services of this node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bzzzd.hap import words
from bzzzd.hap.rows import Row, Segment, joined
from bzzzd.hap.text import fit
from bzzzd.hap.values.model import Model
from bzzzd.hap.values.standing import warned
from bzzzd.hap.values.things import Agent, Peer, Service
from bzzzd.hap.views.tables import Column, Table, state_column, with_sign

SKEW_S = 5.0
SLOW_MS = 1000.0
"""From here on a clock or a round trip is told to be wrong."""
NO_AGENTS = (
    "No agent is attached, so tasks wait. `systemctl start bzzz-agent` starts one here; `bzzz doctor` tells "
    "what keeps it."
)
NO_PEERS = (
    "No peers: this node is alone in its mesh. `bzzz mesh invite` here and `bzzz mesh join` on another machine "
    "bring it in."
)
NO_HEALTH = "bzzzd has not told how its services are."


def agents(model: Model, columns: int) -> Table:
    by_id = {row.id: row for row in model.agents}
    wide, word = columns >= 72, columns >= 56
    bars = columns >= 96
    table = [state_column(word, 8), Column("AGENT", 18 if columns >= 56 else 14)]
    if wide:
        table += [Column("ROLE", 12), Column("NODE", 10)]
    table.append(Column("CAN DO"))
    if bars:
        table.append(Column("", 6))
    table += [Column("LOAD", 5, "right"), Column("SINCE", 5, "right")]

    def cells(id: str) -> Sequence[Segment]:
        row: Agent = by_id[id]
        sign = words.occupied(row.attached, row.load, row.slots)
        found: list[Segment] = [with_sign(sign) if word else (sign.style, sign.sign), ("base", row.id)]
        if wide:
            found += [("base", row.role), ("dim", row.node)]
        found.append(("dim", ", ".join(row.capabilities)))
        if bars:
            found.append((sign.style, words.bar(row.load, row.slots, 6) if row.attached else ""))
        load = ("warn" if row.attached and row.load >= row.slots else "base", f"{row.load:g}/{row.slots}")
        return [*found, load, ("dim", words.since(row.since, model.now))]

    return table, cells


def peers(model: Model, columns: int) -> Table:
    by_id = {row.id: row for row in model.peers}
    wide, word = columns >= 72, columns >= 56
    table = [state_column(word, 11), Column("NODE", 16 if columns >= 56 else 12)]
    if wide:
        table.append(Column("FOUND BY", 9))
    table.append(Column("ADDRESS"))
    if columns >= 96:
        table += [Column("AGENTS", 6, "right"), Column("IN", 9, "right"), Column("OUT", 9, "right")]
    table += [Column("RTT", 7, "right"), Column("SINCE", 5, "right")]
    working = Counter(agent.node for agent in model.agents if agent.attached)

    def cells(id: str) -> Sequence[Segment]:
        row: Peer = by_id[id]
        sign = peer_sign(row)
        found: list[Segment] = [
            with_sign(sign) if word else (sign.style, sign.sign),
            ("base", row.name) if row.name else ("dim", fit(row.id, 12)),
        ]
        if wide:
            found.append(("base", row.how))
        rtt = f"{row.rtt_ms:.1f} ms" if row.rtt_ms is not None and row.rtt_ms < 1000 else "-"
        address = row.addresses[0] if row.addresses else ""
        found.append(("dim", address))
        if columns >= 96:
            agents = str(working[row.name]) if row.name and working[row.name] else "-"
            found += [("base", agents), ("dim", words.size(row.received)), ("dim", words.size(row.sent))]
        return [*found, ("base", rtt), ("dim", words.since(row.since, model.now))]

    return table, cells


def peer_sign(peer: Peer) -> words.Sign:
    """How a peer is: connected, slow or with another clock, or away."""
    if peer.connected and peer.skew_s is not None and abs(peer.skew_s) > SKEW_S:
        return words.Sign("▲", "warn", "clock off")
    if peer.connected and peer.rtt_ms is not None and peer.rtt_ms > SLOW_MS:
        return words.Sign("▲", "warn", "slow")
    return words.presence(peer.connected, "connected")


def health(model: Model, columns: int) -> Table:
    by_id = {row.id: row for row in model.health.services}
    table = [
        state_column(columns >= 56, 10),
        Column("SERVICE", 14),
        Column("DETAIL"),
        Column("SINCE", 5, "right"),
    ]

    def cells(id: str) -> Sequence[Segment]:
        row: Service = by_id[id]
        sign = words.service_sign(row.state)
        return [
            with_sign(sign) if columns >= 56 else (sign.style, sign.sign),
            ("base", row.id),
            ("base" if row.ok else "warn", row.detail),
            ("dim", words.since(row.since, model.now)),
        ]

    return table, cells


def node(model: Model, columns: int) -> tuple[Row, ...]:
    """Two lines about the node, its warnings, and a blank."""
    known = model.status
    names = (("node", known.node_id), ("mesh", known.mesh_id), ("build", known.build))
    state = (("phase", known.phase), ("durability", known.durability), ("coordinator", known.coordinator))
    lines: list[Row] = [
        (
            ("base", " "),
            *joined([(("dim", f"{name} "), ("base", value)) for name, value in row if value], ("dim", "   ")),
        )
        for row in (names, state)
    ]
    lines += [(("warn", f" {line}"),) for line in warned(model, columns)]
    return (*lines, ())
