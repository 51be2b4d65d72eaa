"""Mesh messages kept: numbers for what this node sends, memory of what it has heard, a ring for each topic.

A number is written before its message leaves, and the name of the numbering is new at each start, so neither a
crash nor a disk that was put back gives one number to two messages. What arrives is taken once: the position of each
source says up to where it is done with, and the digests of the authors' signed bytes keep out what comes again by
another way. Both are bounded; below their lower edge everything counts as old, never as new.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from bzzzd.crypto.envelope import Envelope
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import NotFound
from bzzzd.storage.journal.journal import Journal
from bzzzd.storage.messages import ring
from bzzzd.storage.messages.carry import Bundle, Carry, Message, Received, digest_of, seal_carry, signed_digest
from bzzzd.storage.messages.ring import SCHEMA, Limits, Page, Position, Ring, Stored
from bzzzd.storage.messages.sources import Held, Link, Source

__all__ = ["SCHEMA", "Accepted", "Clone", "Limits", "MessageStore", "Page", "Published", "Skip", "Stored"]

Verdict = Literal["new", "repeated", "old", "skipped"]


class Skip(Struct, frozen=True):
    """A number that is done with although nothing is kept: refused, or given up. Those below it are as well."""

    source: Source
    number: int


class Published(Struct, frozen=True):
    """``numbers`` count within the topic, one for each message; ``bundle`` is to be sent, ``None`` when none is new.

    ``last`` is this node's own last number on the topic, ``after`` what its first one follows.
    """

    numbers: tuple[int, ...]
    bundle: Bundle | None
    last: int
    after: Link | None = None


class Accepted(Struct, frozen=True):
    """What became of an arrival: ``number`` is its place in the topic when it is ``new``.

    ``repeated``: known already, by its number or from another node. ``old``: below what is remembered.
    """

    verdict: Verdict
    number: int | None = None


class Clone(Struct, frozen=True):
    """A node that was seen running twice, or whose disk was put back: ``journal`` is where two ways went on."""

    node: bytes
    journal: str
    topic: str
    at: float


class Topic(Struct, frozen=True):
    """A topic that this node keeps; ``followed`` is the Unix time when somebody here last listened to it."""

    name: str
    last: int
    followed: float | None
    positions: tuple[Position, ...]


class MessageStore:
    """Messages of this node (whose key signs the numbering) in ``journal``, which has ``SCHEMA``."""

    def __init__(self, journal: Journal, key: SigningKey, mesh_id: str, limits: Limits | None = None) -> None:
        self._journal = journal
        self._key = key
        self._mesh_id = mesh_id
        self._limits = limits or Limits()
        self._name = secrets.token_hex(16)

    @property
    def own(self) -> Source:
        """The numbering of what this node sends now."""
        return Source(self._key.public, self._name)

    @property
    def incarnation(self) -> str:
        """Names the topics' own numbers, which go on over restarts."""
        return self._journal.incarnation

    def rename(self) -> None:
        """Go on under another name: somebody else numbers under this one."""
        self._name = secrets.token_hex(16)

    async def publish(
        self, topic: str, messages: Sequence[tuple[Envelope, Message]]
    ) -> tuple[Published, asyncio.Future[None]]:
        """Number and keep verified messages of local authors.

        When it returns no crash of this process can undo it, so the bundle may leave; when the future is done no
        crash of the machine can, so the authors may be answered. One between the two is as a disk put back: peers
        have what left, and give it back.
        """
        name = self._name
        written = self._journal.write_soft(lambda connection: self.add_outgoing(connection, topic, name, messages))
        synced = self._journal.sync()
        try:
            return await written, synced
        except BaseException:
            synced.cancel()
            raise

    async def accept(self, topic: str, arrivals: Sequence[Received | Skip]) -> list[Accepted]:
        """Keep what arrived, in the order given, which is that of ``order.Tracker``.

        A crash of the machine may undo the newest; positions go with them, so peers give them again.
        """
        return await self._journal.write_soft(lambda connection: self.add_incoming(connection, topic, arrivals))

    async def differs(self, topic: str, numbered: Sequence[tuple[Source, int, bytes]]) -> list[Source]:
        """The sources that gave one of these numbers to another message than that with this ``digest_of``."""
        return await self._journal.read(lambda connection: _differs(connection, topic, numbered))

    async def read(self, topic: str, after: int, limit: int = 256) -> Page:
        """The messages of ``topic`` with numbers over ``after``, oldest first, at most ``limit``.

        Raises ``NotFound`` when the topic never had a number ``after`` (a cursor of another journal).
        """
        found = await self._journal.read(lambda connection: ring.page(connection, topic, after, limit))
        if after > found.last:
            raise NotFound(f"topic {topic!r} has no message number {after}; its last is {found.last}", last=found.last)
        return found

    async def latest(self, topic: str, limit: int) -> tuple[Stored, ...]:
        """The newest messages of ``topic``, oldest first; none for a topic that never had one."""

        def work(connection: sqlite3.Connection) -> tuple[Stored, ...]:
            row = connection.execute("SELECT last FROM topics WHERE topic = ?", (topic,)).fetchone()
            return ring.page(connection, topic, max(0, row[0] - limit), limit).items if row else ()

        return await self._journal.read(work)

    async def give(self, topic: str, source: Source, after: int, room: int) -> tuple[list[Bundle], Held | None]:
        """For a peer: messages of ``source`` after a number, about ``room`` bytes of them, and what there is in all."""
        return await self._journal.read(
            lambda connection: (
                ring.give(connection, topic, source, after, room),
                ring.held(connection, topic, source),
            )
        )

    async def heads(self, topics: Sequence[str]) -> dict[str, dict[Source, Held]]:
        """What can be given of these topics."""
        return await self._journal.read(
            lambda connection: {topic: found for topic in topics if (found := ring.heads(connection, topic))}
        )

    async def topics(self) -> list[Topic]:
        """Every topic that is kept."""

        def work(connection: sqlite3.Connection) -> list[Topic]:
            rows = connection.execute("SELECT topic, last, followed FROM topics ORDER BY followed").fetchall()
            return [
                Topic(name, last, followed, tuple(ring.positions(connection, name))) for name, last, followed in rows
            ]

        return await self._journal.read(work)

    async def follow(self, topic: str, at: float | None) -> None:
        """Remember that somebody here listens to ``topic`` at the Unix time ``at``; ``None`` ends that."""

        def work(connection: sqlite3.Connection) -> None:
            Ring(connection, topic, self._limits)
            connection.execute("UPDATE topics SET followed = ? WHERE topic = ?", (at, topic))

        await self._journal.write(work)

    async def clones(self) -> list[Clone]:
        """Nodes that were seen running twice."""
        rows = await self._journal.read(
            lambda connection: connection.execute(
                "SELECT node, journal, topic, at FROM clones ORDER BY at DESC LIMIT 256"
            ).fetchall()
        )
        return [Clone(*row) for row in rows]

    async def add_clone(self, clone: Clone) -> bool:
        """Remember it; ``False`` when it is known."""
        return await self._journal.write(
            lambda connection: (
                connection.execute(
                    "INSERT OR IGNORE INTO clones VALUES (?, ?, ?, ?)",
                    (clone.node, clone.journal, clone.topic, clone.at),
                ).rowcount
                > 0
            )
        )

    async def settled(self) -> dict[bytes, float]:
        """Until when what was seen of a node is settled: somebody has looked."""
        return await self._journal.read(
            lambda connection: dict(connection.execute("SELECT node, at FROM clones_settled").fetchall())
        )

    async def settle(self, node: bytes, at: float) -> None:
        """Remember that what was seen of ``node`` up to the Unix time ``at`` is settled; its clones stay known."""
        await self._journal.write(
            lambda connection: connection.execute("INSERT OR REPLACE INTO clones_settled VALUES (?, ?)", (node, at))
        )

    async def chains(self, most: int) -> list[tuple[bytes, tuple[bytes, ...]]]:
        """Grant chains of those whose messages are kept, the oldest first; older ones than ``most`` are dropped."""

        def work(connection: sqlite3.Connection) -> list[tuple[bytes, bytes]]:
            connection.execute(
                "DELETE FROM speakers WHERE key IN (SELECT key FROM speakers ORDER BY at DESC LIMIT -1 OFFSET ?)",
                (most,),
            )
            return connection.execute("SELECT key, chain FROM speakers ORDER BY at").fetchall()

        rows = await self._journal.write(work)
        return [(key, msgspec.msgpack.decode(chain, type=tuple[bytes, ...])) for key, chain in rows]

    async def add_chain(self, key: bytes, chain: tuple[bytes, ...], at: float) -> None:
        """Keep the grant chain of ``key``, in place of an earlier one."""
        raw = msgspec.msgpack.encode(chain)
        await self._journal.write_soft(
            lambda connection: connection.execute("INSERT OR REPLACE INTO speakers VALUES (?, ?, ?)", (key, raw, at))
        )

    def add_outgoing(
        self, connection: sqlite3.Connection, topic: str, name: str, messages: Sequence[tuple[Envelope, Message]]
    ) -> Published:
        """``publish`` as a part of a larger ``journal.write``."""
        kept = Ring(connection, topic, self._limits)
        source = Source(self._key.public, name)
        after = Link(kept.own_journal, kept.own_last) if kept.own_journal not in (None, name) else None
        first = kept.source(source, after)[1] + 1
        digests = [signed_digest(envelope) for envelope, _ in messages]
        known = [kept.known(digest) for digest in digests]
        fresh = {digest: one for digest, number, one in zip(digests, known, messages, strict=True) if number is None}
        if not fresh:
            return Published(tuple(number or 0 for number in known), None, first - 1)
        raws = tuple(envelope.raw for envelope, _ in fresh.values())
        carry = Carry(name, topic, first, after if first == 1 else None, tuple(map(digest_of, raws)))
        proof = seal_carry(self._key, self._mesh_id, carry)
        numbers = {
            digest: kept.append(source, first + place, envelope.author, message.at, envelope.raw, digest, proof, place)
            for place, (digest, (envelope, message)) in enumerate(fresh.items())
        }
        kept.own_journal, kept.own_last = name, first + len(raws) - 1
        kept.close()
        given = tuple(numbers.get(digest) or number or 0 for digest, number in zip(digests, known, strict=True))
        return Published(given, Bundle(proof, 0, raws), kept.own_last, carry.after and Link(*carry.after))

    def add_incoming(
        self, connection: sqlite3.Connection, topic: str, arrivals: Sequence[Received | Skip]
    ) -> list[Accepted]:
        """``accept`` as a part of a larger ``journal.write``."""
        kept = Ring(connection, topic, self._limits)
        found = [self._take(kept, arrival) for arrival in arrivals]
        kept.close()
        return found

    @staticmethod
    def _take(kept: Ring, arrival: Received | Skip) -> Accepted:
        if isinstance(arrival, Skip):
            kept.reach(arrival.source, arrival.number)
            return Accepted("skipped")
        if arrival.number <= kept.source(arrival.source, arrival.after)[1]:
            return Accepted("repeated")
        kept.reach(arrival.source, arrival.number)
        if kept.known(arrival.digest) is not None:
            return Accepted("repeated")
        at = arrival.message.at
        if kept.too_old(at):
            return Accepted("old")
        number = kept.append(
            arrival.source, arrival.number, arrival.author, at, arrival.raw, arrival.digest, arrival.proof,
            arrival.index,
        )  # fmt: skip
        return Accepted("new", number)


def _differs(connection: sqlite3.Connection, topic: str, numbered: Sequence[tuple[Source, int, bytes]]) -> list[Source]:
    found = []
    for source, number, digest in numbered:
        row = connection.execute(
            "SELECT m.message FROM messages m JOIN sources s ON s.id = m.source JOIN topics t ON t.id = s.topic "
            "WHERE t.topic = ? AND s.node = ? AND s.journal = ? AND m.sequence = ?",
            (topic, *source, number),
        ).fetchone()
        if row is not None and digest_of(row[0]) != digest:
            found.append(source)
    return found
