"""The ledger kept on this node, which acknowledges nothing before its standby holds it too, where there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec.structs import replace

from bzzzd.slurp import replica
from bzzzd.slurp.commands import Author, Command
from bzzzd.slurp.embedded import EmbeddedLedger, Journal
from bzzzd.slurp.ledger import Along, Backup, Expired, LedgerEvent, Outcome, Rules, Status
from bzzzd.slurp.task import LedgerClock, Task


class Copies(Protocol):
    """What knows how far the standby is. ``standby`` is its id, empty without one, and ``reason`` then says why."""

    standby: str
    reason: str

    async def durable(self, number: int | None) -> None:
        """Return once entry ``number`` (None: everything made so far) is on the standby, or there is none."""


class KeptLedger(EmbeddedLedger):
    """``name()`` is this node's id, for whoever asks who keeps the ledger.

    ``opened(task)`` hears of a task that is open here, maybe before the standby holds it.
    """

    def __init__(
        self, journal: Journal, rules: Rules, clock: Callable[[], LedgerClock], copies: Copies, name: Callable[[], str]
    ) -> None:
        super().__init__(journal, rules, clock)
        self._copies = copies
        self._name = name
        self.opened: Callable[[Task], None] = lambda task: None

    async def start(self) -> Expired:
        expired = await super().start()
        await self._copies.durable(_last(expired.events))
        return expired

    async def execute(self, author: Author, command: Command, raw: bytes, along: Along | None = None) -> Outcome:
        outcome = await self.commit(author, command, raw, along)
        await self.settled(outcome)
        return outcome

    async def commit(self, author: Author, command: Command, raw: bytes, along: Along | None) -> Outcome:
        """As ``execute``, durable on this node alone: nobody is told before ``settled``."""
        outcome = await super().execute(author, command, raw, along)
        if self._copies.standby and outcome.events and outcome.task.state == "submitted":
            # An offer is a hint: it need not wait for the standby, and the claim that follows waits for both.
            self.opened(outcome.task)
        return outcome

    async def settled(self, outcome: Outcome) -> None:
        """Return once the standby holds it too, where there is one."""
        # What was done before may have been acknowledged to nobody yet, so a repetition waits as well.
        await self._copies.durable(None if outcome.repeated else _last(outcome.events))

    async def expire(self) -> Expired:
        expired = await super().expire()
        if expired.events:
            await self._copies.durable(_last(expired.events))
        return expired

    async def status(self) -> Status:
        standby, reason = self._copies.standby, self._copies.reason
        durability = "replicated" if standby else "single"
        found = await super().status()
        origin = await self._journal.read(replica.standing)
        return replace(
            found, durability=durability, coordinator=self._name(), standby=standby, reason="" if standby else reason,
            base=origin.base, based_on=origin.based_on,
        )  # fmt: skip

    async def restore(self, checked: Backup) -> Status:
        await super().restore(checked)
        return await self.status()

    async def promote(self) -> Status:
        await super().promote()
        return await self.status()


def _last(events: tuple[LedgerEvent, ...]) -> int | None:
    return events[-1].number if events else None
