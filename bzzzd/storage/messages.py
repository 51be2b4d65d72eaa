"""Mesh messages kept: numbers for what this node sends, memory of what it has heard, a ring per topic.

A number is durable before its message leaves, so a crash never gives one number to two messages.
Two memories keep what arrives from being taken twice: by (node, journal, number), which also shows
a node that runs twice (one number, two messages), and by the author's signed bytes, whoever
carried them. Both are bounded; below its lower edge everything counts as old, never as new.
"""

from __future__ import annotations

import sqlite3
from typing import Final, Literal

from msgspec import Struct

from bzzzd.crypto.envelope import Envelope
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import NotFound
from bzzzd.storage.carry import Carry, Message, Received, own_digest, seal_carry, signed_digest
from bzzzd.storage.journal import Journal, Schema

SCHEMA: Final = Schema(
    "messages",
    1,
    (
        "CREATE TABLE IF NOT EXISTS topics (topic TEXT PRIMARY KEY, last INTEGER NOT NULL, first INTEGER NOT NULL, "
        "bytes INTEGER NOT NULL, heard INTEGER NOT NULL, horizon REAL NOT NULL) STRICT, WITHOUT ROWID",
        "CREATE TABLE IF NOT EXISTS messages (topic TEXT NOT NULL, number INTEGER NOT NULL, node BLOB NOT NULL, "
        "journal TEXT NOT NULL, sequence INTEGER NOT NULL, author BLOB NOT NULL, at REAL NOT NULL, "
        "message BLOB NOT NULL, PRIMARY KEY (topic, number)) STRICT",
        "CREATE INDEX IF NOT EXISTS messages_sent ON messages (node, journal, sequence)",
        "CREATE TABLE IF NOT EXISTS heard (topic TEXT NOT NULL, digest BLOB NOT NULL, at REAL NOT NULL, "
        "number INTEGER NOT NULL, PRIMARY KEY (topic, digest)) STRICT, WITHOUT ROWID",
        "CREATE INDEX IF NOT EXISTS heard_at ON heard (topic, at)",
        "CREATE TABLE IF NOT EXISTS sources (node BLOB NOT NULL, journal TEXT NOT NULL, last INTEGER NOT NULL, "
        "floor INTEGER NOT NULL, cloned INTEGER, PRIMARY KEY (node, journal)) STRICT, WITHOUT ROWID",
        "CREATE TABLE IF NOT EXISTS seen (node BLOB NOT NULL, journal TEXT NOT NULL, number INTEGER NOT NULL, "
        "digest BLOB NOT NULL, PRIMARY KEY (node, journal, number)) STRICT, WITHOUT ROWID",
    ),
)
KEEP_MESSAGES: Final = 10_000
KEEP_BYTES: Final = 67_108_864
MAX_JOURNALS: Final = 256

Verdict = Literal["new", "repeated", "old", "clone"]


class Limits(Struct, frozen=True):
    """What one topic keeps, and how many numbers of one journal are remembered one by one."""

    messages: int = KEEP_MESSAGES
    bytes: int = KEEP_BYTES
    window: int = KEEP_MESSAGES


class Published(Struct, frozen=True):
    """``number`` counts within the topic; ``carry`` is to be sent, or ``None`` for a message sent before."""

    number: int
    carry: bytes | None


class Accepted(Struct, frozen=True):
    """What became of an arrival: ``number`` is its place in the topic when it is ``new``.

    ``repeated``: known already. ``old``: below what is remembered. ``clone``: its number belongs to
    another message, so two machines run with that node's key and journal.
    """

    verdict: Verdict
    number: int | None = None


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


class Clone(Struct, frozen=True):
    node: bytes
    journal: str
    number: int


