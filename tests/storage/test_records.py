from __future__ import annotations

import pytest

from bzzzd.crypto.envelope import seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import BzzzError, InvalidEnvelope, TooLarge
from bzzzd.storage.versions.records import (
    MAX_VALUE_BYTES,
    HeadRecord,
    PointerRecord,
    blob_key,
    head_key,
    open_head,
    open_pointer,
    seal_head,
    seal_pointer,
    select_record,
    validate_record,
)
from bzzzd.ucxl.version import make_header, seal_version

MESH = "mesh-1"
NODE, WRITER, STRANGER = (SigningKey.from_seed(bytes([number]) * 32) for number in range(3))
BASE = "ucxl://alice:worker@demo:t1/*^/notes"
HASH = "ab" * 32


def version(at: float = 1.0, key: SigningKey = WRITER, address: str = BASE) -> bytes:
    header = make_header(address=address, author="alice", plaintext=b"x", readers=["worker"], epoch=1, at=at)
    return seal_version(key, MESH, header)


def head(*versions: bytes, sequence: int = 1, address: str = BASE, node: SigningKey = NODE, at: float = 5.0) -> bytes:
    return seal_head(node, MESH, HeadRecord(address, versions or (version(),), sequence, at))


def pointer(at: float = 5.0, node: SigningKey = NODE, hash: str = HASH) -> bytes:
    return seal_pointer(node, MESH, PointerRecord(hash, 10, ("node-1",), at))


def member(key: bytes) -> bool:
    return key == NODE.public


def check(key: str, value: bytes) -> None:
    validate_record(key, value, MESH, member)


def test_a_head_says_who_wrote_it_and_who_announces_it():
    opened = open_head(head(), MESH)
    assert (opened.node, opened.writer) == (NODE.public, WRITER.public)
    assert opened.headers[0].address == BASE
    check(head_key(BASE, WRITER.public), head())


def test_a_pointer_says_who_holds_the_content():
    assert open_pointer(pointer(), MESH).record.holders == ("node-1",)
    check(blob_key(HASH), pointer())


def test_keys_are_text_and_have_no_time_in_them():
    key = head_key("ucxl://alice:worker@demo:t1/~~4/notes", WRITER.public)
    assert key == head_key(BASE, WRITER.public)
    assert key.isascii()
    assert key.startswith("/bzzz-head/")
    assert blob_key(HASH) == f"/bzzz-blob/{HASH}"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (head_key(BASE, STRANGER.public), head()),
        (head_key(BASE.replace("t1", "t2"), WRITER.public), head()),
        (head_key(BASE, WRITER.public), pointer()),
        (blob_key("cd" * 32), pointer()),
        (blob_key(HASH), head()),
        (blob_key(HASH), pointer(node=STRANGER)),
        (head_key(BASE, WRITER.public), head(node=STRANGER)),
        (head_key(BASE, WRITER.public), head()[:-1] + b"x"),
        (head_key(BASE, WRITER.public), b""),
        ("/other/x", pointer()),
        ("", b""),
        (head_key(BASE, WRITER.public), head(version(1.0), version(2.0, key=STRANGER))),
        (head_key(BASE, WRITER.public), head(version(1.0), version(2.0, address=BASE + "2"))),
        (head_key(BASE, WRITER.public), head(address="ucxl://bob:worker@demo:t1/*^/notes")),
        (head_key(BASE, WRITER.public), seal(NODE, "head", MESH, b"\x80")),
        (blob_key(HASH), seal(NODE, "pointer", MESH, b"\xc1")),
        (head_key(BASE, WRITER.public), seal_head(NODE, "mesh-2", HeadRecord(BASE, (version(),), 1, 1.0))),
    ],
)
def test_a_record_in_a_wrong_place_or_hand_is_refused(key, value):
    with pytest.raises(InvalidEnvelope):
        check(key, value)


def test_a_version_twice_in_a_head_is_refused():
    one = version()
    with pytest.raises(InvalidEnvelope, match="once"):
        check(head_key(BASE, WRITER.public), head(one, one))


def test_a_value_that_the_dht_would_drop_is_refused_on_both_sides():
    with pytest.raises(TooLarge):
        check(blob_key(HASH), bytes(MAX_VALUE_BYTES + 1))
    many = tuple(version(float(number)) for number in range(3))
    with pytest.raises(BzzzError):
        head(*many, bytes(MAX_VALUE_BYTES))


def test_the_newest_version_stands_whatever_sequence_an_old_one_is_given():
    old, new = head(version(1.0), sequence=99), head(version(2.0), sequence=1)
    assert select_record([old, new], MESH) == 1
    assert select_record([new, old], MESH) == 0
    later = head(version(2.0), version(1.0), sequence=2)
    assert select_record([new, later, old], MESH) == 1


def test_the_newest_pointer_stands():
    assert select_record([pointer(1.0), pointer(3.0), pointer(2.0)], MESH) == 1
