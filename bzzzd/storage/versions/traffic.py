"""Versions in and out of a store as they travel: added in one transaction, taken from other nodes, handed on."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from msgspec.structs import replace

from bzzzd.errors import BadInput, DiskFull, NotAllowed, NotFound
from bzzzd.storage.journal.journal import Journal
from bzzzd.storage.versions import rows
from bzzzd.storage.versions.adopt import CARRIED_BYTES, Carried, Customs
from bzzzd.storage.versions.content import Blob, ContentStore
from bzzzd.storage.versions.rows import Pending, VersionRow
from bzzzd.ucxl.version import version_id

# An adopted version's other holders are asked about it only when its writer's node has had the time to tell them.
_SETTLE_S: Final = 30.0
ID: Final = re.compile(r"[0-9a-f]{64}")


class Traffic:
    """The half of ``ContextStore`` that knows nothing of plaintext, roles or reading.

    ``holders(base)`` gives the other nodes that shall hold an address; without ``customs`` no version of
    another node is taken.
    """

    def __init__(
        self,
        journal: Journal,
        content: ContentStore,
        customs: Customs | None,
        holders: Callable[[str], Sequence[bytes]],
        clock: Callable[[], float],
    ) -> None:
        self._journal = journal
        self._content = content
        self._customs = customs
        self._holders = holders
        self._clock = clock

    @staticmethod
    def insert(connection: sqlite3.Connection, pending: Pending) -> str:
        """Add a checked version inside a ``journal.write``; gives its id. Repeating it is harmless."""
        return rows.insert(connection, pending)

    async def discard(self, pending: Pending) -> None:
        """Remove the file of a checked version that will not be inserted."""
        await self._content.discard(pending.blob)

    async def store(self, pending: Pending) -> str:
        """Store a checked version by itself; durable when its id is returned."""
        try:
            return await self._journal.write(partial(rows.insert, pending=pending))
        except DiskFull:  # after other failures nobody knows whether a row names the file: the next start does
            await self.discard(pending)
            raise

    async def verify(self, carried: Carried, *, holder: bytes | None = None) -> Pending:
        """Check a version that came from another node (``holder``) as far as it can be without reading it.

        Nothing is stored yet but the file of content over ``inline_bytes``; ``insert`` or ``store`` adds the
        version, alone or in a larger transaction. Raises what ``Customs.check`` raises, and ``DiskFull``.
        """
        here = carried.data is None and await self._content.has(carried.hash)
        pending = self.inspect(carried, here=here)
        if carried.data is not None:
            pending = replace(pending, blob=await self._content.stage(carried.data, carried.sealed))
        others = [node for node in self._holders(pending.header.address) if node != holder]
        return replace(pending, owed=tuple(others), due=self._clock() + _SETTLE_S)

    def inspect(self, carried: Carried, *, here: bool = False) -> Pending:
        """Check a version of another node that is only to be shown; raises as ``verify`` does."""
        if self._customs is None:
            raise NotAllowed("this store takes no versions of other nodes")
        return self._customs.check(carried, here=here)

    async def adopt(self, carried: Carried, *, holder: bytes | None = None) -> str:
        """Take a version from another node; durable when its id is returned. Repeating it is harmless."""
        return await self.store(await self.verify(carried, holder=holder))

    async def carry(self, id: str, *, content: bool = True) -> Carried:
        """A version as it travels, with its ciphertext when that is small and wanted.

        Raises ``NotFound`` (also for ``content`` that is not here), ``StorageFailed`` for damaged content,
        ``NotAllowed`` without its writer's grants.
        """
        check_id(id)
        row, chain = await self._journal.read(partial(_row_and_chain, id=id))
        if content and not row.here:
            raise NotFound(f"the content of version {id} is not on this node", version_id=id)
        return await self._carried(row.raw, chain, row.blob, content=content)

    async def show_id(self, id: str) -> VersionRow:
        """What is known of the version with this id; ``NotFound``."""
        check_id(id)
        return await self._journal.read(partial(rows.find_id, id=id))

    async def carry_pending(self, pending: Pending) -> Carried:
        """A version that was checked here and not inserted yet, as it travels."""
        return await self._carried(pending.raw, pending.chain, pending.blob, content=True)

    async def _carried(self, raw: bytes, chain: tuple[bytes, ...], blob: Blob, *, content: bool) -> Carried:
        if not chain:
            raise NotAllowed(f"version {version_id(raw)} cannot travel: the grants of its writer are not known here")
        data = await self._content.read(blob) if content and blob.size <= CARRIED_BYTES else None
        return Carried(raw, chain, blob.hash, blob.size, blob.sealed, data)


def check_id(id: str) -> None:
    if not ID.fullmatch(id):
        raise BadInput(f"{id[:80]!r} is not a version id: expected 64 hex digits")


def _row_and_chain(connection: sqlite3.Connection, id: str) -> tuple[VersionRow, tuple[bytes, ...]]:
    return rows.find_id(connection, id), rows.chain_of(connection, id)
