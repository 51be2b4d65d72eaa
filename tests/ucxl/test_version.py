from __future__ import annotations

import hashlib

import msgpack
import msgspec
import pytest

from bzzzd.crypto.envelope import seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import BadInput, InvalidAddress, InvalidEnvelope, TooLarge
from bzzzd.ucxl.version import (
    HEADER_LIMIT,
    VersionHeader,
    make_header,
    open_version,
    read_version,
    seal_version,
    version_id,
)

MESH = "mesh-1"
KEY = SigningKey.from_seed(bytes(32))
GIVEN = {
    "address": "ucxl://alice:worker@demo:t1/*^/notes",
    "author": "alice",
    "plaintext": b"hello",
    "readers": ["worker", "operator"],
    "epoch": 1,
    "at": 1000.0,
}


def header(**changes: object) -> VersionHeader:
    return make_header(**{**GIVEN, **changes})


def test_a_header_comes_back_as_it_was_signed():
    made = header(parents=["b" * 64, "a" * 64])
    envelope, opened = open_version(seal_version(KEY, MESH, made), MESH)
    assert opened == made
    assert envelope.author == KEY.public
    assert opened.readers == ("operator", "worker")
    assert opened.parents == ("a" * 64, "b" * 64)


def test_the_id_is_the_hash_of_the_signed_header():
    raw = seal_version(KEY, MESH, header())
    assert version_id(raw) == hashlib.sha256(raw).hexdigest() == open_version(raw, MESH)[0].id


def test_equal_content_gives_different_digests_and_each_header_knows_its_own():
    one, two = header(), header()
    assert one.digest != two.digest
    assert one.matches(b"hello")
    assert not one.matches(b"hellO")
    assert not one.matches(b"hello!")


def test_the_temporal_part_is_dropped():
    assert header(address="ucxl://alice:worker@demo:t1/~~3/notes").address == GIVEN["address"]


def test_a_header_of_another_mesh_kind_or_hand_is_refused():
    raw = seal_version(KEY, MESH, header())
    for wrong in (raw[:-1] + bytes([raw[-1] ^ 1]), seal(KEY, "command", MESH, b"\x80"), b"", b"garbage"):
        with pytest.raises(InvalidEnvelope):
            open_version(wrong, MESH)
    with pytest.raises(InvalidEnvelope):
        open_version(raw, "mesh-2")
    with pytest.raises(TooLarge):
        open_version(b"x" * (HEADER_LIMIT + 1), MESH)


def test_a_forwarder_cannot_give_a_version_a_second_id():
    raw = seal_version(KEY, MESH, header())
    framed_otherwise = raw.replace(b"\xc4\x20" + KEY.public, b"\xc5\x00\x20" + KEY.public)
    assert framed_otherwise != raw
    with pytest.raises(InvalidEnvelope, match="encoded"):
        open_version(framed_otherwise, MESH)


@pytest.mark.parametrize(
    "change",
    [
        {"digest": b"short"},
        {"salt": b""},
        {"readers": []},
        {"readers": ["worker", "worker"]},
        {"readers": ["no role"]},
        {"readers": ["worker\n"]},
        {"parents": ["A" * 64]},
        {"parents": ["a" * 63]},
        {"parents": ["a" * 64, "a" * 64]},
        {"parents": [f"{number:064x}" for number in range(65)]},
        {"epoch": 0},
        {"epoch": 1.5},
        {"size": -1},
        {"at": -1.0},
        {"at": float("nan")},
        {"at": float("inf")},
        {"author": ""},
        {"content_type": "text/\x00plain"},
        {"content_type": ""},
        {"address": "ucxl://alice:worker@demo:t1/*~2/notes"},
    ],
    ids=str,
)
def test_a_signed_header_with_an_impossible_value_is_refused(change):
    payload = msgpack.packb({**msgspec.to_builtins(header(), builtin_types=(bytes,)), **change})
    with pytest.raises(InvalidEnvelope):
        open_version(seal(KEY, "version", MESH, payload), MESH)


def test_a_signed_header_with_no_address_in_it_is_refused():
    payload = msgpack.packb({**msgspec.to_builtins(header(), builtin_types=(bytes,)), "address": "somewhere"})
    with pytest.raises(InvalidAddress):
        open_version(seal(KEY, "version", MESH, payload), MESH)


def test_a_header_of_a_plain_client_is_understood():
    plain = msgspec.to_builtins(header(), builtin_types=(bytes,))
    raw = seal(KEY, "version", MESH, msgpack.packb({**plain, "later": "a field of a later version"}))
    assert open_version(raw, MESH)[1].author == "alice"


def test_making_an_impossible_header_fails_at_once():
    with pytest.raises(BadInput):
        header(readers=[])
    with pytest.raises(InvalidAddress):
        header(address="nowhere")


def test_a_stored_header_is_read_without_its_signature():
    made = header()
    assert read_version(seal_version(KEY, MESH, made)) == made
