from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from bzzzd.crypto.keyfile import is_locked, open_key, protect
from bzzzd.crypto.keys import SigningKey, load_key
from bzzzd.errors import BadInput, KeyExposed, KeyLocked


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    return folder / "person.key"


def _ssh(path: Path, key: object) -> None:
    pem = key.private_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    path.write_bytes(pem)
    path.chmod(0o600)


def test_a_key_is_made_at_first_and_is_the_same_afterwards(path: Path) -> None:
    made = open_key(path)
    assert not is_locked(path)
    assert open_key(path).public == made.public
    assert load_key(path).public == made.public


def test_a_passphrase_locks_the_key_and_only_it_opens_it(path: Path) -> None:
    key = open_key(path)
    protect(path, key, "corréct horse")
    assert is_locked(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert key.seed not in path.read_bytes()
    assert open_key(path, "corréct horse").public == key.public
    with pytest.raises(KeyLocked, match="protected by a passphrase"):
        open_key(path)
    with pytest.raises(KeyLocked, match="not the passphrase"):
        open_key(path, "correct horse")


def test_an_empty_passphrase_takes_the_protection_away(path: Path) -> None:
    key = open_key(path)
    protect(path, key, "one")
    protect(path, key, "")
    assert not is_locked(path)
    assert load_key(path).public == key.public
    assert [found.name for found in path.parent.iterdir()] == ["person.key"]


def test_an_ssh_key_that_is_there_already_is_used_as_it_is(path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    _ssh(path, key)
    before = path.read_bytes()
    assert not is_locked(path)
    assert open_key(path).public == key.public_key().public_bytes_raw()
    assert path.read_bytes() == before


def test_an_ssh_key_of_another_type_is_refused_with_what_to_do(path: Path) -> None:
    _ssh(path, generate_private_key(SECP256R1()))
    with pytest.raises(BadInput, match="ssh-keygen -t ed25519"):
        open_key(path)


@pytest.mark.parametrize("rest", [b"", b"AAAA", b"\xff\xff", b"b3BlbnNzaC1rZXktdjEAAAAA"])
def test_a_damaged_ssh_key_is_no_crash(path: Path, rest: bytes) -> None:
    path.write_bytes(b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + rest + b"\n-----END OPENSSH PRIVATE KEY-----\n")
    path.chmod(0o600)
    with pytest.raises((BadInput, KeyLocked)):
        open_key(path, "x" if is_locked(path) else None)


def test_a_key_that_others_can_read_is_not_used_in_either_form(path: Path) -> None:
    protect(path, SigningKey.generate(), "one")
    path.chmod(0o640)
    with pytest.raises(KeyExposed):
        is_locked(path)
