"""The service that keeps versions on several nodes, and lets this one read what others hold."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog

from bzzzd.config.schema import StorageSection
from bzzzd.daemon.membership.members import Members
from bzzzd.daemon.replicas.answers import Answers
from bzzzd.daemon.replicas.ask import Asker
from bzzzd.daemon.replicas.blobs import BlobDesk
from bzzzd.daemon.replicas.collector import Collector
from bzzzd.daemon.replicas.nodes import Nodes
from bzzzd.daemon.replicas.publisher import Publisher
from bzzzd.daemon.replicas.reader import Reader
from bzzzd.daemon.replicas.replicator import Replicator
from bzzzd.errors import BzzzError, StorageFailed, Unavailable
from bzzzd.identity.node import NodeIdentity
from bzzzd.mesh.mesh import Mesh
from bzzzd.mesh.values import MeshEvent
from bzzzd.rpc.streams import Stream
from bzzzd.runtime.services import Health
from bzzzd.storage.journal.journal import Journal
from bzzzd.storage.versions import copies
from bzzzd.storage.versions.content import Blob, ContentStore
from bzzzd.storage.versions.context import ContextStore
from bzzzd.storage.versions.questions import BLOB_PROTOCOL, VERSIONS_PROTOCOL, Entry
from bzzzd.ucxl.address import Address

_LOOK_S: Final = 2.0
# Nodes that start or leave together are one change.
_CALM_S: Final = 5.0
_SAVE_EVERY: Final = 30
# A copy that a node confirmed is asked about again once a day: its disk may have been lost since.
_AGAIN_S: Final = 86400.0
_TOLD: Final = 64
_CATCHING_UP: Final = 64
_GATHER_S: Final = 0.2
_LOG: Final = structlog.get_logger()


class Replicas:
    """Made before the store, whose contexts ask it; ``open`` gives it what the store has.

    ``spawn(service, name, work, ends=…)`` runs a background task.
    """

    name = "replication"
    depends = ("store",)

    def __init__(
        self, who: NodeIdentity, members: Members, mesh: Mesh, settings: StorageSection, events: Stream,
        spawn: Callable[..., Any],
    ) -> None:  # fmt: skip
        self._who = who
        self._settings = settings
        self._members = members
        self._mesh = mesh
        self._events = events
        self._spawn_as = spawn
        self._owed = 0
        self._calm_at = math.inf
        self._catching_up: set[str] = set()
        self._fetching: dict[str, asyncio.Task[bool]] = {}
        self._reader: Reader | None = None
        self._replicator: Replicator | None = None
        self.nodes = Nodes(
            who.key.public,
            members.nodes,
            mesh,
            replicas=settings.replicas,
            away_s=settings.repair_after_s,
            clock=time.time,
        )

    def open(self, journal: Journal, contexts: ContextStore, content: ContentStore) -> None:
        """The store is open: make the parts that work on it."""
        self._journal = journal
        self.contexts = contexts
        self._asker = Asker(self._mesh.request, self._mesh)
        self.blobs = BlobDesk(content, self._asker, self._spawn)
        self._publisher = Publisher(
            journal, self.nodes, self._mesh, self._who.key, self._who.mesh_id, self._members.nodes
        )
        self._collector = Collector(
            journal, content, self.nodes, self._asker, clock=time.time, keep_versions=self._settings.keep_versions,
            keep_s=self._settings.keep_s, extra_s=self._settings.extra_copy_s, gone=contexts.let_go,
        )  # fmt: skip
        self._reader = Reader(
            journal, content, contexts, self.nodes, self._asker, self.blobs, locate=self._publisher.locate
        )
        self._replicator = Replicator(
            journal, contexts, self.nodes, self._asker, spawn=self._spawn, clock=time.time, again_s=_AGAIN_S,
            reached=self._reached, damaged=self.damaged,
        )  # fmt: skip
        self._answers = Answers(
            journal, contexts, self.blobs, spawn=self._spawn, clock=time.time, again_s=_AGAIN_S,
            damaged=self.damaged, behind=self._behind,
        )  # fmt: skip

    async def start(self) -> None:
        await self.nodes.load(self._journal)
        self._mesh.handle(VERSIONS_PROTOCOL, self._answers.answer)
        self._mesh.handle(BLOB_PROTOCOL, self.blobs.answer)
        assert self._replicator is not None
        self._spawn_as(self.name, "copies", self._replicator.run())
        self._spawn_as(self.name, "holders", self._watch())
        self._spawn_as(self.name, "records", self._publisher.run())
        self._spawn_as(self.name, "collecting", self._collector.run())

    async def stop(self) -> None:
        with contextlib.suppress(BzzzError):  # a full disk must not keep the node from stopping
            await self.nodes.save(self._journal)

    def health(self) -> Health:
        nodes, figures = len(self.nodes.present), self._figures
        detail = f"{nodes} nodes, {self._owed} copies owed, {figures.replicated} made, {figures.repaired} repaired"
        return Health(detail=detail)

    @property
    def _figures(self) -> Any:
        assert self._replicator is not None
        return self._replicator.figures

    def facts(self) -> dict[str, int]:
        """For status: copies wanted of each version, nodes that count as holders, copies that are still owed."""
        return {"replicas": self.nodes.needed, "nodes": len(self.nodes.present), "owed": self._owed}

    def gauges(self) -> dict[str, tuple[float, str]]:
        """For metrics."""
        figures, blobs, answers = self._figures, self.blobs, self._answers
        return {
            "bzzz_storage_nodes": (len(self.nodes.present), "Nodes that count as holders."),
            "bzzz_storage_copies_owed": (self._owed, "Copies that other nodes shall have and have not confirmed."),
            "bzzz_storage_copies_made": (figures.replicated, "Copies that other nodes confirmed since the start."),
            "bzzz_storage_copies_repaired": (figures.repaired, "Copies made for holders that had none any more."),
            "bzzz_storage_copies_refused": (figures.refused, "Copies that other nodes did not take."),
            "bzzz_storage_versions_taken": (answers.taken, "Versions taken from other nodes since the start."),
            "bzzz_storage_versions_refused": (answers.refused, "Versions of other nodes that did not hold."),
            "bzzz_storage_sent_bytes": (self._asker.sent_bytes, "Bytes of questions and versions sent to other nodes."),
            "bzzz_storage_chunks_fetched_bytes": (blobs.fetched_bytes, "Bytes of large content fetched."),
            "bzzz_storage_chunks_served_bytes": (blobs.served_bytes, "Bytes of large content given to others."),
            "bzzz_storage_records_published": (self._publisher.published, "Records put into the DHT since the start."),
            "bzzz_storage_let_go": (self._collector.let_go, "Contents that went by the retention rule."),
            "bzzz_storage_extras_dropped": (self._collector.extras_dropped, "Copies dropped that others hold."),
            "bzzz_storage_chunks_refused": (blobs.refused, "Chunks and lists that were not what their name says."),
        }

    # What the store asks.

    def others(self, base: str) -> Sequence[bytes]:
        """The other nodes that shall hold an address."""
        return self.nodes.others(base)

    def written(self) -> None:
        if self._replicator is not None:
            self._replicator.written()

    async def unite(self, address: Address) -> bool:
        """See ``Reader.unite``."""
        return self._reader is None or await self._reader.unite(address)

    async def obtain(self, id: str, base: str | None, attempt: int = 0) -> bool:
        """See ``Reader.obtain``."""
        return self._reader is not None and await self._reader.obtain(id, base, attempt)

    # What the desk asks.

    async def holders(self, ids: Sequence[str], base: str) -> dict[str, list[str]]:
        """The nodes (ids) that say that they hold each version."""
        if self._reader is None:
            return {}
        found = await self._reader.holders(ids, base)
        return {id: sorted(self._members.name_of(node) for node in nodes) for id, nodes in found.items()}

    async def browse(self, pattern: str, after: str, limit: int) -> tuple[list[Entry], bool, str | None]:
        """See ``Reader.browse``."""
        return ([], True, None) if self._reader is None else await self._reader.browse(pattern, after, limit)

    async def fetch(self, id: str, base: str, blob: Blob, seconds: float) -> int | None:
        """Fetch a version's content for up to ``seconds``; None when it is here, else how many chunks are.

        The transfer goes on meanwhile. Raises ``Unavailable`` when no node that has it was reached.
        """
        task = self._fetching.get(id)
        if task is None:
            task = self._fetching[id] = self._spawn(f"fetching {id[:12]}", self.obtain(id, base))
            task.add_done_callback(lambda _: self._fetching.pop(id, None))
        done, _ = await asyncio.wait((task,), timeout=seconds)
        if not done:
            return (self.blobs.progress(blob.hash) or (0, 0))[0]
        if not task.result():
            raise Unavailable(f"the content of version {id} is on no node that was reached; try again later")
        return None

    # What happens.

    def happened(self, event: MeshEvent) -> None:
        """A member came or left."""
        if event.kind in ("joined", "left"):
            self._look()
            if self._replicator is not None:
                self._replicator.wake()

    def _spawn(self, name: str, work: Any) -> Any:
        return self._spawn_as(self.name, name, work, ends=True)

    def _look(self) -> None:
        """Look who counts; whoever notices that it has changed, what is owed because of it is seen to."""
        if self.nodes.look():
            self._calm_at = time.monotonic() + _CALM_S

    async def _watch(self) -> None:
        """Look who is there; when that has changed and is calm again, see to what is owed because of it."""
        assert self._replicator is not None
        self._calm_at = time.monotonic() + _CALM_S
        turn = 0
        while True:
            await asyncio.sleep(_LOOK_S)
            turn += 1
            self._look()
            try:
                if time.monotonic() >= self._calm_at:
                    self._calm_at = math.inf
                    made = await self._replicator.sweep()
                    if made:
                        _LOG.info("copies are owed to other holders", copies=made, nodes=len(self.nodes.present))
                if turn % _SAVE_EVERY == 0:
                    await self.nodes.save(self._journal)
                self._owed = await self._journal.read(copies.owed)
            except BzzzError as error:  # a full disk, say: the store's health tells
                _LOG.info("holders were not looked at", error=error)
                self._calm_at = min(self._calm_at, time.monotonic() + _CALM_S)

    async def _reached(self, ids: list[str]) -> None:
        """Tell that versions have all the copies that are wanted."""
        self._events.append(
            {
                "source": "storage", "kind": "replicated", "versions": len(ids), "version_ids": ids[:_TOLD],
                "replicas": self.nodes.needed,
            }
        )  # fmt: skip
        rows = [await self.contexts.show_id(id) for id in ids]
        self._publisher.soon([row.address for row in rows])

    def _behind(self, base: str, node: bytes) -> None:
        """A node that brings versions knows others before them: learn those, once for all that come together."""
        if base not in self._catching_up and len(self._catching_up) < _CATCHING_UP:
            self._catching_up.add(base)
            self._spawn("catching up", self._catch_up(base, node))

    async def _catch_up(self, base: str, node: bytes) -> None:
        try:
            await asyncio.sleep(_GATHER_S)
            if self._reader is not None:
                await self._reader.catch_up(base, node)
        finally:
            self._catching_up.discard(base)

    def damaged(self, id: str) -> None:
        """Content of this node turned out damaged: say so, and replace it by another node's."""
        self._events.append({"source": "storage", "kind": "damaged", "version_id": id})
        _LOG.error("content is damaged; replacing it by another node's", version_id=id, error_code=StorageFailed.code)
        self._spawn(f"mending {id[:12]}", self._mend(id))

    async def _mend(self, id: str) -> None:
        try:
            base = (await self.contexts.show_id(id)).address
            mended = await self.obtain(id, base)
        except BzzzError as error:
            mended = False
            _LOG.info("content was not mended", version_id=id, error=error)
        self._events.append({"source": "storage", "kind": "mended" if mended else "not_mended", "version_id": id})
