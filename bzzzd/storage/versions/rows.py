"""The tables of versions: how one is added, numbered and found. Statements over the journal's connection.

Numbers, heads and counts are kept with the rows, so reading one version of a long history costs
what reading one of a short history does. Nearly every version goes to the end of its history,
which can be told without looking at the rest; else the whole history is ordered again.
"""

from __future__ import annotations

import hashlib
import sqlite3
from typing import Final

import msgspec
from msgspec import Struct

from bzzzd.errors import BadInput, Conflict, NotFound
from bzzzd.storage.journal.journal import Schema
from bzzzd.storage.versions import copies
from bzzzd.storage.versions.content import Blob, ContentStore
from bzzzd.storage.versions.letting_go import was_let_go
from bzzzd.ucxl.address import WILDCARD, Address, matches, parse
from bzzzd.ucxl.history import Entry, comes_last, heads, order, resolve
from bzzzd.ucxl.version import VersionHeader, read_version

SCHEMA: Final = Schema(
    "context",
    1,
    (
        # `heads` are ids, one after the other; `latest_at` and `latest_id` the greatest (at, id) of the
        # history; `awaited` tells that one of its versions names a parent that is not here.
        "CREATE TABLE IF NOT EXISTS addresses (id INTEGER PRIMARY KEY, address TEXT NOT NULL UNIQUE, "
        "agent TEXT NOT NULL, role TEXT NOT NULL, project TEXT NOT NULL, task TEXT NOT NULL, "
        "versions INTEGER NOT NULL, heads BLOB NOT NULL, latest_at REAL NOT NULL, latest_id BLOB NOT NULL, "
        "awaited INTEGER NOT NULL) STRICT",
        "CREATE INDEX IF NOT EXISTS addresses_task ON addresses (task, project)",
        "CREATE TABLE IF NOT EXISTS versions (id BLOB PRIMARY KEY, address INTEGER NOT NULL, number INTEGER NOT NULL, "
        "writer BLOB NOT NULL, writer_role TEXT NOT NULL, content BLOB NOT NULL, size INTEGER NOT NULL, "
        "header BLOB NOT NULL, chain BLOB NOT NULL) STRICT",
        "CREATE INDEX IF NOT EXISTS versions_number ON versions (address, number)",
        "CREATE INDEX IF NOT EXISTS versions_content ON versions (content)",
        # The grant chains that versions were written under, by the SHA-256 of `chain`.
        "CREATE TABLE IF NOT EXISTS chains (digest BLOB PRIMARY KEY, chain BLOB NOT NULL) STRICT",
    ),
)
_VERSION: Final = (
    "SELECT v.id, a.address, v.number, a.versions, a.heads, v.header, v.writer, v.writer_role, v.content, v.size, "
    "c.hash IS NOT NULL, c.data, c.sealed FROM versions v JOIN addresses a ON a.id = v.address "
    "LEFT JOIN content c ON c.hash = v.content "
)
_ADD_ADDRESS: Final = (
    "INSERT INTO addresses (address, agent, role, project, task, versions, heads, latest_at, latest_id, awaited) "
    "VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?, ?) ON CONFLICT (address) DO NOTHING"
)
_ADD_VERSION: Final = (
    "INSERT INTO versions (id, address, number, writer, writer_role, content, size, header, chain) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
)
# Content for a version that was known by its header alone, or whose content was lost.
_COMPLETE: Final = (
    "UPDATE versions SET content = ?, size = ? WHERE id = ? "
    "AND NOT EXISTS (SELECT 1 FROM content WHERE hash = versions.content)"
)
# Versions at one address that nothing unites. Far more than people or agents make by chance, and
# each of them costs every later writer there.
MAX_HEADS: Final = 1000
MAX_PAGE: Final = 1000
_ID_DIGITS: Final = 64
_CHAIN: Final = msgspec.msgpack.Decoder(tuple[bytes, ...])


