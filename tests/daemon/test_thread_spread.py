"""Threads between stores: what holds is taken once, what does not is refused with a code, and bounds are kept."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bzzzd.config.roles import default_roles
from bzzzd.crypto.keys import SigningKey
from bzzzd.daemon.gate import Gate
from bzzzd.daemon.hmmm import wire
from bzzzd.daemon.hmmm.book import ThreadBook
from bzzzd.daemon.hmmm.border import Border
from bzzzd.daemon.hmmm.spread import Spread
from bzzzd.errors import GrantRefused, InvalidEnvelope, NotAllowed, TooLarge, Unavailable
from bzzzd.hmmm.message import Text, open_message, post_params
from bzzzd.hmmm.thread import Bounds
from bzzzd.identity.caller import Caller
from bzzzd.identity.grants import Trust, mesh_id_of
from bzzzd.identity.node import make_grant
from bzzzd.identity.policy import Policy, PolicyRecord
from bzzzd.mesh.judging import Judging
from bzzzd.mesh.peer_id import peer_id_of
from bzzzd.slurp.brief import Writer
from bzzzd.storage.content import ContentStore
from bzzzd.storage.context import SCHEMAS, ContextStore
from bzzzd.storage.journal import Journal
from bzzzd.storage.rolekeys import RoleKeys
from bzzzd.storage.threads import SCHEMA as THREADS
from bzzzd.storage.threads import Kept

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
        self.handler: Any = None
        self.heard: Any = None
        net[peer_id] = self

    def blame(self, peer_id: str, what: str = "invalid") -> None:
        self.blamed.append(peer_id)

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
        self.book = ThreadBook(journal, bounds=bounds)
        self.border = Border(contexts, Gate(lambda: POLICY), Trust(MESH, AUTHORITY.public))
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


@pytest.fixture
async def places(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Makes nodes that share the role keys of one mesh, and knows every member's grants."""
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

    yield make
    for journal in journals:
        await journal.close()


async def test_a_message_is_taken_once_whichever_way_it_comes(places: Callable[..., Any]) -> None:
    bob = Member("bob")
    one, two = await places(0, bob), await places(1)
    item = await one.post(bob, "Hello")
    sender = one.mesh.peer_id
    assert await two.spread._take(sender, (item, item)) == 1
    assert await two.spread._take(sender, (item,), fetched=True) == 0
    await two.spread.exchange(sender)
    assert [kept.by_id for kept in two.told] == ["bob"]
    assert await two.texts("x-1") == ["Hello"]
    assert one.book.root == two.book.root
    assert two.mesh.asked == 1


async def test_a_latecomer_fetches_all_threads_and_only_what_it_lacks(places: Callable[..., Any]) -> None:
    bob = Member("bob")
    one, two = await places(0, bob), await places(1)
    for number in range(70):
        for line in range(3):
            await one.post(bob, f"{number} {line}", thread=f"x-{number}", at=NOW + line)
    await two.spread.exchange(one.mesh.peer_id)
    assert len(two.told) == 210
    assert two.book.root == one.book.root
    assert await two.texts("x-69") == ["69 0", "69 1", "69 2"]
    await one.post(bob, "one more", thread="x-3", at=NOW + 5)
    await two.spread.exchange(one.mesh.peer_id)
    assert len(two.told) == 211
    assert two.spread.fetched == 211


async def test_two_halves_unite(places: Callable[..., Any]) -> None:
    bob, carol = Member("bob"), Member("carol")
    one, two = await places(0, bob), await places(1, carol)
    await one.post(bob, "here", at=NOW)
    await two.post(carol, "there", at=NOW - 1)
    await two.spread.exchange(one.mesh.peer_id)
    await one.spread.exchange(two.mesh.peer_id)
    assert await one.texts("x-1") == await two.texts("x-1") == ["there", "here"]
    assert one.book.root == two.book.root


