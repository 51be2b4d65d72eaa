"""The lists of agents, peers, and the services of this node."""

from __future__ import annotations

from collections.abc import Sequence

from bzzzd.hap import words
from bzzzd.hap.model import Model
from bzzzd.hap.rows import Row, Segment, joined
from bzzzd.hap.text import fit
from bzzzd.hap.things import Agent, Peer, Service
from bzzzd.hap.views.tables import Column, Table, state_column, with_sign

NO_AGENTS = "No agent is attached. `systemctl start bzzz-agent` starts one."
NO_PEERS = "No peers: this node is alone in its mesh."
NO_HEALTH = "bzzzd has not told how its services are."


def agents(model: Model, columns: int) -> Table:
    by_id = {row.id: row for row in model.agents}
    wide, word = columns >= 72, columns >= 56
    table = [state_column(word, 11), Column("AGENT", 18 if columns >= 56 else 14)]
    if wide:
        table.append(Column("ROLE", 12))
    table += [Column("CAN DO"), Column("LOAD", 5, "right"), Column("SINCE", 5, "right")]

    def cells(id: str) -> Sequence[Segment]:
        row: Agent = by_id[id]
        sign = words.presence(row.attached, "attached")
        found: list[Segment] = [with_sign(sign) if word else (sign.style, sign.sign), ("base", row.id)]
        if wide:
            found.append(("base", row.role))
        load = ("warn" if row.load >= row.slots else "base", f"{row.load:g}/{row.slots}")
        return [*found, ("dim", ", ".join(row.capabilities)), load, ("dim", words.since(row.since, model.now))]

    return table, cells


def peers(model: Model, columns: int) -> Table:
    by_id = {row.id: row for row in model.peers}
    wide, word = columns >= 72, columns >= 56
    table = [state_column(word, 11), Column("NODE", 16 if columns >= 56 else 12)]
    if wide:
        table.append(Column("FOUND BY", 9))
    table += [Column("ADDRESS"), Column("RTT", 7, "right"), Column("SINCE", 5, "right")]

    def cells(id: str) -> Sequence[Segment]:
        row: Peer = by_id[id]
        sign = words.presence(row.connected, "connected")
        found: list[Segment] = [
            with_sign(sign) if word else (sign.style, sign.sign),
            ("base", row.name) if row.name else ("dim", fit(row.id, 12)),
        ]
        if wide:
            found.append(("base", row.how))
        rtt = f"{row.rtt_ms:.1f} ms" if row.rtt_ms is not None and row.rtt_ms < 1000 else "-"
        address = row.addresses[0] if row.addresses else ""
        return [*found, ("dim", address), ("base", rtt), ("dim", words.since(row.since, model.now))]

    return table, cells


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


def node(model: Model) -> tuple[Row, ...]:
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
    if known.development:
        lines.append((("warn", " ▲ development: processes share one uid, so approvals are not protected from agents"),))
    lines += [(("warn", f" ▲ {warning}"),) for warning in known.warnings[:3]]
    return (*lines, ())
