"""Encrypting content again for the epoch in force: what is left, and one version after the other.

A version's id does not change, because it names the plaintext; only the name of its ciphertext does.
What is still to be done is told by the tags that lie beside the ciphertexts, so after a crash it is
simply looked for again. New ciphertext is whole on disk before one transaction puts it in the old
one's place.
"""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from typing import Final, Literal

from msgspec import Struct

from bzzzd.errors import NotReady, StorageFailed
from bzzzd.storage.journal.journal import Journal
from bzzzd.storage.versions import rows
from bzzzd.storage.versions.bulk import LARGE_BYTES
from bzzzd.storage.versions.content import Blob, ContentStore
from bzzzd.storage.versions.large import Opening, Sealing
from bzzzd.storage.versions.rolekeys import RoleKeys
from bzzzd.storage.versions.rows import VersionRow

Which = Literal["heads", "all"]
# Larger content is worked on as a stream.
WHOLE_BYTES: Final = 67_108_864

# The inner page bounds what one statement looks at, however little of it is stale.
_PAGE: Final = (
    "SELECT v.id, coalesce(c.sealed <> ?, 0) AND (? OR instr(a.heads, v.id) > 0) FROM "
    "(SELECT id, address, content FROM versions WHERE id > ? ORDER BY id LIMIT ?) v "
    "JOIN addresses a ON a.id = v.address LEFT JOIN content c ON c.hash = v.content ORDER BY v.id"
)


class Page(Struct, frozen=True):
    """Ids of versions whose content here is of another epoch; ``next`` continues, ``None`` at the end."""

    ids: tuple[str, ...]
    next: bytes | None


class Resealing:
    """Over the store's parts; made once a process, used on its loop."""

    def __init__(
        self, journal: Journal, content: ContentStore, rolekeys: RoleKeys, *, whole_bytes: int = WHOLE_BYTES
    ) -> None:
        self._whole_bytes = whole_bytes
        self._journal = journal
        self._content = content
        self._rolekeys = rolekeys

    async def stale(self, which: Which, after: bytes, limit: int) -> Page:
        """Look through ``limit`` versions behind the id ``after`` for content that is not of the epoch in force."""
        return await self._journal.read(partial(page, tag=self._rolekeys.tag, which=which, after=after, limit=limit))

    async def again(self, id: str) -> Blob | None:
        """Encrypt a version's content here for the epoch in force.

        Gives the old ciphertext, whose file (if it has one) ``drop`` removes once nobody reads it any
        more; ``None`` when there was nothing to do. Raises ``NoRoleKey`` or ``NotAllowed`` where no
        secret here opens it, ``NotFound``, ``StorageFailed`` for damaged content, ``DiskFull``.
        """
        row = await self._journal.read(partial(rows.find_id, id=id))
        if not row.here or row.blob.sealed == self._rolekeys.tag:
            return None
        if row.header.size > self._whole_bytes:
            blob = await self._stream_again(row)
        else:
            ciphertext = await self._content.read(row.blob)
            large = len(ciphertext) > LARGE_BYTES
            work = partial(self._again, row, ciphertext)
            fresh, tag = await asyncio.to_thread(work) if large else work()
            blob = await self._content.stage(fresh, tag)
        if await self._journal.write(partial(replace, id=id, old=row.blob, new=blob)):
            return row.blob
        await self._content.discard(blob)
        return None

    async def drop(self, old: Blob) -> None:
        """Remove the file of ciphertext that was replaced."""
        if not await self._content.has(old.hash):
            await self._content.discard(old)

    async def _stream_again(self, row: VersionRow) -> Blob:
        """Content that is too large for memory, from one file to another."""
        header, epoch = row.header, self._rolekeys.epoch
        if epoch is None:
            raise NotReady("no epoch is known here yet")
        identities = self._rolekeys.identities(header.readers, tag=row.blob.sealed, number=header.epoch)
        readers = [role for role in header.readers if role in epoch.record.recipients]
        recipients = self._rolekeys.recipients(readers, epoch)
        opening = Opening(self._content.path(row.blob.hash), header, identities)
        sealing = Sealing(self._content.workshop, header, recipients)
        try:
            while piece := await opening.take():
                await sealing.feed(piece)
            return await self._content.settled(*await sealing.finish(), epoch.tag)
        except BaseException:
            opening.abandon()
            sealing.abort()
            raise

    def _again(self, row: VersionRow, ciphertext: bytes) -> tuple[bytes, bytes]:
        header, epoch = row.header, self._rolekeys.epoch
        if epoch is None:
            raise NotReady("no epoch is known here yet")
        plaintext = self._rolekeys.decrypt(ciphertext, header.readers, tag=row.blob.sealed, number=header.epoch)
        if not header.matches(plaintext):
            raise StorageFailed(f"the content of version {row.id} is not what its author signed", version_id=row.id)
        # A role that the mesh has given up has no key any more; the others go on reading.
        readers = [role for role in header.readers if role in epoch.record.recipients]
        return self._rolekeys.encrypt(readers, plaintext, epoch), epoch.tag


def page(connection: sqlite3.Connection, tag: bytes, which: Which, after: bytes, limit: int) -> Page:
    found = connection.execute(_PAGE, (tag, which == "all", after, limit)).fetchall()
    ids = tuple(id.hex() for id, stale in found if stale)
    return Page(ids, bytes(found[-1][0]) if len(found) == limit else None)


def replace(connection: sqlite3.Connection, id: str, old: Blob, new: Blob) -> bool:
    """Put ``new`` in the place of ``old``, whose row goes; ``False`` when the version has other content by now."""
    changed = connection.execute(
        "UPDATE versions SET content = ?, size = ? WHERE id = ? AND content = ?",
        (new.hash, new.size, bytes.fromhex(id), old.hash),
    ).rowcount
    if not changed:
        return False
    ContentStore.insert(connection, new)
    connection.execute(
        "DELETE FROM content WHERE hash = ? AND NOT EXISTS (SELECT 1 FROM versions WHERE content = ?)",
        (old.hash, old.hash),
    )
    return True
