"""The mesh as this node uses it: admission, announcements of agents, DHT records, requests between members."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from bzzzd.crypto.envelope import open_envelope, seal
from bzzzd.daemon.gate import Gate
from bzzzd.daemon.membership.members import Members
from bzzzd.daemon.work.agents import AgentBook
from bzzzd.errors import (
    BzzzError,
    Conflict,
    DHTUnavailable,
    GrantRefused,
    InvalidEnvelope,
    NotFound,
    P2PInitFailed,
    Unavailable,
    UnknownOutcome,
)
from bzzzd.identity.grants import Grant
from bzzzd.identity.node import NodeIdentity
from bzzzd.identity.records import open_record
from bzzzd.mesh.mesh import Mesh
from bzzzd.mesh.values import MeshEvent
from bzzzd.rpc.access import attached, kinds
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.session import Call, Session
from bzzzd.rpc.streams import Stream
from bzzzd.runtime.breaker import CircuitBreaker
from bzzzd.runtime.ports import holder
from bzzzd.runtime.services import Health
from bzzzd.slurp.task import Task
from bzzzd.storage.versions.content import Blob
from bzzzd.storage.versions.records import HeadRecord, PointerRecord, blob_key, head_key, seal_head, seal_pointer
from bzzzd.ucxl.version import open_version

DECISIONS_TOPIC: Final = "bzzz/decisions/1"
AGENTS_TOPIC: Final = "bzzz/agents/1"
CHAIN_PROTOCOL: Final = "/bzzz/chain/1"
SERVICE_PROTOCOL: Final = "/bzzz/service/1"
_REQUEST_S: Final = 10.0
_MAX_SERVICES: Final = 256
# Decisions within this time travel in one message: one each was measured to cost 30 % of the task rate.
_GATHER_S: Final = 0.05
_MAX_GATHERED: Final = 512
_Announced = tuple[bytes, tuple[bytes, ...]]
ServiceName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}\Z")]
_DOWN: Final = (Unavailable, UnknownOutcome, DHTUnavailable, TimeoutError, OSError)


class _Params(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class KeyParams(_Params, frozen=True):
    key: Annotated[str, Meta(min_length=1, max_length=128)]


class RecordParams(_Params, frozen=True):
    """``value`` is a signed record that belongs at ``key``."""

    key: Annotated[str, Meta(min_length=1, max_length=128)]
    value: bytes


class RequestParams(_Params, frozen=True):
    """``service`` names what a client of the other node serves with ``peer.serve``."""

    peer_id: Annotated[str, Meta(max_length=64)]
    service: ServiceName
    data: Annotated[bytes, Meta(max_length=1_048_576)]


class ServeParams(_Params, frozen=True):
    service: ServiceName


class _Asked(Struct, frozen=True, forbid_unknown_fields=True):
    service: ServiceName
    data: bytes


class Decision(Struct, frozen=True, forbid_unknown_fields=True):
    """What every member may know of a decision; ``at`` is Unix seconds."""

    task: Annotated[str, Meta(max_length=64)]
    address: Annotated[str, Meta(max_length=1024)]
    version_id: Annotated[str, Meta(max_length=64)]
    agent: Annotated[str, Meta(max_length=64)]
    at: float


_DECISIONS: Final = msgspec.msgpack.Decoder(Annotated[tuple[Decision, ...], Meta(max_length=_MAX_GATHERED)])
_ANNOUNCED: Final = msgspec.msgpack.Decoder(_Announced)
_CHAIN: Final = msgspec.msgpack.Decoder(tuple[bytes, ...])
_ASKED: Final = msgspec.msgpack.Decoder(_Asked)


class MeshService:
    """Makes, starts and stops the libp2p node; its health is that of the trio thread."""

    name = "mesh"
    depends = ("identity",)

    mesh: Mesh

    def __init__(self, make: Callable[[], Mesh]) -> None:
        self._make = make

    async def start(self) -> None:
        self.mesh = self._make()
        try:
            await self.mesh.start()
        except P2PInitFailed as error:
            raise _with_holder(error) from error

    async def stop(self) -> None:
        if hasattr(self, "mesh"):
            await self.mesh.stop()

    def health(self) -> Health:
        if not self.mesh.alive:
            return Health(ok=False, detail=f"the libp2p thread has ended: {self.mesh.failure or 'unknown reason'}")
        peers = sum(peer.connected for peer in self.mesh.peers())
        return Health(detail=f"{peers} peers, {', '.join(self.mesh.addresses)}")


def _with_holder(error: P2PInitFailed) -> P2PInitFailed:
    """The error, with who holds the port where that is what it is about."""
    address = str(error.data.get("address", ""))
    port = address.rpartition("/tcp/")[2]
    found = holder(int(port)) if port.isdigit() else None
    return P2PInitFailed(f"{error.message}; it is held by {found}", address=address) if found else error


def admit_nodes(
    identity: NodeIdentity,
    clock: Callable[[], float],
    tell: Callable[[Sequence[bytes]], None],
    newest: Callable[[bytes], Grant],
) -> Callable[[Sequence[bytes]], Grant]:
    """What the mesh asks about a peer's chain, in its own thread: a node of this mesh, or an exception.

    ``newest(key)`` gives the grant on the roll for a key, or raises: a member whose grant was renewed since it
    joined stays in.
    """

    def admit(chain: Sequence[bytes]) -> Grant:
        try:
            grant = identity.trust.admit(chain, now=clock())
        except GrantRefused as refused:
            try:
                return newest(identity.trust.links(chain)[0].key)
            except GrantRefused:
                raise refused from None
        if grant.kind != "node":
            raise GrantRefused(f"{grant.kind} {grant.id} is no node; only nodes connect to the mesh")
        tell(tuple(chain))
        return grant

    return admit


class MeshDesk:
    def __init__(
        self,
        mesh: Mesh,
        identity: NodeIdentity,
        members: Members,
        agents: AgentBook,
        gate: Gate,
        events: Stream,
        *,
        spawn: Callable[..., Any],
    ) -> None:
        self._mesh = mesh
        self._identity = identity
        self._members = members
        self._agents = agents
        self._gate = gate
        self._events = events
        self._spawn = spawn
        # Whoever keeps messages of members that have gone can show their grants as well.
        self.kept_chain: Callable[[bytes], tuple[bytes, ...]] = members.chain_of
        self._servers: OrderedDict[str, Session] = OrderedDict()
        self._announcing = False
        self._decisions: list[Decision] = []
        # A DHT that has lost its peers answers late; while it does, callers are told at once.
        self._dht = CircuitBreaker("dht", clock=time.monotonic, counts=lambda error: isinstance(error, _DOWN))

    def open(self) -> None:
        """Follow announcements and answer members' requests."""
        self._mesh.subscribe(AGENTS_TOPIC, self._announced)
        self._mesh.subscribe(DECISIONS_TOPIC, self._heard_decisions)
        self._mesh.handle(CHAIN_PROTOCOL, self._give_chain)
        # The data is a client's there, for a client here: neither node can tell whether it is good.
        self._mesh.handle(SERVICE_PROTOCOL, self._serve, passes_on=True)

    # What happens on the mesh.

    def happened(self, event: MeshEvent) -> None:
        """A member has joined: it is told of the agents here."""
        if event.kind == "joined":
            self.announce()

    def _say_invalid(self, peer_id: str, error: BzzzError) -> None:
        detail = error.message[:300]
        self._events.append({"source": "mesh", "kind": "invalid", "peer_id": peer_id, "detail": detail})

    # Agents.

    def announce(self) -> None:
        """Tell the mesh about the agents attached here: once a turn, however many came."""
        if not self._announcing and len(self._agents):
            self._announcing = True
            self._spawn("mesh", "announcement", self._announce(), ends=True)

    async def _announce(self) -> None:
        await asyncio.sleep(0)
        self._announcing = False
        for record, chain in self._agents.records():
            try:
                await self._mesh.publish(AGENTS_TOPIC, msgspec.msgpack.encode((record, chain)))
            except BzzzError:  # too busy, or stopping: they are announced to each member that joins
                return

    def _announced(self, topic: str, peer_id: str, raw: bytes) -> None:
        try:
            with self._mesh.judging(peer_id):
                record_raw, chain = _ANNOUNCED.decode(raw)
                record = open_record(record_raw, self._identity.mesh_id)
                grant = self._members.admit(chain)
            if (grant.kind, grant.key, grant.id) != ("agent", record.public_key, record.id):
                raise GrantRefused("an agent record and its grant name different agents")
            node = self._members.name_of(grant.issuer)
            if grant.issuer != self._identity.key.public:
                self._agents.heard(msgspec.structs.replace(record, role=grant.role), node)
        except BzzzError as error:
            self._say_invalid(peer_id, error)

    # Decisions.

    def decided(self, task: Task) -> None:
        """Tell events here at once, and the mesh with the other decisions of the moment."""
        decision = Decision(task.id, task.address or "", task.result or "", task.agent or "", task.updated)
        self._tell(decision, self._identity.id)
        self._decisions.append(decision)
        if len(self._decisions) == 1:
            asyncio.get_running_loop().call_later(_GATHER_S, self._send_decisions)

    def _send_decisions(self) -> None:
        gathered, self._decisions = self._decisions, []
        if any(peer.connected for peer in self._mesh.peers()):
            self._spawn("mesh", "decisions", self._publish_decisions(gathered), ends=True)

    async def _publish_decisions(self, decisions: list[Decision]) -> None:
        for start in range(0, len(decisions), _MAX_GATHERED):
            payload = msgspec.msgpack.encode(decisions[start : start + _MAX_GATHERED])
            raw = seal(self._identity.key, "decisions", self._identity.mesh_id, payload)
            try:
                await self._mesh.publish(DECISIONS_TOPIC, raw)
            except BzzzError:  # bzzzd is stopping; the ledger itself tells every node
                return

    def _heard_decisions(self, topic: str, peer_id: str, raw: bytes) -> None:
        try:
            with self._mesh.judging(peer_id):
                envelope = open_envelope(raw, kind="decisions", mesh_id=self._identity.mesh_id)
                decisions = _DECISIONS.decode(envelope.payload)
            node = self._members.grant_of(envelope.author)
            if node.kind != "node":
                raise GrantRefused(f"{node.kind} {node.id} announces decisions like a node")
            for decision in decisions:
                self._tell(decision, node.id)
        except BzzzError as error:
            self._say_invalid(peer_id, error)

    def _tell(self, decision: Decision, node: str) -> None:
        self._events.append({"source": "ledger", "kind": "decision", "node": node, **msgspec.structs.asdict(decision)})

    # Grants of members that spoke on a topic.

    async def find_chain(self, peer_id: str, key: bytes) -> list[bytes]:
        """Ask the member that carried something for the grant chain of a key."""
        raw = await self._mesh.request(peer_id, CHAIN_PROTOCOL, key, _REQUEST_S)
        with self._mesh.judging(peer_id):
            return list(_CHAIN.decode(raw))

    async def _give_chain(self, peer_id: str, key: bytes) -> bytes:
        return msgspec.msgpack.encode(self.kept_chain(key))

    # Records.

    async def announce_version(self, record: HeadRecord, blob: Blob) -> None:
        """Tell where a writer's versions of an address stand, and that this node holds the newest one's content."""
        pointer = PointerRecord(blob.hash.hex(), blob.size, (self._identity.id,), time.time())
        await self._put(blob_key(pointer.hash), seal_pointer(self._identity.key, self._identity.mesh_id, pointer))
        value = seal_head(self._identity.key, self._identity.mesh_id, record)
        writer = open_version(record.heads[0], self._identity.mesh_id)[0].author
        await self._put(head_key(record.address, writer), value)

    async def _put(self, key: str, value: bytes) -> None:
        with self._dht.calling():
            await self._mesh.dht_put(key, value)

    async def dht_put(self, call: Call, params: RecordParams) -> dict[str, Any]:
        """Put a signed record into the DHT; what does not belong at its key is refused."""
        await self._put(params.key, params.value)
        return {}

    async def dht_get(self, call: Call, params: KeyParams) -> dict[str, Any]:
        """Get a signed record from the DHT, checked."""
        with self._dht.calling():
            value = await self._mesh.dht_get(params.key)
        if value is None:
            raise NotFound(f"the DHT has no record at {params.key}")
        return {"value": value}

    # Requests between members.

    async def request(self, call: Call, params: RequestParams) -> dict[str, Any]:
        """Ask a service that a client of another node serves; its answer, or its error."""
        self._gate.check(call.caller, "peer.request", f"service:{params.service}", "read")
        data = msgspec.msgpack.encode({"service": params.service, "data": params.data})
        return {"data": await self._mesh.request(params.peer_id, SERVICE_PROTOCOL, data, _REQUEST_S)}

    def serve(self, call: Call, params: ServeParams) -> dict[str, Any]:
        """Serve requests of other members: they come to this session as the method ``peer.request``."""
        self._gate.check(call.caller, "peer.serve", f"service:{params.service}", "write")
        held = self._servers.get(params.service)
        if held is not None and not held.closed and held is not call.session:
            raise Conflict(f"{held.caller.id} serves {params.service} here already")
        self._servers[params.service] = call.session
        while len(self._servers) > _MAX_SERVICES:
            self._servers.popitem(last=False)
        return {}

    async def _serve(self, peer_id: str, raw: bytes) -> bytes:
        with self._mesh.judging(peer_id):
            asked = _ASKED.decode(raw)
        session = self._servers.get(asked.service)
        if session is None or session.closed:
            self._servers.pop(asked.service, None)
            raise NotFound(f"nobody serves {asked.service} on {self._identity.id}")
        answer = await session.request(
            "peer.request", {"peer_id": peer_id, "service": asked.service, "data": asked.data}, timeout=_REQUEST_S
        )
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(data, bytes):
            raise InvalidEnvelope(f"the service {asked.service} answered without data")
        return data

    def register(self, registry: Registry) -> None:
        members = kinds("person", "admin", "agent")
        registry.add("dht.put", kinds("admin", "agent"), RecordParams, self.dht_put)
        registry.add("dht.get", attached(), KeyParams, self.dht_get, result="{value}", reads=True)
        registry.add("peer.request", members, RequestParams, self.request, result="{data}")
        registry.add("peer.serve", members, ServeParams, self.serve)