class Pending(Struct, frozen=True):
    """A version that was checked, ready for ``insert``; ``writer`` is its author's public key.

    ``chain`` is the writer's grant chain. ``here`` is false for a header whose content others hold.
    ``owed`` are the nodes (keys) that shall hold it too, from the Unix time ``due`` on.
    """

    id: str
    header: VersionHeader
    raw: bytes
    writer: bytes
    writer_role: str
    blob: Blob
    chain: tuple[bytes, ...] = ()
    here: bool = True
    owed: tuple[bytes, ...] = ()
    due: float = 0.0


class VersionRow(Struct, frozen=True):
    """One version: ``number`` of ``of`` at its base ``address``; ``heads`` are those of the whole address.

    ``here`` tells whether this node has its content.
    """

    id: str
    address: str
    number: int
    of: int
    heads: tuple[str, ...]
    header: VersionHeader
    raw: bytes
    writer: bytes
    writer_role: str
    blob: Blob
    here: bool = True

    @property
    def conflict(self) -> bool:
        """Whether the address has versions that know nothing of each other and that nothing unites yet."""
        return len(self.heads) > 1


class Listed(Struct, frozen=True):
    """An address with how many versions and heads it has, and its latest version."""

    address: str
    versions: int
    heads: int
    latest: str
    header: VersionHeader


class Listing(Struct, frozen=True):
    """``next`` continues the list when given as ``after``; ``None`` at its end."""

    entries: tuple[Listed, ...]
    next: str | None


class Step(Struct, frozen=True):
    """One version in a history."""

    number: int
    id: str
    head: bool
    header: VersionHeader


class History(Struct, frozen=True):
    """Versions by number; ``next`` continues when given as ``after``.

    ``complete`` is false when some holder of the address could not be asked.
    """

    address: str
    steps: tuple[Step, ...]
    of: int
    heads: tuple[str, ...]
    next: int | None
    complete: bool = True


def insert(connection: sqlite3.Connection, pending: Pending) -> str:
    """Add a version, and give its id; repeating it is harmless.

    Raises ``Conflict`` when ``MAX_HEADS`` versions at its address wait to be united already.
    """
    header, id = pending.header, bytes.fromhex(pending.id)
    fresh = _add_address(connection, header, id)
    if fresh is not None:
        _add_version(connection, pending, fresh, 1)
        return pending.id
    address, versions, head_ids, latest_at, latest_id, awaited = connection.execute(
        "SELECT id, versions, heads, latest_at, latest_id, awaited FROM addresses WHERE address = ?", (header.address,)
    ).fetchone()
    if not _add_version(connection, pending, address, versions + 1):
        _complete(connection, pending)
        return pending.id
    current = _ids(head_ids)
    latest = latest_at, latest_id.hex()
    entry = Entry(pending.id, header.parents, header.at)
    if comes_last(entry, latest, current, bool(awaited)):
        others = [parent for parent in header.parents if parent not in current]
        awaited = not all(_is_at(connection, parent, address) for parent in others)
        current = [*(head for head in current if head not in header.parents), pending.id]
    else:
        current, awaited = _order_again(connection, address)
    if len(current) > MAX_HEADS:
        raise Conflict(
            f"{header.address} has {MAX_HEADS} versions that know nothing of each other: "
            "write one with some of the heads as its parents first",
            address=header.address,
        )
    newest_at, newest_id = max(latest, entry.key)
    connection.execute(
        "UPDATE addresses SET versions = ?, heads = ?, latest_at = ?, latest_id = ?, awaited = ? WHERE id = ?",
        (versions + 1, bytes.fromhex("".join(current)), newest_at, bytes.fromhex(newest_id), awaited, address),
    )
    return pending.id


def _add_address(connection: sqlite3.Connection, header: VersionHeader, id: bytes) -> int | None:
    """The row of an address whose first version is ``id``; ``None`` when there is one already."""
    address = parse(header.address)
    row = connection.execute(
        _ADD_ADDRESS,
        (
            header.address,
            address.agent,
            address.role,
            address.project,
            address.task,
            id,
            header.at,
            id,
            bool(header.parents),
        ),
    )
    return row.lastrowid if row.rowcount else None


