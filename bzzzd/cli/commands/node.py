"""status, peers, health, doctor and logs: what a node says of itself to anybody on its machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from bzzzd.cli.output import clean, duration, facts, mapping, number, rows_of, size, table, when, words
from bzzzd.cli.run import Run


def status(run: Run) -> int:
    found = mapping(run.call("status"))
    run.answer(found, lambda: _show_status(run, found))
    return 0


def _show_status(run: Run, found: Mapping[str, Any]) -> None:
    tasks = mapping(found.get("tasks"))
    counted = ", ".join(f"{clean(state)} {clean(count)}" for state, count in tasks.items() if count)
    phase, reason = clean(found.get("phase")), clean(found.get("reason"))
    ready = "ready" if found.get("ready") else f"{phase}, not ready: {reason}".rstrip(": ")
    facts(
        (
            ("node", found.get("node_id")),
            ("peer id", found.get("peer_id")),
            ("mesh", found.get("mesh_id")),
            ("phase", ready),
            ("running", f"{duration(found.get('uptime_s'))}, since {when(found.get('since'))}"),
            ("addresses", words(found.get("addresses"))),
            ("peers", _counted(found.get("peers"), found.get("peers_missing"))),
            ("agents", found.get("agents")),
            ("tasks", counted or "none"),
            ("dead letters", found.get("dead_letters") or ""),
            ("coordinator", found.get("coordinator")),
            ("durability", found.get("durability")),
            ("build", found.get("build")),
        ),
        run.out,
    )
    if found.get("development"):
        run.print("development: one user runs everything, so approvals are not protected from local agents")
    for warning in found.get("warnings") or ():
        run.print(f"warning: {clean(warning)}")
    for said in dict.fromkeys(clean(clone.get("detail")) for clone in rows_of(found, "clones")):
        run.print(f"warning: {said}; see: bzzz doctor")


def _counted(connected: object, missing: object) -> object:
    return f"{clean(connected)}, and {clean(missing)} not reached (bzzz peers)" if missing else connected


def peers(run: Run) -> int:
    found = run.call("peers")
    run.answer(found, lambda: _show_peers(run, found))
    return 0


def _show_peers(run: Run, found: object) -> None:
    rows = rows_of(found, "peers")
    if not rows:
        run.print("no other node is known; bzzz mesh invite lets one in, network.bootstrap_peers names nodes to dial")
        return
    head = ("PEER", "ID", "ROLE", "CONNECTED", "RTT", "CLOCK", "IN", "OUT", "HOW", "VERSION", "ADDRESSES")
    table(head, [_peer(row) for row in rows], run.out)


def _peer(row: Mapping[str, Any]) -> tuple[object, ...]:
    rtt = "" if row.get("rtt_ms") is None else f"{number(row.get('rtt_ms')):.1f} ms"
    connected = duration(time.time() - number(row.get("since"))) if row.get("connected") else "no"
    return (
        row.get("peer_id"), row.get("id"), row.get("role"), connected, rtt, _clock(row.get("skew_s")),
        _bytes(row.get("received")), _bytes(row.get("sent")), row.get("how"), row.get("agent_version"),
        words(row.get("addresses")),
    )  # fmt: skip


def _clock(skew: object) -> str:
    """How far a peer's clock is ahead, to the tenth of a second."""
    return "" if skew is None else f"{number(skew):+.1f} s"


def _bytes(count: object) -> str:
    return size(count) if number(count) else ""


def health(run: Run) -> int:
    found = mapping(run.call("health"))
    rows = rows_of(found, "services")
    head = ("SERVICE", "STATE", "SINCE", "DETAIL")
    run.answer(
        found,
        lambda: table(
            head, [(r.get("name"), r.get("state"), when(r.get("since")), r.get("detail")) for r in rows], run.out
        ),
    )
    return 0 if found.get("ok") is True else 1


def doctor(run: Run) -> int:
    found = run.call("doctor")
    rows = rows_of(found, "findings")
    run.answer(found, lambda: _show_findings(run, rows))
    return 1 if any(row.get("level") == "bad" for row in rows) else 0


def _show_findings(run: Run, rows: list[Mapping[str, Any]]) -> None:
    for row in rows:
        level = clean(row.get("level"))
        run.print(f"{level:<4}  {clean(row.get('what'))}")
        if level != "ok":
            for name in ("why", "fix"):
                if row.get(name):
                    run.print(f"      {name}: {clean(row.get(name))}")


def logs(run: Run) -> int:
    from bzzzd.cli.person import person_of  # the other commands of this module start fast without it

    found = mapping(person_of(run).read("logs.tail", {"lines": run.args["lines"]}))
    lines = found.get("lines") or ()
    run.answer(found, lambda: run.print("\n".join(map(clean, lines))))
    return 0
