"""The tables of mesh messages, and one topic's ring in them: what is kept, what is remembered, what is dropped.

Statements over the journal's connection; ``messages.py`` says when they run. A message's row id is its topic's id
and its number in one integer, so a topic lies together in the file and a new message goes to its end.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from msgspec import Struct

from bzzzd.storage.journal.database import Schema
from bzzzd.storage.messages.carry import Bundle
from bzzzd.storage.messages.sources import Held, Link, Source

SCHEMA: Final = Schema(
    "messages",
    3,
    (
        "CREATE TABLE IF NOT EXISTS topics (id INTEGER PRIMARY KEY, topic TEXT NOT NULL UNIQUE, last INTEGER NOT NULL, "
        "first INTEGER NOT NULL, bytes INTEGER NOT NULL, heard INTEGER NOT NULL, horizon REAL NOT NULL, "
        "own_journal TEXT, own_last INTEGER NOT NULL, followed REAL) STRICT",
        "CREATE TABLE IF NOT EXISTS sources (id INTEGER PRIMARY KEY, topic INTEGER NOT NULL, node BLOB NOT NULL, "
        "journal TEXT NOT NULL, last INTEGER NOT NULL, after_journal TEXT, after_number INTEGER, "
        "UNIQUE (topic, node, journal)) STRICT",
        "CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY, source INTEGER NOT NULL, "
        "sequence INTEGER NOT NULL, author BLOB NOT NULL, at REAL NOT NULL, message BLOB NOT NULL, "
        "proof INTEGER NOT NULL, place INTEGER NOT NULL) STRICT",
        "CREATE INDEX IF NOT EXISTS messages_sent ON messages (source, sequence)",
        "CREATE TABLE IF NOT EXISTS proofs (id INTEGER PRIMARY KEY, raw BLOB NOT NULL) STRICT",
        "CREATE TABLE IF NOT EXISTS heard (topic INTEGER NOT NULL, digest BLOB NOT NULL, at REAL NOT NULL, "
        "number INTEGER NOT NULL, PRIMARY KEY (topic, digest)) STRICT, WITHOUT ROWID",
        "CREATE TABLE IF NOT EXISTS speakers (key BLOB PRIMARY KEY, chain BLOB NOT NULL, at REAL NOT NULL) "
        "STRICT, WITHOUT ROWID",
        "CREATE TABLE IF NOT EXISTS clones (node BLOB NOT NULL, journal TEXT NOT NULL, topic TEXT NOT NULL, "
        "at REAL NOT NULL, PRIMARY KEY (node, journal)) STRICT, WITHOUT ROWID",
        "CREATE TABLE IF NOT EXISTS clones_settled (node BLOB PRIMARY KEY, at REAL NOT NULL) STRICT, WITHOUT ROWID",
    ),
)
KEEP_MESSAGES: Final = 10_000
KEEP_BYTES: Final = 67_108_864
# Journals of one sender on one topic that are remembered although nothing of them is kept any more.
IDLE_JOURNALS: Final = 32
_SHIFT: Final = 40
_GIVE_ROWS: Final = 512


class Limits(Struct, frozen=True):
    """What one topic keeps. Twice as many messages are known when they come again, so they never count as new."""

    messages: int = KEEP_MESSAGES
    bytes: int = KEEP_BYTES


class Stored(Struct, frozen=True):
    """A message of a topic's ring: ``message`` is the author's envelope; ``node`` and ``author`` are keys."""

    number: int
    node: bytes
    author: bytes
    at: float
    message: bytes


class Page(Struct, frozen=True):
    """Messages after a number. ``trimmed``: some between that number and ``first`` are no longer kept."""

    items: tuple[Stored, ...]
    first: int
    last: int
    trimmed: bool


class Position(Struct, frozen=True):
    """Up to where a source of a topic is done with, and what its first message follows."""

    source: Source
    last: int
    after: Link | None


class Ring:
    """One topic in one transaction: made, changed, and written back with ``close``."""

    def __init__(self, connection: sqlite3.Connection, topic: str, limits: Limits) -> None:
        self._connection = connection
        self._limits = limits
        connection.execute("INSERT OR IGNORE INTO topics VALUES (NULL, ?, 0, 1, 0, 0, -1, NULL, 0, NULL)", (topic,))
        row = connection.execute(
            "SELECT id, last, first, bytes, heard, horizon, own_journal, own_last FROM topics WHERE topic = ?", (topic,)
        ).fetchone()
        self.id, self.last, self.first, self._bytes, self._heard, self._horizon, self.own_journal, self.own_last = row
        self._base = self.id << _SHIFT
        self._sources: dict[Source, tuple[int, int]] = {}
        self._proof: tuple[bytes, int] = (b"", 0)

    def source(self, source: Source, after: Link | None = None) -> tuple[int, int]:
        """The row id of a source and its last number; made when it is new."""
        found = self._sources.get(source)
        if found is None:
            key = (self.id, source.node, source.journal)
            row = self._connection.execute(
                "SELECT id, last FROM sources WHERE topic = ? AND node = ? AND journal = ?", key
            ).fetchone()
            if row is None:
                made = self._connection.execute(
                    "INSERT INTO sources VALUES (NULL, ?, ?, ?, 0, ?, ?)", (*key, *(after or (None, None)))
                )
                row = (made.lastrowid, 0)
                self._forget_journals(source.node)
            elif after is not None:
                self._connection.execute(
                    "UPDATE sources SET after_journal = ?, after_number = ? WHERE id = ?", (*after, row[0])
                )
            found = self._sources[source] = (int(row[0]), int(row[1]))
        return found

    def reach(self, source: Source, number: int) -> None:
        """Everything of ``source`` up to ``number`` is done with."""
        row, last = self.source(source)
        if number > last:
            self._sources[source] = (row, number)
            self._connection.execute("UPDATE sources SET last = ? WHERE id = ?", (number, row))

    def known(self, digest: bytes) -> int | None:
        """The number that a message has here already, by ``Received.digest``."""
        row = self._connection.execute(
            "SELECT number FROM heard WHERE topic = ? AND digest = ?", (self.id, digest)
        ).fetchone()
        return int(row[0]) if row else None

    def too_old(self, at: float) -> bool:
        """Whether a message of that time can no longer be told from one that was here and is forgotten."""
        return at <= float(self._horizon)

    def append(
        self, source: Source, sequence: int, author: bytes, at: float, message: bytes, digest: bytes, proof: bytes,
        place: int,
    ) -> int:  # fmt: skip
        """Keep a message as the topic's newest and give its number."""
        self.last += 1
        if self._proof[0] != proof:
            self._proof = (proof, self._base + self.last)
            self._connection.execute("INSERT INTO proofs VALUES (?, ?)", (self._proof[1], proof))
        self._connection.execute(
            "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (self._base + self.last, self.source(source)[0], sequence, author, at, message, self._proof[1], place),
        )
        self._connection.execute("INSERT INTO heard VALUES (?, ?, ?, ?)", (self.id, digest, at, self.last))
        self._bytes += len(message)
        self._heard += 1
        self.reach(source, sequence)
        return int(self.last)

    def close(self) -> None:
        """Trim, and write the topic's own row."""
        self._trim()
        if self._heard > 4 * self._limits.messages:
            self._forget(2 * self._limits.messages)
        self._connection.execute(
            "UPDATE topics SET last = ?, first = ?, bytes = ?, heard = ?, horizon = ?, own_journal = ?, own_last = ? "
            "WHERE id = ?",
            (
                self.last, self.first, self._bytes, self._heard, self._horizon, self.own_journal, self.own_last,
                self.id,
            ),
        )  # fmt: skip

    def _trim(self) -> None:
        start = self.first
        # A message alone may be larger than the topic's bytes; the newest one always stays.
        while self.first < self.last and (
            self.last - self.first >= self._limits.messages or self._bytes > self._limits.bytes
        ):
            (gone,) = self._connection.execute(
                "DELETE FROM messages WHERE id = ? RETURNING length(message)", (self._base + self.first,)
            ).fetchone()
            self.first, self._bytes = self.first + 1, self._bytes - gone
        if self.first != start:
            (proof,) = self._connection.execute(
                "SELECT proof FROM messages WHERE id = ?", (self._base + self.first,)
            ).fetchone()
            self._connection.execute("DELETE FROM proofs WHERE id >= ? AND id < ?", (self._base, proof))

    def _forget(self, keep: int) -> None:
        """Drop the oldest digests, and with them the right of anything as old to count as new."""
        edge = self._connection.execute(
            "SELECT at FROM heard WHERE topic = ? ORDER BY at DESC LIMIT 1 OFFSET ?", (self.id, keep)
        ).fetchone()
        if edge is not None:
            self._heard -= self._connection.execute(
                "DELETE FROM heard WHERE topic = ? AND at <= ?", (self.id, edge[0])
            ).rowcount
            self._horizon = max(self._horizon, edge[0])

    def _forget_journals(self, node: bytes) -> None:
        """Of a sender's journals with nothing kept, only the newest are remembered."""
        self._connection.execute(
            "DELETE FROM sources WHERE id IN (SELECT id FROM sources WHERE topic = ? AND node = ? AND NOT EXISTS "
            "(SELECT 1 FROM messages WHERE messages.source = sources.id) ORDER BY id DESC LIMIT -1 OFFSET ?)",
            (self.id, node, IDLE_JOURNALS),
        )


