"""Threads between stores: what holds is taken once, what does not is refused with a code, and bounds are kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bzzzd.daemon.hmmm import wire
from bzzzd.daemon.hmmm.book import ThreadBook
from bzzzd.errors import GrantRefused, InvalidEnvelope, NotAllowed, TooLarge
from bzzzd.hmmm.message import open_message
from bzzzd.hmmm.thread import Bounds
from tests.daemon.thread_kit import MESH, NOW, Member, places_in

LIMIT_S = 20.0


@pytest.fixture
async def places(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    async with places_in(tmp_path) as make:
        yield make


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
    again = ThreadBook(one.journal, clock=lambda: NOW)
    await again.load()
    assert again.root == one.book.root
    assert (await again.talk("x-1")).thread.said == (await one.book.talk("x-1")).thread.said


@pytest.mark.parametrize("raw", [b"", b"\x90", b"\xc1", msgspec.msgpack.encode(["ask", b"short"])])
async def test_a_question_that_is_none_is_refused(places: Callable[..., Any], raw: bytes) -> None:
    one = await places(0)
    with pytest.raises(InvalidEnvelope):
        await one.spread._answer("x", raw)


async def test_what_waits_to_be_taken_counts_against_the_mesh_until_it_is(places: Callable[..., Any]) -> None:
    bob = Member("bob")
    one, two = await places(0, bob), await places(1)
    items = [wire.encode(await one.post(bob, f"{number}", at=NOW + number)) for number in range(3)]
    for raw in (*items, b"no message"):
        two.spread._arrived(wire.TOPIC, one.mesh.peer_id, raw)
    assert two.mesh.held == sum(map(len, items)) + len(b"no message")
    taking = asyncio.create_task(two.spread._take_arrivals())
    async with asyncio.timeout(LIMIT_S):
        while two.mesh.held:
            await two.journal.sync()
    taking.cancel()
    assert two.spread.taken == 3
