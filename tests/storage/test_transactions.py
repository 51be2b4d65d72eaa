from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from bzzzd.errors import StorageFailed
from bzzzd.storage.journal.transactions import Kind, Operation, Transactions

Work = Callable[[sqlite3.Connection], object]


@pytest.fixture
def connection():
    made = sqlite3.connect(":memory:", isolation_level=None)
    made.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY)")
    yield made
    made.close()


@pytest.fixture
def transactions(connection):
    return Transactions(connection, Path("journal.sqlite"))


def put(number: int) -> Work:
    return lambda connection: connection.execute("INSERT INTO notes VALUES (?)", (number,)).rowcount


def ids(connection: sqlite3.Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT id FROM notes ORDER BY id")]


def refuse(connection: sqlite3.Connection) -> None:
    raise KeyError("before any change")


def change_and_fail(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM notes")
    raise KeyError("after a change")


def operations(kind: Kind, *works: Work) -> list[Operation]:
    loop = asyncio.get_running_loop()
    return [Operation(kind, work, loop.create_future()) for work in works]


async def test_a_write_that_fails_is_undone_alone(transactions, connection):
    group = transactions.write(operations(Kind.WRITE, put(1), change_and_fail, put(2), refuse, put(1), put(3)))
    errors = [type(answer.error) for answer in group.answers]
    assert errors == [type(None), KeyError, type(None), KeyError, sqlite3.IntegrityError, type(None)]
    assert (group.damage, ids(connection), connection.in_transaction) == (None, [1, 2, 3], False)


async def test_writes_run_once_unless_one_beside_them_has_to_be_undone(transactions):
    runs: list[str] = []

    def noted(name: str, work: Work) -> Work:
        return lambda connection: (runs.append(name), work(connection))

    transactions.write(operations(Kind.WRITE, noted("a", put(1)), noted("b", refuse), noted("c", put(2))))
    assert runs == ["a", "b", "c"]
    runs.clear()
    transactions.write(operations(Kind.WRITE, noted("a", put(3)), noted("b", change_and_fail), noted("c", put(4))))
    assert runs == ["a", "b", "a", "b", "c"]


async def test_a_write_that_ends_the_transaction_fails_its_group_and_none_runs_after_it(transactions, connection):
    runs: list[int] = []
    works = (put(1), lambda connection: connection.execute("ROLLBACK"), lambda connection: runs.append(1))
    group = transactions.write(operations(Kind.WRITE, *works))
    assert [type(answer.error) for answer in group.answers] == [StorageFailed] * 3
    assert isinstance(group.fault, StorageFailed)
    assert (group.damage, runs, ids(connection)) == (None, [], [])
    assert transactions.write(operations(Kind.WRITE, put(2))).fault is None
    assert ids(connection) == [2]


async def test_what_a_read_wrote_is_not_seen_by_the_reads_beside_it(transactions, connection):
    first, writing, second = transactions.read(operations(Kind.READ, ids, put(1), ids))
    assert first.value == second.value == []
    assert isinstance(writing.error, StorageFailed)
    transactions.read(operations(Kind.READ, lambda connection: connection.execute("CREATE TABLE extra (id INTEGER)")))
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("notes",)]
    assert not connection.in_transaction