async def test_what_does_not_hold_is_refused_and_blamed_on_whoever_sent_it(places: Callable[..., Any]) -> None:
    bob, carol = Member("bob"), Member("carol")
    one, two = await places(0, bob, carol), await places(1)
    item, other = await one.post(bob, "Hello"), await one.post(carol, "Mine")
    sender = one.mesh.peer_id
    bad = bytearray(item.raw)
    bad[-1] ^= 1
    wrong = [
        (wire.Item(bytes(bad), item.text), InvalidEnvelope),
        (wire.Item(item.raw, other.text), InvalidEnvelope),
        (wire.Item(bytes(5000), item.text), TooLarge),
        (wire.Item(item.raw, msgspec.structs.replace(item.text, data=b"x" * item.text.size)), InvalidEnvelope),
    ]
    for forged, error in wrong:
        with pytest.raises(error):
            await two.border.inspect(forged, None)
        assert await two.spread._take(sender, (forged,)) == 0
    assert not two.told
    assert two.mesh.blamed == [sender] * 3
    assert len(two.said) == 4


async def test_only_people_and_agents_who_may_write_speak(places: Callable[..., Any]) -> None:
    node, eve, old = Member("n9", "node", "node"), Member("eve", role="observer"), Member("old", valid_s=60.0)
    one, two = await places(0, node, eve, old), await places(1)
    for member, at, error in ((node, NOW, NotAllowed), (eve, NOW, NotAllowed), (old, NOW, GrantRefused)):
        params = member.params(at=at)
        envelope, message = open_message(params["envelope"], MESH, now=NOW)
        author = member.caller
        pending = await one.contexts.check(
            params["version"], params["content"],
            msgspec.structs.replace(author, capabilities=()),  # type: ignore[arg-type]
        )  # fmt: skip
        await one.contexts.store(pending)
        item = wire.Item(envelope.raw, await one.contexts.carry(message.version))
        with pytest.raises(error):
            await two.border.inspect(item, None)
    assert not two.mesh.blamed


async def test_what_somebody_said_while_a_grant_held_is_good_for_ever(places: Callable[..., Any]) -> None:
    old = Member("old", valid_s=60.0)
    one, two = await places(0, old), await places(1)
    item = await one.post(old, "In my time", at=NOW - 3590)
    assert await two.spread._take(one.mesh.peer_id, (item,)) == 1


async def test_at_the_bound_all_nodes_hold_the_same_messages(places: Callable[..., Any]) -> None:
    bob, bounds = Member("bob"), Bounds(messages=4)
    one, two = await places(0, bob, bounds=bounds), await places(1, bounds=bounds)
    items = [await one.post(bob, str(number), at=NOW - number) for number in range(7)]
    await two.spread._take(one.mesh.peer_id, items[::-1])
    assert await one.texts("x-1") == await two.texts("x-1") == ["6", "5", "4", "3"]
    assert one.book.root == two.book.root
    assert not (await one.book.talk("x-1")).thread.aside


async def test_old_threads_are_forgotten_and_not_brought_back(places: Callable[..., Any]) -> None:
    bob = Member("bob")
    one, two = await places(0, bob), await places(1)
    item = await one.post(bob, "long ago", thread="x-old", at=NOW - 3000)
    await one.post(bob, "now", thread="x-new")
    await two.spread._take(one.mesh.peer_id, (item,))
    two.book._keep_s = 1000.0
    await two.book.prune()
    assert len(two.book) == 0
    await two.spread.exchange(one.mesh.peer_id)
    await two.spread._take(one.mesh.peer_id, (item,))
    assert [head.thread for head in two.book.heads] == ["x-new"]


async def test_everything_is_there_after_a_restart(places: Callable[..., Any]) -> None:
    bob = Member("bob")
    one = await places(0, bob)
    await one.post(bob, "Hello")
    again = ThreadBook(one.journal)
    await again.load()
    assert again.root == one.book.root
    assert (await again.talk("x-1")).thread.said == (await one.book.talk("x-1")).thread.said


@pytest.mark.parametrize("raw", [b"", b"\x90", b"\xc1", msgspec.msgpack.encode(["ask", b"short"])])
async def test_a_question_that_is_none_is_refused(places: Callable[..., Any], raw: bytes) -> None:
    one = await places(0)
    with pytest.raises(InvalidEnvelope):
        await one.spread._answer("x", raw)
