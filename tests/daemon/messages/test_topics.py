"""Topic desks over a mesh that loses, repeats and reorders: what reaches the subscribers of each."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from bzzzd.crypto.keys import SigningKey
from bzzzd.daemon.messages.topics import PublishParams, SettleParams, TopicDesk
from bzzzd.errors import Conflict, GrantRefused, NotFound, Unavailable
from bzzzd.mesh.conduct import Offence
from bzzzd.mesh.judging import Judging
from bzzzd.mesh.peer_id import peer_id_of
from bzzzd.mesh.values import MeshEvent
from bzzzd.rpc.streams import Stream
from bzzzd.storage.journal.journal import Journal
from bzzzd.storage.messages.carry import seal_message
from bzzzd.storage.messages.sources import Source
from bzzzd.storage.messages.store import SCHEMA, MessageStore

MESH, TOPIC = "mesh-1", "news"


class Net:
    """What joins the desks: gossip that may lose, repeat and delay, and requests that arrive."""

    def __init__(self, loss: float = 0.0) -> None:
        self.loss = loss
        self.chance = random.Random(7)
        self.sites: dict[str, Site] = {}


class Site(Judging):
    """One node: its desk, and its end of the mesh."""

    def __init__(self, net: Net, seed: int, known: set[bytes]) -> None:
        self.net = net
        self.key = SigningKey.from_seed(bytes([seed]) * 32)
        self.peer_id = peer_id_of(self.key.public)
        self.known = known
        self.handlers: dict[str, Callable[[str, str, bytes], None]] = {}
        self.served: dict[str, Callable[[str, bytes], Awaitable[bytes]]] = {}
        self.tasks: set[asyncio.Task[Any]] = set()
        self.held = self.most_held = self.asked = 0
        self.blamed: list[str] = []
        self.open_gate = asyncio.Event()
        self.open_gate.set()
        net.sites[self.peer_id] = self

    async def start(self, folder: Path) -> Site:
        self.journal = await Journal.open(folder / f"{self.peer_id}.sqlite", [SCHEMA])
        self.events = Stream("events")
        gate: Any = SimpleNamespace(check=lambda *_: None, check_grant=lambda *_: None)
        members: Any = SimpleNamespace(
            grant_of=self._grant_of, chain_of=lambda key: (key,) if key in self.known else (),
            name_of=lambda key: key.hex(), admit=self._admit,
        )  # fmt: skip
        mesh: Any = self
        trust: Any = None
        self.desk = TopicDesk(
            MessageStore(self.journal, self.key, MESH), members, gate, mesh, MESH, own_key=self.key.public,
            trust=trust, events=self.events, limit_of=lambda _: 1_000_000, fresh_s=lambda _: 30.0,
            find_chain=self._find_chain, spawn=self._spawn,
        )  # fmt: skip
        await self.desk.open()
        return self

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.journal.close()

    def _spawn(self, name: str, task: str, work: Any, *, ends: bool = False) -> None:
        running = asyncio.get_running_loop().create_task(work)
        self.tasks.add(running)
        running.add_done_callback(self.tasks.discard)

    def _grant_of(self, key: bytes) -> Any:
        if key not in self.known:
            raise GrantRefused("unknown")
        nodes = {site.key.public for site in self.net.sites.values()}
        return SimpleNamespace(kind="node" if key in nodes else "person", id=key.hex(), key=key)

    def _admit(self, chain: tuple[bytes, ...]) -> Any:
        self.known.add(chain[0])
        return self._grant_of(chain[0])

    async def _find_chain(self, peer_id: str, key: bytes) -> list[bytes]:
        self.asked += 1
        return [key] if key in self.net.sites[peer_id].known else []

    # The mesh.

    def peers(self) -> list[Any]:
        return [SimpleNamespace(peer_id=peer, connected=True) for peer in self.net.sites if peer != self.peer_id]

    def subscribe(self, topic: str, handler: Callable[[str, str, bytes], None]) -> None:
        self.handlers[topic] = handler

    def unsubscribe(self, topic: str, handler: Callable[[str, str, bytes], None]) -> None:
        self.handlers.pop(topic, None)

    def handle(self, protocol: str, handler: Callable[[str, bytes], Awaitable[bytes]]) -> None:
        self.served[protocol] = handler

    def hold(self, size: int) -> None:
        self.held += size
        self.most_held = max(self.most_held, self.held)

    def release(self, size: int) -> None:
        self.held -= size

    def blame(self, peer_id: str, what: Offence = "invalid") -> None:
        self.blamed.append(peer_id)

    async def publish(self, topic: str, data: bytes) -> None:
        await self.open_gate.wait()
        loop, chance = asyncio.get_running_loop(), self.net.chance
        for site in self.net.sites.values():
            if site is not self and topic in site.handlers:
                for _ in range(chance.choice((1, 1, 2))):
                    if chance.random() >= self.net.loss:
                        loop.call_later(chance.random() * 0.02, site.handlers[topic], topic, self.peer_id, data)

    async def request(self, peer_id: str, protocol: str, data: bytes, timeout: float = 10.0) -> bytes:
        site = self.net.sites.get(peer_id)
        if site is None:
            raise Unavailable("not connected")
        return await site.served[protocol](self.peer_id, data)

    # Callers.

    def follow(self) -> Stream:
        return self.desk._feed(SimpleNamespace(caller=None), f"topic:{TOPIC}", {}).stream

    async def say(self, author: SigningKey, body: Any) -> int:
        envelope = seal_message(author, MESH, TOPIC, time.time(), body)
        caller = SimpleNamespace(key=author.public, kind="person")
        answer = await self.desk.publish(SimpleNamespace(caller=caller), PublishParams(topic=TOPIC, envelope=envelope))
        return int(answer["number"])


Towns = Callable[..., Awaitable[list[Site]]]


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Towns]:
    sites: list[Site] = []

    async def make(count: int, *, loss: float = 0.0, shared: bool = True) -> list[Site]:
        net = Net(loss)
        keys = {SigningKey.from_seed(bytes([seed]) * 32).public for seed in range(1, count + 1)}
        for seed in range(1, count + 1):
            sites.append(await Site(net, seed, set(keys)).start(tmp_path))
        for site in sites:
            for peer in site.peers():
                site.desk.happened(MeshEvent(kind="joined", at=0.0, peer_id=peer.peer_id))
        return sites

    yield make
    for site in sites:
        await site.stop()


def heard(stream: Stream) -> list[Any]:
    return [msgspec.msgpack.decode(entry.raw)["payload"] for entry in stream.after(0, 10_000)]


async def until(condition: Callable[[], bool], limit_s: float = 30.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_whatever_gossip_loses_repeats_and_reorders_everybody_hears_everything_once(town: Towns) -> None:
    sites = await town(3, loss=0.5)
    streams = [site.follow() for site in sites]
    authors = [SigningKey.from_seed(bytes([100 + number]) * 32) for number in range(3)]
    for site, author in zip(sites, authors, strict=True):
        site.known.add(author.public)
    for number in range(40):
        for index, (site, author) in enumerate(zip(sites, authors, strict=True)):
            await site.say(author, [index, number])
    await until(lambda: all(stream.number >= 120 for stream in streams))
    for stream in streams:
        came = heard(stream)
        assert len(came) == 120
        for index in range(3):
            assert [number for which, number in came if which == index] == list(range(40))
    assert sum(site.desk.fetched for site in sites) > 0
    assert [site.desk.refused for site in sites] == [0, 0, 0]
    assert all(site.held == 0 for site in sites)


async def test_an_author_that_only_a_third_node_knows_is_searched_and_heard(town: Towns) -> None:
    one, two, three = await town(3)
    author = SigningKey.from_seed(bytes([200]) * 32)
    stream = two.follow()
    await one.say(author, "hello")
    await until(lambda: two.asked >= 1)
    assert heard(stream) == []
    three.known.add(author.public)
    await until(lambda: stream.number == 1)
    assert heard(stream) == ["hello"]
    assert two.desk.refused == 0


async def test_many_that_come_while_gossip_is_busy_leave_together_and_publishers_wait_for_room(town: Towns) -> None:
    one, two = await town(2)
    author = SigningKey.from_seed(bytes([200]) * 32)
    for site in (one, two):
        site.known.add(author.public)
    stream = two.follow()
    one.open_gate.clear()
    calls = [asyncio.ensure_future(one.say(author, [number, bytes(100_000)])) for number in range(60)]
    await until(lambda: sum(call.done() for call in calls) >= 35)
    await asyncio.sleep(0.2)
    # Four megabytes are under way: the rest of the publishers have no answer yet.
    assert sum(call.done() for call in calls) < 50
    one.open_gate.set()
    while len(calls) < 100:  # nobody who comes while others wait is numbered before them
        calls.append(asyncio.ensure_future(one.say(author, [len(calls), bytes(100_000)])))
        await asyncio.sleep(0.001)
    assert await asyncio.gather(*calls) == list(range(1, 101))
    await until(lambda: stream.number == 100)


async def test_a_body_that_cannot_be_read_is_refused_and_what_follows_it_is_heard(town: Towns) -> None:
    one, two = await town(2)
    author = SigningKey.from_seed(bytes([200]) * 32)
    for site in (one, two):
        site.known.add(author.public)
    stream = two.follow()
    await one.say(author, "before")
    with pytest.raises(Exception, match="cannot be used"):
        await one.say(author, msgspec.Raw(b"\xa2\xff\xfe"))
    await one.say(author, "after")
    await until(lambda: stream.number == 2)
    assert heard(stream) == ["before", "after"]


async def test_a_node_that_ran_twice_is_told_of_until_that_is_settled_and_again_when_it_is_seen_again(
    town: Towns,
) -> None:
    (site,) = await town(1)
    desk, node, other = site.desk, bytes([7]) * 32, bytes([8]) * 32
    call = SimpleNamespace(caller=SimpleNamespace(id="alice"))
    desk._cloned(None, Source(node, "first"))
    desk._cloned(None, Source(other, "first"))
    assert desk.clones == 2
    assert (await desk.settle(call, SettleParams(node=node.hex())))["node"] == node.hex()
    assert [row["node"] for row in desk.clone_rows()] == [other.hex()]
    with pytest.raises(NotFound, match="was seen running twice here"):
        await desk.settle(call, SettleParams(node=node.hex()))
    desk._cloned(None, Source(node, "first"))  # the same again is nothing new
    assert desk.clones == 1
    desk._cloned(None, Source(node, "second"))
    assert {row["node"] for row in desk.clone_rows()} == {node.hex(), other.hex()}


async def test_one_of_several_nodes_of_a_name_is_settled_by_its_key_alone(
    town: Towns, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site,) = await town(1)
    desk, nodes = site.desk, [bytes([7]) * 32, bytes([8]) * 32]
    monkeypatch.setattr(desk._members, "name_of", lambda key: "n1")
    call = SimpleNamespace(caller=SimpleNamespace(id="alice"))
    for node in nodes:
        desk._cloned(None, Source(node, "first"))
    with pytest.raises(Conflict, match=nodes[1].hex()):
        await desk.settle(call, SettleParams(node="n1"))
    await desk.settle(call, SettleParams(node=nodes[0].hex()))
    assert desk.clones == 1
