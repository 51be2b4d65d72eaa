from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import NotFound
from bzzzd.storage.journal.database import open_database
from bzzzd.storage.messages.carry import (
    Bundle,
    Carry,
    Received,
    digest_of,
    open_bundle,
    open_message,
    open_numbered,
    seal_carry,
    seal_message,
)
from bzzzd.storage.messages.ring import IDLE_JOURNALS
from bzzzd.storage.messages.sources import Held, Link, Source
from bzzzd.storage.messages.store import SCHEMA, Clone, Limits, MessageStore, Skip

MESH = "mesh-1"
NODE, PEER, AUTHOR = (SigningKey.from_seed(bytes([number]) * 32) for number in range(3))
NOW = 1_000_000.0
SMALL = Limits(messages=10, bytes=10_000)
JOURNAL = "ab" * 16
THEIRS = Source(PEER.public, JOURNAL)


@pytest.fixture
async def journal(open_journal):
    return await open_journal(schemas=[SCHEMA])


@pytest.fixture
async def store(journal):
    return MessageStore(journal, NODE, MESH, SMALL)


def say(text: object = "hello", topic: str = "news", at: float = NOW) -> bytes:
    return seal_message(AUTHOR, MESH, topic, at, text)


async def publish(store: MessageStore, *raws: bytes, topic: str = "news"):
    published, synced = await store.publish(topic, [open_message(raw, MESH, now=NOW) for raw in raws])
    await synced
    return published


def opened(bundle: Bundle, topic: str = "news") -> list[Received]:
    numbered = open_bundle(bundle, MESH, topic=topic)
    return [open_numbered(numbered, index, MESH, now=NOW) for index in range(len(numbered.messages))]


def arrival(
    raw: bytes, number: int, journal: str = JOURNAL, node: SigningKey = PEER, topic: str = "news", after=None
) -> Received:
    carry = Carry(journal, topic, number, after, (digest_of(raw),))
    return opened(Bundle(seal_carry(node, MESH, carry), 0, (raw,)), topic)[0]


async def accept(store: MessageStore, *arrivals, topic: str = "news"):
    found = await store.accept(topic, arrivals)
    return found[0] if len(found) == 1 else found


async def test_each_topic_is_numbered_by_itself(store):
    sent = [await publish(store, say(text, topic), topic=topic) for text, topic in ((1, "a"), (2, "b"), (3, "a"))]
    assert [one.numbers for one in sent] == [(1,), (1,), (2,)]
    received = [opened(one.bundle, topic)[0] for one, topic in zip(sent, "aba", strict=True)]
    assert [one.number for one in received] == [1, 1, 2]
    assert {one.source for one in received} == {store.own}


async def test_many_messages_are_numbered_under_one_signature(store):
    sent = await publish(store, *(say(number) for number in range(5)))
    assert sent.numbers == (1, 2, 3, 4, 5)
    assert [(one.number, one.index) for one in opened(sent.bundle)] == [(n + 1, n) for n in range(5)]


async def test_after_a_restart_another_name_goes_on_from_the_last_number(store, journal, open_journal):
    await publish(store, say(1), say(2))
    await journal.close()
    again = MessageStore(await open_journal(schemas=[SCHEMA]), NODE, MESH, SMALL)
    sent = await publish(again, say(3))
    (received,) = opened(sent.bundle)
    assert (sent.numbers, received.number) == ((3,), 1)
    assert received.after == sent.after == Link(store.own.journal, 2)
    assert received.source == again.own != store.own
    assert opened((await publish(again, say(4))).bundle)[0].after is None


async def test_publishing_the_same_message_again_sends_nothing(store):
    raw = say()
    assert (await publish(store, raw)).bundle is not None
    again = await publish(store, raw)
    assert (again.numbers, again.bundle) == ((1,), None)
    mixed = await publish(store, say("other"), raw, say("more"), say("more"))
    assert mixed.numbers == (2, 1, 3, 3)
    assert [one.number for one in opened(mixed.bundle)] == [2, 3]


async def test_many_at_once_get_numbers_without_gaps(store):
    sent = await asyncio.gather(*[publish(store, say(number)) for number in range(200)])
    assert [one.numbers for one in sent] == [(number,) for number in range(1, 201)]


async def test_an_arrival_is_kept_once_whoever_carries_it(store):
    raw = say()
    assert (await accept(store, arrival(raw, 1))).number == 1
    assert (await accept(store, arrival(raw, 1))).verdict == "repeated"
    assert (await accept(store, arrival(raw, 2))).verdict == "repeated"
    assert (await accept(store, arrival(raw, 1, node=NODE))).verdict == "repeated"
    page = await store.read("news", 0)
    (item,) = page.items
    assert (item.message, item.author, item.node, item.at) == (raw, AUTHOR.public, PEER.public, NOW)


async def test_one_message_may_be_said_on_two_topics(store):
    assert (await accept(store, arrival(say(topic="a"), 1, topic="a"), topic="a")).verdict == "new"
    assert (await accept(store, arrival(say(topic="b"), 1, topic="b"), topic="b")).verdict == "new"


async def test_positions_are_remembered_over_a_restart(store, journal, open_journal):
    await accept(store, arrival(say(1), 1, after=("cd" * 16, 5)), arrival(say(2), 2), Skip(THEIRS, 4))
    await store.follow("news", NOW)
    await journal.close()
    again = MessageStore(await open_journal(schemas=[SCHEMA]), NODE, MESH, SMALL)
    (topic,) = await again.topics()
    assert (topic.name, topic.last, topic.followed) == ("news", 2, NOW)
    assert [(one.source, one.last, one.after) for one in topic.positions] == [(THEIRS, 4, Link("cd" * 16, 5))]
    assert (await accept(again, arrival(say(9), 4))).verdict == "repeated"


