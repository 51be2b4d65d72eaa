"""Where else a version is: copies that other nodes have confirmed, and those that are still owed to them.

A row is made in the transaction that makes the version, so a crash forgets nothing. ``at`` is the Unix
time of the confirmation, 0 while the copy is owed. ``due`` is when the node is to be asked next: to take
what is owed (0: at once, without asking whether it has it), or whether it still has what it confirmed.
Statements over the journal's connection.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from bzzzd.storage.journal.journal import Schema

SCHEMA: Final = Schema(
    "copies",
    1,
    (
        "CREATE TABLE IF NOT EXISTS copies (version BLOB NOT NULL, holder BLOB NOT NULL, at REAL NOT NULL, "
        "due REAL NOT NULL, PRIMARY KEY (version, holder)) STRICT, WITHOUT ROWID",
        "CREATE INDEX IF NOT EXISTS copies_due ON copies (holder, due)",
    ),
)


class Due(Struct, frozen=True):
    """A version that a node is to be asked about; ``fresh`` when it was just written here, so it cannot have it."""

    id: str
    fresh: bool


def owe(connection: sqlite3.Connection, id: str, holders: Iterable[bytes], due: float) -> None:
    """Note that ``holders`` shall have a version; a copy that is known already stays as it is."""
    version = bytes.fromhex(id)
    connection.executemany(
        "INSERT OR IGNORE INTO copies (version, holder, at, due) VALUES (?, ?, 0, ?)",
        [(version, holder, due) for holder in holders],
    )


def confirm(connection: sqlite3.Connection, ids: Iterable[str], holder: bytes, at: float, due: float) -> None:
    """Note that ``holder`` has these versions; it is asked again at ``due``."""
    connection.executemany(
        "INSERT INTO copies (version, holder, at, due) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (version, holder) DO UPDATE SET at = excluded.at, due = excluded.due",
        [(bytes.fromhex(id), holder, at, due) for id in ids],
    )


def postpone(connection: sqlite3.Connection, ids: Iterable[str], holder: bytes, due: float) -> None:
    """Ask ``holder`` about these versions again at ``due``; what it had confirmed before no longer counts."""
    connection.executemany(
        "UPDATE copies SET due = ?, at = 0 WHERE version = ? AND holder = ?",
        [(due, bytes.fromhex(id), holder) for id in ids],
    )


def due_for(connection: sqlite3.Connection, holder: bytes, now: float, limit: int) -> list[Due]:
    """What ``holder`` is to be asked about now, longest due first."""
    rows = connection.execute(
        "SELECT version, due FROM copies WHERE holder = ? AND due <= ? ORDER BY due LIMIT ?", (holder, now, limit)
    )
    return [Due(version.hex(), at == 0) for version, at in rows]


def next_due(connection: sqlite3.Connection, holders: Iterable[bytes]) -> dict[bytes, float]:
    """The earliest time at which each of ``holders`` is to be asked about something."""
    found = {}
    for holder in holders:
        (due,) = connection.execute("SELECT min(due) FROM copies WHERE holder = ?", (holder,)).fetchone()
        if due is not None:
            found[holder] = due
    return found


def of_version(connection: sqlite3.Connection, id: str) -> dict[bytes, float]:
    """The nodes that have or shall have a version, with the time of their confirmation (0: owed)."""
    rows = connection.execute("SELECT holder, at FROM copies WHERE version = ?", (bytes.fromhex(id),))
    return dict(rows.fetchall())


def count_confirmed(connection: sqlite3.Connection, id: str) -> int:
    """How many other nodes have confirmed a version."""
    row = connection.execute("SELECT count(*) FROM copies WHERE version = ? AND at > 0", (bytes.fromhex(id),))
    return int(row.fetchone()[0])


def forget_holder(connection: sqlite3.Connection, holder: bytes, limit: int) -> int:
    """Take up to ``limit`` copies of a node that has left for good off the books; gives how many it were."""
    return connection.execute(
        "DELETE FROM copies WHERE (version, holder) IN (SELECT version, holder FROM copies WHERE holder = ? LIMIT ?)",
        (holder, limit),
    ).rowcount


def holders(connection: sqlite3.Connection) -> list[bytes]:
    """Every node that a copy is on the books for."""
    found: list[bytes] = []
    row = connection.execute("SELECT min(holder) FROM copies").fetchone()
    while row[0] is not None:
        found.append(row[0])
        row = connection.execute("SELECT min(holder) FROM copies WHERE holder > ?", (row[0],)).fetchone()
    return found


def owed(connection: sqlite3.Connection) -> int:
    """How many copies are owed."""
    return int(connection.execute("SELECT count(*) FROM copies WHERE at = 0").fetchone()[0])
