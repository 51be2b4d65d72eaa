"""Takes signed commands from callers of this node to the ledger, wherever it is kept, with the versions they name."""

from __future__ import annotations

from typing import Any, TypeVar

from bzzzd.daemon.gate import Gate
from bzzzd.daemon.ledger.enclosed import Enclosed
from bzzzd.daemon.ledger.keeper import Keeper
from bzzzd.daemon.ledger.named import check_named
from bzzzd.daemon.ledger.outbox import Outbox
from bzzzd.daemon.ledger.remote import RemoteLedger
from bzzzd.daemon.ledger.seat import Seat
from bzzzd.daemon.membership.members import Members
from bzzzd.errors import BzzzError, InvalidEnvelope
from bzzzd.slurp.commands import Author, Command, author_of, open_command
from bzzzd.slurp.ledger import Outcome
from bzzzd.storage.versions.context import ContextStore, Pending

C = TypeVar("C", bound=Command)


class Waits(Exception):
    """The command is kept here until the coordinator is back; ``shown`` is what is said of its task."""

    def __init__(self, shown: dict[str, Any]) -> None:
        super().__init__()
        self.shown = shown


class Clerk:
    """``far`` and ``outbox`` are used while another node keeps the ledger."""

    def __init__(
        self,
        seat: Seat,
        keeper: Keeper,
        contexts: ContextStore,
        members: Members,
        gate: Gate,
        mesh_id: str,
        *,
        far: RemoteLedger,
        outbox: Outbox,
    ) -> None:
        self._seat = seat
        self._keeper = keeper
        self._contexts = contexts
        self._members = members
        self._gate = gate
        self._mesh_id = mesh_id
        self._far = far
        self._outbox = outbox

    def open(self, raw: bytes, kind: type[C]) -> tuple[Author, C]:
        """The author by its grant, and the command, which must be of ``kind``."""
        envelope, command = open_command(raw, self._mesh_id)
        if not isinstance(command, kind):
            told = type(command).__name__.lower()
            raise InvalidEnvelope(f"the signed command is {told}, and the method is for {kind.__name__.lower()}")
        return author_of(envelope, self._members.grant_of(envelope.author)), command

    async def run(self, author: Author, command: Command, raw: bytes, pending: Pending | None = None) -> Outcome:
        """Have it done; raises what the ledger raises, and ``Waits``."""
        here, along = self._seat.acting, None if pending is None else Enclosed(pending)
        try:
            check_named(author, command, pending, self._gate.recipients)
            if self._outbox.takes(command):
                raise Waits(await self._outbox.keep(author, command, await self._far.prepare(author, raw, along)))
            outcome = await self._seat.execute(author, command, raw, along)
        except BzzzError as error:
            if not here and self._outbox.takes(command, error):
                kept = await self._outbox.keep(author, command, await self._far.prepare(author, raw, along))
                raise Waits(kept) from error
            if pending is not None and (here or pending.blob.data is not None):
                await self._contexts.discard(pending)
            raise
        if here:
            self._keeper.line.add(outcome.events)
        else:
            self._keeper.noticed(outcome.task)
        return outcome
