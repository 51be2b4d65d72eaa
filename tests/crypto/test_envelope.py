import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzzzd.crypto.envelope import open_envelope, seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import InvalidEnvelope, TooLarge

KEY = SigningKey.from_seed(bytes(range(32)))
RAW = seal(KEY, "message", "mesh-a", b"payload")


def test_an_envelope_opens_to_exactly_what_was_signed() -> None:
    envelope = open_envelope(RAW, kind="message", mesh_id="mesh-a")
    assert (envelope.payload, envelope.author, envelope.raw) == (b"payload", KEY.public, RAW)
    assert len(envelope.id) == 64


@pytest.mark.parametrize(("kind", "mesh"), [("grant", "mesh-a"), ("message", "mesh-b")])
def test_an_envelope_of_another_kind_or_mesh_is_refused(kind: str, mesh: str) -> None:
    with pytest.raises(InvalidEnvelope):
        open_envelope(RAW, kind=kind, mesh_id=mesh)


def test_an_envelope_relabelled_to_another_kind_is_refused_by_its_signature() -> None:
    wire = msgspec.msgpack.decode(RAW)
    wire[1] = "grant"
    with pytest.raises(InvalidEnvelope, match="signature"):
        open_envelope(msgspec.msgpack.encode(wire), kind="grant", mesh_id="mesh-a")


def test_an_envelope_over_the_limit_is_refused_with_both_sizes() -> None:
    with pytest.raises(TooLarge) as caught:
        open_envelope(RAW, kind="message", mesh_id="mesh-a", limit=50)
    assert caught.value.data == {"size": len(RAW), "limit": 50}


KINDS = ("attach", "grant", "agent-record", "policy", "command", "version", "message", "carry", "head", "revocations")


def other_framings(raw: bytes) -> list[bytes]:
    """The same six parts, each once in a longer MessagePack form."""
    major, kind, mesh, author, payload, signature = msgspec.msgpack.decode(raw)
    head, encode = raw[:1], msgspec.msgpack.encode
    parts = [encode(part) for part in (major, kind, mesh, author, payload, signature)]
    longer = [
        b"\xcc" + bytes([major]),
        *(b"\xd9" + bytes([len(text)]) + text.encode() for text in (kind, mesh)),
        *(b"\xc5" + len(data).to_bytes(2, "big") + data for data in (author, payload, signature)),
    ]
    framings = [b"".join([head, *parts[:n], longer[n], *parts[n + 1 :]]) for n in range(6)]
    return [*framings, b"\xdc\x00\x06" + raw[1:]]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_signed_parts_in_another_framing_are_refused(kind: str) -> None:
    raw = seal(KEY, kind, "mesh-a", b"payload")
    assert open_envelope(raw, kind=kind, mesh_id="mesh-a").payload == b"payload"
    for framing in other_framings(raw):
        assert msgspec.msgpack.decode(framing) == msgspec.msgpack.decode(raw)
        with pytest.raises(InvalidEnvelope, match="shortest form"):
            open_envelope(framing, kind=kind, mesh_id="mesh-a")


@given(st.integers(0, len(RAW) - 1), st.integers(1, 255))
def test_any_changed_byte_is_noticed(position: int, flip: int) -> None:
    changed = bytearray(RAW)
    changed[position] ^= flip
    with pytest.raises(InvalidEnvelope):
        open_envelope(bytes(changed), kind="message", mesh_id="mesh-a")


@given(st.binary(max_size=300))
def test_garbage_is_refused_as_an_envelope(garbage: bytes) -> None:
    with pytest.raises(InvalidEnvelope):
        open_envelope(garbage, kind="message", mesh_id="mesh-a")
