"""Commands that wait on this node's disk for the coordinator, in their order, and what was said of those refused."""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

from bzzzd.storage.journal.database import Schema

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
        """CREATE TABLE IF NOT EXISTS outbox_refused (
            number INTEGER PRIMARY KEY,
            task TEXT NOT NULL UNIQUE,
            at REAL NOT NULL,
            shown BLOB NOT NULL
        ) STRICT""",
    ),
)

_PUT: Final = "INSERT OR IGNORE INTO outbox (by, command, task, packed, shown) VALUES (?, ?, ?, ?, ?)"
_FIND: Final = "SELECT number, packed FROM outbox WHERE by = ? AND command = ?"
_INDEX: Final = "SELECT number, task, shown, length(packed) FROM outbox ORDER BY number"
_READ: Final = "SELECT packed FROM outbox WHERE number = ?"
_REFUSE: Final = "INSERT OR REPLACE INTO outbox_refused (number, task, at, shown) VALUES (?, ?, ?, ?)"
_TRIM: Final = "DELETE FROM outbox_refused WHERE number <= (SELECT max(number) FROM outbox_refused) - ?"
_REFUSED: Final = "SELECT task, shown FROM outbox_refused ORDER BY number"


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


def refuse(conn: sqlite3.Connection, kept: Kept, at: float, shown: bytes, most: int) -> None:
    """Take a command out; ``shown`` is what is said of its task from now on, for the ``most`` latest numbers."""
    remove(conn, kept.number)
    conn.execute(_REFUSE, (kept.number, kept.task, at, shown))
    conn.execute(_TRIM, (most,))


def refused(conn: sqlite3.Connection, since: float) -> list[tuple[str, bytes]]:
    """(task, what is said of it) of commands refused at Unix time ``since`` or later; older ones are forgotten."""
    conn.execute("DELETE FROM outbox_refused WHERE at < ?", (since,))
    return [(str(task), bytes(shown)) for task, shown in conn.execute(_REFUSED)]


def seen(conn: sqlite3.Connection, task: str) -> None:
    """Forget that a command of ``task`` was refused."""
    conn.execute("DELETE FROM outbox_refused WHERE task = ?", (task,))
