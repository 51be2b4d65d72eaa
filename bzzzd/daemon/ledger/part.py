"""The ledger's parts on one node, put together: what is kept here, the way to the coordinator, and who may ask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

from bzzzd.daemon.context.store import Store
from bzzzd.daemon.gate import Gate
from bzzzd.daemon.identity import IdentityService
from bzzzd.daemon.ledger import wire
from bzzzd.daemon.ledger.crew import CrewDesk
from bzzzd.daemon.ledger.keeper import Keeper
from bzzzd.daemon.ledger.kept import KeptLedger
from bzzzd.daemon.ledger.named import check_named
from bzzzd.daemon.ledger.office import Office
from bzzzd.daemon.ledger.outbox import Outbox
from bzzzd.daemon.ledger.remote import RemoteLedger
from bzzzd.daemon.ledger.replicator import Candidate, Replicator
from bzzzd.daemon.ledger.seat import Seat
from bzzzd.daemon.ledger.server import LedgerServer
from bzzzd.daemon.ledger.standby import Standby
from bzzzd.daemon.ledger.succession import Succession
from bzzzd.daemon.membership.members import Members
from bzzzd.daemon.work.leases import Leases
from bzzzd.daemon.work.offers import OfferDesk
from bzzzd.daemon.work.taskview import TaskView
from bzzzd.daemon.work.titles import Titles
from bzzzd.errors import GrantRefused
from bzzzd.identity.grants import Grant
from bzzzd.mesh.mesh import Mesh
from bzzzd.mesh.peer_id import peer_id_of
from bzzzd.mesh.values import MeshEvent
from bzzzd.rpc.streams import Stream
from bzzzd.slurp import replica, schema
from bzzzd.slurp.ledger import Outcome, Rules
from bzzzd.slurp.task import LedgerClock, Task
from bzzzd.storage.versions.adopt import Carried
from bzzzd.storage.versions.rows import Pending

_SERVICE: Final = "ledger"


class LedgerPart:
    """``seat`` is the ledger for everybody here, ``keeper`` the service, ``view`` and ``offers`` what shows it."""

    def __init__(
        self,
        identity: IdentityService,
        store: Store,
        mesh: Mesh,
        gate: Gate,
        titles: Titles,
        task_events: Stream,
        events: Stream,
        rules: Rules,
        clock: Callable[[], LedgerClock],
        *,
        offer_s: float,
        folder: Path,
        completed: Callable[[Task], None],
        spawn: Callable[..., Any],
    ) -> None:
        self._identity = identity
        self._store = store
        self._mesh = mesh
        self._spawn_for = spawn
        who, members = identity.node, identity.members
        self.office = Office(identity.charter, mesh, who.key.public, members.name_of)
        self._events = events
        self.replicator = Replicator(self._ask_peer, self._candidates, self._rows, store.contexts.carry, self._tell)
        self.here = KeptLedger(store.journal, rules, clock, self.replicator, lambda: who.id)
        self.succession = Succession(store.journal, self.here, self.office, clock, folder / "ledger", self._tell)
        self._standby = Standby(store.journal, store.contexts, self.office, self.succession, self._tell)
        far = RemoteLedger(
            self.office.ask, self._spawn, chain_of=members.chain_of, pack=self._pack, adopt=self._adopt,
            reached=self._standby.reached,
        )  # fmt: skip
        self.seat = Seat(self.here, far)
        self.offers = OfferDesk(self.seat, offer_s=offer_s, spawn=self._spawn)
        self.here.opened = self.offers.follow
        self.leases = Leases()
        self.view = TaskView(self.seat, store.contexts, gate, titles, task_events, self.leases.holder)
        self.keeper = Keeper(
            self.seat, far, self.office, self.succession, self.offers, self.view, self.leases,
            completed=completed, settled=self._settled, upto=self.replicator.upto, spawn=spawn,
        )  # fmt: skip
        self._server = LedgerServer(
            self.seat, self.keeper.line, store.contexts, who.mesh_id,
            grant_of=lambda key, chain: grant_of(members, key, chain),
            check=lambda author, command, pending: check_named(author, command, pending, gate.recipients),
            judging=mesh.judging,
            refused=self.offers.refused, name=lambda: self.office.name,
            kept=self.here, copies=self.replicator, spawn=self._spawn,
        )  # fmt: skip
        self._acting = asyncio.Event()
        self.far = far
        self.outbox = Outbox(store.journal, who.id, self._deliver, self.view.waiting)
        self.view.outbox = self.outbox
        self._crew = CrewDesk(self.offers, self.office, mesh, events, self._spawn)

    def open(self) -> None:
        """Answer other members from now on."""
        self._mesh.handle(wire.LEDGER_PROTOCOL, self._answer)
        self._mesh.handle(wire.OFFERS_PROTOCOL, self._crew.answer)

    async def begin(self) -> None:
        """Run what the service's start does not: after it."""
        await self.outbox.load()
        self._spawn_for(_SERVICE, "outbox", self.outbox.run())
        self._spawn_for(_SERVICE, "crew", self._crew.keep_telling())
        self._spawn_for(_SERVICE, "standby", self._keep_standby())

    def happened(self, event: MeshEvent) -> None:
        """A peer came or went."""
        if event.kind == "joined":
            self.keeper.met()
            self._crew.kick()
            self.replicator.kick()
        elif event.kind == "left":
            self._crew.left(event.peer_id)

    def facts(self) -> dict[str, Any]:
        """What status says of it."""
        return {"coordinator": self.office.name, "waiting": len(self.outbox)}

    def _settled(self) -> None:
        self._crew.kick()
        self.outbox.kick()
        self._acting.set()

    async def _answer(self, peer_id: str, raw: bytes) -> bytes:
        asked = wire.question(raw)
        if isinstance(asked, wire.Copy):
            return wire.encode(await self._standby.take(peer_id, asked))
        return await self._server.answer(peer_id, asked)

    # The standby's copy.

    async def _keep_standby(self) -> None:
        while True:
            self._acting.clear()
            if self.seat.acting:
                await self.replicator.run(self.here, lambda: self.seat.acting)
            await self._acting.wait()

    def _candidates(self) -> list[Candidate]:
        """Those that the coordinator document names, else whoever has been connected longest."""
        named = (
            {peer_id_of(key): place for place, key in enumerate(self.office.record.standbys)}
            if self.office.record
            else {}
        )
        peers = [peer for peer in self._mesh.peers() if peer.connected and (not named or peer.peer_id in named)]
        peers.sort(key=lambda peer: (named.get(peer.peer_id, 0), peer.since, peer.peer_id))
        return [Candidate(peer.peer_id, peer.id) for peer in peers]

    async def _ask_peer(self, peer_id: str, data: bytes, seconds: float) -> bytes:
        return await self._mesh.request(peer_id, wire.LEDGER_PROTOCOL, data, seconds)

    async def _rows(self, after: int, limit: int, most_bytes: int) -> tuple[int, list[replica.Row]]:
        return await self._store.journal.read(
            lambda conn: (schema.term(conn), replica.read(conn, after, limit, most_bytes))
        )

    def _tell(self, kind: str, detail: str) -> None:
        self._events.append({"source": "ledger", "kind": kind, "at": time.time(), "detail": detail})

    async def _deliver(self, do: wire.Do) -> Outcome:
        if self.seat.acting:
            return await self._server.deliver(self._identity.node.key.public, do)
        return await self.far.send(do)

    async def _pack(self, pending: Pending) -> Carried:
        """A version for the way; one whose content lies in a file stays here too, and may be fetched."""
        if pending.blob.data is None:
            await self._store.contexts.store(pending)
        return await self._store.contexts.carry_pending(pending)

    async def _adopt(self, carried: Carried) -> str:
        return await self._store.contexts.adopt(carried)

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> object:
        return self._spawn_for(_SERVICE, name, work, ends=True)


def grant_of(members: Members, key: bytes, chain: Sequence[bytes]) -> Grant:
    """The grant of a command's author, by the chain that came with it; raises ``GrantRefused``."""
    if tuple(chain) != members.chain_of(key):
        grant = members.admit(chain)
        if grant.key != key:
            raise GrantRefused("the grants that came with a command are for another key than the one that signed it")
    return members.grant_of(key)
