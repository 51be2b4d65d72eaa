"""Content as a stream: sealed, opened, received in chunks, and cut off at any point."""

from __future__ import annotations

import asyncio
import hashlib
import os

import pytest

from bzzzd.crypto import age
from bzzzd.errors import InvalidEnvelope, StorageFailed, Unavailable
from bzzzd.storage.versions.incoming import Incoming
from bzzzd.storage.versions.large import Opening, Sealing
from bzzzd.storage.versions.naming import CHUNK_BYTES, Naming, name_of
from bzzzd.ucxl.version import PlaintextDigest

SECRET = age.new_identity()
PIECE = 700_000


def header_of(data: bytes):
    digest = PlaintextDigest()
    for at in range(0, len(data), PIECE):
        digest.update(data[at : at + PIECE])
    return digest.header(
        address="ucxl://alice:worker@demo:t1/*^/big", author="alice", readers=["worker"], epoch=1, at=1.0
    )


async def sealed(folder, data: bytes, header=None):
    sealing = Sealing(folder, header or header_of(data), [age.recipient_of(SECRET)])
    for at in range(0, len(data), PIECE):
        await sealing.feed(data[at : at + PIECE])
    return await sealing.finish()


async def opened(path, header, secret: str = SECRET) -> bytes:
    opening = Opening(path, header, [secret])
    pieces = []
    while piece := await opening.take():
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, 7_000_001])
async def test_what_was_sealed_piece_by_piece_is_opened_piece_by_piece(tmp_path, size):
    data = os.urandom(size)
    header = header_of(data)
    path, name, length = await sealed(tmp_path / "new", data, header)
    whole = path.read_bytes()
    assert (name_of(whole), len(whole)) == (name, length)
    assert age.decrypt(whole, [SECRET]) == data
    assert await opened(path, header) == data


async def test_content_that_is_not_what_was_signed_leaves_nothing(tmp_path):
    data = os.urandom(2_000_000)
    with pytest.raises(InvalidEnvelope, match="sign what is sent"):
        await sealed(tmp_path / "new", data[:-1] + bytes([data[-1] ^ 1]), header_of(data))
    with pytest.raises(InvalidEnvelope, match="sign what is sent"):
        await sealed(tmp_path / "new", data[:-1], header_of(data))
    with pytest.raises(InvalidEnvelope, match="more came"):
        await sealed(tmp_path / "new", data + b"x", header_of(data))
    await gone(tmp_path / "new")


async def test_a_sender_that_gives_up_leaves_nothing(tmp_path):
    sealing = Sealing(tmp_path / "new", header_of(bytes(3_000_000)), [age.recipient_of(SECRET)])
    await sealing.feed(bytes(1_000_000))
    sealing.abort()
    with pytest.raises(Unavailable, match="send it again"):
        await sealing.finish()
    await gone(tmp_path / "new")


async def gone(folder) -> None:
    """Wait until the thread has removed what it had begun."""
    async with asyncio.timeout(30):
        while True:
            if not list(folder.iterdir()):
                return
            await asyncio.sleep(0.01)


async def test_damage_is_told_instead_of_an_end(tmp_path):
    data = os.urandom(3_000_000)
    header = header_of(data)
    path, _, _ = await sealed(tmp_path / "new", data, header)
    damaged = bytearray(path.read_bytes())
    damaged[2_000_000] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(StorageFailed):
        await opened(path, header)
    path.write_bytes(damaged[:1_000_000])
    with pytest.raises(StorageFailed):
        await opened(path, header)
    other, _, _ = await sealed(tmp_path / "new", os.urandom(3_000_000))
    with pytest.raises(StorageFailed, match="not what its author signed"):
        await opened(other, header)


async def test_a_reader_that_goes_away_does_not_keep_the_thread(tmp_path):
    data = os.urandom(9_000_000)
    header = header_of(data)
    path, _, _ = await sealed(tmp_path / "new", data, header)
    opening = Opening(path, header, [SECRET])
    assert await opening.take()
    opening.abandon()
    opening.abandon()


def listed(data: bytes) -> tuple[bytes, list[bytes]]:
    naming = Naming()
    naming.update(data)
    return naming.name(), naming.list()


def test_what_was_cut_off_goes_on_with_the_chunks_that_are_missing(tmp_path):
    data = os.urandom(4 * CHUNK_BYTES + 5)
    name, hashes = listed(data)
    place = tmp_path / "aa" / name.hex()
    first = Incoming(place, name, len(data), hashes)
    assert first.open() == [0, 1, 2, 3, 4]
    for index in (0, 3):
        first.write(index, data[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES])
    first.close()

    again = Incoming(place, name, len(data), hashes)
    assert again.open() == [1, 2, 4]
    with pytest.raises(InvalidEnvelope, match="chunk 1"):
        again.write(1, data[:CHUNK_BYTES])
    for index in (1, 2, 4):
        again.write(index, data[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES])
    again.finish()
    again.close()
    assert place.read_bytes() == data
    assert hashlib.sha256(data).digest() != name


def test_a_list_that_is_not_that_of_the_name_is_refused(tmp_path):
    name, hashes = listed(bytes(2 * CHUNK_BYTES))
    with pytest.raises(InvalidEnvelope, match="not that of content"):
        Incoming(tmp_path / name.hex(), name, 2 * CHUNK_BYTES, [hashes[0], bytes(32)])
