from __future__ import annotations

import sqlite3

import pytest

from bzzzd.storage.versions import copies

A, B = bytes(32), bytes([1]) * 32
ONE, TWO = "11" * 32, "22" * 32


@pytest.fixture
def db():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in copies.SCHEMA.statements:
        connection.execute(statement)
    yield connection
    connection.close()


def test_what_is_owed_is_due_until_it_is_confirmed_and_then_again_later(db):
    copies.owe(db, ONE, [A, B], 0.0)
    copies.owe(db, TWO, [A], 5.0)
    assert [(due.id, due.fresh) for due in copies.due_for(db, A, 10.0, 9)] == [(ONE, True), (TWO, False)]
    assert copies.due_for(db, A, 4.0, 9) == [copies.Due(ONE, True)]
    assert copies.next_due(db, [A, B]) == {A: 0.0, B: 0.0}
    copies.confirm(db, [ONE], A, at=10.0, due=100.0)
    assert copies.due_for(db, A, 4.0, 9) == []
    assert copies.of_version(db, ONE) == {A: 10.0, B: 0.0}
    assert (copies.count_confirmed(db, ONE), copies.owed(db)) == (1, 2)
    assert [due.id for due in copies.due_for(db, A, 100.0, 9)] == [TWO, ONE]


def test_owing_again_changes_nothing_and_a_lost_copy_is_owed_again(db):
    copies.confirm(db, [ONE], A, at=10.0, due=100.0)
    copies.owe(db, ONE, [A], 0.0)
    assert copies.of_version(db, ONE) == {A: 10.0}
    copies.postpone(db, [ONE], A, due=50.0)
    assert copies.of_version(db, ONE) == {A: 0.0}
    assert copies.next_due(db, [A]) == {A: 50.0}


def test_a_node_that_left_is_taken_off_the_books(db):
    for id in (ONE, TWO):
        copies.owe(db, id, [A, B], 0.0)
    assert copies.holders(db) == [A, B]
    assert copies.forget_holder(db, A, 1) == 1
    assert copies.forget_holder(db, A, 5) == 1
    assert copies.holders(db) == [B]
