from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import NotFound
from bzzzd.storage.carry import Carry, Received, open_carry, open_message, seal_carry, seal_message
from bzzzd.storage.database import open_database
from bzzzd.storage.messages import MAX_JOURNALS, SCHEMA, Limits, MessageStore

MESH = "mesh-1"
NODE, PEER, AUTHOR = (SigningKey.from_seed(bytes([number]) * 32) for number in range(3))
NOW = 1_000_000.0
SMALL = Limits(messages=10, bytes=10_000, window=20)
JOURNAL = "ab" * 16


@pytest.fixture
async def journal(open_journal):
    return await open_journal(schemas=[SCHEMA])


@pytest.fixture
async def store(journal):
    return MessageStore(journal, NODE, MESH, SMALL)


def say(text: object = "hello", topic: str = "news", at: float = NOW) -> bytes:
    return seal_message(AUTHOR, MESH, topic, at, text)


async def publish(store: MessageStore, raw: bytes):
    return await store.publish(*open_message(raw, MESH, now=NOW))


def arrival(raw: bytes, number: int, journal: str = JOURNAL, node: SigningKey = PEER, topic: str = "news") -> Received:
    return open_carry(seal_carry(node, MESH, Carry(journal, number, topic, raw)), MESH, now=NOW, topic=topic)


async def test_what_is_sent_is_numbered_once_for_all_topics_and_once_in_each(store, journal):
    one, two, three = [await publish(store, say(text, topic)) for text, topic in ((1, "a"), (2, "b"), (3, "a"))]
    assert [one.number, two.number, three.number] == [1, 1, 2]
    opened = [
        open_carry(sent.carry, MESH, now=NOW, topic=topic) for sent, topic in ((one, "a"), (two, "b"), (three, "a"))
    ]
    assert [received.carry.number for received in opened] == [1, 2, 3]
    assert {received.carry.journal for received in opened} == {journal.incarnation}
    assert await store.sent_last() == 3


async def test_numbers_go_on_after_a_restart(store, journal, open_journal):
    await publish(store, say(1))
    await journal.close()
    again = MessageStore(await open_journal(schemas=[SCHEMA]), NODE, MESH, SMALL)
    sent = await publish(again, say(2))
    assert open_carry(sent.carry, MESH, now=NOW, topic="news").carry.number == 2


async def test_a_journal_from_a_backup_numbers_under_another_name(store, journal, open_journal, tmp_path):
    await publish(store, say(1))
    await journal.backup(tmp_path / "copy")
    await publish(store, say(2))
    restored = MessageStore(await open_journal(tmp_path / "copy", schemas=[SCHEMA]), NODE, MESH, SMALL)
    sent = open_carry((await publish(restored, say(3))).carry, MESH, now=NOW, topic="news")
    assert sent.carry.journal != journal.incarnation


async def test_publishing_the_same_message_again_sends_nothing(store):
    raw = say()
    assert (await publish(store, raw)).carry is not None
    again = await publish(store, raw)
    assert (again.number, again.carry) == (1, None)


async def test_many_at_once_get_numbers_without_gaps(store):
    sent = await asyncio.gather(*[publish(store, say(number)) for number in range(200)])
    assert [one.number for one in sent] == list(range(1, 201))


async def test_an_arrival_is_kept_once_whoever_carries_it(store):
    raw = say()
    assert (await store.accept(arrival(raw, 1))).number == 1
    assert (await store.accept(arrival(raw, 1))).verdict == "repeated"
    assert (await store.accept(arrival(raw, 2))).verdict == "repeated"
    assert (await store.accept(arrival(raw, 1, node=NODE))).verdict == "repeated"
    page = await store.read("news", 0)
    (item,) = page.items
    assert (item.message, item.author, item.node, item.at) == (raw, AUTHOR.public, PEER.public, NOW)


async def test_one_message_may_be_said_on_two_topics(store):
    assert (await store.accept(arrival(say(topic="a"), 1, topic="a"))).verdict == "new"
    assert (await store.accept(arrival(say(topic="b"), 2, topic="b"))).verdict == "new"


async def test_an_arrival_is_remembered_over_a_restart(store, journal, open_journal):
    await store.accept(arrival(say(), 1))
    await journal.close()
    again = MessageStore(await open_journal(schemas=[SCHEMA]), NODE, MESH, SMALL)
    assert (await again.accept(arrival(say(), 1))).verdict == "repeated"