def _add_version(connection: sqlite3.Connection, pending: Pending, address: int, number: int) -> bool:
    """Whether it was new."""
    added = connection.execute(
        _ADD_VERSION,
        (
            bytes.fromhex(pending.id),
            address,
            number,
            pending.writer,
            pending.writer_role,
            pending.blob.hash,
            pending.blob.size,
            pending.raw,
            _add_chain(connection, pending.chain),
        ),
    ).rowcount
    if added and pending.here:
        ContentStore.insert(connection, pending.blob)
        copies.owe(connection, pending.id, pending.owed, pending.due)
    return added == 1


def _add_chain(connection: sqlite3.Connection, chain: tuple[bytes, ...]) -> bytes:
    raw = msgspec.msgpack.encode(chain)
    digest = hashlib.sha256(raw).digest()
    connection.execute("INSERT OR IGNORE INTO chains (digest, chain) VALUES (?, ?)", (digest, raw))
    return digest


def _complete(connection: sqlite3.Connection, pending: Pending) -> None:
    """Give content to a version that is known and has none here."""
    if not pending.here:
        return
    blob, id = pending.blob, bytes.fromhex(pending.id)
    if was_let_go(connection, id):
        return
    if connection.execute(_COMPLETE, (blob.hash, blob.size, id)).rowcount:
        ContentStore.insert(connection, blob)
        copies.owe(connection, pending.id, pending.owed, pending.due)


def chain_of(connection: sqlite3.Connection, id: str) -> tuple[bytes, ...]:
    """The grant chain under which a version was written; empty when it is not known."""
    row = connection.execute(
        "SELECT c.chain FROM versions v JOIN chains c ON c.digest = v.chain WHERE v.id = ?", (bytes.fromhex(id),)
    ).fetchone()
    return _CHAIN.decode(row[0]) if row is not None else ()


def _is_at(connection: sqlite3.Connection, id: str, address: int) -> bool:
    row = connection.execute("SELECT address FROM versions WHERE id = ?", (bytes.fromhex(id),)).fetchone()
    return row is not None and row[0] == address


def _order_again(connection: sqlite3.Connection, address: int) -> tuple[list[str], bool]:
    rows = connection.execute("SELECT id, header, number FROM versions WHERE address = ?", (address,))
    was = {id.hex(): (read_version(raw), number) for id, raw, number in rows}
    ordered = order(Entry(id, header.parents, header.at) for id, (header, _) in was.items())
    connection.executemany(
        "UPDATE versions SET number = ? WHERE id = ?",
        [(number, bytes.fromhex(entry.id)) for number, entry in enumerate(ordered, 1) if was[entry.id][1] != number],
    )
    return list(heads(ordered)), any(parent not in was for entry in ordered for parent in entry.parents)


def _ids(joined: bytes) -> list[str]:
    text = joined.hex()
    return [text[at : at + _ID_DIGITS] for at in range(0, len(text), _ID_DIGITS)]


def _place(connection: sqlite3.Connection, address: str) -> tuple[int, int, list[str]]:
    row = connection.execute("SELECT id, versions, heads FROM addresses WHERE address = ?", (address,)).fetchone()
    if row is None:
        raise NotFound(f"nothing is stored at {address}", address=address)
    return int(row[0]), int(row[1]), _ids(row[2])


def _row(connection: sqlite3.Connection, where: str, values: tuple[object, ...]) -> VersionRow | None:
    found = connection.execute(_VERSION + where, values).fetchone()
    if found is None:
        return None
    id, address, number, of, head_ids, raw, writer, role, hash, size, here, data, sealed = found
    current = tuple(_ids(head_ids))
    blob = Blob(hash, size, data, sealed or b"")
    return VersionRow(id.hex(), address, number, of, current, read_version(raw), raw, writer, role, blob, bool(here))


def find(connection: sqlite3.Connection, address: Address) -> VersionRow:
    """The one version that the temporal part of ``address`` picks; ``NotFound`` or ``BadInput`` (for ``*~``)."""
    place, count, _ = _place(connection, address.base)
    picked = resolve(address.temporal, count)
    if len(picked) != 1 or address.temporal.type == "any":
        raise BadInput("*~ names every version: ask for the history, or for one of them, like *^ or *~1")
    row = _row(connection, "WHERE v.address = ? AND v.number = ?", (place, picked[0]))
    if row is None:
        raise NotFound(f"version {picked[0]} of {address.base} is not here", address=address.base)
    return row


