from __future__ import annotations

import asyncio
import os
import random
import sys

import pytest

from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import (
    BadInput,
    DiskFull,
    InvalidEnvelope,
    InvalidTemporal,
    NoRoleKey,
    NotAllowed,
    NotFound,
    NotReady,
    StorageFailed,
    TooLarge,
)
from bzzzd.identity.caller import Caller
from bzzzd.identity.epoch import seal_epoch
from bzzzd.storage.versions.bulk import LARGE_BYTES
from bzzzd.storage.versions.content import ContentStore
from bzzzd.storage.versions.context import SCHEMAS, ContextStore
from bzzzd.storage.versions.records import head_key, seal_head, validate_record
from bzzzd.storage.versions.rolekeys import RoleKeys
from bzzzd.ucxl.version import make_header, open_version, seal_version, version_id

MESH = "mesh-1"
NOW = 1_000_000.0
KEY, BOB_KEY, NODE = (SigningKey.from_seed(bytes([number]) * 32) for number in range(3))
ALICE = Caller(0, 0, 0, "agent", "alice", "worker", frozenset(), KEY.public)
BOB = Caller(0, 0, 0, "person", "bob", "operator", frozenset(), BOB_KEY.public)
BASE = "ucxl://alice:worker@demo:t1/*^/notes"


@pytest.fixture
async def journal(open_journal):
    return await open_journal(schemas=SCHEMAS)


@pytest.fixture
def rolekeys(tmp_path):
    return RoleKeys.found(tmp_path / "roles", MESH, NODE, ["worker", "operator", "reviewer"], NOW)


def new_epoch(rolekeys: RoleKeys) -> None:
    record, secrets = rolekeys.next([], now=NOW)
    rolekeys.enforce(rolekeys.keep(seal_epoch(NODE, MESH, record), secrets))


@pytest.fixture
def make_store(journal, rolekeys, tmp_path):
    async def make(**options):
        content = await ContentStore.open(journal, tmp_path / "content", inline_bytes=4096)
        given = {"may_write": lambda writer, address: writer.role == "operator", "clock": lambda: NOW, **options}
        return ContextStore(journal, content, rolekeys, MESH, **given)

    return make


@pytest.fixture
async def store(make_store):
    return await make_store()


def signed(plaintext: bytes = b"hello", *, key: SigningKey = KEY, **changes: object) -> bytes:
    given = {"address": BASE, "author": "alice", "readers": ["worker"], "epoch": 1, "at": NOW, **changes}
    return seal_version(key, MESH, make_header(plaintext=plaintext, **given))


async def put(store: ContextStore, plaintext: bytes = b"hello", writer: Caller = ALICE, **changes: object) -> str:
    return await store.put(signed(plaintext, **changes), plaintext, writer)


async def test_what_is_put_is_got_back_with_all_that_is_known_of_it(store):
    id = await put(store, content_type="text/markdown")
    found = await store.get(BASE, ["worker"])
    assert found.content == b"hello"
    version = found.version
    assert (version.id, version.address, version.number, version.of, version.heads) == (id, BASE, 1, 1, (id,))
    assert (version.header.author, version.header.content_type, version.conflict) == ("alice", "text/markdown", False)
    assert version_id(version.raw) == id
    assert (await store.get_id(id, ["worker"])) == found
    assert await store.show(BASE) == version


@pytest.mark.parametrize("size", [0, 1, 4000, 5000, LARGE_BYTES, LARGE_BYTES + 1, 3_000_000])
async def test_content_of_every_size_survives_a_restart(make_store, store, size):
    data = os.urandom(size)
    await put(store, data)
    again = await make_store()
    assert (await again.get(BASE, ["worker"])).content == data


async def test_nothing_on_disk_holds_the_plaintext(store, journal, tmp_path):
    secret = b"the quick brown secret " * 400
    await put(store, secret)
    await put(store, secret[:200], at=NOW + 1)
    await journal.close()
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert secret[:23] not in path.read_bytes()


async def test_time_travel(store):
    last: tuple[str, ...] = ()
    for number in range(1, 5):
        last = (await put(store, f"v{number}".encode(), parents=last, at=NOW - 10 + number),)

    async def got(text):
        return (await store.get(BASE.replace("*^", text), ["worker"])).content

    assert await got("*^") == b"v4"
    assert await got("~~1") == b"v3"
    assert await got("^^0") == b"v1"
    assert await got("*~2") == b"v2"
    for beyond in ("*~5", "~~4", "^^4", "*~0"):
        with pytest.raises(NotFound):
            await got(beyond)
    with pytest.raises(BadInput):
        await got("*~")
    assert [step.number for step in (await store.history(BASE)).steps] == [1, 2, 3, 4]


