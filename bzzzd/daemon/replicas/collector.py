"""What goes: content over the retention rule, and copies beyond those that are wanted, once the others have theirs.

A version itself stays known by its header, so histories, numbers and ids are the same whatever has gone. A copy
that is none of this node's business (it was read here, or its holders have changed) goes when it was that for
``extra_s`` seconds and every node that shall hold it said just then that it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import structlog

from bzzzd.daemon.replicas.ask import Asker
from bzzzd.daemon.replicas.nodes import Nodes
from bzzzd.errors import BzzzError
from bzzzd.storage.journal.journal import Journal
from bzzzd.storage.versions import held, letting_go
from bzzzd.storage.versions.content import ContentStore
from bzzzd.storage.versions.held import HeldVersion, Place
from bzzzd.storage.versions.placement import Kept, may_drop, over_retention
from bzzzd.storage.versions.questions import MOST_IDS, Lacking, Offer

_FIRST_S: Final = 120.0
_EVERY_S: Final = 3600.0
_LOG: Final = structlog.get_logger()


class Collector:
    """``keep_versions`` and ``keep_s`` are the retention rule: 0 turns either off.

    ``gone(id)`` is told of each version whose content went by it.
    """

    def __init__(
        self,
        journal: Journal,
        content: ContentStore,
        nodes: Nodes,
        asker: Asker,
        *,
        clock: Callable[[], float],
        keep_versions: int,
        keep_s: float,
        extra_s: float,
        gone: Callable[[str], None],
    ) -> None:
        self._journal = journal
        self._content = content
        self._nodes = nodes
        self._asker = asker
        self._clock = clock
        self._keep_versions = keep_versions
        self._keep_s = keep_s
        self._extra_s = extra_s
        self._gone = gone
        self.let_go = 0
        self.extras_dropped = 0
        self.bytes = 0

    async def run(self) -> None:
        """For ever: once an hour, look at everything."""
        await asyncio.sleep(_FIRST_S)
        while True:
            try:
                await self.collect()
            except BzzzError as error:  # a full disk, say: the store's health tells
                _LOG.info("nothing was collected", error=error)
            await asyncio.sleep(_EVERY_S)

    async def collect(self) -> None:
        """Look at every address once."""
        row = 0
        while places := await self._journal.read(partial(held.places, after=row)):
            row = places[-1].row
            for place in places:
                await self._retain(place)
                await self._drop_extra(place)

    async def _retain(self, place: Place) -> None:
        if not self._keep_versions and not self._keep_s:
            return
        versions = await self._journal.read(partial(held.versions_at, row=place.row))
        kept = [Kept(version.number, version.at, version.head) for version in versions]
        gone = set(over_retention(kept, self._clock(), self._keep_versions, self._keep_s))
        for version in versions:
            if version.number in gone and version.here:
                await self._journal.write(partial(letting_go.let_go, id=version.id, at=self._clock()))
                await self._remove(version)
                self._gone(version.id)
                self.let_go += 1

    async def _drop_extra(self, place: Place) -> None:
        targets = self._nodes.targets(place.base)
        extra = self._nodes.own not in targets
        since = await self._journal.write(
            partial(letting_go.extra_since, row=place.row, extra=extra, now=self._clock())
        )
        if not extra or self._clock() - since < self._extra_s:
            return
        versions = await self._journal.read(partial(held.versions_at, row=place.row))
        here = [version for version in versions if version.here]
        for start in range(0, len(here), MOST_IDS):
            batch = here[start : start + MOST_IDS]
            verified = await self._verified(targets, batch)
            for version in batch:
                if may_drop(self._nodes.own, targets, verified[version.id], self._nodes.replicas):
                    await self._remove(version)
                    await self._journal.write(partial(letting_go.off_the_books, id=version.id))
                    self.extras_dropped += 1
        await self._journal.write(partial(letting_go.forget_address, row=place.row))

    async def _verified(self, targets: Sequence[bytes], versions: Sequence[HeldVersion]) -> dict[str, frozenset[bytes]]:
        """Which of ``targets`` say now that they hold each version."""
        ids = tuple(bytes.fromhex(version.id) for version in versions)
        having: dict[str, set[bytes]] = {version.id: set() for version in versions}
        for node in targets:
            try:
                lacking = {id.hex() for id in (await self._asker.ask(node, Offer(ids), Lacking)).ids}
            except BzzzError:
                continue
            for id, nodes in having.items():
                if id not in lacking:
                    nodes.add(node)
        return {id: frozenset(nodes) for id, nodes in having.items()}

    async def _remove(self, version: HeldVersion) -> None:
        await self._content.remove(version.hash)
        self.bytes += version.size
