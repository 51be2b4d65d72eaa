import pytest

from bzzzd.crypto.age import decrypt, encrypt, identity_of, recipient_of
from bzzzd.crypto.bech32 import bech32


def test_text_is_as_the_specification_says() -> None:
    assert bech32("a", b"") == "a12uel5l"


@pytest.mark.parametrize("seed", [bytes(range(32)), bytes([255]) * 32, bytes([7]) * 32])
def test_an_identity_made_from_bytes_is_one_that_age_takes(seed: bytes) -> None:
    identity = identity_of(seed)
    assert identity == identity_of(seed)
    assert decrypt(encrypt(b"text", [recipient_of(identity)]), [identity]) == b"text"