async def test_differences_between_any_two_versions(store):
    first = await put(store, b"one\ntwo\n")
    second = await put(store, b"one\n2\n", parents=[first], at=NOW + 1)
    await put(store, b"\0\1", parents=[second], at=NOW + 2)
    shown = await store.diff(BASE, "*~1", "~~1", ["worker"])
    assert shown.startswith("--- ucxl://alice:worker@demo:t1/*~1/notes\n+++ ucxl://alice:worker@demo:t1/*~2/notes\n")
    assert "-two\n+2\n" in shown
    assert await store.diff(BASE, "2", second, ["worker"]) == ""
    assert (await store.diff(BASE, first, "*^", ["worker"])).startswith("binary content differs")
    with pytest.raises(InvalidTemporal, match="names no version"):
        await store.diff(BASE, "yesterday", "*^", ["worker"])
    with pytest.raises(NotFound):
        await store.diff(BASE, "9", "*^", ["worker"])
    with pytest.raises(NotAllowed):
        await store.diff(BASE, "1", "2", ["operator"])
    elsewhere = await put(store, address=BASE + "2")
    with pytest.raises(BadInput, match="belongs to"):
        await store.diff(BASE, "1", elsewhere, ["worker"])


async def test_two_writers_at_once_are_both_kept_and_shown_as_a_conflict(store):
    first = await put(store, b"base", at=NOW - 9)
    mine = await put(store, b"mine", parents=[first], at=NOW - 3)
    theirs = await put(store, b"theirs", BOB, key=BOB_KEY, author="bob", parents=[first], at=NOW - 5)
    found = await store.get(BASE, ["worker"])
    assert (found.content, found.version.conflict, found.version.heads) == (b"mine", True, (theirs, mine))
    assert await store.heads(BASE) == (theirs, mine)
    (entry,) = (await store.list()).entries
    assert (entry.versions, entry.heads, entry.latest) == (3, 2, mine)
    united = await put(store, b"both", parents=await store.heads(BASE), at=NOW)
    assert await store.heads(BASE) == (united,)


async def test_only_readers_and_the_author_s_role_can_read(store):
    await put(store, readers=["reviewer"])
    assert (await store.get(BASE, ["reviewer", "other"])).content == b"hello"
    assert (await store.get(BASE, ["worker"])).content == b"hello"
    with pytest.raises(NotAllowed, match="is for reviewer"):
        await store.get(BASE, ["operator"])
    with pytest.raises(NotAllowed):
        await store.get(BASE, [])


async def test_content_alone_is_read_by_its_readers_and_nobody_else_from_memory_or_not(make_store, store):
    id = await put(store, readers=["worker", "operator"])
    for place in (store, await make_store()):
        assert await place.content(id, ["reviewer", "operator"]) == b"hello"
        assert await place.content(id, ["worker"]) == b"hello"
        with pytest.raises(NotAllowed):
            await place.content(id, ["reviewer"])
    with pytest.raises(NotFound):
        await store.content("0" * 64, ["worker"])


async def test_an_address_belongs_to_its_agent_and_role_unless_policy_allows_others(store):
    with pytest.raises(NotAllowed, match="may not write"):
        await put(store, address="ucxl://carol:worker@demo:t1/*^/")
    with pytest.raises(NotAllowed, match="may not write"):
        await put(store, address="ucxl://alice:operator@demo:t1/*^/")
    await put(store, b"allowed", BOB, key=BOB_KEY, author="bob")


@pytest.mark.parametrize("part", ["agent", "role", "project", "task"])
async def test_any_is_never_written(make_store, part):
    store = await make_store(may_write=lambda writer, address: True)
    parts = {"agent": "alice", "role": "worker", "project": "demo", "task": "t1", part: "any"}
    with pytest.raises(NotAllowed, match="never written"):
        await put(store, address="ucxl://{agent}:{role}@{project}:{task}/*^/".format(**parts))


async def test_a_header_counts_only_with_its_author_s_key_and_name(store):
    with pytest.raises(NotAllowed, match="another key"):
        await store.put(signed(key=BOB_KEY), b"hello", ALICE)
    with pytest.raises(NotAllowed, match="another key"):
        await put(store, author="bob")
    with pytest.raises(NotAllowed):
        await store.put(signed(), b"hello", Caller(0, 0, 0))


async def test_a_header_that_is_not_for_this_content_is_refused(store):
    with pytest.raises(InvalidEnvelope, match="digest"):
        await store.put(signed(b"hello"), b"hullo", ALICE)
    large = bytes(LARGE_BYTES + 5)
    with pytest.raises(InvalidEnvelope, match="digest"):
        await store.put(signed(large), large[:-1] + b"x", ALICE)
    with pytest.raises(NotFound):
        await store.get(BASE, ["worker"])


