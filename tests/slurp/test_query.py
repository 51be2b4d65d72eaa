from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from bzzzd.errors import BadInput
from bzzzd.slurp import query, schema, sqlite

from .kit import connect


@pytest.fixture
def conn() -> Iterator[sqlite3.Connection]:
    made = connect()
    yield made
    made.close()


def statements() -> dict[str, str]:
    found = {}
    for module in (query, schema, sqlite):
        for name, value in vars(module).items():
            if isinstance(value, str) and value.startswith(("SELECT", "UPDATE", "DELETE")) and "{" not in value:
                found[f"{module.__name__}.{name}"] = value
    return found


@pytest.mark.parametrize("name", sorted(statements()))
def test_no_statement_walks_over_all_tasks_or_sorts_them(conn: sqlite3.Connection, name: str) -> None:
    statement = statements()[name]
    holes = 2 if "?1" in statement else statement.count("?")
    plan = [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {statement}", [1] * holes)]
    assert plan
    for step in plan:
        assert "TEMP B-TREE" not in step
        assert not step.startswith("SCAN") or "slurp_counts" in step or "USING INDEX slurp_open" in step, step


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_is_bounded(conn: sqlite3.Connection, limit: int) -> None:
    with pytest.raises(BadInput):
        query.list_tasks(conn, limit=limit)
    with pytest.raises(BadInput):
        query.events(conn, None, 0, limit)  # type: ignore[arg-type]


def test_a_new_ledger_is_empty(conn: sqlite3.Connection) -> None:
    status = query.status(conn, "i")
    assert (status.term, status.head, status.leases, set(status.counts.values())) == (1, 0, 0, {0})
    assert query.open_needs(conn) == []


def test_the_schema_can_be_applied_again(conn: sqlite3.Connection) -> None:
    for statement in schema.SCHEMA:
        conn.execute(statement)
    assert schema.term(conn) == 1