class MessageStore:
    """Messages of this node (whose key signs the numbering) in ``journal``, which has ``SCHEMA``."""

    def __init__(self, journal: Journal, key: SigningKey, mesh_id: str, limits: Limits | None = None) -> None:
        self._journal = journal
        self._key = key
        self._mesh_id = mesh_id
        self._limits = limits or Limits()

    async def publish(self, envelope: Envelope, message: Message) -> Published:
        """Number and keep a verified message of a local author; durable when it returns."""
        return await self._journal.write(lambda connection: self.add_outgoing(connection, envelope, message))

    async def accept(self, received: Received) -> Accepted:
        """Keep a message that arrived from the mesh, once."""
        return await self._journal.write(lambda connection: self.add_incoming(connection, received))

    async def read(self, topic: str, after: int, limit: int = 256) -> Page:
        """The messages of ``topic`` with numbers over ``after``, oldest first, at most ``limit``.

        Raises ``NotFound`` when the topic never had a number ``after`` (a cursor of another journal).
        """
        return await self._journal.read(lambda connection: _page(connection, topic, after, limit))

    async def latest(self, topic: str, limit: int) -> tuple[Stored, ...]:
        """The newest messages of ``topic``, oldest first; none for a topic that never had one."""

        def work(connection: sqlite3.Connection) -> tuple[Stored, ...]:
            row = connection.execute("SELECT last FROM topics WHERE topic = ?", (topic,)).fetchone()
            return _page(connection, topic, max(0, row[0] - limit), limit).items if row else ()

        return await self._journal.read(work)

    async def sent_since(self, sequence: int, limit: int = 256) -> list[bytes]:
        """Our own carries with numbers over ``sequence`` that are still kept, in order: for a peer that missed some."""
        rows = await self._journal.read(
            lambda connection: connection.execute(
                "SELECT sequence, topic, message FROM messages "
                "WHERE node = ? AND journal = ? AND sequence > ? ORDER BY sequence LIMIT ?",
                (self._key.public, self._journal.incarnation, sequence, limit),
            ).fetchall()
        )
        journal = self._journal.incarnation
        return [seal_carry(self._key, self._mesh_id, Carry(journal, *row)) for row in rows]

    async def sent_last(self) -> int:
        """The number of the last message that this node sent from this journal; 0 for none."""
        source = self._key.public, self._journal.incarnation
        return await self._journal.read(lambda connection: _source(connection, *source)[0])

    async def clones(self) -> list[Clone]:
        """Nodes that were seen running twice, with the newest number that two messages had."""
        rows = await self._journal.read(
            lambda connection: connection.execute(
                "SELECT node, journal, cloned FROM sources WHERE cloned IS NOT NULL ORDER BY node, journal"
            ).fetchall()
        )
        return [Clone(*row) for row in rows]

    def add_outgoing(self, connection: sqlite3.Connection, envelope: Envelope, message: Message) -> Published:
        """``publish`` as a part of a larger ``journal.write``."""
        digest = signed_digest(envelope)
        known = _heard(connection, message.topic, digest)
        if known is not None:
            return Published(known, None)
        node, journal = self._key.public, self._journal.incarnation
        sequence = _source(connection, node, journal)[0] + 1
        carry = Carry(journal, sequence, message.topic, envelope.raw)
        number = self._append(connection, node, carry, envelope.author, message, digest)
        # Our own numbers are remembered too: one that comes back with another message is our clone.
        self._remember(connection, node, carry, own_digest(node, carry))
        return Published(number, seal_carry(self._key, self._mesh_id, carry))

    def add_incoming(self, connection: sqlite3.Connection, received: Received) -> Accepted:
        """``accept`` as a part of a larger ``journal.write``."""
        carry, node = received.carry, received.node
        place = (node, carry.journal, carry.number)
        row = connection.execute(
            "SELECT digest FROM seen WHERE node = ? AND journal = ? AND number = ?", place
        ).fetchone()
        if row is not None:
            if row[0] == received.carry_digest:
                return Accepted("repeated")
            connection.execute("UPDATE sources SET cloned = ? WHERE node = ? AND journal = ?", (place[2], *place[:2]))
            return Accepted("clone")
        last, floor = _source(connection, node, carry.journal)
        if carry.number <= floor or (last == 0 and self._too_many_journals(connection, node)):
            return Accepted("old")
        self._remember(connection, node, carry, received.carry_digest)
        message = received.message
        if _heard(connection, message.topic, received.message_digest) is not None:
            return Accepted("repeated")
        if message.at <= _horizon(connection, message.topic):
            return Accepted("old")
        return Accepted("new", self._append(connection, node, carry, received.author, message, received.message_digest))

    def _too_many_journals(self, connection: sqlite3.Connection, node: bytes) -> bool:
        (count,) = connection.execute("SELECT count(*) FROM sources WHERE node = ?", (node,)).fetchone()
        return int(count) >= MAX_JOURNALS

    def _remember(self, connection: sqlite3.Connection, node: bytes, carry: Carry, digest: bytes) -> None:
        source = (node, carry.journal)
        connection.execute("INSERT INTO seen VALUES (?, ?, ?, ?)", (*source, carry.number, digest))
        connection.execute(
            "INSERT INTO sources (node, journal, last, floor) VALUES (?, ?, ?, 0) "
            "ON CONFLICT DO UPDATE SET last = max(last, excluded.last)",
            (*source, carry.number),
        )
        last, floor = _source(connection, *source)
        if last - floor > 2 * self._limits.window:
            edge = last - self._limits.window
            connection.execute("UPDATE sources SET floor = ? WHERE node = ? AND journal = ?", (edge, *source))
            connection.execute("DELETE FROM seen WHERE node = ? AND journal = ? AND number <= ?", (*source, edge))

    def _append(
        self, connection: sqlite3.Connection, node: bytes, carry: Carry, author: bytes, message: Message, digest: bytes
    ) -> int:
        topic = carry.topic
        (number, first, size, heard) = connection.execute(
            "INSERT INTO topics VALUES (?, 1, 1, ?, 1, -1) ON CONFLICT DO UPDATE "
            "SET last = last + 1, bytes = bytes + excluded.bytes, heard = heard + 1 "
            "RETURNING last, first, bytes, heard",
            (topic, len(carry.message)),
        ).fetchone()
        connection.execute(
            "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (topic, number, node, carry.journal, carry.number, author, message.at, carry.message),
        )
        connection.execute("INSERT INTO heard VALUES (?, ?, ?, ?)", (topic, digest, message.at, number))
        self._trim(connection, topic, number, first, size)
        # Twice the ring, so that what has left it is still known when it comes again.
        if heard > 4 * self._limits.messages:
            _forget(connection, topic, 2 * self._limits.messages)
        return int(number)

    def _trim(self, connection: sqlite3.Connection, topic: str, last: int, first: int, size: int) -> None:
        start = first
        # A message alone may be larger than the topic's bytes; the newest one always stays.
        while first < last and (last - first >= self._limits.messages or size > self._limits.bytes):
            (gone,) = connection.execute(
                "DELETE FROM messages WHERE topic = ? AND number = ? RETURNING length(message)", (topic, first)
            ).fetchone()
            first, size = first + 1, size - gone
        if first != start:
            connection.execute("UPDATE topics SET first = ?, bytes = ? WHERE topic = ?", (first, size, topic))


