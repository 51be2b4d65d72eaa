"""Agents, peers, the health and the status of a node, as values."""

from __future__ import annotations

from bzzzd.hap.feeds.fields import mapping, names, number, rows, whole
from bzzzd.hap.text import clean
from bzzzd.hap.values.things import Agent, Health, Peer, Service, Status


def agents(value: object) -> tuple[Agent, ...]:
    return tuple(
        Agent(
            id=clean(row.get("id"), 64),
            role=clean(row.get("role"), 64),
            capabilities=names(row.get("capabilities")),
            node=clean(row.get("node"), 64),
            attached=row.get("attached") is True,
            local=row.get("local") is True,
            slots=whole(row.get("slots"), 1),
            load=number(row.get("load")),
            since=number(row.get("since")),
            binary_type=clean(row.get("binary_type"), 24),
        )
        for row in rows(value, "agents")
    )


def peers(value: object) -> tuple[Peer, ...]:
    return tuple(
        Peer(
            id=clean(row.get("peer_id"), 100),
            name=clean(row.get("id"), 64),
            role=clean(row.get("role"), 64),
            addresses=names(row.get("addresses")),
            connected=row.get("connected") is True,
            since=number(row.get("since")),
            agent_version=clean(row.get("agent_version"), 100),
            rtt_ms=number(row.get("rtt_ms")) if row.get("rtt_ms") is not None else None,
            how=clean(row.get("how"), 40),
            received=whole(row.get("received")),
            sent=whole(row.get("sent")),
            skew_s=number(row.get("skew_s")) if row.get("skew_s") is not None else None,
        )
        for row in rows(value, "peers")
    )


def health(value: object) -> Health:
    services = tuple(
        Service(
            id=clean(row.get("name"), 64),
            state=clean(row.get("state"), 24),
            ok=row.get("ok") is True,
            detail=clean(row.get("detail"), 500),
            since=number(row.get("since")),
            depends=names(row.get("depends")),
        )
        for row in rows(value, "services")
    )
    return Health(ok=mapping(value).get("ok") is True, services=services)


def status(value: object) -> Status:
    row = mapping(value)
    return Status(
        node_id=clean(row.get("node_id"), 64),
        mesh_id=clean(row.get("mesh_id"), 80),
        build=clean(row.get("build"), 80),
        phase=clean(row.get("phase"), 40),
        durability=clean(row.get("durability"), 40),
        coordinator=clean(row.get("coordinator"), 80),
        development=row.get("development") is True,
        ledger_away=row.get("durability") == "unknown",
        warnings=names(row.get("warnings")),
    )
