from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import BadInput, Conflict, NotFound
from bzzzd.storage.versions import copies, letting_go, rows
from bzzzd.storage.versions.content import SCHEMA as CONTENT
from bzzzd.storage.versions.content import Blob
from bzzzd.ucxl.address import parse
from bzzzd.ucxl.history import Entry, heads, order
from bzzzd.ucxl.version import make_header, seal_version, version_id

KEY = SigningKey.from_seed(bytes(32))
OTHER = SigningKey.from_seed(bytes([1]) * 32)
BASE = "ucxl://alice:worker@demo:t1/*^/notes"


def database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in (
        *CONTENT.statements,
        *rows.SCHEMA.statements,
        *copies.SCHEMA.statements,
        *letting_go.SCHEMA.statements,
    ):
        connection.execute(statement)
    return connection


def pending(at: float, parents: tuple[str, ...] = (), address: str = BASE, key: SigningKey = KEY) -> rows.Pending:
    header = make_header(
        address=address, author="alice", plaintext=b"x", readers=["worker"], epoch=1, at=at, parents=parents
    )
    raw = seal_version(key, "mesh-1", header)
    blob = Blob(bytes.fromhex(version_id(raw)), 1, b"x")
    return rows.Pending(version_id(raw), header, raw, key.public, "worker", blob)


@st.composite
def arrivals(draw: st.DrawFn) -> list[rows.Pending]:
    made: list[rows.Pending] = []
    for number in range(draw(st.integers(1, 10))):
        parents = draw(st.sets(st.sampled_from(made).map(lambda one: one.id), max_size=3)) if made else set()
        if draw(st.integers(0, 7)) == 0:
            parents.add(f"{number:064x}")
        made.append(pending(float(draw(st.integers(0, 5))), tuple(sorted(parents))))
    return draw(st.permutations(made))


@given(arrivals())
@settings(max_examples=60, deadline=None)
def test_numbers_and_heads_are_those_of_the_history_after_every_arrival(arrived):
    connection = database()
    for count, one in enumerate(arrived, 1):
        assert rows.insert(connection, one) == one.id
        assert rows.insert(connection, one) == one.id
        wanted = order(Entry(each.id, each.header.parents, each.header.at) for each in arrived[:count])
        history = rows.history(connection, BASE, 0, 1000)
        assert [step.id for step in history.steps] == [entry.id for entry in wanted]
        assert [step.number for step in history.steps] == list(range(1, count + 1))
        assert history.heads == heads(wanted)
        assert {step.id for step in history.steps if step.head} == set(heads(wanted))
        assert rows.current_heads(connection, BASE) == heads(wanted)
        assert rows.find(connection, parse(BASE)).id == wanted[-1].id


def test_a_version_is_found_by_each_of_its_names():
    connection = database()
    first = pending(1.0)
    second = pending(2.0, (first.id,))
    third = pending(3.0, (second.id,))
    for one in (first, second, third):
        rows.insert(connection, one)
    for text, wanted in {
        "*^": third,
        "~~0": third,
        "~~2": first,
        "^^0": first,
        "^^1": second,
        "*~1": first,
        "*~3": third,
    }.items():
        found = rows.find(connection, parse(BASE.replace("*^", text)))
        assert (found.id, found.number, found.of) == (wanted.id, wanted.header.at, 3)
        assert found == rows.find_id(connection, wanted.id)
        assert not found.conflict
        assert (found.raw, found.header, found.blob) == (wanted.raw, wanted.header, wanted.blob)


def test_what_is_not_there_is_not_found():
    connection = database()
    with pytest.raises(NotFound, match="nothing is stored"):
        rows.find(connection, parse(BASE))
    with pytest.raises(NotFound):
        rows.history(connection, BASE, 0, 10)
    with pytest.raises(NotFound):
        rows.find_id(connection, "a" * 64)
    assert rows.current_heads(connection, BASE) == ()
    rows.insert(connection, pending(1.0))
    with pytest.raises(NotFound, match="has 1 version"):
        rows.find(connection, parse(BASE.replace("*^", "*~2")))
    with pytest.raises(BadInput, match="every version"):
        rows.find(connection, parse(BASE.replace("*^", "*~")))


