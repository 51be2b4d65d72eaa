"""Brings versions to the nodes that shall hold them: right after they were written, and again when holders change.

What is owed lies in the journal (``storage/versions/copies.py``), so a crash forgets nothing. For each node that is
connected and owed something there is one task, which offers, pushes and notes what was confirmed. When the
nodes that count have changed, every address is looked at again and what is missing becomes owed; the copies
that were there before stay until the others have theirs.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import structlog
from msgspec import Struct

from bzzzd.daemon.replicas.answers import WAIT
from bzzzd.daemon.replicas.ask import Asker
from bzzzd.daemon.replicas.nodes import Nodes
from bzzzd.errors import BzzzError, DiskFull, NotAllowed, NotFound, StorageFailed
from bzzzd.storage.journal.journal import Journal
from bzzzd.storage.versions import copies, held
from bzzzd.storage.versions.adopt import Carried
from bzzzd.storage.versions.context import ContextStore
from bzzzd.storage.versions.copies import Due
from bzzzd.storage.versions.placement import owed_to, substitute
from bzzzd.storage.versions.questions import MESSAGE_BYTES, Lacking, Offer, Push, Taken

_BATCH: Final = 256
_LONGEST_S: Final = 2.0
# A version is noted just before it is committed.
_COMMIT_S: Final = 0.02
_RETRY_S: Final = 5.0
_WAIT_S: Final = 2.0
_REFUSED_S: Final = 300.0
_FULL_S: Final = 15.0
_PUSH_S: Final = 60.0
_LOG: Final = structlog.get_logger()


class Figures(Struct):
    """Counted since the start; ``repaired`` are copies made for holders that had left or lost theirs."""

    replicated: int = 0
    repaired: int = 0
    refused: int = 0
    rounds: int = 0


class Replicator:
    """``spawn(name, work)`` runs a background task; ``reached(ids)`` hears of versions that have all their copies."""

    def __init__(
        self,
        journal: Journal,
        contexts: ContextStore,
        nodes: Nodes,
        asker: Asker,
        *,
        spawn: Callable[[str, Any], Any],
        clock: Callable[[], float],
        again_s: float,
        reached: Callable[[list[str]], Awaitable[None]],
        damaged: Callable[[str], None],
    ) -> None:
        self._journal = journal
        self._contexts = contexts
        self._nodes = nodes
        self._asker = asker
        self._spawn = spawn
        self._clock = clock
        self._again_s = again_s
        self._reached = reached
        self._damaged = damaged
        self._wake = asyncio.Event()
        self._soon: asyncio.TimerHandle | None = None
        self._busy: set[bytes] = set()
        self._pause: dict[bytes, float] = {}
        self.figures = Figures()

    def wake(self) -> None:
        """Somebody came, or something became due: look now."""
        self._wake.set()

    def written(self) -> None:
        """A version is being committed here: look in a moment, however many they are."""
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(_COMMIT_S, self._committed)

    def _committed(self) -> None:
        self._soon = None
        self._wake.set()

    async def run(self) -> None:
        """For ever: serve every connected node that something is due for."""
        while True:
            self._wake.clear()
            wait = await self._look()
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _look(self) -> float:
        """Start what is due; gives the seconds until there is more."""
        idle = self._nodes.connected() - {self._nodes.own} - self._busy
        now, soonest = self._clock(), _LONGEST_S
        for node, due in (await self._journal.read(partial(copies.next_due, holders=idle))).items():
            at = max(due, self._pause.get(node, 0.0))
            if at <= now:
                self._busy.add(node)
                self._spawn(f"copies for {node.hex()[:12]}", self._serve(node))
            else:
                soonest = min(soonest, at - now)
        return max(soonest, 0.01)

    async def _serve(self, node: bytes) -> None:
        """Bring a node what it is owed until nothing is due."""
        try:
            while due := await self._journal.read(
                partial(copies.due_for, holder=node, now=self._clock(), limit=_BATCH)
            ):
                self.figures.rounds += 1
                await self._round(node, due)
            self._pause.pop(node, None)
        except BzzzError as error:
            # It left, or is too busy: when it is there again, or a while later, it is asked again.
            self._pause[node] = self._clock() + _RETRY_S
            _LOG.info("copies did not arrive", holder=node.hex()[:12], error=error)
        finally:
            self._busy.discard(node)
            self._wake.set()

    async def _round(self, node: bytes, due: list[Due]) -> None:
        fresh = [item.id for item in due if item.fresh]
        asked = [item.id for item in due if not item.fresh]
        if asked:
            answer = await self._asker.ask(node, Offer(tuple(bytes.fromhex(id) for id in asked)), Lacking)
            lacking = {id.hex() for id in answer.ids}
            await self._confirmed(node, [id for id in asked if id not in lacking])
            await self._push(node, [id for id in asked if id in lacking], repair=True)
        await self._push(node, fresh, repair=False)

    async def _push(self, node: bytes, ids: list[str], *, repair: bool) -> None:
        batch: list[Carried] = []
        size = 0
        for id in ids:
            carried = await self._load(node, id)
            if carried is None:
                continue
            if size + carried.weight > MESSAGE_BYTES and batch:
                await self._send(node, batch, repair=repair)
                batch, size = [], 0
            batch.append(carried)
            size += carried.weight
        if batch:
            await self._send(node, batch, repair=repair)

    async def _load(self, node: bytes, id: str) -> Carried | None:
        """A version to send; ``None`` when it is not here whole any more, and so cannot be owed by this node."""
        try:
            return await self._contexts.carry(id)
        except (NotAllowed, NotFound) as error:
            await self._postpone(node, [id], _REFUSED_S)
            _LOG.info("a version cannot be copied", version_id=id, error=error)
        except StorageFailed:
            self._damaged(id)
            await self._postpone(node, [id], _FULL_S)
        return None

    async def _send(self, node: bytes, batch: Sequence[Carried], *, repair: bool) -> None:
        answer = await self._asker.ask(node, Push(tuple(batch)), Taken, _PUSH_S)
        refused = {item.id.hex(): item for item in answer.refused}
        taken = [carried.id for carried in batch if carried.id not in refused]
        if repair:
            self.figures.repaired += len(taken)
        await self._confirmed(node, taken)
        waiting = [id for id, item in refused.items() if item.code == WAIT]
        full = [id for id, item in refused.items() if item.code == DiskFull.code]
        wrong = [id for id in refused if id not in waiting and id not in full]
        await self._postpone(node, waiting, _WAIT_S)
        await self._postpone(node, full, _FULL_S)
        await self._postpone(node, wrong, _REFUSED_S)
        self.figures.refused += len(full) + len(wrong)
        for id in full:
            await self._substitute(node, id)
        for id in (*full, *wrong)[:1]:
            _LOG.warning(
                "a node refuses copies", holder=node.hex()[:12], versions=len(full) + len(wrong),
                code=refused[id].code, why=refused[id].message[:200],
            )  # fmt: skip

    async def _confirmed(self, node: bytes, ids: list[str]) -> None:
        if not ids:
            return
        now = self._clock()
        needed = self._nodes.needed - 1  # this node's own copy is one of them

        def note(connection: sqlite3.Connection) -> tuple[int, list[str]]:
            before = {id: copies.count_confirmed(connection, id) for id in ids}
            copies.confirm(connection, ids, node, now, now + self._again_s)
            after = {id: copies.count_confirmed(connection, id) for id in ids}
            new = sum(after[id] > before[id] for id in ids)
            return new, [id for id in ids if before[id] < needed <= after[id]]

        new, whole = await self._journal.write(note)
        self.figures.replicated += new
        if whole:
            await self._reached(whole)

    async def _postpone(self, node: bytes, ids: list[str], seconds: float) -> None:
        if ids:
            due = self._clock() + seconds
            await self._journal.write(partial(copies.postpone, ids=ids, holder=node, due=due))

    async def _substitute(self, node: bytes, id: str) -> None:
        """A holder has no room: until it has, another one takes this version."""
        base = (await self._contexts.show_id(id)).address
        order = [other for other in self._nodes.order(base) if other != self._nodes.own]

        def note(connection: sqlite3.Connection) -> None:
            instead = substitute(order, node, copies.of_version(connection, id))
            if instead is not None:
                copies.owe(connection, id, (instead,), 1.0)

        await self._journal.write(note)

    # When the nodes that count have changed.

    async def sweep(self) -> int:
        """Look at every address: what its holders now lack becomes owed. Gives how many copies that are."""
        await self._forget()
        row = made = 0
        while places := await self._journal.read(partial(held.places, after=row)):
            row = places[-1].row
            targets = [(place, self._nodes.targets(place.base)) for place in places]
            made += await self._journal.write(partial(self._owe, targets=targets))
        if made:
            self.wake()
        return made

    def _owe(self, connection: sqlite3.Connection, targets: Sequence[tuple[held.Place, tuple[bytes, ...]]]) -> int:
        made = 0
        for place, nodes in targets:
            for version in held.versions_at(connection, place.row):
                if not version.here:
                    continue
                known = copies.of_version(connection, version.id)
                # One that was read here and is held by others is nobody's business: no books, no duty.
                if self._nodes.own not in nodes and not known:
                    continue
                missing = owed_to(self._nodes.own, nodes, known)
                copies.owe(connection, version.id, missing, 1.0)
                made += len(missing)
        return made

    async def _forget(self) -> None:
        """Take the copies of nodes that no longer count off the books."""
        for node in await self._journal.read(copies.holders):
            if node not in self._nodes.present:
                while await self._journal.write(partial(copies.forget_holder, holder=node, limit=_BATCH)):
                    continue
