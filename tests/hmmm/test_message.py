"""Messages of threads: what is signed, what is refused, and that the text belongs to the message."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzzzd.crypto.envelope import seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import BadInput, InvalidEnvelope, TooLarge
from bzzzd.hmmm.message import (
    BODY_LIMIT,
    CONTENT_TYPE,
    MESSAGE_LIMIT,
    TEXT_CHARS,
    Text,
    check_named,
    dated,
    message_id,
    new_thread_id,
    open_message,
    open_text,
    post_params,
    read_message,
)
from bzzzd.identity.grants import mesh_id_of
from bzzzd.slurp.brief import Writer
from bzzzd.ucxl.version import open_version, version_id

KEY = SigningKey.from_seed(b"k" * 32)
MESH = mesh_id_of(KEY.public)
BOB = Writer(KEY, MESH, "bob", "worker", 1)
THREAD = "t-00000000000000001"
READERS = ["worker", "operator"]


def posted(text: Text | None = None, **wanted: Any) -> tuple[str, dict[str, Any]]:
    fields = {"thread": THREAD, "kind": "concern", "readers": READERS, "at": 1000.0, **wanted}
    return post_params(BOB, text or Text(text="It rains."), **fields)


def sealed(**fields: Any) -> bytes:
    said = {"thread": THREAD, "kind": "concern", "at": 1000.0, "version": "0" * 64, **fields}
    return seal(KEY, "hmmm", MESH, msgspec.msgpack.encode(said))


def test_a_message_is_opened_as_it_was_signed() -> None:
    id, params = posted(Text(text="I would run it.", refs=("ucxl://a:b@c:d/*^/",)), kind="proposal", window_s=30.0)
    envelope, message = open_message(params["envelope"], MESH, now=1000.0)
    assert message == read_message(params["envelope"])
    assert (message.kind, message.window_s, message.refs) == ("proposal", 30.0, 1)
    assert message_id(envelope.author, envelope.payload) == id
    _, header = open_version(params["version"], MESH)
    check_named(message, header, version_id(params["version"]), "bob", "worker")
    assert open_text(params["content"]).text == "I would run it."
    assert header.content_type == CONTENT_TYPE


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "shout"}, {"thread": "nowhere"}, {"thread": "t-" + "x" * 70}, {"version": "0"}, {"more": 1},
        {"reply_to": "h-"}, {"refs": 33}, {"window_s": 5.0}, {"kind": "proposal", "window_s": 1e9}, {"at": -1.0},
        {"at": 2000.0},
    ],
)  # fmt: skip
def test_a_message_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidEnvelope):
        open_message(sealed(**change), MESH, now=1000.0)


def test_a_forged_a_foreign_and_an_oversized_message_are_refused() -> None:
    raw = sealed()
    with pytest.raises(InvalidEnvelope):
        open_message(raw[:-1] + bytes([raw[-1] ^ 1]), MESH, now=1000.0)
    with pytest.raises(InvalidEnvelope):
        open_message(raw, mesh_id_of(b"x" * 32), now=1000.0)
    with pytest.raises(InvalidEnvelope):
        open_message(seal(KEY, "command", MESH, b"x"), MESH, now=1000.0)
    with pytest.raises(TooLarge):
        open_message(bytes(MESSAGE_LIMIT + 1), MESH, now=1000.0)
    with pytest.raises(TooLarge):
        open_text(bytes(BODY_LIMIT + 1))


def test_an_old_message_is_as_good_as_a_new_one() -> None:
    open_message(sealed(), MESH, now=1e9)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("escalation", Text(text="Please look.", to=("alice",))),
        ("escalation", Text(text="Please look.", reason="It is late.")),
        ("objection", Text(text="No.")),
        ("question", Text(text="  ")),
        ("question", Text(text="x" * (TEXT_CHARS + 1))),
        ("question", Text(text="x", to=("two words",))),
        ("question", Text(text="x", refs=("r",) * 33)),
    ],
)
def test_a_message_that_lacks_what_its_kind_needs_is_not_signed(kind: str, text: Text) -> None:
    with pytest.raises(BadInput):
        posted(text, kind=kind)


def test_a_text_that_belongs_elsewhere_is_refused() -> None:
    _, params = posted()
    _, message = open_message(params["envelope"], MESH, now=1000.0)
    _, header = open_version(params["version"], MESH)
    id = version_id(params["version"])
    for wrong in (
        msgspec.structs.replace(message, version="0" * 64),
        msgspec.structs.replace(message, thread="t-other"),
    ):
        with pytest.raises(InvalidEnvelope):
            check_named(wrong, header, id, "bob", "worker")
    with pytest.raises(InvalidEnvelope):
        check_named(message, header, id, "carol", "worker")
    with pytest.raises(InvalidEnvelope):
        check_named(message, header, id, "bob", "operator")


def test_a_clock_that_is_a_little_behind_does_not_put_a_word_before_what_it_follows() -> None:
    assert dated(100.0, 50.0) == 100.0
    assert dated(100.0, 105.0) > 105.0
    assert dated(100.0, 200.0) == 100.0


def test_one_id_belongs_to_one_author_and_one_text() -> None:
    ids = {posted(at=1000.0 + at)[0] for at in range(20)}
    assert len(ids) == 20
    assert message_id(b"a" * 32, b"x") != message_id(b"b" * 32, b"x")
    assert new_thread_id(1000.0).startswith("x-")


@given(st.binary(max_size=400))
def test_bytes_from_anywhere_are_refused_with_a_code(raw: bytes) -> None:
    with pytest.raises(InvalidEnvelope):
        open_message(raw, MESH, now=1000.0)
    with pytest.raises((BadInput, TooLarge)):
        open_text(raw + b"\xc1")
