"""Agents of one node and offers of another: who listens is told to the coordinator, what it offers comes back.

Each node tells the coordinator all of its listening agents, at every change and every ``RENEW_S``; a node
that has not been heard of for ``CREW_S``, or has left the mesh, is offered nothing. An offer that does not
arrive costs its time: then somebody else is asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from bzzzd.daemon.ledger import wire
from bzzzd.daemon.ledger.office import Office
from bzzzd.daemon.work.offers import Listener, OfferDesk
from bzzzd.errors import BzzzError, Unavailable
from bzzzd.mesh.mesh import Mesh
from bzzzd.rpc.streams import Stream

CREW_S: Final = 30.0
RENEW_S: Final = 10.0
_ASK_S: Final = 5.0
_REST_S: Final = 0.5
_NAMES: Final[msgspec.msgpack.Decoder[tuple[str, ...]]] = msgspec.msgpack.Decoder(wire.Names)


class CrewDesk:
    """``spawn(name, work)`` runs a short task."""

    def __init__(
        self,
        offers: OfferDesk,
        office: Office,
        mesh: Mesh,
        events: Stream,
        spawn: Callable[[str, Any], object],
    ) -> None:
        self._offers = offers
        self._office = office
        self._mesh = mesh
        self._events = events
        self._spawn = spawn
        self._kicked = asyncio.Event()
        self._heard: dict[str, float] = {}
        self._told: frozenset[str] = frozenset()
        offers.changed = self.kick
        offers.push = self._push
        offers.declined = self._declined

    def kick(self) -> None:
        """Tell the coordinator who listens here, soon."""
        self._kicked.set()

    async def keep_telling(self) -> None:
        """Tell the coordinator who listens here, and forget nodes that are silent."""
        rest = RENEW_S
        while True:
            try:
                async with asyncio.timeout(rest):
                    await self._kicked.wait()
            except TimeoutError:
                pass
            self._kicked.clear()
            rest = RENEW_S
            now = time.monotonic()
            for peer_id in [peer_id for peer_id, at in self._heard.items() if now - at > CREW_S]:
                self.left(peer_id)
            if self._office.here or self._office.record is None:
                continue
            try:
                await self._tell()
            except BzzzError:
                rest = _REST_S

    async def _tell(self) -> None:
        agents = tuple(
            wire.Agent(one.id, one.role, one.capabilities, one.slots)
            for one in self._offers.listeners()[: wire.MOST_AGENTS]
        )
        word = wire.encode(wire.Crew(agents))
        raw = await self._mesh.request(self._office.peer_id, wire.OFFERS_PROTOCOL, word, _ASK_S)
        names: tuple[str, ...] = wire.answer(raw, _NAMES)
        taken = frozenset(names)
        for id in taken - self._told:
            self._events.append(
                {
                    "source": "ledger", "kind": "agent_twice", "at": time.time(), "id": id,
                    "detail": f"an agent {id} works on another node already, so nothing is offered to the one here; "
                    "give it another agent.id",
                }
            )  # fmt: skip
        self._told = taken

    def left(self, peer_id: str) -> None:
        """A node has left the mesh."""
        if self._heard.pop(peer_id, None) is not None:
            self._offers.crew(peer_id, ())

    async def answer(self, peer_id: str, raw: bytes) -> bytes:
        """What another member says about offers; gives names of agents that are not taken on."""
        match wire.offer_word(raw):
            case wire.Crew(agents=agents):
                if not self._office.here:
                    raise Unavailable("this node does not keep the ledger")
                self._heard[peer_id] = time.monotonic()
                crew = [Listener(one.id, one.role, one.capabilities, one.slots) for one in agents]
                return wire.encode(self._offers.crew(peer_id, crew))
            case wire.Declined(task=task, agent=agent):
                # A node speaks for its own agents alone: others could be kept from every task.
                if self._office.here and self._offers.listens_at(peer_id, agent):
                    self._offers.refused(task, agent)
                return wire.encode(())
            case wire.Offers(items=items):
                if peer_id != self._office.peer_id:
                    raise Unavailable("offers come from the coordinator, and this node knows another one")
                gone = [one.agent for one in items if not self._offers.offered(one.task, one.agent, one.expires_s)]
                if gone:
                    self.kick()
                return wire.encode(gone)

    def _push(self, peer_id: str, offers: list[tuple[str, str, float]]) -> None:
        for start in range(0, len(offers), wire.MOST_ROWS):
            word = wire.Offers(tuple(wire.Offered(*one) for one in offers[start : start + wire.MOST_ROWS]))
            self._spawn("offers to another node", self._bring(peer_id, word))

    async def _bring(self, peer_id: str, word: wire.Offers) -> None:
        try:
            await self._mesh.request(peer_id, wire.OFFERS_PROTOCOL, wire.encode(word), _ASK_S)
        except BzzzError:
            self.left(peer_id)  # it tells again when it is back; its tasks go to others at once

    def _declined(self, task_id: str, agent_id: str) -> None:
        self._spawn("a declined offer", self._decline(wire.Declined(task_id, agent_id)))

    async def _decline(self, word: wire.Declined) -> None:
        try:
            await self._mesh.request(self._office.peer_id, wire.OFFERS_PROTOCOL, wire.encode(word), _ASK_S)
        except BzzzError:
            return  # the offer ends by itself
