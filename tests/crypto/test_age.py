from collections.abc import Iterator
from pathlib import Path

import pytest

from bzzzd.crypto import age
from bzzzd.errors import BadInput, KeyExposed, NotAllowed, NotFound, StorageFailed


def test_each_recipient_can_read_and_nobody_else() -> None:
    one, two, three = age.new_identity(), age.new_identity(), age.new_identity()
    sealed = age.encrypt(b"text", [age.recipient_of(one), age.recipient_of(two)])
    assert age.decrypt(sealed, [one]) == age.decrypt(sealed, [three, two]) == b"text"
    with pytest.raises(NotAllowed):
        age.decrypt(sealed, [three])


def test_what_comes_in_pieces_is_encrypted_as_one() -> None:
    identity = age.new_identity()
    out: list[bytes] = []
    pieces = [b"", b"a" * 100_000, b"b", b"c" * 70_000]
    age.encrypt_pieces(iter(pieces), out.append, [age.recipient_of(identity)])
    assert age.decrypt(b"".join(out), [identity]) == b"".join(pieces)


def test_what_breaks_off_between_pieces_is_told_with_its_own_reason() -> None:
    def broken() -> Iterator[bytes]:
        yield b"a" * 100_000
        raise NotFound("the download has ended")

    def full(piece: bytes) -> None:
        raise StorageFailed("the disk is full")

    def stopped() -> Iterator[bytes]:
        yield b"a" * 100_000
        raise KeyboardInterrupt

    recipients = [age.recipient_of(age.new_identity())]
    with pytest.raises(KeyboardInterrupt):
        age.encrypt_pieces(stopped(), lambda piece: None, recipients)
    with pytest.raises(NotFound, match="the download has ended"):
        age.encrypt_pieces(broken(), lambda piece: None, recipients)
    with pytest.raises(StorageFailed, match="the disk is full"):
        age.encrypt_pieces([b"a" * 100_000], full, recipients)
    with pytest.raises(BadInput, match="nobody"):
        age.encrypt_pieces([b"a"], lambda piece: None, [])


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


def test_an_identity_is_made_once_in_a_file_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "node.age"
    with pytest.raises(NotFound):
        age.load_identity(path)
    secret = age.load_or_create_identity(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    age.write_identity(path, age.new_identity())
    assert age.load_or_create_identity(path) == secret
    path.chmod(0o640)
    with pytest.raises(KeyExposed):
        age.load_or_create_identity(path)


def test_a_damaged_identity_file_is_named_and_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "node.age"
    age.write_identity(path, "AGE-SECRET-KEY-1WRONG")
    with pytest.raises(StorageFailed, match=r"node\.age") as caught:
        age.load_or_create_identity(path)
    assert "WRONG" not in str(caught.value)
