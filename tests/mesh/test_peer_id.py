import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from libp2p.crypto.ed25519 import Ed25519PrivateKey
from libp2p.peer.id import ID

from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import BadInput
from bzzzd.mesh.peer_id import key_of, key_of_raw, peer_id_of


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=32))
def test_a_key_and_its_peer_id_name_each_other(seed: bytes) -> None:
    public = SigningKey.from_seed(seed).public
    assert key_of(peer_id_of(public)) == public


def test_a_peer_id_is_the_one_that_libp2p_makes() -> None:
    key = SigningKey.generate()
    theirs = ID.from_pubkey(Ed25519PrivateKey.new(key.seed).get_public_key())
    assert peer_id_of(key.public) == str(theirs)
    assert key_of_raw(theirs.to_bytes()) == key.public


@pytest.mark.parametrize(
    "text",
    ["", "0OIl", "12D3KooW", "1" * 60, "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "x" * 500, "12D3KooW…"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="peer id"):
        key_of(text)