def page(connection: sqlite3.Connection, topic: str, after: int, limit: int) -> Page:
    """Messages with numbers over ``after``; those over ``last`` do not exist yet."""
    row = connection.execute("SELECT id, first, last FROM topics WHERE topic = ?", (topic,)).fetchone()
    if row is None:
        return Page((), 1, 0, False)
    base, first, last = int(row[0]) << _SHIFT, int(row[1]), int(row[2])
    rows = connection.execute(
        "SELECT m.id, s.node, m.author, m.at, m.message FROM messages m JOIN sources s ON s.id = m.source "
        "WHERE m.id > ? AND m.id <= ? ORDER BY m.id LIMIT ?",
        (base + after, base + last, limit),
    ).fetchall()
    items = tuple(Stored(found[0] - base, *found[1:]) for found in rows)
    return Page(items, first, last, after + 1 < first)


def positions(connection: sqlite3.Connection, topic: str) -> list[Position]:
    """Every source of a topic that is remembered, the oldest first."""
    rows = connection.execute(
        "SELECT s.node, s.journal, s.last, s.after_journal, s.after_number FROM sources s "
        "JOIN topics t ON t.id = s.topic WHERE t.topic = ? ORDER BY s.id",
        (topic,),
    )
    return [
        Position(Source(row[0], row[1]), row[2], Link(row[3], row[4]) if row[3] is not None else None) for row in rows
    ]


