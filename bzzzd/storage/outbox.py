"""Commands that wait on this node's disk for the coordinator: rows in the order in which they were given."""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

from bzzzd.storage.database import Schema

SCHEMA: Final = Schema(
    "outbox",
    1,
    (
        """CREATE TABLE IF NOT EXISTS outbox (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            by TEXT NOT NULL,
            command TEXT NOT NULL,
            task TEXT NOT NULL,
            packed BLOB NOT NULL,
            shown BLOB NOT NULL,
            UNIQUE (by, command)
        ) STRICT""",
    ),
)

_PUT: Final = "INSERT OR IGNORE INTO outbox (by, command, task, packed, shown) VALUES (?, ?, ?, ?, ?)"
_FIND: Final = "SELECT number, packed FROM outbox WHERE by = ? AND command = ?"
_INDEX: Final = "SELECT number, task, shown, length(packed) FROM outbox ORDER BY number"
_READ: Final = "SELECT packed FROM outbox WHERE number = ?"


class Kept(NamedTuple):
    """A command that waits: ``shown`` is what is said of its task meanwhile, ``size`` its bytes on disk."""

    number: int
    task: str
    shown: bytes
    size: int


def put(conn: sqlite3.Connection, by: str, command: str, task: str, packed: bytes, shown: bytes) -> int:
    """Keep a command, once; gives its number."""
    conn.execute(_PUT, (by, command, task, packed, shown))
    number: int = conn.execute(_FIND, (by, command)).fetchone()[0]
    return number


def index(conn: sqlite3.Connection) -> list[Kept]:
    return [Kept(*row) for row in conn.execute(_INDEX)]


def read(conn: sqlite3.Connection, number: int) -> bytes | None:
    row = conn.execute(_READ, (number,)).fetchone()
    return None if row is None else row[0]


def remove(conn: sqlite3.Connection, number: int) -> None:
    conn.execute("DELETE FROM outbox WHERE number = ?", (number,))