async def test_one_number_with_two_messages_is_shown_as_a_clone(store):
    await store.accept(arrival(say(1), 7))
    assert (await store.accept(arrival(say(2), 7))).verdict == "clone"
    (clone,) = await store.clones()
    assert (clone.node, clone.journal, clone.number) == (PEER.public, JOURNAL, 7)
    assert len((await store.read("news", 0)).items) == 1


async def test_a_clone_of_this_node_is_noticed(store, journal):
    await publish(store, say(1))
    twin = arrival(say(2), 1, journal=journal.incarnation, node=NODE)
    assert (await store.accept(twin)).verdict == "clone"


async def test_a_number_far_behind_is_old_even_if_it_was_never_seen(store):
    await store.accept(arrival(say(1), 1))
    await store.accept(arrival(say(2), 100))
    assert (await store.accept(arrival(say(3), 50))).verdict == "old"
    assert (await store.accept(arrival(say(4), 99))).verdict == "new"


async def test_a_node_cannot_fill_memory_with_journals(store, journal):
    for number in range(MAX_JOURNALS):
        await store.accept(arrival(say(number), 1, journal=f"{number:032x}"))
    assert (await store.accept(arrival(say("more"), 1, journal="f" * 32))).verdict == "old"
    assert (await store.accept(arrival(say("known", at=NOW + 1), 2, journal=f"{1:032x}"))).verdict == "new"


async def test_a_topic_keeps_its_newest_messages_and_says_when_a_reader_is_too_late(store):
    for number in range(25):
        await publish(store, say(number))
    page = await store.read("news", 0)
    assert [item.number for item in page.items] == list(range(16, 26))
    assert (page.first, page.last, page.trimmed) == (16, 25, True)
    page = await store.read("news", 15, limit=3)
    assert ([item.number for item in page.items], page.trimmed) == ([16, 17, 18], False)
    assert (await store.read("news", 25)).items == ()


async def test_a_topic_is_bounded_in_bytes_too(store):
    for number in range(6):
        await publish(store, say(bytes([number]) * 3000))
    page = await store.read("news", 0)
    assert [item.number for item in page.items] == [4, 5, 6]
    await publish(store, say(bytes(50_000)))
    assert [item.number for item in (await store.read("news", 0)).items] == [7]


async def test_an_old_message_sent_again_after_it_was_trimmed_is_not_new(store):
    old = say("old", at=NOW - 1000)
    await store.accept(arrival(old, 1))
    for number in range(60):
        await store.accept(arrival(say(number, at=NOW - 500 + number), number + 2))
    assert (await store.accept(arrival(old, 100))).verdict in ("repeated", "old")
    rows = await store._journal.read(lambda connection: connection.execute("SELECT count(*) FROM heard").fetchone())
    assert rows[0] <= 41


async def test_a_cursor_from_another_journal_is_not_found(store):
    await publish(store, say())
    with pytest.raises(NotFound, match="no message number 2"):
        await store.read("news", 2)
    page = await store.read("quiet", 0)
    assert (page.items, page.first, page.last, page.trimmed) == ((), 1, 0, False)


async def test_what_was_sent_can_be_sent_again_exactly(store):
    sent = [(await publish(store, say(number, f"t{number % 2}"))).carry for number in range(8)]
    assert await store.sent_since(0) == sent
    assert await store.sent_since(5) == sent[5:]
    assert await store.sent_since(2, limit=2) == sent[2:4]


@given(st.lists(st.tuples(st.integers(1, 90), st.integers(0, 9)), max_size=60))
@settings(max_examples=40, deadline=None)
def test_nothing_is_taken_twice_and_every_number_is_used_once(tmp_path_factory, arrivals):
    connection = open_database(tmp_path_factory.mktemp("state") / "journal.sqlite", [SCHEMA]).connection
    try:
        store = MessageStore.__new__(MessageStore)
        store._limits = Limits(messages=5, bytes=10_000, window=8)
        taken: list[int] = []
        numbers: list[int] = []
        for number, text in arrivals:
            accepted = store.add_incoming(connection, arrival(say(text), number))
            if accepted.verdict == "new":
                taken.append(text)
                numbers.append(accepted.number or 0)
        assert len(taken) == len(set(taken))
        assert numbers == list(range(1, len(numbers) + 1))
    finally:
        connection.close()
