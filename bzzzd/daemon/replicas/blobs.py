"""Large content from other nodes: in chunks, each checked as it comes, from whichever holder answers.

A few chunks are under way at a time, so memory is bounded whatever the size; what has come survives a cut
and a restart. One content is fetched once, however many wait for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from bzzzd.daemon.replicas.ask import Asker
from bzzzd.errors import BzzzError, DiskFull, InvalidEnvelope, NotFound, StorageFailed, Unavailable
from bzzzd.storage.versions.content import Blob, ContentStore
from bzzzd.storage.versions.incoming import Incoming
from bzzzd.storage.versions.naming import HASH_BYTES, chunks_of
from bzzzd.storage.versions.questions import Chunk, ChunkList, Chunks, encode, open_answer, open_blob_question

_WINDOW: Final = 4
_TRANSFERS: Final = 2
_CHUNK_S: Final = 30.0
# Another node may read a whole file of gigabytes to find out its list.
_LIST_S: Final = 110.0


class Transfer:
    """One content on its way: ``done`` of ``total`` chunks are here."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.ended: asyncio.Future[Blob] = asyncio.get_running_loop().create_future()


class BlobDesk:
    """Fetches content, and serves what this node has. ``spawn(name, work)`` runs a background task."""

    def __init__(self, content: ContentStore, asker: Asker, spawn: Callable[[str, Any], Any]) -> None:
        self._content = content
        self._asker = asker
        self._spawn = spawn
        self._under_way: dict[bytes, Transfer] = {}
        self._room = asyncio.Semaphore(_TRANSFERS)
        self.fetched_bytes = 0
        self.served_bytes = 0
        self.refused = 0

    def judging(self, node: bytes) -> AbstractContextManager[None]:
        """Around the reading of what a node sent."""
        return self._asker.judging(node)

    def progress(self, name: bytes) -> tuple[int, int] | None:
        """Chunks that are here, and chunks in all, of content on its way."""
        found = self._under_way.get(name)
        return (found.done, found.total) if found is not None else None

    def begin(self, name: bytes, size: int, sealed: bytes, nodes: Sequence[bytes]) -> Transfer:
        """Fetch content from ``nodes``; joins a transfer that is under way already."""
        found = self._under_way.get(name)
        if found is None:
            found = self._under_way[name] = Transfer(chunks_of(size))
            found.ended.add_done_callback(lambda future: future.cancelled() or future.exception())
            self._spawn(f"content {name.hex()[:12]}", self._run(found, name, size, sealed, tuple(nodes)))
        return found

    async def fetch(self, name: bytes, size: int, sealed: bytes, nodes: Sequence[bytes]) -> Blob:
        """Fetch content, ready to be inserted; ``Unavailable`` when no node could give it whole."""
        return await asyncio.shield(self.begin(name, size, sealed, nodes).ended)

    async def _run(self, transfer: Transfer, name: bytes, size: int, sealed: bytes, nodes: tuple[bytes, ...]) -> None:
        try:
            async with self._room:
                transfer.ended.set_result(await self._receive(transfer, name, size, sealed, nodes))
        except BzzzError as error:
            transfer.ended.set_exception(error)
        finally:
            del self._under_way[name]
            if not transfer.ended.done():
                transfer.ended.set_exception(Unavailable("the transfer was ended; bzzzd is stopping"))

    async def _receive(
        self, transfer: Transfer, name: bytes, size: int, sealed: bytes, nodes: tuple[bytes, ...]
    ) -> Blob:
        incoming = await self._list(name, size, nodes)
        try:
            missing = deque(await asyncio.to_thread(incoming.open))
            transfer.done = transfer.total - len(missing)
            workers = [self._work(incoming, name, missing, nodes[at:] + nodes[:at], transfer) for at in range(_WINDOW)]
            async with asyncio.TaskGroup() as group:
                for worker in workers:
                    group.create_task(worker)
            await asyncio.to_thread(incoming.finish)
        except DiskFull:
            incoming.discard()
            raise
        except BaseExceptionGroup as group_error:
            wrong, rest = group_error.split(BzzzError)
            if wrong is None or rest is not None:
                raise
            error = _first(wrong)
            if isinstance(error, DiskFull):  # what has come would only take the room that others need
                incoming.discard()
            raise error from None
        finally:
            incoming.close()
        return await self._content.arrived(name, size, sealed)

    async def _list(self, name: bytes, size: int, nodes: tuple[bytes, ...]) -> Incoming:
        for node in nodes:
            try:
                raw = await self._asker.ask_blob(node, Chunks(name), _LIST_S)
                with self._asker.judging(node):
                    told = open_answer(raw, ChunkList)
                    hashes = [told.hashes[at : at + HASH_BYTES] for at in range(0, len(told.hashes), HASH_BYTES)]
                    if told.size != size:
                        raise InvalidEnvelope(f"a node says that content {name.hex()[:16]}… has {told.size} bytes")
                    return self._content.incoming(name, size, hashes)
            except BzzzError as error:
                self.refused += isinstance(error, InvalidEnvelope)
        raise Unavailable(f"no node that was reached can give content {name.hex()[:16]}…; try again later")

    async def _work(
        self, incoming: Incoming, name: bytes, missing: deque[int], nodes: tuple[bytes, ...], transfer: Transfer
    ) -> None:
        while missing:
            index = missing.popleft()
            await self._chunk(incoming, name, index, nodes)
            transfer.done += 1

    async def _chunk(self, incoming: Incoming, name: bytes, index: int, nodes: tuple[bytes, ...]) -> None:
        """One chunk from the first node that gives the right one; a wrong one counts against the node."""
        for node in nodes:
            try:
                data = await self._asker.ask_blob(node, Chunk(name, index), _CHUNK_S)
                with self._asker.judging(node):
                    await asyncio.to_thread(incoming.write, index, data)
            except StorageFailed as error:
                if "path" in error.data:  # our own disk, not theirs
                    raise
            except InvalidEnvelope:
                self.refused += 1
            except BzzzError:
                continue
            else:
                self.fetched_bytes += len(data)
                return
        raise Unavailable(
            f"chunk {index} of content {name.hex()[:16]}… could not be had from any node that was reached; "
            "what has come is kept, and the next try goes on from there"
        )

    async def answer(self, peer_id: str, raw: bytes) -> bytes:
        """Serve ``/bzzz/blob/1``."""
        asked = open_blob_question(raw)
        blob = await self._content.find(asked.hash)
        if blob is None:
            raise NotFound(f"content {asked.hash.hex()[:16]}… is not on this node")
        try:
            if isinstance(asked, Chunks):
                hashes = await self._content.chunk_hashes(blob)
                return encode(ChunkList(blob.size, b"".join(hashes)))
            data = await self._content.chunk(blob, asked.index)
        except StorageFailed as error:
            # Where the file lies is nobody else's business.
            raise StorageFailed("the content is damaged on this node", hash=asked.hash.hex()) from error
        self.served_bytes += len(data)
        return data


def _first(group: BaseExceptionGroup[BzzzError]) -> BzzzError:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
