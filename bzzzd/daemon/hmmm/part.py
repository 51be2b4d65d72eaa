"""The parts of threads on one node, put together: the book, the way to other nodes, and the desk for callers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from bzzzd.daemon.context.store import Store
from bzzzd.daemon.gate import Gate
from bzzzd.daemon.hmmm.book import ThreadBook
from bzzzd.daemon.hmmm.border import Border
from bzzzd.daemon.hmmm.desk import ThreadDesk
from bzzzd.daemon.hmmm.shown import Shown
from bzzzd.daemon.hmmm.spread import Spread
from bzzzd.identity.grants import Trust
from bzzzd.mesh.mesh import Mesh
from bzzzd.mesh.values import MeshEvent
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.streams import Stream, StreamTable
from bzzzd.runtime.services import Health

_STREAM_KEPT: Final = 2048


class ThreadPart:
    """The service ``threads``. ``task_there(id)`` raises ``NotFound`` for a task that does not exist."""

    name = "threads"
    depends = ("store", "mesh")

    def __init__(
        self,
        store: Store,
        mesh: Mesh,
        trust: Trust,
        gate: Gate,
        events: Stream,
        incarnation: str,
        *,
        task_there: Callable[[str], Awaitable[object]],
        spawn: Callable[..., Any],
    ) -> None:
        self._events = events
        self._spawn_for = spawn
        self._book = ThreadBook(store.journal)
        border = Border(store.contexts, gate, trust)
        self._spread = Spread(
            self._book, border, store.contexts, mesh, told=self._told, say=self._say, spawn=self._spawn
        )
        self.desk = ThreadDesk(
            self._book, border, Shown(store.contexts), gate, Stream(incarnation, keep=_STREAM_KEPT),
            publish=self._spread.publish, task_there=task_there, spawn=self._spawn,
        )  # fmt: skip

    async def start(self) -> None:
        await self._book.load()
        self._spread.open()
        self._spawn("pruning", self._book.keep_pruned())

    async def stop(self) -> None:
        """Its background tasks are the manager's."""

    def health(self) -> Health:
        spread = self._spread
        return Health(detail=f"{len(self._book)} threads, {spread.taken} messages heard, {spread.fetched} fetched")

    def gauges(self) -> dict[str, tuple[float, str]]:
        """For the metrics."""
        return {
            "bzzz_threads": (len(self._book), "Threads of conversation that are kept here."),
            "bzzz_thread_messages_heard": (self._spread.taken, "Messages of threads that gossip brought."),
            "bzzz_thread_messages_fetched": (self._spread.fetched, "Messages of threads that were asked for."),
        }

    def happened(self, event: MeshEvent) -> None:
        """A peer came."""
        if event.kind == "joined":
            self._spread.met(event.peer_id)

    def register(self, registry: Registry, streams: StreamTable) -> None:
        self.desk.register(registry, streams)

    async def _told(self, kept: Any) -> None:
        await self.desk.told(kept)

    def _spawn(self, name: str, work: Any, **options: Any) -> Any:
        return self._spawn_for(self.name, name, work, **options)

    def _say(self, kind: str, detail: str, peer_id: str) -> None:
        self._events.append(
            {"source": "threads", "kind": kind, "at": time.time(), "peer_id": peer_id, "detail": detail[:300]}
        )
