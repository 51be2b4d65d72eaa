"""The standby's side: the coordinator's entries and the versions that they name, durable here in one transaction.

A copy of another ledger than the one held is begun anew; a node that kept the ledger before has looked
(``succession.py``) whether its own holds more, and put that away.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable

from bzzzd.daemon.ledger import wire
from bzzzd.daemon.ledger.office import Office
from bzzzd.daemon.ledger.succession import Succession
from bzzzd.errors import BzzzError, Conflict, NotAllowed, Unavailable
from bzzzd.mesh.peer_id import key_of
from bzzzd.slurp import replica
from bzzzd.storage.journal.journal import Journal
from bzzzd.storage.versions.context import ContextStore
from bzzzd.storage.versions.rows import Pending


class Standby:
    """``tell(kind, detail)`` is for those who watch."""

    def __init__(
        self,
        journal: Journal,
        contexts: ContextStore,
        office: Office,
        succession: Succession,
        tell: Callable[[str, str], None],
    ) -> None:
        self._journal = journal
        self._contexts = contexts
        self._office = office
        self._succession = succession
        self._tell = tell
        self._reached = ("", 0)
        self._waiting: set[asyncio.Event] = set()

    async def reached(self, incarnation: str, number: int, seconds: float) -> bool:
        """Whether everything up to entry ``number`` of that ledger is durable here, within the time."""
        grown = asyncio.Event()
        self._waiting.add(grown)
        try:
            async with asyncio.timeout(seconds):
                while self._reached[0] != incarnation or self._reached[1] < number:
                    await grown.wait()
                    grown.clear()
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(grown)
        return True

    async def take(self, peer_id: str, copy: wire.Copy) -> wire.Copied:
        """Add what the coordinator sends; gives what is held then. Raises ``NotAllowed`` for anybody else."""
        record = self._office.record
        if record is None or self._office.here or peer_id != self._office.peer_id:
            raise NotAllowed(f"a copy of the ledger comes from the coordinator, {self._office.name or 'not known yet'}")
        if copy.fresh and not self._succession.settled:
            raise Unavailable("this node still looks whether its own former ledger holds more; try again in a moment")
        versions = await self._checked(peer_id, copy)

        def work(conn: sqlite3.Connection) -> int:
            # Content was checked meanwhile: this node may have become the coordinator, whose entries are its own.
            if replica.standing(conn).office > record.number:
                raise Conflict("this node keeps the ledger now")
            number = replica.apply(conn, copy.incarnation, copy.term, copy.after, copy.rows, fresh=copy.fresh)
            for pending in versions:
                ContextStore.insert(conn, pending)
            return number

        if not copy.rows and not copy.fresh:
            return await self._held()
        try:
            number = await self._journal.write(work)
        except Conflict:
            for pending in versions:
                await self._contexts.discard(pending)
            return await self._held()
        self._reached = (copy.incarnation, number)
        for grown in self._waiting:
            grown.set()
        return wire.Copied(copy.incarnation, number)

    async def _held(self) -> wire.Copied:
        held = await self._journal.read(replica.standing)
        return wire.Copied(held.source, held.number)

    async def _checked(self, peer_id: str, copy: wire.Copy) -> list[Pending]:
        found = []
        for carried in copy.versions:
            try:
                found.append(await self._contexts.verify(carried, holder=key_of(peer_id)))
            except BzzzError as error:
                # The entry counts all the same: its content is what nobody could use.
                self._tell("invalid", f"a version that the coordinator sent does not hold: {error.message}"[:300])
        return found