async def test_forged_dated_ahead_and_unreadable_headers_are_refused(store, rolekeys):
    with pytest.raises(InvalidEnvelope):
        await store.put(b"garbage", b"hello", ALICE)
    with pytest.raises(InvalidEnvelope, match="40 s in the future"):
        await put(store, at=NOW + 40)
    with pytest.raises(BadInput, match="no key"):
        await put(store, readers=["stranger"])


async def test_what_an_author_signed_in_an_old_epoch_is_encrypted_for_the_one_in_force(store, rolekeys):
    new_epoch(rolekeys)
    await put(store, epoch=1)
    assert (await store.show(BASE)).blob.sealed == rolekeys.tag


async def test_nothing_is_written_before_an_epoch_is_known(journal, tmp_path):
    content = await ContentStore.open(journal, tmp_path / "content", inline_bytes=4096)
    none = RoleKeys.load(tmp_path / "none", MESH)
    store = ContextStore(journal, content, none, MESH, may_write=lambda writer, address: False, clock=lambda: NOW)
    with pytest.raises(NotReady, match="role keys"):
        await put(store)


async def test_a_secret_that_is_lacking_is_asked_for_once_and_used(make_store, rolekeys, journal, tmp_path):
    await put(await make_store())
    assert rolekeys.epoch is not None
    poor = RoleKeys.load(tmp_path / "poor", MESH)
    poor.enforce(rolekeys.epoch)
    asked = []

    def store(obtain):
        return ContextStore(
            journal, content, poor, MESH, may_write=lambda writer, address: False, clock=lambda: NOW, obtain=obtain
        )

    async def in_vain(roles):
        asked.append(tuple(roles))

    async def found(roles):
        poor.add(rolekeys.secret(missing.recipient).secret for missing in poor.missing(roles))

    content = await ContentStore.open(journal, tmp_path / "content", inline_bytes=4096)
    with pytest.raises(NoRoleKey, match="no key of worker in epoch 1"):
        await store(in_vain).get(BASE, ["worker"])
    assert asked == [("worker",)]
    assert (await store(found).get(BASE, ["worker"])).content == b"hello"


async def test_content_over_the_limit_is_refused(make_store):
    store = await make_store(max_content_bytes=100)
    with pytest.raises(TooLarge, match="limit of 100"):
        await put(store, bytes(101))
    await put(store, bytes(100))


async def test_content_from_before_a_new_epoch_stays_readable(make_store, store, rolekeys):
    await put(store, b"old")
    new_epoch(rolekeys)
    again = await make_store()
    assert (await again.get(BASE, ["worker"])).content == b"old"


async def test_a_version_and_other_rows_are_one_transaction(store, journal):
    pending = await store.check(signed(), b"hello", ALICE)

    def both(connection):
        store.insert(connection, pending)
        raise KeyError("the other half")

    with pytest.raises(KeyError):
        await journal.write(both)
    with pytest.raises(NotFound):
        await store.get(BASE, ["worker"])
    assert await journal.write(lambda connection: store.insert(connection, pending)) == pending.id
    assert await journal.write(lambda connection: store.insert(connection, pending)) == pending.id
    assert (await store.history(BASE)).of == 1


async def test_damage_is_noticed_wherever_it_is(make_store, store, journal, tmp_path):
    small = await put(store, b"small")
    await put(store, bytes(10_000), address=BASE + "2")
    fresh = await make_store()

    async def change(statement, *values):
        await journal.write(lambda connection: connection.execute(statement, values).rowcount)

    (path,) = (tmp_path / "content").glob("??/*")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StorageFailed, match="damaged"):
        await fresh.get(BASE + "2", ["worker"])
    other = signed(b"other")
    await change("UPDATE versions SET header = ? WHERE id = ?", other, bytes.fromhex(small))
    with pytest.raises(StorageFailed, match="header of version"):
        await fresh.get(BASE, ["worker"])


async def test_content_that_was_swapped_for_another_of_the_same_readers_is_noticed(make_store, store, journal):
    one = await put(store, b"one")
    two = await put(store, b"two", address=BASE + "2")
    fresh = await make_store()

    def swap(connection):
        connection.execute(
            "UPDATE versions SET content = (SELECT content FROM versions WHERE id = ?) WHERE id = ?",
            (bytes.fromhex(two), bytes.fromhex(one)),
        )

    await journal.write(swap)
    with pytest.raises(StorageFailed, match="not what its author signed"):
        await fresh.get(BASE, ["worker"])


