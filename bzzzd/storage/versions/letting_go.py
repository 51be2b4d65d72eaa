"""Content that is no longer kept here: let go by the retention rule for good, or a copy that others have anyway.

``let_go`` remembers the former, so that no other node brings it back. Statements over the journal's connection.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from bzzzd.storage.journal.journal import Schema

SCHEMA: Final = Schema(
    "letting_go",
    1,
    (
        "CREATE TABLE IF NOT EXISTS let_go (version BLOB PRIMARY KEY, at REAL NOT NULL) STRICT, WITHOUT ROWID",
        # Addresses whose copies here are beyond those that are wanted, and since when.
        "CREATE TABLE IF NOT EXISTS extras (address INTEGER PRIMARY KEY, since REAL NOT NULL) STRICT",
    ),
)


def let_go(connection: sqlite3.Connection, id: str, at: float) -> None:
    """Note that a version's content goes for good; nobody is owed it any more."""
    connection.execute("INSERT OR IGNORE INTO let_go (version, at) VALUES (?, ?)", (bytes.fromhex(id), at))
    off_the_books(connection, id)


def was_let_go(connection: sqlite3.Connection, version: bytes) -> bool:
    return connection.execute("SELECT 1 FROM let_go WHERE version = ?", (version,)).fetchone() is not None


def off_the_books(connection: sqlite3.Connection, id: str) -> None:
    """Forget who else holds a version: the node no longer answers for its copies."""
    connection.execute("DELETE FROM copies WHERE version = ?", (bytes.fromhex(id),))


def extra_since(connection: sqlite3.Connection, row: int, extra: bool, now: float) -> float:
    """Note whether an address's copies here are extra, and give since when."""
    if not extra:
        connection.execute("DELETE FROM extras WHERE address = ?", (row,))
        return now
    connection.execute("INSERT OR IGNORE INTO extras (address, since) VALUES (?, ?)", (row, now))
    return float(connection.execute("SELECT since FROM extras WHERE address = ?", (row,)).fetchone()[0])


def forget_address(connection: sqlite3.Connection, row: int) -> bool:
    """Forget an extra address of which no content is left here; its holders know it."""
    left = connection.execute(
        "SELECT 1 FROM versions v JOIN content c ON c.hash = v.content WHERE v.address = ? LIMIT 1", (row,)
    ).fetchone()
    if left is not None:
        return False
    for table in ("versions", "extras"):
        connection.execute(f"DELETE FROM {table} WHERE address = ?", (row,))  # noqa: S608 - named above
    connection.execute("DELETE FROM addresses WHERE id = ?", (row,))
    return True
