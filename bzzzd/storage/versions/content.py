"""Content by the hash of its ciphertext: small in the journal, large as files.

The name is where the bytes are, not what they mean: encrypting a version again gives its content
another name and changes nothing else. A file is written whole before the journal's row names it,
so a crash between the two leaves a file without a row, which the next start removes.
"""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import Struct

from bzzzd.errors import BadInput, BzzzError, StorageFailed
from bzzzd.storage.faults import from_os
from bzzzd.storage.folder import TEMPORARY, prepare_folder, settle, sync_folder, write_whole
from bzzzd.storage.journal.journal import Journal, Schema
from bzzzd.storage.versions.incoming import PART, Incoming
from bzzzd.storage.versions.naming import Naming, chunk_span, chunks_of, name_of

SCHEMA: Final = Schema(
    "content",
    1,
    (
        # `data` is NULL for content that lives in a file; `sealed` is the tag of the epoch that it is
        # encrypted for, empty where that is not known.
        "CREATE TABLE IF NOT EXISTS content (hash BLOB PRIMARY KEY, size INTEGER NOT NULL, data BLOB, "
        "sealed BLOB NOT NULL) STRICT",
    ),
)
# Lists of chunks kept in memory, 32 KiB for each GiB of content; finding one out again reads the whole file.
_LISTS_KEPT: Final = 64
# What a cut left of content on its way is kept this long, for the transfer to go on.
_PART_KEPT_S: Final = 7 * 86400.0
_NAME: Final = re.compile(r"[0-9a-f]{64}")


class Blob(Struct, frozen=True):
    """Ciphertext with its name: ``hash`` (``storage/versions/naming.py``), and ``data``, unless it is in a file.

    ``sealed`` is the tag of the epoch that it is encrypted for (``identity/epoch.py``), empty when unknown.
    """

    hash: bytes
    size: int
    data: bytes | None
    sealed: bytes = b""


