from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from bzzzd.errors import BadInput, StorageFailed
from bzzzd.slurp import query, schema, sqlite
from bzzzd.slurp.backup import backup, check_backup, restore
from bzzzd.slurp.ledger import Outcome
from bzzzd.slurp.task import Token

from .kit import MESH, Clock, Maker, Member, agent, atomically, connect, person, raw_of, rules

ALICE, BOB = person(), agent("bob")


class Small:
    """A ledger with three tasks: done, held and open."""

    def __init__(self) -> None:
        self.conn = connect()
        self.clock = Clock()
        self.maker = Maker(self.clock)
        for task in ("t-done", "t-held", "t-open"):
            self.do(ALICE, "submit", task)
        self.do(BOB, "complete", "t-done", self.do(BOB, "claim", "t-done").task.token)
        self.do(BOB, "claim", "t-held")

    def do(self, who: Member, op: str, task: str, token: Token | None = None) -> Outcome:
        command = self.maker.command(op, task, token)
        raw = raw_of(who, command)
        return atomically(self.conn, lambda conn: sqlite.execute(conn, rules(), who.author, command, raw, self.clock()))


@pytest.fixture
def small() -> Iterator[Small]:
    made = Small()
    yield made
    made.conn.close()


@pytest.fixture
def saved(small: Small, tmp_path: Path) -> Path:
    path = tmp_path / "backup"
    backup(small.conn, path)
    return path


def tamper(path: Path, statement: str, *values: object) -> None:
    conn = sqlite3.connect(path, isolation_level=None)
    try:
        conn.execute(statement, values)
    finally:
        conn.close()


def test_a_backup_is_one_private_file_that_passes_its_check(saved: Path) -> None:
    assert [path.name for path in saved.parent.iterdir()] == ["backup"]
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    found = check_backup(saved, MESH)
    assert (found.tasks, found.head, found.path) == (3, 6, saved)


def test_every_row_comes_back_but_for_the_leases(small: Small, saved: Path) -> None:
    other = connect()
    atomically(other, lambda conn: restore(conn, check_backup(saved, MESH), small.clock(), "other"))
    entries = "SELECT * FROM slurp_entries WHERE number <= 6 ORDER BY number"
    assert other.execute(entries).fetchall() == small.conn.execute(entries).fetchall()
    assert query.show(other, "t-done") == query.show(small.conn, "t-done")
    assert query.counts(other)["submitted"] == 2
    assert [step.what for step in query.trace(other, "t-held")] == ["submitted", "claimed", "lease_dropped"]
    other.close()


def test_a_copy_of_the_whole_journal_serves_as_a_backup(small: Small, tmp_path: Path) -> None:
    small.conn.execute("CREATE TABLE other_room (a)")
    small.conn.execute("VACUUM INTO ?", (str(tmp_path / "whole"),))
    assert check_backup(tmp_path / "whole", MESH).tasks == 3


def test_a_backup_of_another_mesh_is_refused(saved: Path) -> None:
    with pytest.raises(BadInput, match="belongs to mesh"):
        check_backup(saved, "another-mesh")


@pytest.mark.parametrize(
    "content",
    [b"", b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 8000],
    ids=["empty", "text", "rubbish"],
)
def test_a_file_that_is_no_backup_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="not a backup"):
        check_backup(path, MESH)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="nowhere"):
        check_backup(tmp_path / "nowhere", MESH)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE slurp_tasks SET state = 'completed' WHERE id = 't-open'",
        "UPDATE slurp_tasks SET counter = 99 WHERE id = 't-held'",
        "UPDATE slurp_tasks SET agent = 'eve' WHERE id = 't-done'",
        "UPDATE slurp_entries SET after = x'80' WHERE number = 4",
        "UPDATE slurp_tasks SET id = 't-else' WHERE id = 't-open'",
        "UPDATE slurp_entries SET raw = substr(raw, 1, 100) WHERE number = 2",
        "UPDATE slurp_entries SET raw = (SELECT raw FROM slurp_entries WHERE number = 1) WHERE number = 2",
        "UPDATE slurp_entries SET command = 'other' WHERE number = 2",
        "UPDATE slurp_entries SET after = x'c1' WHERE number = 3",
        "UPDATE slurp_entries SET task = 99 WHERE number = 2",
        "DELETE FROM slurp_entries WHERE number = 3",
        "DELETE FROM slurp_entries",
        "DELETE FROM slurp_meta",
        "DROP TABLE slurp_entries",
        "ALTER TABLE slurp_tasks ADD COLUMN more TEXT",
    ],
)
def test_a_backup_that_was_changed_is_refused(saved: Path, statement: str) -> None:
    tamper(saved, statement)
    with pytest.raises(BadInput, match="not a backup that can be restored"):
        check_backup(saved, MESH)


def test_a_forged_submit_is_refused(small: Small, saved: Path) -> None:
    raw = bytearray(small.conn.execute("SELECT raw FROM slurp_entries WHERE number = 3").fetchone()[0])
    raw[-1] ^= 1
    tamper(saved, "UPDATE slurp_entries SET raw = ? WHERE number = 3", bytes(raw))
    with pytest.raises(BadInput, match="signature"):
        check_backup(saved, MESH)


def test_a_backup_that_cannot_be_written_leaves_nothing(small: Small, tmp_path: Path) -> None:
    with pytest.raises(StorageFailed):
        backup(small.conn, tmp_path / "no-folder" / "backup")
    assert list(tmp_path.iterdir()) == []


def test_the_term_rises_over_the_present_and_the_saved_one(small: Small, saved: Path) -> None:
    atomically(small.conn, lambda conn: schema.raise_term(conn, 9_000_000_000))
    atomically(small.conn, lambda conn: restore(conn, check_backup(saved, MESH), small.clock(), "same"))
    assert schema.term(small.conn) > 9_000_000_001
