from __future__ import annotations

import os

import pytest

from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import NoRoleKey, StorageFailed
from bzzzd.identity.caller import Caller
from bzzzd.identity.epoch import seal_epoch
from bzzzd.storage.versions.bulk import LARGE_BYTES
from bzzzd.storage.versions.content import ContentStore
from bzzzd.storage.versions.context import SCHEMAS, ContextStore
from bzzzd.storage.versions.reseal import Resealing
from bzzzd.storage.versions.rolekeys import RoleKeys
from bzzzd.ucxl.version import make_header, seal_version

MESH = "mesh-1"
NOW = 1_000_000.0
KEY, AUTHORITY = SigningKey.from_seed(bytes(32)), SigningKey.from_seed(bytes([1]) * 32)
ALICE = Caller(0, 0, 0, "agent", "alice", "worker", frozenset(), KEY.public)
BASE = "ucxl://alice:worker@demo:t1/*^/notes"


class Desk:
    """A store whose epochs are begun by hand."""

    def __init__(self, journal, content, keys):
        self.journal, self.content, self.keys = journal, content, keys
        self.resealing = Resealing(journal, content, keys)
        self.written = 0

    def store(self) -> ContextStore:
        """One that remembers no plaintext."""
        return ContextStore(
            self.journal, self.content, self.keys, MESH, may_write=lambda writer, address: False, clock=lambda: NOW
        )

    async def put(self, data: bytes, address: str = BASE, parents=()) -> str:
        self.written += 1
        header = make_header(
            address=address, author="alice", plaintext=data, readers=["worker", "admin"], epoch=1,
            at=NOW - 1000 + self.written, parents=parents,
        )  # fmt: skip
        return await self.store().put(seal_version(KEY, MESH, header), data, ALICE)

    def new_epoch(self, **changes) -> None:
        record, secrets = self.keys.next([], now=NOW, **changes)
        self.keys.enforce(self.keys.keep(seal_epoch(AUTHORITY, MESH, record), secrets))

    async def stale(self, which="heads", step=2) -> set[str]:
        found: set[str] = set()
        after: bytes | None = b""
        while after is not None:
            page = await self.resealing.stale(which, after, step)
            found |= set(page.ids)
            after = page.next
        return found

    def files(self) -> int:
        return sum(path.is_file() for path in self.content._folder.glob("??/*"))


@pytest.fixture
async def desk(open_journal, tmp_path):
    journal = await open_journal(schemas=SCHEMAS)
    content = await ContentStore.open(journal, tmp_path / "content", inline_bytes=4096)
    return Desk(journal, content, RoleKeys.found(tmp_path / "roles", MESH, AUTHORITY, ["worker", "admin"], NOW))


async def test_the_latest_versions_are_found_page_by_page_or_all(desk):
    first = await desk.put(b"one")
    second = await desk.put(b"two", parents=[first])
    others = {await desk.put(b"x", BASE.replace("notes", f"n{number}")) for number in range(5)}
    assert await desk.stale("all") == set()
    desk.new_epoch()
    assert await desk.stale() == {second} | others
    assert await desk.stale("all", 1) == await desk.stale("all", 100) == {first, second} | others


@pytest.mark.parametrize("size", [0, 1000, 10_000, LARGE_BYTES + 1])
async def test_content_encrypted_again_is_the_same_version_for_the_new_keys_alone(desk, size, tmp_path):
    data = os.urandom(size)
    id = await desk.put(data)
    before = (await desk.store().show(BASE)).blob
    desk.new_epoch()
    old = await desk.resealing.again(id)
    assert old is not None
    assert old.hash == before.hash
    row = (await desk.store().get(BASE, ["worker"])).version
    assert (row.id, row.of, row.blob.sealed) == (id, 1, desk.keys.tag)
    assert row.blob.hash != before.hash
    assert (await desk.store().get(BASE, ["worker"])).content == data
    # Whoever knows the secrets of the old epoch alone reads it no more.
    removed = RoleKeys.load(tmp_path / "removed", MESH)
    removed.enforce(desk.keys.epochs[-1])
    removed.add(desk.keys.secret(missing.recipient).secret for missing in removed.missing(["worker", "admin"]))
    assert removed.held() == {"worker", "admin"}
    removed.enforce(desk.keys.epoch)
    ciphertext = await desk.content.read(row.blob)
    with pytest.raises(NoRoleKey):
        removed.decrypt(ciphertext, ["worker", "admin"])
    assert await desk.resealing.again(id) is None
    await desk.resealing.drop(old)
    assert desk.files() == (1 if size > 4096 else 0)
    assert await desk.stale("all") == set()


async def test_a_crash_before_the_swap_changes_nothing_and_after_it_leaves_no_file(desk, tmp_path):
    data = os.urandom(10_000)
    id = await desk.put(data)
    desk.new_epoch()
    await desk.content.stage(b"new ciphertext that no row names yet" * 200)
    assert desk.files() == 2
    again = await ContentStore.open(desk.journal, tmp_path / "content", inline_bytes=4096)
    assert desk.files() == 1
    assert (await desk.store().get(BASE, ["worker"])).content == data
    assert await Resealing(desk.journal, again, desk.keys).again(id) is not None
    assert desk.files() == 2
    await ContentStore.open(desk.journal, tmp_path / "content", inline_bytes=4096)
    assert desk.files() == 1
    assert (await desk.store().get(BASE, ["worker"])).content == data


async def test_what_no_secret_here_opens_stays_as_it_is(desk, tmp_path):
    id = await desk.put(b"text")
    poor = RoleKeys.load(tmp_path / "poor", MESH)
    poor.enforce(desk.keys.epoch)
    desk.new_epoch()
    poor.enforce(desk.keys.epoch)
    with pytest.raises(NoRoleKey):
        await Resealing(desk.journal, desk.content, poor).again(id)
    assert (await desk.store().get(BASE, ["worker"])).content == b"text"


async def test_damage_is_told_and_replaces_nothing(desk):
    id = await desk.put(b"text")
    await desk.journal.write(lambda c: c.execute("UPDATE content SET data = ?", (b"damaged",)).rowcount)
    desk.new_epoch()
    with pytest.raises(StorageFailed):
        await desk.resealing.again(id)
    assert await desk.stale() == {id}


async def test_content_too_large_for_memory_goes_through_as_a_stream(desk):
    data = os.urandom(3_000_000)
    id = await desk.put(data)
    desk.new_epoch()
    streaming = Resealing(desk.journal, desk.content, desk.keys, whole_bytes=1_000_000)
    old = await streaming.again(id)
    assert old is not None
    await streaming.drop(old)
    found = await desk.store().get(BASE, ["worker"])
    assert (found.content, found.version.id, found.version.blob.sealed) == (data, id, desk.keys.tag)
    assert found.version.blob.hash != old.hash
    assert desk.files() == 1
