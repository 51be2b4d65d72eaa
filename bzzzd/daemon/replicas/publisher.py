"""Records in the DHT: who holds an address, where its writers stand, who has the newest content.

They only locate: membership already tells every member who should hold what, and a reader who finds nothing
there asks the DHT. Whoever brought a version to its holders publishes soon after that, and the first connected
holder of an address again twice a day, slowly: a put costs more than storing the version did.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import structlog

from bzzzd.crypto.keys import SigningKey
from bzzzd.daemon.replicas.nodes import Nodes
from bzzzd.errors import BzzzError, NotFound
from bzzzd.mesh.mesh import Mesh
from bzzzd.storage.journal.journal import Journal
from bzzzd.storage.versions import copies, held, rows
from bzzzd.storage.versions.records import (
    MAX_HEADS,
    HeadRecord,
    PointerRecord,
    blob_key,
    head_key,
    open_pointer,
    place_name,
    seal_head,
    seal_pointer,
)
from bzzzd.storage.versions.rows import VersionRow
from bzzzd.ucxl.address import parse

# Half of the time after which libp2p forgets a record.
_AGAIN_S: Final = 43_200.0
_PACE_S: Final = 0.5
# Of the time, at most a twentieth goes into it, however many wait: a put makes several nodes work.
_SHARE: Final = 20
_WAITING: Final = 4096
_GET_S: Final = 4.0
_LOG: Final = structlog.get_logger()


class Publisher:
    """``names()`` gives key and id of every member node."""

    def __init__(
        self, journal: Journal, nodes: Nodes, mesh: Mesh, key: SigningKey, mesh_id: str,
        names: Callable[[], dict[bytes, str]],
    ) -> None:  # fmt: skip
        self._journal = journal
        self._nodes = nodes
        self._mesh = mesh
        self._key = key
        self._mesh_id = mesh_id
        self._names = names
        self._waiting: dict[str, None] = {}
        self._wake = asyncio.Event()
        self.published = 0
        self.failed = 0

    def soon(self, bases: Sequence[str]) -> None:
        """Publish these addresses next; what finds no room is published with all others later."""
        for base in bases:
            if len(self._waiting) < _WAITING:
                self._waiting[base] = None
        self._wake.set()

    async def run(self) -> None:
        """For ever: what has just got its copies, and twice a day everything."""
        again_at = time.monotonic() + _AGAIN_S
        while True:
            self._wake.clear()
            while self._waiting:
                await self._publish(self._take())
            try:
                async with asyncio.timeout(max(again_at - time.monotonic(), 0.0)):
                    await self._wake.wait()
            except TimeoutError:
                again_at = time.monotonic() + _AGAIN_S
                await self._all()

    def _take(self) -> str:
        base = next(iter(self._waiting))
        del self._waiting[base]
        return base

    async def _all(self) -> None:
        row = 0
        while places := await self._journal.read(partial(held.places, after=row)):
            row = places[-1].row
            for place in places:
                if self._is_first(place.base):
                    await self._publish(place.base)

    def _is_first(self, base: str) -> bool:
        """Whether this node publishes an address for all its holders."""
        connected = self._nodes.connected() | {self._nodes.own}
        return next((node for node in self._nodes.targets(base) if node in connected), None) == self._nodes.own

    async def _publish(self, base: str) -> None:
        """Put an address's records, where there is anybody to put them at."""
        if not self._nodes.connected():
            return
        began = time.monotonic()
        try:
            for key, value in await self._records(base):
                await self._mesh.dht_put(key, value)
                self.published += 1
        except Exception as error:  # the DHT's library raises what it likes, and its failures stop nothing here
            self.failed += 1
            _LOG.info("records were not published", address=base, error=f"{type(error).__name__}: {error}"[:200])
        await asyncio.sleep(max(_PACE_S, _SHARE * (time.monotonic() - began)))

    async def _records(self, base: str) -> list[tuple[str, bytes]]:
        try:
            row, writers = await self._journal.read(partial(_newest, base=base))
        except NotFound:  # it was forgotten meanwhile
            return []
        known = await self._journal.read(partial(copies.of_version, id=row.id))
        names = self._names()
        having = sorted(names[node] for node, at in known.items() if at > 0 and node in names)
        holders, now = (names[self._nodes.own], *having), time.time()
        found = []
        for name, size in ((place_name(base), 0), (row.blob.hash.hex(), row.blob.size)):
            pointer = PointerRecord(name, size, holders, now)
            found.append((blob_key(name), seal_pointer(self._key, self._mesh_id, pointer)))
        for writer in writers:
            headers, count = await self._journal.read(
                partial(rows.writer_heads, base=base, writer=writer, limit=MAX_HEADS)
            )
            record = HeadRecord(base, tuple(headers), count, now)
            found.append((head_key(base, writer), seal_head(self._key, self._mesh_id, record)))
        return found

    async def locate(self, base: str) -> Sequence[bytes]:
        """The nodes (keys) that the DHT says hold an address; none when it does not know."""
        try:
            async with asyncio.timeout(_GET_S):
                raw = await self._mesh.dht_get(blob_key(place_name(base)))
            if raw is None:
                return ()
            holders = open_pointer(raw, self._mesh_id).record.holders
        except (BzzzError, TimeoutError):
            return ()
        return [node for node, name in self._names().items() if name in holders]


def _newest(connection: sqlite3.Connection, base: str) -> tuple[VersionRow, list[bytes]]:
    return rows.find(connection, parse(base)), held.writers_at(connection, base)
