"""The desk of role secrets with other desks around it, on a mesh of function calls."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bzzzd.crypto import age
from bzzzd.crypto.keys import SigningKey
from bzzzd.daemon.keys import keydesk
from bzzzd.daemon.keys.keydesk import KEYS_PROTOCOL, Ask, Given, KeyDesk
from bzzzd.daemon.membership.members import Attached
from bzzzd.errors import GrantRefused, InvalidEnvelope, NoRoleKey, NotFound, Unavailable
from bzzzd.identity.attach import attach_params, bound_nonce, open_attach
from bzzzd.identity.caller import Caller
from bzzzd.identity.charter import Paper, open_document
from bzzzd.identity.epoch import seal_epoch
from bzzzd.identity.grants import Grant, Revocations, Trust, mesh_id_of
from bzzzd.identity.node import NodeIdentity, make_grant
from bzzzd.mesh.conduct import Offence
from bzzzd.mesh.judging import Judging
from bzzzd.mesh.peer_id import peer_id_of
from bzzzd.mesh.values import PeerInfo
from bzzzd.rpc.streams import Stream
from bzzzd.storage.versions.rolekeys import RoleKeys, recovery_of
from tests.mesh.kit import eventually

AUTHORITY = SigningKey.from_seed(bytes([200]) * 32)
MESH = mesh_id_of(AUTHORITY.public)
ALICE = SigningKey.from_seed(bytes([201]) * 32)
NOW = time.time()
ROLES = ("admin", "node", "operator", "worker")


class Net:
    """Who is connected; requests go straight to the other's handler. ``seen`` is what was on the wire."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.seen: list[bytes] = []


class FakeMesh(Judging):
    def __init__(self, net: Net, peer_id: str) -> None:
        self.net, self.peer_id = net, peer_id
        self.handlers: dict[str, Any] = {}

    def handle(self, protocol: str, handler: Any) -> None:
        self.handlers[protocol] = handler

    def peers(self) -> list[PeerInfo]:
        row = PeerInfo(
            peer_id="", id="", role="node", addresses=(), connected=True, since=0.0, agent_version="", rtt_ms=None,
            how="static",
        )  # fmt: skip
        return [replace(row, peer_id=peer) for peer in self.net.nodes if peer != self.peer_id]

    def blame(self, peer_id: str, what: Offence = "invalid") -> None: ...

    async def request(self, peer_id: str, protocol: str, data: bytes, timeout: float) -> bytes:
        other = self.net.nodes.get(peer_id)
        if other is None:
            raise Unavailable("not connected")
        answer: bytes = await other.mesh.handlers[protocol](self.peer_id, data)
        self.net.seen += [data, answer]
        return answer


