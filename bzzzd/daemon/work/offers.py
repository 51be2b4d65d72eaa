"""Offers: open tasks go to agents, one stream for each that is attached here; the coordinator makes them for all nodes.

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


class Listener(NamedTuple):
    """An agent that can be offered tasks. ``slots`` are tasks at a time."""

    id: str
    role: str
    capabilities: tuple[str, ...]
    slots: int


class OfferDesk:
    """Feeds the matcher with events and puts its offers on the agents' streams, once a loop turn.

    ``spawn(name, work)`` runs a short task whose death the owner notices. ``push(peer id, offers)`` brings offers
    (task, agent, seconds) to agents of another node; ``changed()`` hears that other agents listen here than before.
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
        self._acting = True
        self._far: dict[str, dict[str, Listener]] = {}
        self.push: Callable[[str, list[tuple[str, str, float]]], object] = lambda peer_id, offers: None
        self.changed: Callable[[], None] = lambda: None
        self.declined: Callable[[str, str], None] = lambda task_id, agent_id: None
        self.made = 0

    async def load(self) -> None:
        """Take over the ledger's open tasks, a bounded number of each need."""
        if not self._acting:
            return
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
            self._listens(agent_id, desk)

    def listen(self, agent_id: str) -> Stream:
        """The agent's stream, which it reads from now on."""
        desk = self._desks.get(agent_id)
        if desk is None:
            raise NotFound(f"agent {agent_id} is not attached here, so nothing is offered to it")
        self._desks[agent_id] = desk._replace(listens=True)
        self._listens(agent_id, desk)
        return desk.stream

    def _listens(self, agent_id: str, desk: _Desk) -> None:
        self._matcher.agent_here(agent_id, desk.role, desk.capabilities, desk.slots)
        self.kick()
        self.changed()

    def agent_gone(self, agent_id: str) -> None:
        self._desks.pop(agent_id, None)
        self._matcher.agent_gone(agent_id)
        self.kick()
        self.changed()

    # Agents of other nodes.

    def act(self, acting: bool) -> None:
        """Make offers from now on, or leave that to the coordinator."""
        if acting != self._acting:
            self._acting = acting
            self._matcher.forget_tasks()
            if not acting:
                for peer_id in list(self._far):
                    self.crew(peer_id, ())

    def listeners(self) -> list[Listener]:
        """The agents that listen here."""
        return [
            Listener(id, desk.role, desk.capabilities, desk.slots) for id, desk in self._desks.items() if desk.listens
        ]

    def crew(self, peer_id: str, agents: Iterable[Listener]) -> list[str]:
        """The agents that listen on another node now, all of them; gives those whose name another node has."""
        told = {agent.id: agent for agent in agents}
        others = [crew for peer, crew in self._far.items() if peer != peer_id]
        taken = [id for id in told if id in self._desks or any(id in crew for crew in others)]
        wanted = {id: agent for id, agent in told.items() if id not in taken}
        known = self._far.get(peer_id, {})
        for id in known.keys() - wanted.keys():
            self._matcher.agent_gone(id)
        for id, agent in wanted.items():
            if known.get(id) != agent:
                self._matcher.agent_here(id, agent.role, agent.capabilities, agent.slots)
        if wanted:
            self._far[peer_id] = wanted
        else:
            self._far.pop(peer_id, None)
        self.kick()
        return taken

    def listens_at(self, peer_id: str, agent_id: str) -> bool:
        """Whether an agent is one of those that another node has told of."""
        return agent_id in self._far.get(peer_id, {})

    def offered(self, task_id: str, agent_id: str, expires_s: float) -> bool:
        """The coordinator offers a task to an agent here; whether it listens."""
        desk = self._desks.get(agent_id)
        if desk is None or not desk.listens:
            return False
        self.made += 1
        desk.stream.append({"task": task_id, "expires_s": expires_s})
        return True

    # Tasks.

    def follow(self, task: Task) -> None:
        """A task changed."""
        if not self._acting:
            return
        self._matcher.follow(task, time.monotonic())
        self.kick()

    def refused(self, task_id: str, agent_id: str) -> None:
        """A claim was refused, or the agent declined: somebody else is asked."""
        if not self._acting:
            self.declined(task_id, agent_id)
            return
        self._matcher.refused(task_id, agent_id, time.monotonic())
        self.kick()

    def kick(self) -> None:
        if not self._scheduled and not self._stopped:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        if self._stopped or not self._acting:
            return
        now = time.monotonic()
        away: dict[str, list[tuple[str, str, float]]] = {}
        for offer in self._matcher.offers(now):
            expires_s = round(offer.expires - now, 3)
            if not self.offered(offer.task, offer.agent, expires_s):
                for peer_id, crew in self._far.items():
                    if offer.agent in crew:
                        away.setdefault(peer_id, []).append((offer.task, offer.agent, expires_s))
        for peer_id, offers in away.items():
            self.made += len(offers)
            self.push(peer_id, offers)
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
