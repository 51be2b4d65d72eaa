from __future__ import annotations

import asyncio
import hashlib
import os
import sys

import pytest

from bzzzd.errors import DiskFull, StorageFailed
from bzzzd.storage.folder import TEMPORARY
from bzzzd.storage.versions.content import SCHEMA, Blob, ContentStore


@pytest.fixture
async def journal(open_journal):
    return await open_journal(schemas=[SCHEMA])


@pytest.fixture
async def store(journal, tmp_path):
    return await ContentStore.open(journal, tmp_path / "content", inline_bytes=100)


def files(tmp_path):
    return [path for path in (tmp_path / "content").rglob("*") if path.is_file() and path.name != "journal"]


async def keep(store, journal, data):
    blob = await store.stage(data)
    await journal.write(lambda connection: store.insert(connection, blob))
    return blob


async def test_small_content_lives_in_the_journal_and_large_in_a_private_file(store, journal, tmp_path):
    small = await keep(store, journal, bytes(100))
    assert files(tmp_path) == []
    large = await keep(store, journal, bytes(101))
    (path,) = files(tmp_path)
    assert path.name == hashlib.sha256(bytes(101)).hexdigest()
    assert path.stat().st_mode & 0o777 == 0o600
    assert await store.read(small) == bytes(100)
    assert await store.read(large) == bytes(101)
    assert (small.data, large.data) == (bytes(100), None)


async def test_keeping_the_same_content_twice_is_harmless(store, journal):
    await keep(store, journal, bytes(500))
    blob = await keep(store, journal, bytes(500))
    assert await store.read(blob) == bytes(500)


async def test_what_is_given_up_takes_nothing_that_is_kept_along(store, journal, tmp_path):
    kept = await keep(store, journal, bytes(500))
    await store.discard(await store.stage(bytes(500)))
    assert await store.read(kept) == bytes(500)
    await store.discard(await store.stage(bytes(501)))
    assert [path.stat().st_size for path in files(tmp_path)] == [500]


async def test_damaged_and_missing_content_is_noticed(store, journal, tmp_path):
    large = await keep(store, journal, bytes(1000))
    (path,) = files(tmp_path)
    path.write_bytes(b"x" * 1000)
    with pytest.raises(StorageFailed, match="damaged"):
        await store.read(large)
    path.unlink()
    with pytest.raises(StorageFailed, match="cannot read"):
        await store.read(large)
    with pytest.raises(StorageFailed, match="damaged"):
        await store.read(Blob(large.hash, 4, b"fake"))


async def test_a_start_removes_what_a_crash_left_and_nothing_else(store, journal, tmp_path):
    kept = await keep(store, journal, bytes(1000))
    orphan = await store.stage(bytes(1001))
    part = tmp_path / "content" / kept.hash.hex()[:2]
    (part / f"{TEMPORARY}0011223344556677").write_bytes(b"half")
    foreign = part / "README"
    foreign.write_text("mine")
    again = await ContentStore.open(journal, tmp_path / "content", inline_bytes=100)
    assert await again.read(kept) == bytes(1000)
    assert foreign.exists()
    assert len(files(tmp_path)) == 2
    with pytest.raises(StorageFailed):
        await again.read(orphan)


async def test_beside_a_restored_journal_no_content_is_removed(store, journal, open_journal, tmp_path):
    await journal.backup(tmp_path / "copy")
    newer = await keep(store, journal, bytes(1000))
    restored = await open_journal(tmp_path / "copy", schemas=[SCHEMA])
    again = await ContentStore.open(restored, tmp_path / "content", inline_bytes=100)
    assert await again.read(newer) == bytes(1000)


async def test_discarding_removes_the_file(store, tmp_path):
    await store.discard(await store.stage(bytes(1000)))
    await store.discard(await store.stage(bytes(10)))
    assert files(tmp_path) == []


async def test_content_that_does_not_fit_leaves_nothing(small_disk, journal):
    if small_disk.mounted:
        store = await ContentStore.open(journal, small_disk.folder / "content", inline_bytes=100)
        with pytest.raises(DiskFull, match="full"):
            await store.stage(os.urandom(6_000_000))
        assert files(small_disk.folder) == []


WITH_A_FILE_LIMIT = """
import resource, sys
from pathlib import Path
from bzzzd.errors import DiskFull
from bzzzd.storage.folder import write_whole
resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000))
try:
    write_whole(Path(sys.argv[1]), bytes(20000))
except DiskFull as error:
    print(error.code)
"""


async def test_a_file_that_may_not_grow_is_told_as_a_full_disk_and_leaves_nothing(tmp_path):
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WITH_A_FILE_LIMIT, str(tmp_path / "file"), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(child.communicate(), 60)
    assert output == b"DISK_FULL\n"
    assert list(tmp_path.iterdir()) == []
