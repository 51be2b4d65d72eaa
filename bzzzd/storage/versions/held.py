"""What this node holds, for other nodes: which versions, beyond which others, under which addresses.

Statements over the journal's connection. A version is *held* when its content is here too.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from bzzzd.storage.versions.adopt import Carried
from bzzzd.storage.versions.letting_go import was_let_go
from bzzzd.storage.versions.naming import HASH_BYTES
from bzzzd.ucxl.version import read_version

_PAGE: Final = 500
_CARRIED: Final = (
    "SELECT v.header, h.chain, v.content, v.size, c.sealed, c.hash IS NOT NULL, v.id FROM versions v "
    "JOIN chains h ON h.digest = v.chain LEFT JOIN content c ON c.hash = v.content "
)
_CHAIN: Final = msgspec.msgpack.Decoder(tuple[bytes, ...])


class Place(Struct, frozen=True):
    """An address with its row's number, by which pages continue."""

    row: int
    base: str


class HeldVersion(Struct, frozen=True):
    """A version of an address: its content's name and size, whether that is here, when it was written."""

    id: str
    number: int
    hash: bytes
    size: int
    here: bool
    at: float
    head: bool


def ids_digest(ids: Iterable[bytes]) -> bytes:
    """One hash for a set of version ids: two nodes with equal ones know the same versions."""
    return hashlib.sha256(b"".join(sorted(ids))).digest()


def lacking(connection: sqlite3.Connection, ids: Sequence[bytes]) -> list[bytes]:
    """Those of ``ids`` that are not held here, and not let go by the retention rule either."""
    return [
        id
        for id in ids
        if connection.execute(
            "SELECT 1 FROM versions v JOIN content c ON c.hash = v.content WHERE v.id = ?", (id,)
        ).fetchone()
        is None
        and not was_let_go(connection, id)
    ]


def let_go(connection: sqlite3.Connection, ids: Sequence[bytes]) -> frozenset[bytes]:
    """Those of ``ids`` whose content went by the retention rule, which is the same on all nodes."""
    return frozenset(id for id in ids if was_let_go(connection, id))


def ids_at(connection: sqlite3.Connection, base: str) -> list[bytes]:
    """The ids of every version that is known of an address."""
    rows = connection.execute(
        "SELECT v.id FROM versions v JOIN addresses a ON a.id = v.address WHERE a.address = ?", (base,)
    )
    return [id for (id,) in rows]


def beyond(
    connection: sqlite3.Connection, base: str, have: frozenset[bytes], limit: int, most_bytes: int
) -> tuple[list[Carried], bool]:
    """Versions of an address that are not among ``have``, oldest first, without content; and whether there are more.

    One whose writer's grants are not known here is left out: nobody would take it.
    """
    rows = connection.execute(
        _CARRIED + "JOIN addresses a ON a.id = v.address WHERE a.address = ? ORDER BY v.number", (base,)
    )
    found: list[Carried] = []
    total = 0
    for header, chain, hash, size, sealed, _, id in rows:
        if id in have or not (grants := _CHAIN.decode(chain)):
            continue
        carried = Carried(header, grants, hash, size, sealed or b"")
        total += carried.weight
        if len(found) == limit or total > most_bytes:
            return found, True
        found.append(carried)
    return found, False


def places(connection: sqlite3.Connection, after: int, limit: int = _PAGE) -> list[Place]:
    """Addresses behind the row ``after``."""
    rows = connection.execute("SELECT id, address FROM addresses WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
    return [Place(row, base) for row, base in rows]


def versions_at(connection: sqlite3.Connection, row: int) -> list[HeldVersion]:
    """The versions of an address by number."""
    found = connection.execute("SELECT heads FROM addresses WHERE id = ?", (row,)).fetchone()
    heads = found[0] if found is not None else b""
    current = {heads[at : at + HASH_BYTES] for at in range(0, len(heads), HASH_BYTES)}
    rows = connection.execute(
        "SELECT v.id, v.number, v.content, v.size, c.hash IS NOT NULL, v.header FROM versions v "
        "LEFT JOIN content c ON c.hash = v.content WHERE v.address = ? ORDER BY v.number",
        (row,),
    )
    return [
        HeldVersion(id.hex(), number, hash, size, bool(here), read_version(raw).at, id in current)
        for id, number, hash, size, here, raw in rows
    ]


def writers_at(connection: sqlite3.Connection, base: str) -> list[bytes]:
    """The keys of those who have written at an address."""
    rows = connection.execute(
        "SELECT DISTINCT v.writer FROM versions v JOIN addresses a ON a.id = v.address WHERE a.address = ?", (base,)
    )
    return [writer for (writer,) in rows]
