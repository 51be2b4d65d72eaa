"""Invitations that this node gave out, their uses and wrong proofs, and whom they let in.

An invitation names one inviter, and only that node can take a proof of it: so its journal is the one place
where uses are counted. A use is durable before its grant leaves, in one transaction with the grant; a joiner
that asks again, because the answer was lost, gets the same grant and uses nothing up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from bzzzd.errors import NotFound, Overloaded
from bzzzd.identity.invitation import Ask, Invitation, Standing, check_open, refused
from bzzzd.storage.journal.journal import Journal, Schema

SCHEMA: Final = Schema(
    "invitations",
    1,
    (
        "CREATE TABLE IF NOT EXISTS invitations (id BLOB PRIMARY KEY, record BLOB NOT NULL, used INTEGER NOT NULL, "
        "wrong INTEGER NOT NULL, expires REAL NOT NULL) STRICT, WITHOUT ROWID",
        "CREATE TABLE IF NOT EXISTS invited (key BLOB NOT NULL, invitation BLOB NOT NULL, kind TEXT NOT NULL, "
        "id TEXT NOT NULL, chain BLOB NOT NULL, at REAL NOT NULL, PRIMARY KEY (key, invitation)) STRICT, WITHOUT ROWID",
    ),
)
MAX_OPEN: Final = 1024
# How long after its end an invitation's joiners may still fetch a grant whose answer was lost.
KEEP_S: Final = 7 * 86400.0

_RECORD: Final = msgspec.msgpack.Decoder(Invitation)
_CHAIN: Final = msgspec.msgpack.Decoder(tuple[bytes, ...])


class Kept(Struct, frozen=True):
    invitation: Invitation
    standing: Standing


def _kept(row: Sequence[Any]) -> Kept:
    record, used, wrong, expires = row
    # The column counts: a cancelled invitation ends before the time in its record.
    return Kept(replace(_RECORD.decode(record), expires=expires), Standing(used, wrong))


class Invitations:
    """Over the node's journal. Times are Unix seconds."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def add(self, invitation: Invitation, now: float) -> None:
        """Keep a new one; ``Overloaded`` when too many are open. What has long ended is forgotten."""

        def work(connection: sqlite3.Connection) -> None:
            old = (now - KEEP_S,)
            connection.execute(
                "DELETE FROM invited WHERE invitation IN (SELECT id FROM invitations WHERE expires < ?)", old
            )
            connection.execute("DELETE FROM invitations WHERE expires < ?", old)
            (count,) = connection.execute("SELECT count(*) FROM invitations").fetchone()
            if count >= MAX_OPEN:
                raise Overloaded(f"{count} invitations are kept already; use those, or wait until some have ended")
            connection.execute(
                "INSERT INTO invitations (id, record, used, wrong, expires) VALUES (?, ?, 0, 0, ?)",
                (invitation.id, msgspec.msgpack.encode(invitation), invitation.expires),
            )

        await self._journal.write(work)

    async def find(self, id: bytes) -> Kept:
        """One of them; raises ``InvitationRefused`` for one that this node did not make, or has forgotten."""
        row = await self._journal.read(
            lambda connection: connection.execute(
                "SELECT record, used, wrong, expires FROM invitations WHERE id = ?", (id,)
            ).fetchone()
        )
        if row is None:
            raise refused("unknown", "this node has made no such invitation; have a new one made (bzzz mesh invite)")
        return _kept(row)

    async def all(self, now: float) -> list[Kept]:
        """Those that can still be used, newest last."""
        rows = await self._journal.read(
            lambda connection: connection.execute(
                "SELECT record, used, wrong, expires FROM invitations WHERE expires >= ? ORDER BY expires LIMIT ?",
                (now, MAX_OPEN),
            ).fetchall()
        )
        found = [_kept(row) for row in rows]
        return [kept for kept in found if kept.standing.used < kept.invitation.uses]

    async def wrong(self, id: bytes) -> None:
        """Count a wrong proof, for the whole life of the invitation."""
        await self._journal.write(
            lambda connection: connection.execute("UPDATE invitations SET wrong = wrong + 1 WHERE id = ?", (id,))
        )

    async def cancel(self, id: bytes) -> None:
        """Nobody is let in by it from now on; ``NotFound`` when there is none."""

        def work(connection: sqlite3.Connection) -> None:
            done = connection.execute("UPDATE invitations SET expires = 0 WHERE id = ?", (id,))
            if not done.rowcount:
                raise NotFound("there is no such invitation; bzzz mesh requests lists them")

        await self._journal.write(work)

    async def granted(self, ask: Ask) -> tuple[bytes, ...]:
        """The chain that this very ask's key was given by its invitation; empty when it was given none."""
        row = await self._journal.read(
            lambda connection: connection.execute(
                "SELECT chain FROM invited WHERE key = ? AND invitation = ?", (ask.key, ask.invitation)
            ).fetchone()
        )
        return _CHAIN.decode(row[0]) if row is not None else ()

    async def chains(self) -> list[tuple[bytes, ...]]:
        """Every chain that was given and is still kept."""
        rows = await self._journal.read(
            lambda connection: connection.execute("SELECT chain FROM invited ORDER BY at").fetchall()
        )
        return [_CHAIN.decode(chain) for (chain,) in rows]

    async def spend(self, ask: Ask, chain: Sequence[bytes], now: float) -> tuple[bytes, ...]:
        """Use the invitation once, for this ask; gives the chain that counts, which is an earlier one if there is.

        Raises ``InvitationRefused`` when others were faster.
        """

        def work(connection: sqlite3.Connection) -> tuple[bytes, ...]:
            earlier = connection.execute(
                "SELECT chain FROM invited WHERE key = ? AND invitation = ?", (ask.key, ask.invitation)
            ).fetchone()
            if earlier is not None:
                return _CHAIN.decode(earlier[0])
            row = connection.execute(
                "SELECT record, used, wrong, expires FROM invitations WHERE id = ?", (ask.invitation,)
            ).fetchone()
            if row is None:
                raise refused("unknown", "this invitation is gone; have a new one made (bzzz mesh invite)")
            kept = _kept(row)
            check_open(kept.invitation, kept.standing, now)
            connection.execute("UPDATE invitations SET used = used + 1 WHERE id = ?", (ask.invitation,))
            connection.execute(
                "INSERT INTO invited (key, invitation, kind, id, chain, at) VALUES (?, ?, ?, ?, ?, ?)",
                (ask.key, ask.invitation, ask.kind, ask.id, msgspec.msgpack.encode(tuple(chain)), now),
            )
            return tuple(chain)

        return await self._journal.write(work)