def find_id(connection: sqlite3.Connection, id: str) -> VersionRow:
    """The version with this id; ``NotFound``."""
    row = _row(connection, "WHERE v.id = ?", (bytes.fromhex(id),))
    if row is None:
        raise NotFound(f"version {id} is not here", version_id=id)
    return row


def current_heads(connection: sqlite3.Connection, base: str) -> tuple[str, ...]:
    """The heads of an address, in order; empty when nothing is stored there."""
    row = connection.execute("SELECT heads FROM addresses WHERE address = ?", (base,)).fetchone()
    return tuple(_ids(row[0])) if row else ()


def awaits(connection: sqlite3.Connection, base: str) -> bool:
    """Whether a version of an address names a parent that is not here."""
    row = connection.execute("SELECT awaited FROM addresses WHERE address = ?", (base,)).fetchone()
    return row is not None and bool(row[0])


def writer_heads(connection: sqlite3.Connection, base: str, writer: bytes, limit: int) -> tuple[list[bytes], int]:
    """The signed headers that make up one writer's head, newest last, and the address's count of versions.

    The writer's newest version is among them even when others have built on it: it tells how far
    this writer has come.
    """
    place, count, current = _place(connection, base)
    newest = connection.execute(
        "SELECT number, header FROM versions WHERE address = ? AND writer = ? ORDER BY number DESC LIMIT 1",
        (place, writer),
    ).fetchone()
    if newest is None:
        raise NotFound(f"this writer has no version at {base}", address=base)
    found = {newest[0]: newest[1]}
    for id in current[::-1]:
        row = connection.execute(
            "SELECT number, header FROM versions WHERE id = ? AND writer = ?", (bytes.fromhex(id), writer)
        ).fetchone()
        if row is not None and len(found) < limit:
            found[row[0]] = row[1]
    return [found[number] for number in sorted(found)], count


def history(connection: sqlite3.Connection, base: str, after: int, limit: int) -> History:
    """Versions with numbers over ``after``, at most ``limit``; ``NotFound`` when nothing is stored there."""
    place, count, current = _place(connection, base)
    limit = max(1, min(limit, MAX_PAGE))
    rows = connection.execute(
        "SELECT number, id, header FROM versions WHERE address = ? AND number > ? ORDER BY number LIMIT ?",
        (place, after, limit),
    )
    steps = tuple(Step(number, id.hex(), id.hex() in current, read_version(raw)) for number, id, raw in rows)
    last = steps[-1].number if steps else count
    return History(base, steps, count, tuple(current), last if last < count else None)


def listing(connection: sqlite3.Connection, pattern: Address | None, after: str, limit: int) -> Listing:
    """Addresses that ``pattern`` finds, in their order, from the one behind ``after``; at most ``limit``."""
    limit = max(1, min(limit, MAX_PAGE))
    wanted = (
        []
        if pattern is None
        else [
            (column, value)
            for column, value in zip(
                ("agent", "role", "project", "task"),
                (pattern.agent, pattern.role, pattern.project, pattern.task),
                strict=True,
            )
            if value != WILDCARD
        ]
    )
    rows = connection.execute(
        "SELECT a.address, a.versions, a.heads, v.id, v.header FROM addresses a "  # noqa: S608 - columns named above
        "JOIN versions v ON v.address = a.id AND v.number = a.versions WHERE a.address > ? "
        + "".join(f"AND a.{column} = ? " for column, _ in wanted)
        + "ORDER BY a.address",
        (after, *(value for _, value in wanted)),
    )
    found: list[Listed] = []
    for address, versions, head_ids, id, raw in rows:
        if pattern is None or matches(pattern, parse(address)):
            if len(found) == limit:
                return Listing(tuple(found), found[-1].address)
            found.append(Listed(address, versions, len(head_ids) // 32, id.hex(), read_version(raw)))
    return Listing(tuple(found), None)
