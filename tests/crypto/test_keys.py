from pathlib import Path

import pytest

from bzzzd.crypto import keys
from bzzzd.errors import BadInput, KeyExposed, NotFound


def test_a_key_is_made_once_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "node.key"
    made = keys.load_or_create_key(path)
    again = keys.load_or_create_key(path)
    assert made.seed == again.seed
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in path.parent.iterdir()] == ["node.key"]


def test_a_signature_holds_only_for_its_key_and_data() -> None:
    key, other = keys.SigningKey.generate(), keys.SigningKey.generate()
    signature = key.sign(b"data")
    assert keys.verify(key.public, signature, b"data")
    assert not keys.verify(key.public, signature, b"date")
    assert not keys.verify(other.public, signature, b"data")
    assert not keys.verify(b"short", signature, b"data")
    assert not keys.verify(key.public, b"", b"data")


def test_signatures_are_those_of_rfc_8032() -> None:
    # Section 7.1, test 2: what another implementation signed holds here, and the other way round.
    key = keys.SigningKey.from_seed(bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert key.public.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert key.sign(b"\x72") == signature
    assert keys.verify(key.public, signature, b"\x72")


def test_a_key_of_small_order_signs_nothing() -> None:
    # With such a "public key" one signature would hold for any data.
    for public in (bytes(32), b"\x01" + bytes(31)):
        assert not keys.verify(public, b"\x01" + bytes(63), b"data")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_file_that_others_can_read_is_refused_with_the_command_that_mends_it(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keys" / "node.key"
    keys.load_or_create_key(path)
    path.chmod(mode)
    with pytest.raises(KeyExposed, match="chmod 600"):
        keys.load_key(path)


def test_a_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "node.key"
    keys.load_or_create_key(path)
    path.parent.chmod(0o777)
    with pytest.raises(KeyExposed, match="chmod 700"):
        keys.load_key(path)


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"bzzz-ed25519-seed-1 !!!!", b"bzzz-ed25519-seed-1 aaaa", b"\xff" * 80]
)
def test_a_damaged_key_file_is_refused_and_never_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "node.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(BadInput, match="damaged"):
        keys.load_or_create_key(path)
    assert path.read_bytes() == content


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"node\.key"):
        keys.load_key(tmp_path / "node.key")


def test_key_text_goes_there_and_back_and_refuses_other_text() -> None:
    public = keys.SigningKey.generate().public
    assert keys.key_from_text(keys.key_text(public)) == public
    for wrong in ("", "a", "é" * 52, "1" * 52, keys.key_text(public)[:-1]):
        with pytest.raises(BadInput):
            keys.key_from_text(wrong)


def test_a_key_shows_no_secret_when_printed() -> None:
    key = keys.SigningKey.generate()
    assert key.seed.hex() not in repr(key)
    assert keys._b32(key.seed) not in repr(key)


def test_an_existing_secret_is_not_overwritten_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    keys.write_private(path, b"one")
    with pytest.raises(FileExistsError):
        keys.write_private(path, b"two")
    assert path.read_bytes() == b"one"
    keys.write_private(path, b"two", replace=True)
    assert path.read_bytes() == b"two"
    assert [file.name for file in tmp_path.iterdir()] == ["secret"]
