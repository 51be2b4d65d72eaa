"""The node behind the door: who it is, mesh, store and ledger, and the methods over them, phase by phase."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Final

from bzzzd import __version__
from bzzzd.config.settings import Settings
from bzzzd.daemon.checks.checkup import Checkup, warnings
from bzzzd.daemon.checks.mesh_checkup import MeshCheckup
from bzzzd.daemon.checks.monitoring import start_monitoring
from bzzzd.daemon.context.contexts import ContextDesk
from bzzzd.daemon.context.large import LargeDesk
from bzzzd.daemon.context.store import Store
from bzzzd.daemon.door import Door
from bzzzd.daemon.entry import Entry
from bzzzd.daemon.gate import Gate
from bzzzd.daemon.happenings import Happenings
from bzzzd.daemon.hmmm.part import ThreadPart
from bzzzd.daemon.identity import IdentityService
from bzzzd.daemon.keys.epochs import EpochDesk
from bzzzd.daemon.keys.keydesk import KeyDesk
from bzzzd.daemon.keys.reseal import Resealer
from bzzzd.daemon.ledger.clerk import Clerk
from bzzzd.daemon.ledger.part import LedgerPart
from bzzzd.daemon.ledger.promotion import PromotionDesk
from bzzzd.daemon.ledger.rights import Rights
from bzzzd.daemon.ledger.tasks import TaskDesk
from bzzzd.daemon.membership.admin import AdminDesk
from bzzzd.daemon.membership.charter_sync import CharterSync, briefing
from bzzzd.daemon.membership.guests import GuestDesk
from bzzzd.daemon.membership.member_sync import MemberSync
from bzzzd.daemon.membership.renewing import Renewals
from bzzzd.daemon.membership.revoking import RevokeDesk
from bzzzd.daemon.messages.topics import TopicDesk
from bzzzd.daemon.peers.meshdesk import MeshDesk, MeshService, admit_nodes
from bzzzd.daemon.peers.peering import Peering
from bzzzd.daemon.prompts.part import PromptPart
from bzzzd.daemon.replicas.service import Replicas
from bzzzd.daemon.sessions import SessionDesk
from bzzzd.daemon.status import StatusDesk
from bzzzd.daemon.work.agents import AgentBook
from bzzzd.daemon.work.titles import Titles
from bzzzd.identity.caller import Caller
from bzzzd.identity.switch import inviter_addresses
from bzzzd.mesh.mesh import Mesh
from bzzzd.mesh.values import MeshEvent, MeshSettings, RecordRule, Renewal
from bzzzd.rpc.streams import Stream
from bzzzd.runtime.limits import Limits
from bzzzd.runtime.logs import Logs
from bzzzd.runtime.phases import Phase
from bzzzd.slurp.ledger import Rules
from bzzzd.slurp.task import LedgerClock, Task
from bzzzd.storage.versions.context import Writer
from bzzzd.storage.versions.records import BLOB_NAMESPACE, HEAD_NAMESPACE, select_record, validate_record
from bzzzd.ucxl.address import Address

# The portal specification's limits for a person's messages (section 13.2); agents have the process's own.
_PERSON_BYTES: Final = 524_288
_PERSON_FRESH_S: Final = 30.0
_EVENTS_KEPT: Final = 2048
_TASKS_KEPT: Final = 16_384


class Node:
    """Builds the parts and starts them through the door's manager, which stops them again."""

    def __init__(self, settings: Settings, door: Door, logs: Logs, started: float) -> None:
        self._settings = settings
        self._config = settings.config
        self._door = door
        self._manager = door.manager
        self._logs = logs
        self._started = started
        self._loop = asyncio.get_running_loop()
        self._limits = Limits.of(settings)
        self._incarnation = incarnation = secrets.token_hex(8)
        self._events = Happenings(incarnation, time.time, keep=_EVENTS_KEPT)
        self._agent_events = Stream(incarnation, keep=_EVENTS_KEPT)
        self._task_events = Stream(incarnation, keep=_TASKS_KEPT, keep_bytes=33_554_432)
        self._identity = IdentityService(settings)
        self._peering = Peering(self._config.network, self._manager, self._events)
        self._mesh = MeshService(self._make_mesh)
        self._mesh_desk: MeshDesk | None = None
        self._hearers: list[Callable[[MeshEvent], None]] = []
        """Who is told what happens on the mesh, as soon as it is there; whom it missed till then, it looks for."""
        self._keys: KeyDesk | None = None
        self._sessions: SessionDesk | None = None
        self._renewals: Renewals | None = None

    async def start(self) -> None:
        """The four phases after the door's."""
        await self._start_mesh()
        await self._start_core()
        await self._start_process()
        await self._start_monitoring()

    # Phases.

    async def _start_mesh(self) -> None:
        await self._peering.prepare()
        self._manager.add(self._identity, Phase.MESH)
        self._manager.add(self._mesh, Phase.MESH)
        await self._manager.start_phase(Phase.MESH)

    async def _start_core(self) -> None:
        self._replicas = Replicas(
            self._identity.node, self._identity.members, self._mesh.mesh, self._config.storage,
            self._events, self._manager.spawn,
        )  # fmt: skip
        self._hearers.append(self._replicas.happened)
        self._store = Store(
            self._settings.state_dir, self._config.storage, self._identity, self._replicas, self._may_write,
            lambda why: self._manager.fail("store", why), self._obtain,
        )  # fmt: skip
        self._manager.add(self._store, Phase.CORE)
        self._manager.add(self._replicas, Phase.CORE)
        await self._manager.start_phase(Phase.CORE)
        self._manager.spawn("store", "rest", self._store.rest())

    async def _start_process(self) -> None:
        who, members, mesh = self._identity.node, self._identity.members, self._mesh.mesh
        self._peering.open(mesh, who, members, self._settings.state_dir)
        gate = Gate(lambda: self._identity.policies.current)
        part = self._serve_tasks(gate)
        agents = AgentBook(who.id, self._agent_events, part.leases.load, time.time)
        mesh_desk = MeshDesk(mesh, who, members, agents, gate, self._events, spawn=self._manager.spawn)
        mesh_desk.register(self._door.registry)
        topics = self._serve_messages(gate, mesh_desk)
        keys = self._serve_keys()
        sessions = SessionDesk(
            members, agents, part.offers, gate, who.mesh_id, epoch=self._epoch,
            arrived=lambda _: mesh_desk.announce(), proved=keys.attached,
        )  # fmt: skip
        self._serve_context(gate, mesh_desk)
        self._serve_status(gate, agents)
        self._mesh_desk, self._keys = mesh_desk, keys
        self._hearers += [keys.happened, mesh_desk.happened, part.happened, self._threads.happened]
        mesh_desk.open()
        part.open()
        self._serve_members()
        self._renewals = Renewals(
            who, members, self._identity.charter, agents, mesh, self._settings.grants_dir, self._events,
            announce=mesh_desk.announce, recheck=lambda: sessions.recheck(self._door.server.sessions),
            spawn=self._manager.spawn,
        )  # fmt: skip
        self._renewals.register(self._door.registry)
        self._manager.add(self._renewals, Phase.PROCESS)
        self._entry = Entry(
            self._settings, self._identity, mesh, self._store.journal, self._events, self._door.restart,
            recovered=keys.met,  # with the authority's key come all role secrets
            spawn=self._manager.spawn,
        )  # fmt: skip
        self._entry.register(self._door.registry)
        # Until here nothing has waited, so nobody was served by a part that was not made yet.
        await topics.open()
        topics.register(self._door.registry, self._door.streams)
        self._hearers.append(topics.happened)
        await self._entry.open()
        await self._manager.start_phase(Phase.PROCESS)
        await part.begin()
        await mesh.open()
        sessions.register(self._door.registry)
        self._sessions = sessions
        self._door.complete(sessions.ended)

    def _serve_tasks(self, gate: Gate) -> LedgerPart:
        """Tasks and the prompts about them: the ledger's part, and the desks before it."""
        who, charter, contexts = self._identity.node, self._identity.charter, self._store.contexts
        registry, streams = self._door.registry, self._door.streams
        titles = Titles(contexts)
        self._ledger = part = LedgerPart(
            self._identity, self._store, self._mesh.mesh, gate, titles, self._task_events, self._events, self._rules(),
            _clock, offer_s=self._config.slurp.offer_s, folder=self._settings.state_dir, completed=self._decided,
            spawn=self._manager.spawn,
        )  # fmt: skip
        clerk = Clerk(
            part.seat, part.keeper, contexts, self._identity.members, gate, who.mesh_id, far=part.far,
            outbox=part.outbox,
        )  # fmt: skip
        tasks = TaskDesk(clerk, part.seat, contexts, gate, part.offers, titles, part.view, epoch=self._epoch)
        tasks.register(registry, streams)
        guests = GuestDesk(
            who.key, who.mesh_id, who.id, "node", gate, part.seat, tasks.submit_signed, epoch=self._epoch
        )
        guests.register(registry)
        PromptPart(part, clerk, contexts, gate, who.mesh_id, self._incarnation).register(registry, streams)
        part.view.register(registry, streams)
        PromotionDesk(part, charter, who).register(registry)
        admin = AdminDesk(
            part.seat, self._identity.members, charter, self._identity.policies, who,
            self._settings.state_dir / "travel", restored=part.keeper.replaced,
        )  # fmt: skip
        admin.register(registry)
        self._manager.add(part.keeper, Phase.PROCESS)
        return part

    def _serve_messages(self, gate: Gate, mesh_desk: MeshDesk) -> TopicDesk:
        """Topics, which serve nobody before they are open, and the threads of conversation."""
        who, registry, streams = self._identity.node, self._door.registry, self._door.streams
        self._topics = topics = TopicDesk(
            self._store.messages, self._identity.members, gate, self._mesh.mesh, who.mesh_id, own_key=who.key.public,
            trust=who.trust, events=self._events, limit_of=self._limit_of, fresh_s=self._fresh_s,
            find_chain=mesh_desk.find_chain, spawn=self._manager.spawn,
        )  # fmt: skip
        mesh_desk.kept_chain = topics.speakers.chain_of
        self._threads = ThreadPart(
            self._store, self._mesh.mesh, who.trust, gate, self._events, self._incarnation,
            task_there=self._ledger.seat.show, spawn=self._manager.spawn,
        )  # fmt: skip
        self._threads.register(registry, streams)
        self._manager.add(self._threads, Phase.PROCESS)
        return topics

    def _serve_keys(self) -> KeyDesk:
        """Role keys: their epochs, who gets them, and what is sealed anew."""
        who, charter, rolekeys = self._identity.node, self._identity.charter, self._identity.rolekeys
        reseal = Resealer(
            self._store.resealing, rolekeys, self._events, which=self._config.storage.reencrypt,
            per_s=self._config.storage.reencrypt_per_s, spawn=self._manager.spawn,
        )  # fmt: skip
        keys = KeyDesk(
            rolekeys, who, self._identity.age_secret, self._identity.members, self._mesh.mesh, self._events,
            clock=self._identity.clock, spawn=self._manager.spawn, changed=reseal.changed, papers=charter.papers,
        )  # fmt: skip
        epochs = EpochDesk(
            rolekeys, charter, keys, who, policy=lambda: self._identity.policies.current,
            signer=self._identity.members.signer, reseal=reseal, spawn=self._manager.spawn,
        )  # fmt: skip
        epochs.register(self._door.registry)
        charter.watch("revocations", lambda _: self._recheck())
        charter.watch("epoch", keys.in_force)
        charter.watch("policy", epochs.policy_changed)
        charter.watch("revocations", epochs.revoked)
        self._manager.add(keys, Phase.PROCESS)
        self._manager.add(reseal, Phase.PROCESS)
        return keys

    def _serve_context(self, gate: Gate, mesh_desk: MeshDesk) -> None:
        """Content at UCXL addresses, small and large."""
        store, registry = self._store, self._door.registry
        ContextDesk(
            store.contexts, gate, self._replicas, epoch=self._epoch, announce=mesh_desk.announce_version
        ).register(registry)
        LargeDesk(store.contexts, store.content, self._identity.rolekeys, gate, self._replicas).register(registry)

    def _serve_status(self, gate: Gate, agents: AgentBook) -> None:
        """How everything is, and what the doctor finds."""
        around = MeshCheckup(self._peering)
        checkup = Checkup(self._settings, self._identity, self._peering)
        status = StatusDesk(
            self._manager, self._ledger.seat, agents, gate,
            facts=self._facts, peers=self._peering.rows, logs=self._logs.since,
            checks=(
                checkup.keys, checkup.grants, checkup.revocations, checkup.machine, checkup.separation, checkup.mesh,
                self._topics.check, around.look, self._ledger.succession.check,
            ),
            asks=(around.ask,),
            events=self._events, agent_events=self._agent_events, started=self._started,
        )  # fmt: skip
        status.register(self._door.registry, self._door.streams)

    def _serve_members(self) -> None:
        """Who is in the mesh: revoking, and agreement with the other members about it."""
        who, members, charter, mesh = (
            self._identity.node, self._identity.members, self._identity.charter, self._mesh.mesh
        )  # fmt: skip
        RevokeDesk(charter, members, who, self._events, own_uid=os.geteuid(), clock=self._identity.clock).register(
            self._door.registry
        )
        roll = MemberSync(members, self._identity.member_log, mesh, self._events, self._manager.spawn, "charter")
        charter_sync = CharterSync(charter, roll, mesh, self._events, self._manager.spawn)
        self._hearers.append(charter_sync.happened)
        self._manager.add(charter_sync, Phase.PROCESS)

    async def _start_monitoring(self) -> None:
        self._peering.look_around(self._identity.node)
        rooms = (self._topics, self._threads, self._peering, self._replicas)
        await start_monitoring(
            self._settings, self._limits, self._door, self._identity, self._mesh, self._store, self._ledger,
            [room.gauges for room in rooms],
        )  # fmt: skip

    # What the parts ask.

    def _make_mesh(self) -> Mesh:
        who, network = self._identity.node, self._config.network
        self._door.identity = {"node_id": who.id, "mesh_id": who.mesh_id}
        self._door.node_key = who.key.public
        return Mesh(
            MeshSettings(
                listen=self._peering.listen,
                held=True,
                some_listen=not self._peering.addresses.fixed,
                static_peers=(*network.static_peers, *inviter_addresses(self._settings.state_dir)),
                bootstrap_peers=network.bootstrap_peers,
                version=__version__,
            ),
            who.key.seed,
            who.chain,
            admit_nodes(who, self._identity.clock, self._tell_members, self._identity.members.grant_of),
            self._mesh_event,
            {name: RecordRule(validate=self._valid, select=self._select) for name in (HEAD_NAMESPACE, BLOB_NAMESPACE)},
            briefing(self._identity.charter),
            Renewal(give=self._give_newer, take=self._take_newer),
        )

    async def _give_newer(self, peer_id: str, chain: Sequence[bytes]) -> tuple[bytes, ...]:
        return await self._renewals.give(peer_id, chain) if self._renewals is not None else ()

    async def _take_newer(self, chain: Sequence[bytes]) -> None:
        if self._renewals is not None:
            await self._renewals.take(chain)

    def _tell_members(self, chain: Sequence[bytes]) -> None:
        """Called in the mesh's thread for a chain that holds: remember it on the loop."""
        self._loop.call_soon_threadsafe(self._identity.members.admit, chain)

    def _valid(self, key: str, value: bytes) -> None:
        validate_record(key, value, self._identity.node.mesh_id, self._identity.members.is_member)

    def _select(self, key: str, values: Sequence[bytes]) -> int:
        return select_record(values, self._identity.node.mesh_id)

    def _mesh_event(self, event: MeshEvent) -> None:
        self._peering.happened(event)
        if event.kind == "failed":
            self._manager.fail("mesh", event.detail)
        self._events.append({key: value for key, value in asdict(event).items() if value != ""} | {"source": "mesh"})
        for hear in self._hearers:
            hear(event)

    def _rules(self) -> Rules:
        slurp = self._config.slurp
        rights = Rights(self._identity.members, lambda: self._identity.policies.current)
        return Rules(
            may=rights.may, holds=rights.holds, lease_s=slurp.lease_s, strikes=slurp.strikes,
            command_keep_s=slurp.command_keep_s,
        )  # fmt: skip

    def _may_write(self, writer: Writer, address: Address) -> bool:
        """An address that is not the writer's own is written by a role whose authority is ``master``."""
        return self._identity.policies.current.authority_level(writer.role) == "master"

    async def _obtain(self, roles: Sequence[str]) -> None:
        """A reader lacks a secret: ask members for it."""
        if self._keys is not None:
            await self._keys.obtain(roles)

    def _epoch(self) -> int:
        """What authors write into a version's header; before the first epoch is known here, that one."""
        return max(self._identity.rolekeys.current, 1)

    def _limit_of(self, caller: Caller) -> int:
        limit = self._settings.max_message_bytes
        return limit if caller.kind == "agent" else min(limit, _PERSON_BYTES)

    def _fresh_s(self, caller: Caller) -> float:
        return self._limits.message_timeout_s if caller.kind == "agent" else _PERSON_FRESH_S

    def _decided(self, task: Task) -> None:
        if self._mesh_desk is not None:
            self._mesh_desk.decided(task)

    def _recheck(self) -> None:
        """Somebody was revoked: its sessions end here, and a node is cut off."""
        if self._sessions is not None:
            self._sessions.recheck(self._door.server.sessions)
        self._peering.recheck()
        self._manager.spawn("mesh", "recheck", self._mesh.mesh.recheck(), ends=True)

    def _facts(self) -> dict[str, Any]:
        who, mesh = self._identity.node, self._mesh.mesh
        return {
            "node_id": who.id, "mesh_id": who.mesh_id, "peer_id": mesh.peer_id, "addresses": list(mesh.addresses),
            **self._ledger.facts(), "development": self._config.security.development,
            "epoch": self._identity.rolekeys.current, "role_keys": sorted(self._identity.rolekeys.held()),
            "charter": {kind: number for kind, (number, _) in self._identity.charter.heads().items()},
            **self._entry.facts(), "warnings": warnings(self._settings), "clones": self._topics.clone_rows(),
        }  # fmt: skip


def _clock() -> LedgerClock:
    return LedgerClock(boot=time.clock_gettime(time.CLOCK_BOOTTIME), wall=time.time())