def test_two_at_once_are_a_conflict_until_one_unites_them():
    connection = database()
    one, two = pending(1.0), pending(2.0)
    rows.insert(connection, two)
    rows.insert(connection, one)
    found = rows.find(connection, parse(BASE))
    assert (found.id, found.heads, found.conflict) == (two.id, (one.id, two.id), True)
    united = pending(1.5, (one.id, two.id))
    rows.insert(connection, united)
    assert rows.find(connection, parse(BASE)).heads == (united.id,)


def test_a_history_is_read_in_pages():
    connection = database()
    last: tuple[str, ...] = ()
    for number in range(7):
        last = (rows.insert(connection, pending(float(number), last)),)
    page = rows.history(connection, BASE, 0, 3)
    assert ([step.number for step in page.steps], page.next, page.of) == ([1, 2, 3], 3, 7)
    page = rows.history(connection, BASE, 6, 3)
    assert ([step.number for step in page.steps], page.next) == ([7], None)
    assert rows.history(connection, BASE, 7, 3).next is None


def test_addresses_are_listed_by_pattern_and_in_pages():
    connection = database()
    names = [
        f"ucxl://{agent}:worker@demo:t{task}/*^/{path}" for agent in "ab" for task in (1, 2) for path in ("", "x/y")
    ]
    for name in names:
        rows.insert(connection, pending(1.0, address=name))
        rows.insert(connection, pending(2.0, address=name))

    def found(pattern: str | None, limit: int = 100, after: str = "") -> list[str]:
        listing = rows.listing(connection, None if pattern is None else parse(pattern), after, limit)
        return [entry.address for entry in listing.entries]

    assert found(None) == sorted(names)
    assert found("ucxl://a:any@any:any/*^/") == [name for name in sorted(names) if "ucxl://a" in name]
    assert found("ucxl://any:worker@demo:t2/*^/x") == [
        name for name in sorted(names) if ":t2" in name and "x/y" in name
    ]
    assert found("ucxl://any:any@other:any/*^/") == []
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        listing = rows.listing(connection, None, after, 3)
        seen += [entry.address for entry in listing.entries]
        after = listing.next
    assert seen == sorted(names)
    entry = rows.listing(connection, None, "", 1).entries[0]
    assert (entry.versions, entry.heads, entry.header.at) == (2, 2, 2.0)


def test_each_writer_has_a_head_of_its_own():
    connection = database()
    mine = pending(1.0)
    theirs = pending(2.0, (mine.id,), key=OTHER)
    apart = pending(3.0)
    for one in (mine, theirs, apart):
        rows.insert(connection, one)
    assert rows.writer_heads(connection, BASE, KEY.public, 16) == ([apart.raw], 3)
    assert rows.writer_heads(connection, BASE, OTHER.public, 16) == ([theirs.raw], 3)
    onward = pending(4.0, (theirs.id, apart.id), key=OTHER)
    rows.insert(connection, onward)
    assert rows.writer_heads(connection, BASE, KEY.public, 16) == ([apart.raw], 4)
    with pytest.raises(NotFound, match="no version"):
        rows.writer_heads(connection, BASE, b"nobody", 16)


def test_versions_that_nothing_unites_are_bounded(monkeypatch):
    monkeypatch.setattr(rows, "MAX_HEADS", 5)
    connection = database()
    ids = [rows.insert(connection, pending(float(number))) for number in range(5)]
    with pytest.raises(Conflict, match="know nothing of each other"):
        rows.insert(connection, pending(9.0))
    connection.rollback()
    rows.insert(connection, pending(9.0, tuple(ids)))


def test_a_parent_of_another_address_counts_as_missing():
    connection = database()
    elsewhere = pending(1.0, address="ucxl://alice:worker@demo:t2/*^/")
    rows.insert(connection, elsewhere)
    for one in (pending(1.0), pending(2.0, (elsewhere.id,)), pending(0.5)):
        rows.insert(connection, one)
    assert [step.header.at for step in rows.history(connection, BASE, 0, 10).steps] == [0.5, 1.0, 2.0]
    assert len(rows.current_heads(connection, BASE)) == 3
