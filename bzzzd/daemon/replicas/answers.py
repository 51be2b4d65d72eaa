"""What this node answers others about versions: what it lacks, has, takes and knows of an address."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec
import structlog

from bzzzd.daemon.replicas.blobs import BlobDesk
from bzzzd.errors import BzzzError, DiskFull, NotAllowed, NotFound, StorageFailed
from bzzzd.mesh.peer_id import key_of
from bzzzd.storage.journal.journal import Journal
from bzzzd.storage.versions import copies, held, rows
from bzzzd.storage.versions.adopt import Carried
from bzzzd.storage.versions.context import ContextStore, Pending
from bzzzd.storage.versions.questions import (
    MESSAGE_BYTES,
    MOST_VERSIONS,
    Browse,
    Browsed,
    Entry,
    Fetch,
    Find,
    Found,
    Lacking,
    Offer,
    Push,
    Refused,
    Taken,
    encode,
    open_question,
)
from bzzzd.ucxl.address import parse

WAIT: Final = "WAIT"
_NO_ROOM_S: Final = 10.0
_LOG: Final = structlog.get_logger()


class Answers:
    """``again_s``: how long a copy that somebody confirmed is believed before it is asked about again."""

    def __init__(
        self,
        journal: Journal,
        contexts: ContextStore,
        blobs: BlobDesk,
        *,
        spawn: Callable[[str, Any], Any],
        clock: Callable[[], float],
        again_s: float,
        damaged: Callable[[str], None],
        behind: Callable[[str, bytes], None],
    ) -> None:
        self._journal = journal
        self._contexts = contexts
        self._blobs = blobs
        self._spawn = spawn
        self._clock = clock
        self._again_s = again_s
        self._damaged = damaged
        self._behind = behind
        self._no_room_until = 0.0
        self.taken = 0
        self.refused = 0

    async def answer(self, peer_id: str, raw: bytes) -> bytes:
        """Serve ``/bzzz/versions/1``."""
        asked = open_question(raw)
        match asked:
            case Offer():
                return encode(Lacking(tuple(await self._journal.read(partial(held.lacking, ids=asked.ids)))))
            case Push():
                return encode(await self._take(key_of(peer_id), asked.versions))
            case Find():
                return encode(await self._find(asked))
            case Fetch():
                return encode(await self._fetch(asked.id.hex()))
            case _:
                return encode(await self._browse(asked))

    async def _take(self, sender: bytes, versions: tuple[Carried, ...]) -> Taken:
        said = await asyncio.gather(*[self._take_one(sender, carried) for carried in versions])
        refused = tuple(answer for answer in said if answer is not None)
        self.taken += len(versions) - len(refused)
        self.refused += sum(answer.code != WAIT for answer in refused)
        return Taken(refused)

    async def _take_one(self, sender: bytes, carried: Carried) -> Refused | None:
        try:
            id = bytes.fromhex(carried.id)
            if not await self._journal.read(partial(held.lacking, ids=(id,))):
                # It may come under another ciphertext; the one that is here stays.
                await self._journal.write(partial(self._note, id=carried.id, sender=sender))
                return None
            with self._blobs.judging(sender):
                pending = await self._contexts.verify(carried, holder=sender)
            if not pending.here and self._clock() < self._no_room_until:
                return Refused(bytes.fromhex(pending.id), DiskFull.code, "this node's disk is full")
            if not pending.here:
                self._spawn(f"version {pending.id[:12]}", self._fetch_and_take(sender, pending, carried))
                return Refused(bytes.fromhex(pending.id), WAIT, "its content is being fetched")
            await self._add(pending, sender)
        except BzzzError as error:
            return Refused(bytes.fromhex(carried.id), error.code, error.message[:2000])
        return None

    async def _fetch_and_take(self, sender: bytes, pending: Pending, carried: Carried) -> None:
        try:
            blob = await self._blobs.fetch(carried.hash, carried.size, carried.sealed, (sender,))
            pending = msgspec.structs.replace(pending, blob=blob, here=True)
            await self._add(pending, sender)
        except BzzzError as error:
            if isinstance(error, DiskFull):
                self._no_room_until = self._clock() + _NO_ROOM_S
            # The sender offers it again, and the transfer goes on where it was cut.
            _LOG.info("content did not come", version_id=pending.id, error=error)

    async def _add(self, pending: Pending, sender: bytes) -> None:
        if await self._journal.write(partial(self._insert, pending=pending, sender=sender)):
            # Versions whose content was let go are not pushed; their headers belong to the history all the same.
            self._behind(pending.header.address, sender)

    def _insert(self, connection: sqlite3.Connection, pending: Pending, sender: bytes) -> bool:
        """Add a version that the sender holds; whether some parent of its address is still missing."""
        rows.insert(connection, pending)
        self._note(connection, pending.id, sender)
        return rows.awaits(connection, pending.header.address)

    def _note(self, connection: sqlite3.Connection, id: str, sender: bytes) -> None:
        now = self._clock()
        copies.confirm(connection, (id,), sender, now, now + self._again_s)

    async def _find(self, asked: Find) -> Found:
        address = parse(asked.address)
        ids = await self._journal.read(partial(held.ids_at, base=address.base))
        if not ids or held.ids_digest(ids) == asked.digest:
            return Found((), False)
        if asked.have is None:
            return Found((), True)
        have = frozenset(asked.have)
        versions, more = await self._journal.read(
            partial(held.beyond, base=address.base, have=have, limit=MOST_VERSIONS, most_bytes=MESSAGE_BYTES)
        )
        return Found(tuple(await self._with_content(asked.address, versions)), more)

    async def _with_content(self, address: str, versions: list[Carried]) -> list[Carried]:
        """The same, with the content of the version that the asker is about to read, if it is small."""
        try:
            wanted = await self._contexts.show(address)
            place = next((at for at, carried in enumerate(versions) if carried.header == wanted.raw), None)
            if place is not None and wanted.here:
                versions[place] = await self._contexts.carry(wanted.id)
        except StorageFailed:
            self._damaged(wanted.id)
        except BzzzError:  # the address picks nothing here, or every version: headers alone, then
            pass
        return versions

    async def _fetch(self, id: str) -> Carried:
        try:
            row = await self._journal.read(partial(rows.find_id, id=id))
            if row.here:
                return await self._contexts.carry(id)
        except StorageFailed as error:
            self._damaged(id)
            raise StorageFailed("the content is damaged on this node", version_id=id) from error
        raise NotFound(f"the content of version {id} is not on this node", version_id=id)

    async def _browse(self, asked: Browse) -> Browsed:
        pattern = parse(asked.pattern) if asked.pattern else None
        listing = await self._journal.read(partial(rows.listing, pattern=pattern, after=asked.after, limit=asked.limit))
        entries: list[Entry] = []
        for entry in listing.entries:
            try:
                latest = await self._contexts.carry(entry.latest, content=False)
            except NotAllowed:  # its writer's grants are not known here, so nobody else would take it
                continue
            entries.append(Entry(entry.versions, entry.heads, latest))
        return Browsed(tuple(entries), listing.next or "")