def _source(connection: sqlite3.Connection, node: bytes, journal: str) -> tuple[int, int]:
    row = connection.execute(
        "SELECT last, floor FROM sources WHERE node = ? AND journal = ?", (node, journal)
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _heard(connection: sqlite3.Connection, topic: str, digest: bytes) -> int | None:
    row = connection.execute("SELECT number FROM heard WHERE topic = ? AND digest = ?", (topic, digest)).fetchone()
    return int(row[0]) if row else None


def _horizon(connection: sqlite3.Connection, topic: str) -> float:
    row = connection.execute("SELECT horizon FROM topics WHERE topic = ?", (topic,)).fetchone()
    return float(row[0]) if row else -1.0


def _forget(connection: sqlite3.Connection, topic: str, keep: int) -> None:
    """Drop the oldest digests, and with them the right of anything as old to count as new."""
    edge = connection.execute(
        "SELECT at FROM heard WHERE topic = ? ORDER BY at DESC LIMIT 1 OFFSET ?", (topic, keep)
    ).fetchone()
    if edge is not None:
        gone = connection.execute("DELETE FROM heard WHERE topic = ? AND at <= ?", (topic, edge[0])).rowcount
        connection.execute(
            "UPDATE topics SET heard = heard - ?, horizon = max(horizon, ?) WHERE topic = ?", (gone, edge[0], topic)
        )


def _page(connection: sqlite3.Connection, topic: str, after: int, limit: int) -> Page:
    row = connection.execute("SELECT first, last FROM topics WHERE topic = ?", (topic,)).fetchone()
    first, last = (int(row[0]), int(row[1])) if row else (1, 0)
    if after > last:
        raise NotFound(f"topic {topic!r} has no message number {after}; its last is {last}", last=last)
    rows = connection.execute(
        "SELECT number, node, author, at, message FROM messages WHERE topic = ? AND number > ? ORDER BY number LIMIT ?",
        (topic, after, limit),
    ).fetchall()
    return Page(tuple(Stored(*found) for found in rows), first, last, after + 1 < first)
