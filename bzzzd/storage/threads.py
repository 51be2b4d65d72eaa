"""Threads of conversation in the journal: their signed messages, and one word for each thread's whole state.

A message's text is a version like any other, added in the same transaction. The *mark* of a thread is the XOR of
its messages' ids: two nodes with equal ones hold the same messages. A thread is kept whole or not at all; when
there are too many, those that have been silent for longest go, and ``floor`` remembers up to when, so that
another node does not bring them back.
"""

from __future__ import annotations

import base64
import sqlite3
from typing import Final, NamedTuple

from bzzzd.storage.journal.database import Schema

SCHEMA: Final = Schema(
    "threads",
    1,
    (
        """CREATE TABLE IF NOT EXISTS threads (
            id TEXT PRIMARY KEY,
            count INTEGER NOT NULL,
            last_at REAL NOT NULL,
            mark BLOB NOT NULL
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX IF NOT EXISTS threads_by_time ON threads (last_at)",
        """CREATE TABLE IF NOT EXISTS thread_messages (
            thread TEXT NOT NULL,
            at REAL NOT NULL,
            id TEXT NOT NULL,
            author BLOB NOT NULL,
            by_id TEXT NOT NULL,
            by_kind TEXT NOT NULL,
            by_role TEXT NOT NULL,
            raw BLOB NOT NULL,
            PRIMARY KEY (thread, at, id)
        ) STRICT, WITHOUT ROWID""",
        "CREATE TABLE IF NOT EXISTS thread_floor (one INTEGER PRIMARY KEY CHECK (one = 1), at REAL NOT NULL) STRICT",
    ),
)
MARK_BYTES: Final = 16
_LOT: Final = 100

_ADD: Final = "INSERT OR IGNORE INTO thread_messages VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_HEAD: Final = "SELECT id, count, last_at, mark FROM threads WHERE id = ?"
_PUT_HEAD: Final = "INSERT OR REPLACE INTO threads VALUES (?, ?, ?, ?)"
_LAST: Final = "SELECT at, id FROM thread_messages WHERE thread = ? ORDER BY at DESC, id DESC LIMIT 1"
_REMOVE: Final = "DELETE FROM thread_messages WHERE thread = ? AND at = ? AND id = ?"
_READ: Final = (
    "SELECT thread, at, id, author, by_id, by_kind, by_role, raw FROM thread_messages WHERE thread = ? ORDER BY at, id"
)
_HEADS: Final = "SELECT id, count, last_at, mark FROM threads"
_FLOOR: Final = "SELECT at FROM thread_floor"
_RAISE: Final = "INSERT INTO thread_floor VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET at = max(at, excluded.at)"
_OLD: Final = "SELECT id, last_at FROM threads WHERE last_at < ? ORDER BY last_at LIMIT ?"
_SILENT: Final = "SELECT id, last_at FROM threads ORDER BY last_at LIMIT ?"


class Kept(NamedTuple):
    """A message whose signature and author were checked: ``raw`` is its envelope, ``author`` the public key."""

    thread: str
    at: float
    id: str
    author: bytes
    by_id: str
    by_kind: str
    by_role: str
    raw: bytes


class Head(NamedTuple):
    """A thread: how many messages it has here, the time of the last, and the mark of them all."""

    thread: str
    messages: int
    last_at: float
    mark: bytes


def mark_of(id: str) -> bytes:
    """The 16 bytes that a message's id spells."""
    return base64.b32hexdecode(id.removeprefix("h-").upper() + "======")


def mixed(mark: bytes, other: bytes) -> bytes:
    """The XOR of two marks: adds what is not in it, takes out what is."""
    return (int.from_bytes(mark, "big") ^ int.from_bytes(other, "big")).to_bytes(MARK_BYTES, "big")


def head(connection: sqlite3.Connection, thread: str) -> Head | None:
    row = connection.execute(_HEAD, (thread,)).fetchone()
    return None if row is None else Head(*row)


def insert(connection: sqlite3.Connection, kept: Kept, most: int) -> Head | None:
    """Add a message; gives the thread's new head, or ``None`` when it is here already or has no room.

    A thread holds the ``most`` messages that come first by time, on every node the same ones.
    """
    before = head(connection, kept.thread) or Head(kept.thread, 0, 0.0, bytes(MARK_BYTES))
    full = before.messages >= most
    if full and (kept.at, kept.id) > tuple(connection.execute(_LAST, (kept.thread,)).fetchone()):
        return None
    if not connection.execute(_ADD, kept).rowcount:
        return None
    count, mark = before.messages + 1, mixed(before.mark, mark_of(kept.id))
    if full:
        at, id = connection.execute(_LAST, (kept.thread,)).fetchone()
        connection.execute(_REMOVE, (kept.thread, at, id))
        count, mark = count - 1, mixed(mark, mark_of(id))
    (last_at, _) = connection.execute(_LAST, (kept.thread,)).fetchone()
    after = Head(kept.thread, count, last_at, mark)
    connection.execute(_PUT_HEAD, after)
    return after


def read(connection: sqlite3.Connection, thread: str) -> list[Kept]:
    """The messages of a thread by time; none for one that is not here."""
    return [Kept(*row) for row in connection.execute(_READ, (thread,))]


def heads(connection: sqlite3.Connection) -> list[Head]:
    return [Head(*row) for row in connection.execute(_HEADS)]


def floor(connection: sqlite3.Connection) -> float:
    """Unix time: threads whose last message is not after it are not taken (again)."""
    row = connection.execute(_FLOOR).fetchone()
    return 0.0 if row is None else float(row[0])


def prune(connection: sqlite3.Connection, before: float, most: int) -> tuple[list[str], float]:
    """Forget some threads that have been silent since ``before``, or are over ``most``: their ids, and the floor.

    Some at a time: it is called again until none is given.
    """
    found = connection.execute(_OLD, (before, _LOT)).fetchall()
    if not found:
        (count,) = connection.execute("SELECT count(*) FROM threads").fetchone()
        found = connection.execute(_SILENT, (min(max(count - most, 0), _LOT),)).fetchall()
    for id, last_at in found:
        connection.execute("DELETE FROM thread_messages WHERE thread = ?", (id,))
        connection.execute("DELETE FROM threads WHERE id = ?", (id,))
        connection.execute(_RAISE, (last_at,))
    return [id for id, _ in found], floor(connection)
