"""agent list and show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bzzzd.cli.output import facts, mapping, number, rows_of, table, when, words
from bzzzd.cli.run import Run


def listing(run: Run) -> int:
    found = run.call("agent.list")
    rows = rows_of(found, "agents")
    head = ("ID", "ROLE", "STATE", "LOAD", "NODE", "CAPABILITIES")
    run.answer(
        found,
        lambda: (
            table(head, [_row(row) for row in rows], run.out)
            if rows
            else run.print("no agent is known; start one: systemctl start bzzz-agent")
        ),
    )
    return 0


def _row(row: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        row.get("id"), row.get("role"), _state(row), _load(row), row.get("node"), words(row.get("capabilities"))
    )  # fmt: skip


def _state(row: Mapping[str, Any]) -> str:
    return "attached" if row.get("attached") else "away"


def _load(row: Mapping[str, Any]) -> str:
    return f"{number(row.get('load')):g}/{number(row.get('slots')):g}"


def show(run: Run) -> int:
    found = mapping(run.call("agent.show", {"id": run.args["id"]}))
    agent = mapping(found.get("agent")) or found
    rows = [
        ("id", agent.get("id")),
        ("kind", agent.get("binary_type")),
        ("role", agent.get("role")),
        ("capabilities", words(agent.get("capabilities"))),
        ("state", _state(agent)),
        ("since", when(agent.get("since"))),
        ("load", _load(agent)),
        ("node", agent.get("node")),
    ]
    run.answer(found, lambda: facts(rows, run.out))
    return 0
