"""How the node stands, as metrics that alerts ask: the ledger as it was last seen, disk space, the grant's end."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

from bzzzd.errors import BzzzError
from bzzzd.runtime.metrics import Family
from bzzzd.slurp.ledger import Status

LOOK_S: Final = 15.0


class Ledger(Protocol):
    async def status(self) -> Status: ...


class Standing:
    """``grant_left()`` is in seconds; ``waiting()`` counts commands that wait here for the coordinator."""

    def __init__(
        self, ledger: Ledger, folder: Path, grant_left: Callable[[], float], waiting: Callable[[], int]
    ) -> None:
        self._ledger = ledger
        self._folder = folder
        self._grant_left = grant_left
        self._waiting = waiting
        self._seen: Status | None = None
        self._free = 0

    async def run(self) -> None:
        """Look again and again, for as long as the node runs."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        self._free = (await asyncio.to_thread(shutil.disk_usage, self._folder)).free
        try:
            self._seen = await self._ledger.status()
        except BzzzError:
            self._seen = None

    def families(self) -> Iterator[Family]:
        seen = self._seen
        one = Family.one
        yield one("bzzz_ledger_reachable", "gauge", "1 when the ledger answered last.", float(seen is not None))
        if seen is not None:
            durable = float(seen.durability == "replicated")
            yield one("bzzz_ledger_replicated", "gauge", "1 when a standby holds all that was acknowledged.", durable)
            yield one("bzzz_ledger_dead_letters", "gauge", "Tasks that failed after all strikes.", seen.dead_letters)
            yield one("bzzz_ledger_leases", "gauge", "Tasks that somebody holds.", seen.leases)
            yield Family.by("bzzz_ledger_tasks", "gauge", "Tasks of the mesh by state.", "state", seen.counts)
        yield one("bzzz_ledger_waiting", "gauge", "Commands that wait here for the coordinator.", self._waiting())
        yield one("bzzz_disk_free_bytes", "gauge", "Free space under the state directory.", self._free)
        yield one("bzzz_grant_left_seconds", "gauge", "How long the node's own grant still holds.", self._grant_left())