class Book:
    """What a desk asks of the members' book."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def grant_of(self, key: bytes) -> Grant:
        for other in self.node.net.nodes.values():
            if other.key.public == key and not self.node.trust.revocations.void(other.grant):
                return other.grant
        raise GrantRefused("no grant")


class Node:
    def __init__(self, net: Net, folder: Path, number: int, *may_grant: str, founder: bool = False) -> None:
        self.net = net
        self.key = SigningKey.from_seed(bytes([number]) * 32)
        self.secret = age.new_identity()
        self.trust = Trust(MESH, AUTHORITY.public)
        raw = make_grant(
            AUTHORITY, MESH, kind="node", id=f"n{number}", key=self.key.public, role="node", valid_s=86400, now=NOW,
            may_grant=may_grant, max_validity_s=3600, age=age.recipient_of(self.secret),
        )  # fmt: skip
        self.grant = self.trust.admit([raw], now=NOW)
        identity = NodeIdentity(self.key, self.trust, [raw], self.grant, AUTHORITY if founder else None)
        self.mesh = FakeMesh(net, peer_id_of(self.key.public))
        place = folder / f"n{number}"
        self.keys = RoleKeys.found(place, MESH, AUTHORITY, ROLES, NOW) if founder else RoleKeys.load(place, MESH)
        self.papers: list[Paper] = []
        self.events = Stream("0" * 16)
        self.tasks: list[asyncio.Task[Any]] = []
        self.desk = KeyDesk(
            self.keys, identity, self.secret, Book(self), self.mesh, self.events,  # type: ignore[arg-type]
            clock=time.time, spawn=self.spawn, changed=lambda: None, papers=lambda: self.papers,
        )  # fmt: skip
        self.mesh.handle(KEYS_PROTOCOL, self.desk._answer)
        net.nodes[self.mesh.peer_id] = self

    def spawn(self, service: str, name: str, work: Any, *, ends: bool = False) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work))

    async def hear(self, raw: bytes) -> None:
        """The charter has put an epoch in force."""
        self.desk.in_force(open_document(raw, MESH))
        await asyncio.gather(*self.tasks)

    async def ask(self) -> bool:
        return await self.desk._ask_all()

    def attach(self, *, node: SigningKey | None = None, role: str = "operator") -> None:
        salt = bytes(32)
        nonce = bound_nonce((node or self.key).public, salt)
        params = attach_params(ALICE, nonce, MESH, kind="person", id="alice", role=role)
        grant = make_grant(
            AUTHORITY, MESH, kind="person", id="alice", key=ALICE.public, role=role, valid_s=86400, now=NOW
        )
        _, proof = open_attach(params["envelope"], MESH, nonce)
        caller = Caller(0, 0, 0, "person", "alice", role, frozenset(), ALICE.public)
        self.desk.attached(Attached(caller, (grant,), proof, b""), params["envelope"], salt)

    def new_epoch(self, **changes: Any) -> bytes:
        """Made and kept here; every node has still to hear it."""
        record, secrets = self.keys.next(ROLES, now=NOW, **changes)
        return self.keys.keep(seal_epoch(AUTHORITY, MESH, record), secrets).raw


@pytest.fixture
def net() -> Net:
    return Net()


@pytest.fixture
def founder(net: Net, tmp_path: Path) -> Node:
    return Node(net, tmp_path, 1, founder=True)


@pytest.fixture
def worker(net: Net, tmp_path: Path) -> Node:
    return Node(net, tmp_path, 2, "worker")


def raw_of(node: Node) -> bytes:
    assert node.keys.epoch is not None
    return node.keys.epoch.raw


async def test_a_node_gets_its_roles_and_no_secret_is_on_the_wire(net: Net, founder: Node, worker: Node) -> None:
    await worker.hear(raw_of(founder))
    assert await worker.ask()
    assert worker.keys.held() == {"worker", "node"}
    assert len(net.seen) == 2
    assert not any(b"SECRET" in data.upper() for data in net.seen)
    for path in (worker.keys._folder).glob("*.age"):
        assert not any(path.read_bytes().strip() in data for data in net.seen)


async def test_any_holder_serves_and_only_who_is_entitled(
    net: Net, founder: Node, worker: Node, tmp_path: Path
) -> None:
    await worker.hear(raw_of(founder))
    worker.attach()
    await worker.ask()
    assert worker.keys.held() == {"worker", "node", "operator"}
    del net.nodes[founder.mesh.peer_id]
    third = Node(net, tmp_path, 3, "worker")
    await third.hear(raw_of(worker))
    await third.ask()
    assert third.keys.held() == {"worker", "node"}
    # What was made at another node's is no proof here, though this node may have seen it.
    third.attach(node=worker.key)
    assert not await third.ask()
    assert third.keys.held() == {"worker", "node"}
    assert "made on another node" in third.desk.health().detail
    third.attach()
    assert await third.ask()
    assert third.keys.held() == {"worker", "node", "operator"}


async def test_a_holder_that_is_still_starting_is_asked_again_soon(
    founder: Node, worker: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keydesk, "_AGAIN_S", (0.005, 600.0))
    monkeypatch.setattr(keydesk, "_STARTING_S", 0.01)
    tries, served = 0, founder.mesh.handlers[KEYS_PROTOCOL]

    async def starting(peer_id: str, data: bytes) -> bytes:
        nonlocal tries
        tries += 1
        if tries <= 20:  # pauses that double would be hours by now
            raise NotFound("does not speak it")
        answer: bytes = await served(peer_id, data)
        return answer

    founder.mesh.handlers[KEYS_PROTOCOL] = starting
    await worker.hear(raw_of(founder))
    asking = asyncio.create_task(worker.desk._keep_asking())
    await eventually("the secrets", lambda: worker.keys.held() == {"worker", "node"})
    asking.cancel()


async def test_a_member_that_joins_is_asked_at_once_however_long_nobody_had_anything(
    net: Net, founder: Node, worker: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keydesk, "_AGAIN_S", (0.001, 600.0))
    del net.nodes[founder.mesh.peer_id]
    third = Node(net, tmp_path, 3, "worker")
    tries, served = 0, founder.mesh.handlers[KEYS_PROTOCOL]

    async def nothing(peer_id: str, data: bytes) -> bytes:
        nonlocal tries
        tries += 1
        return msgspec.msgpack.encode(Given(b"", (), ()))

    async def not_in_force_yet(peer_id: str, data: bytes) -> bytes:
        founder.mesh.handlers[KEYS_PROTOCOL] = served
        return await nothing(peer_id, data)

    third.mesh.handlers[KEYS_PROTOCOL] = nothing
    founder.mesh.handlers[KEYS_PROTOCOL] = not_in_force_yet
    await worker.hear(raw_of(founder))
    asking = asyncio.create_task(worker.desk._keep_asking())
    await eventually("vain tries", lambda: tries >= 12)  # the next pause would be four seconds
    net.nodes[founder.mesh.peer_id] = founder
    worker.desk.met()
    met = time.monotonic()
    await eventually("the secrets", lambda: worker.keys.held() == {"worker", "node"})
    asking.cancel()
    assert time.monotonic() - met < 3.5


async def test_a_reader_has_the_secret_fetched(founder: Node, worker: Node) -> None:
    await worker.hear(raw_of(founder))
    await worker.desk.obtain(["admin"])
    assert worker.keys.held() == set()
    await worker.desk.obtain(["worker", "admin"])
    assert worker.keys.held() == {"worker", "node"}


async def test_a_new_epoch_is_given_to_those_that_remain(founder: Node, worker: Node) -> None:
    await worker.hear(raw_of(founder))
    await worker.ask()
    worker.trust.revocations = founder.trust.revocations = Revocations(number=1)
    raw = founder.new_epoch(revocations=1)
    # Not before it is in force there, and not by a node that has not heard who was removed.
    await worker.hear(raw)
    assert not await worker.ask()
    assert "not in force here yet" in worker.desk.health().detail
    founder.trust.revocations = Revocations()
    await founder.hear(raw)
    assert not await worker.ask()
    assert "who was revoked" in worker.desk.health().detail
    founder.trust.revocations = Revocations(number=1)
    assert await worker.ask()
    assert worker.keys.held() == worker.keys.held(1) == {"worker", "node"}


async def test_an_epoch_that_lost_its_number_is_known_from_the_charter(founder: Node, worker: Node) -> None:
    await worker.hear(raw_of(founder))
    await founder.hear(founder.new_epoch())
    lost = raw_of(founder)
    data, tag = founder.keys.encrypt(["worker"], b"text"), founder.keys.tag
    winner = lost
    while open_document(winner, MESH).rank >= open_document(lost, MESH).rank:  # which of two stands is the hash's word
        winner = worker.new_epoch()  # made without knowing of the other
    await founder.hear(winner)
    await worker.hear(winner)
    with pytest.raises(NoRoleKey):
        worker.keys.decrypt(data, ["worker"], tag=tag)
    worker.papers.append(Paper(lost))
    await worker.desk.obtain(["worker"])
    assert worker.keys.decrypt(data, ["worker"], tag=tag) == b"text"
    assert worker.keys.tag != tag


async def test_a_removed_node_is_given_nothing(founder: Node, worker: Node) -> None:
    await worker.hear(raw_of(founder))
    await worker.ask()
    founder.trust.revocations = Revocations(number=1, keys={worker.key.public: NOW + 1})
    raw = founder.new_epoch(revocations=1)
    await founder.hear(raw)
    await worker.hear(raw)
    assert not await worker.ask()
    assert worker.keys.held(1) == {"worker", "node"}
    assert worker.keys.held() == set()


async def test_who_comes_later_gets_earlier_epochs_unless_the_mesh_says_no(
    net: Net, founder: Node, worker: Node, tmp_path: Path
) -> None:
    await founder.hear(founder.new_epoch())
    await founder.hear(founder.new_epoch())
    await worker.hear(raw_of(founder))
    assert await worker.ask()
    assert [epoch.number for epoch in worker.keys.epochs] == [3, 2, 1]
    assert worker.keys.held(1) == worker.keys.held(3) == {"worker", "node"}
    await founder.hear(founder.new_epoch(earlier=False))
    late = Node(net, tmp_path, 3, "worker")
    del net.nodes[worker.mesh.peer_id]
    await late.hear(raw_of(founder))
    assert not await late.ask()
    assert late.keys.held() == {"worker", "node"}
    assert late.keys.held(3) == late.keys.held(1) == set()


async def test_the_authority_recovers_alone_and_is_given_everything(net: Net, founder: Node, tmp_path: Path) -> None:
    del net.nodes[founder.mesh.peer_id]
    alone = Node(net, tmp_path, 4)
    alone.desk._identity.authority_key = AUTHORITY
    await alone.hear(raw_of(founder))
    assert await alone.ask()
    assert alone.keys.held() == set(ROLES)
    assert recovery_of(AUTHORITY) != recovery_of(ALICE)


async def test_a_member_that_gives_rubbish_changes_nothing(net: Net, founder: Node, worker: Node) -> None:
    await worker.hear(raw_of(founder))
    assert worker.grant.age is not None
    wrong = age.encrypt(msgspec.msgpack.encode([age.new_identity()]), [worker.grant.age])
    rubbish = age.encrypt(msgspec.msgpack.encode(["nothing"]), [worker.grant.age])
    for answer in (
        b"garbage",
        msgspec.msgpack.encode(Given(b"garbage", (), ())),
        msgspec.msgpack.encode(Given(rubbish, (), ())),
        msgspec.msgpack.encode(Given(wrong, (b"no epoch",), ())),
    ):

        async def answered(peer_id: str, data: bytes, answer: bytes = answer) -> bytes:
            return answer

        founder.mesh.handlers[KEYS_PROTOCOL] = answered
        assert not await worker.ask()
        assert worker.keys.held() == set()


async def test_damaged_requests_are_refused(founder: Node, worker: Node) -> None:
    for data in (b"", b"garbage", msgspec.msgpack.encode(Ask(("age1nonsense",), (), ()))):
        with pytest.raises(InvalidEnvelope):
            await founder.desk._answer(worker.mesh.peer_id, data)
    with pytest.raises(GrantRefused):
        await founder.desk._answer(peer_id_of(ALICE.public), msgspec.msgpack.encode(Ask((), (), ())))
