"""Offers: open tasks go to attached agents, one stream for each agent.

An offer is a hint. What counts is the claim that the agent signs and the ledger accepts, so nothing
here has to be durable: after a restart the ledger's open tasks are offered again.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

from bzzzd.errors import BzzzError, NotFound
from bzzzd.rpc.streams import Stream
from bzzzd.slurp.ledger import Ledger
from bzzzd.slurp.matching import Matcher
from bzzzd.slurp.task import Task

OFFERS_KEPT: Final = 4096
Spawn = Callable[[str, Coroutine[Any, Any, None]], object]


class OfferDesk:
    """Feeds the matcher with events and puts its offers on the agents' streams, once a loop turn.

    ``spawn(name, work)`` runs a short task whose death the owner notices.
    """

    def __init__(self, ledger: Ledger, *, offer_s: float, spawn: Spawn) -> None:
        self._ledger = ledger
        self._matcher = Matcher(offer_s=offer_s)
        self._spawn = spawn
        self._streams: dict[str, Stream] = {}
        self._scheduled = False
        self._refilling = False
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False
        self.made = 0

    async def load(self) -> None:
        """Take over the ledger's open tasks, a bounded number of each need."""
        for need in await self._ledger.open_needs():
            await self._refill(need, 512)
        self.kick()

    def stop(self) -> None:
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def stream_of(self, agent_id: str) -> Stream:
        """The offers for an agent that is attached."""
        try:
            return self._streams[agent_id]
        except KeyError:
            raise NotFound(f"agent {agent_id} is not attached here, so nothing is offered to it") from None

    def agent_here(self, agent_id: str, role: str, capabilities: Iterable[str], slots: int) -> None:
        # One that attaches again in the same session (to renew its grant) keeps the stream it reads.
        self._streams.setdefault(agent_id, Stream(secrets.token_hex(8), keep=OFFERS_KEPT))
        self._matcher.agent_here(agent_id, role, capabilities, slots)
        self.kick()

    def agent_gone(self, agent_id: str) -> None:
        self._streams.pop(agent_id, None)
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
            stream = self._streams.get(offer.agent)
            if stream is not None:
                self.made += 1
                stream.append({"task": offer.task, "expires_s": round(offer.expires - now, 3)})
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