async def test_a_number_with_another_message_is_told_apart(store):
    await accept(store, arrival(say(1), 1))
    assert await store.differs("news", [(THEIRS, 1, digest_of(say(1))), (THEIRS, 2, digest_of(say(2)))]) == []
    assert await store.differs("news", [(THEIRS, 1, digest_of(say("other")))]) == [THEIRS]


async def test_clones_are_remembered_once(store):
    clone = Clone(PEER.public, JOURNAL, "news", NOW)
    assert await store.add_clone(clone)
    assert not await store.add_clone(clone)
    assert await store.clones() == [clone]


async def test_until_when_a_clone_is_settled_is_remembered(store):
    assert await store.settled() == {}
    await store.settle(PEER.public, NOW)
    await store.settle(PEER.public, NOW + 1)
    assert await store.settled() == {PEER.public: NOW + 1}


async def test_a_node_cannot_fill_the_disk_with_journals(store):
    for number in range(3 * IDLE_JOURNALS):
        await accept(store, arrival(say(number, at=NOW + number / 10), 1, journal=f"{number:032x}"))
    (topic,) = await store.topics()
    assert len(topic.positions) <= IDLE_JOURNALS + SMALL.messages + 1


async def test_a_topic_keeps_its_newest_messages_and_says_when_a_reader_is_too_late(store):
    for number in range(25):
        await publish(store, say(number))
    page = await store.read("news", 0)
    assert [item.number for item in page.items] == list(range(16, 26))
    assert (page.first, page.last, page.trimmed) == (16, 25, True)
    page = await store.read("news", 15, limit=3)
    assert ([item.number for item in page.items], page.trimmed) == ([16, 17, 18], False)
    assert (await store.read("news", 25)).items == ()


async def test_carries_go_with_their_last_message(store, journal):
    for start in range(0, 40, 4):
        await publish(store, *(say(start + number) for number in range(4)))
    rows = await journal.read(lambda connection: connection.execute("SELECT count(*) FROM proofs").fetchone())
    assert rows == (3,)
    bundles, held = await store.give("news", store.own, 0, 100_000)
    assert held == Held(31, 40)
    assert [one.number for bundle in bundles for one in opened(bundle)] == list(range(31, 41))


async def test_a_topic_is_bounded_in_bytes_too(store):
    for number in range(6):
        await publish(store, say(bytes([number]) * 3000))
    page = await store.read("news", 0)
    assert [item.number for item in page.items] == [4, 5, 6]
    await publish(store, say(bytes(50_000)))
    assert [item.number for item in (await store.read("news", 0)).items] == [7]


async def test_an_old_message_sent_again_after_it_was_trimmed_is_not_new(store):
    old = say("old", at=NOW - 1000)
    await accept(store, arrival(old, 1))
    for number in range(60):
        await accept(store, arrival(say(number, at=NOW - 500 + number), number + 2))
    assert (await accept(store, arrival(old, 100))).verdict in ("repeated", "old")
    rows = await store._journal.read(lambda connection: connection.execute("SELECT count(*) FROM heard").fetchone())
    assert rows[0] <= 41


async def test_a_cursor_from_another_journal_is_not_found(store):
    await publish(store, say())
    with pytest.raises(NotFound, match="no message number 2"):
        await store.read("news", 2)
    page = await store.read("quiet", 0)
    assert (page.items, page.first, page.last, page.trimmed) == ((), 1, 0, False)


async def test_what_was_heard_can_be_handed_on_with_its_proof(store, open_journal, tmp_path):
    sent = await publish(store, *(say(number) for number in range(5)))
    other = MessageStore(await open_journal(tmp_path / "other.sqlite", schemas=[SCHEMA]), PEER, MESH, SMALL)
    # It has got the middle ones alone, and hands them on.
    await accept(other, Skip(store.own, 1), *opened(sent.bundle)[1:4])
    bundles, held = await other.give("news", store.own, 0, 100_000)
    assert held == Held(2, 4)
    assert [(bundle.carry, bundle.start) for bundle in bundles] == [(sent.bundle.carry, 1)]
    assert [one.number for one in opened(bundles[0])] == [2, 3, 4]
    assert (await other.give("news", store.own, 3, 100_000))[0][0].start == 3
    assert await other.give("news", THEIRS, 0, 100_000) == ([], None)
    assert await other.heads(["news", "none"]) == {"news": {store.own: Held(2, 4)}}


async def test_what_is_given_at_once_is_bounded(store):
    await publish(store, *(say(bytes(1000)) + b"" for _ in range(1)))
    for number in range(6):
        await publish(store, say(bytes([number]) * 1000))
    bundles, _ = await store.give("news", store.own, 0, 2500)
    assert 0 < sum(len(bundle.messages) for bundle in bundles) < 4
    assert len((await store.give("news", store.own, 0, 0))[0]) == 1


@given(st.lists(st.tuples(st.integers(1, 90), st.integers(0, 9)), max_size=60))
@settings(max_examples=40, deadline=None)
def test_nothing_is_taken_twice_and_every_number_is_used_once(tmp_path_factory, arrivals):
    connection = open_database(tmp_path_factory.mktemp("state") / "journal.sqlite", [SCHEMA]).connection
    try:
        store = MessageStore.__new__(MessageStore)
        store._limits = Limits(messages=5, bytes=10_000)
        taken: list[int] = []
        numbers: list[int] = []
        for number, text in arrivals:
            (accepted,) = store.add_incoming(connection, "news", [arrival(say(text), number)])
            if accepted.verdict == "new":
                taken.append(text)
                numbers.append(accepted.number or 0)
        assert len(taken) == len(set(taken))
        assert numbers == list(range(1, len(numbers) + 1))
    finally:
        connection.close()
