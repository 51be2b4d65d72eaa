"""Offers: open tasks go to attached agents, one stream for each agent.

An offer is a hint. What counts is the claim that the agent signs and the ledger accepts, so nothing
here has to be durable: after a restart the ledger's open tasks are offered again.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, NamedTuple

from bzzzd.errors import BzzzError, NotFound
from bzzzd.rpc.streams import Stream
from bzzzd.slurp.ledger import Ledger
from bzzzd.slurp.matching import Matcher
from bzzzd.slurp.task import Task

OFFERS_KEPT: Final = 4096
Spawn = Callable[[str, Coroutine[Any, Any, None]], object]


class _Desk(NamedTuple):
    stream: Stream
    role: str
    capabilities: tuple[str, ...]
    slots: int
    listens: bool


class OfferDesk:
    """Feeds the matcher with events and puts its offers on the agents' streams, once a loop turn.

    ``spawn(name, work)`` runs a short task whose death the owner notices.
    """

    def __init__(self, ledger: Ledger, *, offer_s: float, spawn: Spawn) -> None:
        self._ledger = ledger
        self._matcher = Matcher(offer_s=offer_s)
        self._spawn = spawn
        self._desks: dict[str, _Desk] = {}
        self._scheduled = False
        self._refilling = False
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False
        self.made = 0

    async def load(self) -> None:
        """Take over the ledger's open tasks, a bounded number of each need."""
        self._matcher.forget_tasks()
        for need in await self._ledger.open_needs():
            await self._refill(need, 512)
        self.kick()

    def stop(self) -> None:
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def agent_here(self, agent_id: str, role: str, capabilities: Iterable[str], slots: int) -> None:
        """An agent attached, or attached again; nothing is offered to it before it listens."""
        before = self._desks.get(agent_id)
        stream = before.stream if before else Stream(secrets.token_hex(8), keep=OFFERS_KEPT)
        desk = self._desks[agent_id] = _Desk(stream, role, tuple(capabilities), slots, bool(before and before.listens))
        if desk.listens:
            self._matcher.agent_here(agent_id, role, desk.capabilities, slots)
            self.kick()

    def listen(self, agent_id: str) -> Stream:
        """The agent's stream, which it reads from now on."""
        desk = self._desks.get(agent_id)
        if desk is None:
            raise NotFound(f"agent {agent_id} is not attached here, so nothing is offered to it")
        self._desks[agent_id] = desk._replace(listens=True)
        self._matcher.agent_here(agent_id, desk.role, desk.capabilities, desk.slots)
        self.kick()
        return desk.stream

    def agent_gone(self, agent_id: str) -> None:
        self._desks.pop(agent_id, None)
        self._matcher.agent_gone(agent_id)
        self.kick()

    def follow(self, task: Task) -> None:
        """A task changed."""
        self._matcher.follow(task, time.monotonic())
        self.kick()

    def refused(self, task_id: str, agent_id: str) -> None:
        """A claim was refused, or the agent declined: somebody else is asked."""
        self._matcher.refused(task_id, agent_id, time.monotonic())
        self.kick()

    def kick(self) -> None:
        if not self._scheduled and not self._stopped:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        if self._stopped:
            return
        now = time.monotonic()
        for offer in self._matcher.offers(now):
            desk = self._desks.get(offer.agent)
            if desk is not None:
                self.made += 1
                desk.stream.append({"task": offer.task, "expires_s": round(offer.expires - now, 3)})
        if self._matcher.hungry() and not self._refilling:
            self._refilling = True
            self._spawn("refill offers", self._refill_all())
        self._set_timer(now)

    def _set_timer(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        at = self._matcher.next_time()
        if at is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, at - now) + 0.001, self.kick)

    async def _refill_all(self) -> None:
        try:
            for need, limit in self._matcher.hungry():
                await self._refill(need, limit)
        except BzzzError:
            # The ledger is away or closing; its own health says so, and the next event asks again.
            return
        finally:
            self._refilling = False
        self.kick()

    async def _refill(self, need: tuple[str, str], limit: int) -> None:
        tasks = await self._ledger.open_tasks(*need, limit)
        self._matcher.refill(need, tasks, limit, time.monotonic())