class ContentStore:
    """Ciphertext in ``journal`` up to ``inline_bytes`` and in ``folder`` above."""

    def __init__(self, journal: Journal, folder: Path, inline_bytes: int) -> None:
        self._journal = journal
        self._folder = folder
        self._inline_bytes = inline_bytes
        self._lists: OrderedDict[bytes, list[bytes]] = OrderedDict()

    @classmethod
    async def open(cls, journal: Journal, folder: Path, inline_bytes: int = 65_536) -> ContentStore:
        """Make the folder and remove what a crash left in it. ``journal`` has ``SCHEMA``.

        Beside another journal than the one that filled the folder (a restored backup is one), files
        that no row names stay: they may be all that is left of newer content.
        """
        store = cls(journal, folder, inline_bytes)
        names = await asyncio.to_thread(_tidy, folder)
        if await asyncio.to_thread(_belongs, folder, journal.incarnation):
            known = await journal.read(
                lambda connection: {
                    name
                    for name in names
                    if connection.execute("SELECT 1 FROM content WHERE hash = ?", (bytes.fromhex(name),)).fetchone()
                }
            )
            await asyncio.to_thread(store._remove, set(names) - known)
        return store

    async def stage(self, ciphertext: bytes, sealed: bytes = b"") -> Blob:
        """Name ``ciphertext`` and, when it is large, write its file; ``insert`` makes it part of the store."""
        name = name_of(ciphertext)
        if len(ciphertext) <= self._inline_bytes:
            return Blob(name, len(ciphertext), ciphertext, sealed)
        await asyncio.to_thread(_write, self._place(name), ciphertext)
        return Blob(name, len(ciphertext), None, sealed)

    async def discard(self, blob: Blob) -> None:
        """Remove what ``stage`` wrote, when nothing will name it; what is in the store already stays.

        The same ciphertext may have come before: a member sends it again with what is refused, or a disk is full.
        """
        if blob.data is not None:
            return
        try:
            named = await self.has(blob.hash)
        except BzzzError:  # the journal is closing or full: the next start removes what no row names
            return
        if not named:
            await asyncio.to_thread(self._remove, {blob.hash.hex()})

    @staticmethod
    def insert(connection: sqlite3.Connection, blob: Blob) -> None:
        """To be called inside ``journal.write``; repeating it is harmless."""
        connection.execute(
            "INSERT OR IGNORE INTO content (hash, size, data, sealed) VALUES (?, ?, ?, ?)",
            (blob.hash, blob.size, blob.data, blob.sealed),
        )

    async def read(self, blob: Blob) -> bytes:
        """The ciphertext of a row, checked against its name; ``StorageFailed`` when it is gone or damaged."""
        if blob.data is not None:
            return _checked(blob.hash, blob.data, "the journal")
        return await asyncio.to_thread(self._load, blob.hash)

    async def has(self, name: bytes) -> bool:
        """Whether the ciphertext of this name is part of the store."""
        return await self._journal.read(partial(self.holds, name=name))

    @staticmethod
    def holds(connection: sqlite3.Connection, name: bytes) -> bool:
        return connection.execute("SELECT 1 FROM content WHERE hash = ?", (name,)).fetchone() is not None

    async def chunk_hashes(self, blob: Blob) -> list[bytes]:
        """The hashes of its chunks; ``StorageFailed`` when the content is gone or damaged."""
        known = self._lists.get(blob.hash)
        if known is None:
            known = await asyncio.to_thread(self._list, blob)
            self._lists[blob.hash] = known
            while len(self._lists) > _LISTS_KEPT:
                self._lists.popitem(last=False)
        return known

    def _list(self, blob: Blob) -> list[bytes]:
        naming = Naming()
        for index in range(chunks_of(blob.size)):
            naming.update(self._piece(blob, *chunk_span(blob.size, index)))
        if naming.name() != blob.hash:
            raise damaged_content(blob.hash, str(self._place(blob.hash)))
        return naming.list()

    async def chunk(self, blob: Blob, index: int) -> bytes:
        """One chunk of the ciphertext; whoever has its hash checks it."""
        if not 0 <= index < chunks_of(blob.size):
            raise BadInput(f"content of {blob.size} bytes has no chunk {index}")
        return await asyncio.to_thread(self._piece, blob, *chunk_span(blob.size, index))

    def _piece(self, blob: Blob, start: int, length: int) -> bytes:
        if blob.data is not None:
            return blob.data[start : start + length]
        path = self._place(blob.hash)
        try:
            with path.open("rb") as file:
                return os.pread(file.fileno(), length, start)
        except OSError as error:
            raise from_os(error, path, "read the content") from error

    def incoming(self, name: bytes, size: int, hashes: Sequence[bytes]) -> Incoming:
        """Where content that comes from another node is received; ``arrived`` follows when it is finished."""
        return Incoming(self._place(name), name, size, hashes)

    async def arrived(self, name: bytes, size: int, sealed: bytes) -> Blob:
        """The content of a finished ``Incoming``, ready for ``insert``."""
        if size > self._inline_bytes:
            return Blob(name, size, None, sealed)
        data = await asyncio.to_thread(self._load, name)
        await asyncio.to_thread(self._remove, {name.hex()})
        return Blob(name, size, data, sealed)

    @property
    def workshop(self) -> Path:
        """Where files are made that ``settled`` takes; what a crash leaves there goes at the next start."""
        return self._folder / "new"

    async def settled(self, path: Path, name: bytes, size: int, sealed: bytes) -> Blob:
        """Take a file from the workshop into the store, ready for ``insert``."""
        await asyncio.to_thread(settle, path, self._place(name))
        return await self.arrived(name, size, sealed)

    async def find(self, name: bytes) -> Blob | None:
        """The content of this name, where it is part of the store; large content without its bytes."""
        row = await self._journal.read(
            lambda connection: connection.execute(
                "SELECT hash, size, data, sealed FROM content WHERE hash = ?", (name,)
            ).fetchone()
        )
        return Blob(*row) if row is not None else None

    async def remove(self, name: bytes) -> None:
        """Take content out of the store; versions that have it stay, known by their headers."""
        await self._journal.write(
            lambda connection: connection.execute("DELETE FROM content WHERE hash = ?", (name,)).rowcount
        )
        self._lists.pop(name, None)
        await asyncio.to_thread(self._remove, {name.hex()})

    def path(self, name: bytes) -> Path:
        """The file of large content."""
        return self._place(name)

    def _load(self, name: bytes) -> bytes:
        path = self._place(name)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise from_os(error, path, "read the content") from error
        return _checked(name, data, str(path))

    def _place(self, name: bytes) -> Path:
        text = name.hex()
        return self._folder / text[:2] / text

    def _remove(self, names: set[str]) -> None:
        for name in names:
            self._place(bytes.fromhex(name)).unlink(missing_ok=True)


def _checked(name: bytes, data: bytes, where: str) -> bytes:
    if name_of(data) != name:
        raise damaged_content(name, where)
    return data


def damaged_content(name: bytes, where: str) -> StorageFailed:
    return StorageFailed(
        f"content {name.hex()[:16]}… in {where} is damaged; put it back from a backup or fetch it from another node",
        hash=name.hex(),
    )


def _write(path: Path, data: bytes) -> None:
    if not path.parent.is_dir():
        prepare_folder(path.parent)
        sync_folder(path.parent.parent)
    write_whole(path, data)


def _belongs(folder: Path, incarnation: str) -> bool:
    """Whether the folder is that of this journal; a folder without an owner becomes it."""
    owner = folder / "journal"
    if not owner.exists():
        write_whole(owner, incarnation.encode("ascii"))
    return owner.read_bytes() == incarnation.encode("ascii")


def _tidy(folder: Path) -> list[str]:
    """Remove unfinished files; give the names of the finished ones."""
    return [name for part in _parts(prepare_folder(folder)) for name in _finished(part)]


def _parts(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.is_dir())


def _finished(part: Path) -> Iterator[str]:
    for path in part.iterdir():
        if path.name.startswith(TEMPORARY) or (path.suffix == PART and _is_old(path)):
            path.unlink(missing_ok=True)
        elif _NAME.fullmatch(path.name):
            yield path.name


def _is_old(part: Path) -> bool:
    return time.time() - part.stat().st_mtime > _PART_KEPT_S
