import pytest

from bzzzd.crypto import age
from bzzzd.errors import BadInput, NotAllowed


def test_each_recipient_can_read_and_nobody_else() -> None:
    one, two, three = age.new_identity(), age.new_identity(), age.new_identity()
    sealed = age.encrypt(b"text", [age.recipient_of(one), age.recipient_of(two)])
    assert age.decrypt(sealed, [one]) == age.decrypt(sealed, [three, two]) == b"text"
    with pytest.raises(NotAllowed):
        age.decrypt(sealed, [three])


def test_nothing_is_encrypted_for_nobody() -> None:
    with pytest.raises(BadInput):
        age.encrypt(b"text", [])


def test_a_damaged_ciphertext_is_refused() -> None:
    identity = age.new_identity()
    sealed = bytearray(age.encrypt(b"text", [age.recipient_of(identity)]))
    sealed[-1] ^= 1
    with pytest.raises(NotAllowed):
        age.decrypt(bytes(sealed), [identity])
    with pytest.raises(NotAllowed):
        age.decrypt(b"not age at all", [identity])


def test_a_damaged_identity_never_shows_itself() -> None:
    with pytest.raises(BadInput) as caught:
        age.recipient_of("AGE-SECRET-KEY-1WRONG")
    assert "WRONG" not in str(caught.value)
    with pytest.raises(BadInput):
        age.encrypt(b"", ["age1nonsense"])
