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