def heads(connection: sqlite3.Connection, topic: str) -> dict[Source, Held]:
    """What this node can give of each source of a topic."""
    rows = connection.execute(
        "SELECT s.node, s.journal, s.last, (SELECT min(sequence) FROM messages WHERE source = s.id) FROM sources s "
        "JOIN topics t ON t.id = s.topic WHERE t.topic = ? AND s.last > 0",
        (topic,),
    )
    return {Source(row[0], row[1]): Held(row[2] + 1 if row[3] is None else row[3], row[2]) for row in rows}


def held(connection: sqlite3.Connection, topic: str, source: Source) -> Held | None:
    """What this node can give of one source; ``None`` when it does not know it."""
    row = connection.execute(
        "SELECT s.last, (SELECT min(sequence) FROM messages WHERE source = s.id) FROM sources s "
        "JOIN topics t ON t.id = s.topic WHERE t.topic = ? AND s.node = ? AND s.journal = ?",
        (topic, *source),
    ).fetchone()
    return None if row is None or not row[0] else Held(row[0] + 1 if row[1] is None else row[1], row[0])


def give(connection: sqlite3.Connection, topic: str, source: Source, after: int, room: int) -> list[Bundle]:
    """Messages of a source with numbers over ``after``, in order, with their carries: about ``room`` bytes, or one."""
    rows = connection.execute(
        "SELECT m.sequence, m.message, m.proof, m.place FROM messages m JOIN sources s ON s.id = m.source "
        "JOIN topics t ON t.id = s.topic WHERE t.topic = ? AND s.node = ? AND s.journal = ? AND m.sequence > ? "
        "ORDER BY m.sequence LIMIT ?",
        (topic, *source, after, _GIVE_ROWS),
    )
    runs: list[tuple[int, int, list[bytes]]] = []
    size = 0
    for _, message, proof, place in rows:
        size += len(message)
        if size > room and runs:
            break
        run = runs[-1] if runs else None
        if run is not None and run[0] == proof and run[1] + len(run[2]) == place:
            run[2].append(message)
        else:
            runs.append((proof, place, [message]))
            size += _CARRY_COST
    return [
        Bundle(
            connection.execute("SELECT raw FROM proofs WHERE id = ?", (proof,)).fetchone()[0], place, tuple(messages)
        )
        for proof, place, messages in runs
    ]


# What a carry adds to its messages, about, in bytes.
_CARRY_COST: Final = 2048