async def test_content_that_does_not_fit_leaves_no_file(make_store, journal, tmp_path, monkeypatch):
    store = await make_store()

    def full(work):
        future = asyncio.get_running_loop().create_future()
        future.set_exception(DiskFull("full"))
        return future

    monkeypatch.setattr(journal, "write", full)
    with pytest.raises(DiskFull):
        await put(store, bytes(10_000))
    assert list((tmp_path / "content").glob("??/*")) == []


async def test_a_head_record_stands_at_its_place_in_the_dht(store):
    await put(store, b"one", at=NOW - 3)
    await put(store, b"two", at=NOW - 2)
    record = await store.head_record(BASE, KEY.public)
    raw = seal_head(NODE, MESH, record)
    validate_record(head_key(BASE, KEY.public), raw, MESH, lambda key: key == NODE.public)
    assert [open_version(head, MESH)[1].at for head in record.heads] == [NOW - 3, NOW - 2]
    with pytest.raises(NotFound):
        await store.head_record(BASE, BOB_KEY.public)


async def test_sixty_four_at_a_time_keep_to_themselves(store):
    async def work(number):
        address = f"ucxl://alice:worker@demo:t{number}/*^/"
        last: tuple[str, ...] = ()
        for turn in range(5):
            last = (await put(store, f"{number}.{turn}".encode(), address=address, parents=last, at=NOW + turn),)
        assert (await store.get(address, ["worker"])).content == f"{number}.4".encode()

    await asyncio.gather(*[work(number) for number in range(64)])
    seen, after = [], ""
    while after is not None:
        listing = await store.list("ucxl://alice:any@demo:any/*^/", after=after, limit=50)
        seen += listing.entries
        after = listing.next
    assert [entry.versions for entry in seen] == [5] * 64


async def test_a_bad_version_id_is_bad_input(store):
    with pytest.raises(BadInput, match="64 hex digits"):
        await store.get_id("../../etc/passwd", ["worker"])
    with pytest.raises(NotFound):
        await store.get_id("a" * 64, ["worker"])


CHILD = """
import asyncio, sys, time
from pathlib import Path
from bzzzd.crypto.keys import SigningKey
from bzzzd.identity.caller import Caller
from bzzzd.storage.versions.content import ContentStore
from bzzzd.storage.versions.context import SCHEMAS, ContextStore
from bzzzd.storage.journal.journal import Journal
from bzzzd.storage.versions.rolekeys import RoleKeys
from bzzzd.ucxl.version import make_header, seal_version

async def main():
    state = Path(sys.argv[1])
    key = SigningKey.from_seed(bytes(32))
    alice = Caller(0, 0, 0, "agent", "alice", "worker", frozenset(), key.public)
    journal = await Journal.open(state / "journal.sqlite", SCHEMAS)
    content = await ContentStore.open(journal, state / "content", inline_bytes=4096)
    roles = RoleKeys.found(state / "roles", "mesh-1", key, ["worker"], time.time())
    store = ContextStore(journal, content, roles, "mesh-1", may_write=lambda writer, address: False)

    async def writer(number):
        while True:
            data = bytes([number]) * (1000 if number % 2 else 20_000)
            raw = seal_version(key, "mesh-1", make_header(address=f"ucxl://alice:worker@demo:t{number}/*^/",
                author="alice", plaintext=data, readers=["worker"], epoch=1, at=time.time()))
            id = await store.put(raw, data, alice)
            print(id, number, flush=True)

    await asyncio.gather(*[writer(number) for number in range(8)])

asyncio.run(main())
"""


@pytest.mark.integration
async def test_after_kill_9_every_acknowledged_version_is_read_back_whole(open_journal, tmp_path):
    state = tmp_path / "state"
    chance = random.Random(3)
    acknowledged: dict[str, int] = {}
    for _ in range(4):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, str(state), stdout=asyncio.subprocess.PIPE
        )
        assert child.stdout is not None
        for _ in range(chance.randrange(1, 300)):
            id, number = (await child.stdout.readline()).split()
            acknowledged[id.decode()] = int(number)
        child.kill()
        for line in (await child.stdout.read()).split(b"\n")[:-1]:
            acknowledged[line.split()[0].decode()] = int(line.split()[1])
        await child.wait()
    journal = await open_journal(state / "journal.sqlite", SCHEMAS)
    assert await journal.check() == []
    content = await ContentStore.open(journal, state / "content", inline_bytes=4096)
    roles = RoleKeys.load(state / "roles", MESH)
    store = ContextStore(journal, content, roles, MESH, may_write=lambda writer, address: False)
    for id, number in acknowledged.items():
        assert (await store.get_id(id, ["worker"])).content == bytes([number]) * (1000 if number % 2 else 20_000)
