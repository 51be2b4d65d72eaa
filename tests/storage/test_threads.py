"""Threads in the journal: whole, bounded, and equal wherever the same messages are."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzzzd.hmmm.message import message_id
from bzzzd.storage import threads
from bzzzd.storage.threads import Kept


def kept(number: int, at: float | None = None, thread: str = "t-1") -> Kept:
    raw = f"message {number}".encode()
    return Kept(thread, float(number) if at is None else at, message_id(b"k", raw), b"k", "bob", "agent", "worker", raw)


def fresh() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in threads.SCHEMA.statements:
        connection.execute(statement)
    return connection


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    made = fresh()
    yield made
    made.close()


def test_a_message_is_kept_once_and_read_by_time(connection: sqlite3.Connection) -> None:
    late, early = kept(2), kept(1)
    assert threads.insert(connection, late, 10) is not None
    found = threads.insert(connection, early, 10)
    assert found is not None
    assert (found.messages, found.last_at) == (2, 2.0)
    assert threads.insert(connection, late, 10) is None
    assert threads.read(connection, "t-1") == [early, late]
    assert threads.heads(connection) == [found]


def test_the_mark_is_that_of_the_set() -> None:
    marks = set()
    for order in permutations([kept(1), kept(2), kept(3)]):
        connection = fresh()
        for one in order:
            threads.insert(connection, one, 10)
        marks.add(threads.heads(connection)[0].mark)
        connection.close()
    assert len(marks) == 1


@given(st.permutations(range(8)), st.integers(1, 8))
def test_a_full_thread_holds_the_first_messages_whatever_came_first(order: list[int], most: int) -> None:
    connection = fresh()
    for number in order:
        threads.insert(connection, kept(number), most)
    expected = [kept(number) for number in range(most)]
    assert threads.read(connection, "t-1") == expected
    (head,) = threads.heads(connection)
    mark = bytes(threads.MARK_BYTES)
    for one in expected:
        mark = threads.mixed(mark, threads.mark_of(one.id))
    assert head == threads.Head("t-1", most, float(most - 1), mark)
    connection.close()


def test_silent_threads_go_and_the_floor_keeps_them_out(connection: sqlite3.Connection) -> None:
    for number in range(1, 6):
        threads.insert(connection, kept(number, thread=f"t-{number}"), 10)
    assert threads.floor(connection) == 0.0
    assert threads.prune(connection, 2.5, 10) == (["t-1", "t-2"], 2.0)
    assert threads.prune(connection, 2.5, 1) == (["t-3", "t-4"], 4.0)
    assert threads.prune(connection, 2.5, 1) == ([], 4.0)
    assert [head.thread for head in threads.heads(connection)] == ["t-5"]
    assert threads.read(connection, "t-1") == []
