"""How the ledger passes from one node to another: the copy becomes the ledger, the former one looks at what it lost.

    copy ──a document names this node──► ledger ──one names another──► former ──► copy

The term rises when a copy becomes the ledger, so tokens of the former one are refused everywhere. What the
former one acknowledged alone, and the copy never had, is merged into nothing by itself: it is put away
(``FOLDER/entries-A-to-B.backup``), told, and found by the doctor as long as it lies there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bzzzd.crypto.keys import write_failed
from bzzzd.daemon.ledger.office import Office
from bzzzd.slurp import backup, replica
from bzzzd.slurp.coordinator import FIRST
from bzzzd.slurp.ledger import Ledger
from bzzzd.slurp.task import LedgerClock
from bzzzd.storage.journal.journal import Journal

_FIX: Final = (
    "compare with bzzz task list and submit again what is missing, or make the file the mesh's ledger instead "
    "(bzzz ledger restore FILE, on the coordinator); then remove the file"
)


class Succession:
    """``here`` is the ledger in this node's ``journal``; ``tell(kind, detail)`` is for those who watch."""

    def __init__(
        self,
        journal: Journal,
        here: Ledger,
        office: Office,
        clock: Callable[[], LedgerClock],
        folder: Path,
        tell: Callable[[str, str], None],
    ) -> None:
        self._journal = journal
        self._here = here
        self._office = office
        self._clock = clock
        self._folder = folder
        self._tell = tell
        self.settled = False
        """Whether a former ledger here has been compared with the mesh's."""

    async def held(self) -> replica.Standing:
        return await self._journal.read(replica.standing)

    async def inherit(self) -> None:
        """Become the ledger by the coordinator document in force."""
        number, clock, incarnation = self._number, self._clock(), self._journal.incarnation
        if await self._journal.write(lambda conn: replica.take_office(conn, number, FIRST, clock, incarnation)):
            held = await self.held()
            self._tell("promoted", f"this node keeps the ledger now, from entry {held.number} on")
        self.settled = False

    async def stay(self) -> None:
        """Another document names this node again."""
        number = self._number
        await self._journal.write(lambda conn: replica.note_office(conn, number))

    @property
    def _number(self) -> int:
        return 0 if self._office.record is None else self._office.record.number

    async def compare(self, far: Ledger) -> None:
        """Look whether the ledger that was kept here holds what the mesh's does not; that is put away."""
        if self.settled:
            return
        held = await self.held()
        if not held.source and held.number:
            own, now = await self._here.status(), await far.status()
            shared = now.based_on if now.base == own.incarnation else 0
            if now.incarnation != own.incarnation and held.number > shared:
                await self._put_away(shared + 1, held.number)
        self.settled = True

    async def _put_away(self, first: int, last: int) -> None:
        path = self._folder / f"entries-{first}-to-{last}.backup"
        try:
            await asyncio.to_thread(self._folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise write_failed(self._folder, error) from error
        if not path.exists():
            await self._journal.read(lambda conn: backup.backup(conn, path))
        self._tell(
            "apart", f"entries {first} to {last} were acknowledged by this node alone; they lie in {path}. {_FIX}"
        )

    def check(self) -> list[tuple[str, str, str, str]]:
        """The doctor's look; blocking."""
        return [
            ("warn", "ledger entries of this node alone", f"{path} holds what the mesh's ledger does not", _FIX)
            for path in sorted(self._folder.glob("entries-*.backup"))
        ]
