"""Nodes in one process with stores of their own, for tests of threads."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from bzzzd.config.roles import default_roles
from bzzzd.crypto.keys import SigningKey
from bzzzd.daemon.gate import Gate
from bzzzd.daemon.hmmm import wire
from bzzzd.daemon.hmmm.book import ThreadBook
from bzzzd.daemon.hmmm.border import Border
from bzzzd.daemon.hmmm.spread import Spread
from bzzzd.errors import Unavailable
from bzzzd.hmmm.message import Text, open_message, post_params
from bzzzd.hmmm.thread import Bounds
from bzzzd.identity.caller import Caller
from bzzzd.identity.grants import Trust, mesh_id_of
from bzzzd.identity.node import make_grant
from bzzzd.identity.policy import Policy, PolicyRecord
from bzzzd.mesh.judging import Judging
from bzzzd.mesh.peer_id import peer_id_of
from bzzzd.slurp.brief import Writer
from bzzzd.storage.journal.journal import Journal
from bzzzd.storage.threads import SCHEMA as THREADS
from bzzzd.storage.threads import Kept
from bzzzd.storage.versions.content import ContentStore
from bzzzd.storage.versions.context import SCHEMAS, ContextStore
from bzzzd.storage.versions.rolekeys import RoleKeys

NOW = time.time()
AUTHORITY = SigningKey.from_seed(b"a" * 32)
MESH = mesh_id_of(AUTHORITY.public)
NODES = [SigningKey.from_seed(bytes([number]) * 32) for number in (1, 2, 3)]
POLICY = Policy(PolicyRecord(number=1, at=1.0, roles=default_roles()))


class Member:
    """Somebody with a grant."""

    def __init__(self, id: str, kind: str = "agent", role: str = "worker", *, valid_s: float = 7200.0) -> None:
        self.key = SigningKey.generate()
        raw = make_grant(
            AUTHORITY, MESH, kind=kind, id=id, key=self.key.public, role=role,  # type: ignore[arg-type]
            valid_s=valid_s, now=NOW - 3600,
        )  # fmt: skip
        self.chain = (raw,)
        self.id, self.role = id, role
        self.caller = Caller(0, 0, 1, kind=kind, id=id, role=role, key=self.key.public)  # type: ignore[arg-type]
        self.writer = Writer(self.key, MESH, id, role, 1)

    def params(self, text: str = "Hello", thread: str = "x-1", at: float = NOW, **wanted: Any) -> dict[str, Any]:
        fields = {"kind": "concern", "readers": ["worker", "operator"], **wanted}
        return post_params(self.writer, Text(text=text), thread=thread, at=at, **fields)[1]


class Mesh(Judging):
    """Nodes in one process; ``cut`` holds those that cannot be reached."""

    def __init__(self, net: dict[str, Mesh], peer_id: str) -> None:
        self.net, self.peer_id = net, peer_id
        self.cut = False
        self.blamed: list[str] = []
        self.asked = 0
        self.held = 0
        self.handler: Any = None
        self.heard: Any = None
        net[peer_id] = self

    def blame(self, peer_id: str, what: str = "invalid") -> None:
        self.blamed.append(peer_id)

    def hold(self, size: int) -> None:
        self.held += size

    def release(self, size: int) -> None:
        self.held -= size

    def peers(self) -> list[Any]:
        return []

    def subscribe(self, topic: str, handler: Callable[[str, str, bytes], None]) -> None:
        self.heard = handler

    def handle(self, protocol: str, handler: Any) -> None:
        self.handler = handler

    async def publish(self, topic: str, data: bytes) -> None:
        for other in self.net.values():
            if other is not self and not other.cut and not self.cut:
                other.heard(topic, self.peer_id, data)

    async def request(self, peer_id: str, protocol: str, data: bytes, timeout: float) -> bytes:
        self.asked += 1
        other = self.net[peer_id]
        if other.cut or self.cut:
            raise Unavailable("away", peer_id=peer_id)
        found: bytes = await other.handler(self.peer_id, data)
        return found


class Place:
    """One node's threads, without its daemon."""

    def __init__(self, journal: Journal, contexts: ContextStore, mesh: Mesh, bounds: Bounds) -> None:
        self.journal, self.contexts, self.mesh = journal, contexts, mesh
        # The tests' own time: they are read in long before they run when others come first.
        self.book = ThreadBook(journal, bounds=bounds, clock=lambda: NOW)
        self.border = Border(contexts, Gate(lambda: POLICY), Trust(MESH, AUTHORITY.public), clock=lambda: NOW)
        self.told: list[Kept] = []
        self.said: list[str] = []
        self.spread = Spread(
            self.book, self.border, contexts, mesh, told=self._told,  # type: ignore[arg-type]
            say=lambda kind, detail, peer_id: self.said.append(f"{kind}: {detail}"), spawn=self._spawn,
        )  # fmt: skip
        mesh.subscribe(wire.TOPIC, lambda *heard: self.arrived.append(heard))
        mesh.handle(wire.PROTOCOL, self.spread._answer)
        self.arrived: list[Any] = []

    async def _told(self, kept: Kept) -> None:
        self.told.append(kept)

    def _spawn(self, name: str, work: Any, **options: Any) -> None:
        raise AssertionError("nothing is begun in the background here")

    async def post(self, member: Member, *told: Any, **wanted: Any) -> wire.Item:
        """Keep what a member of this node says, and give what travels."""
        params = member.params(*told, **wanted)
        envelope, message = open_message(params["envelope"], MESH, now=NOW + 60)
        kept, text = await self.border.written(envelope, message, member.caller, params["version"], params["content"])
        assert await self.book.add(kept, text)
        return await self.spread._item(kept.raw, message.version)

    async def texts(self, thread: str) -> list[str]:
        talk = await self.book.talk(thread)
        found = [await self.contexts.content(message.version, ("worker",)) for _, message in talk.kept.values()]
        return [msgspec.msgpack.decode(text)["text"] for text in found]


@asynccontextmanager
async def places_in(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Makes nodes that share the role keys of one mesh, and know the grants of their own members."""
    rolekeys = RoleKeys.found(tmp_path / "keys", MESH, AUTHORITY, ("worker", "operator"), NOW - 3600)
    net: dict[str, Mesh] = {}
    journals: list[Journal] = []

    async def make(number: int, *members: Member, bounds: Bounds | None = None) -> Place:
        journal = await Journal.open(tmp_path / f"n{number}" / "journal.sqlite", (*SCHEMAS, THREADS))
        journals.append(journal)
        content = await ContentStore.open(journal, tmp_path / f"n{number}" / "content", 65_536)
        chains = {member.key.public: member.chain for member in members}
        contexts = ContextStore(
            journal, content, rolekeys, MESH, may_write=lambda writer, address: False,
            trust=Trust(MESH, AUTHORITY.public), chain_of=lambda key: chains.get(key, ()),
        )  # fmt: skip
        place = Place(journal, contexts, Mesh(net, peer_id_of(NODES[number].public)), bounds or Bounds())
        await place.book.load()
        return place

    try:
        yield make
    finally:
        for journal in journals:
            await journal.close()
