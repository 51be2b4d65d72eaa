"""A person's key file in either of two forms: this system's own seed, or OpenSSH's, locked by a passphrase or not.

A key under a passphrase is kept in OpenSSH's format (bcrypt and AES, by `cryptography`), so that
``ssh-keygen -p -f FILE`` can change it as well, and an ``ssh-ed25519`` key that a person has already can
be used as it is.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Final

from bzzzd.crypto.keys import SigningKey, load_key, load_or_create_key, read_private, write_key, write_private
from bzzzd.errors import BadInput, KeyLocked

_BEGIN: Final = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_END: Final = b"-----END OPENSSH PRIVATE KEY-----"
_MAGIC: Final = b"openssh-key-v1\0"
_LIMIT: Final = 16_384
# A try takes about half a second on a small machine, for the person once a session, for a guesser each time.
_ROUNDS: Final = 32


def is_ssh(raw: bytes) -> bool:
    return raw.lstrip().startswith(_BEGIN)


def is_locked(path: Path) -> bool:
    """Whether the key at ``path`` needs a passphrase; a file that is missing or damaged needs none."""
    return path.exists() and _locked(read_private(path, _LIMIT))


def _locked(raw: bytes) -> bool:
    if not is_ssh(raw):
        return False
    body = b"".join(raw.strip().removeprefix(_BEGIN).removesuffix(_END).split())
    try:
        blob = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return False
    size = int.from_bytes(blob[len(_MAGIC) : len(_MAGIC) + 4], "big")
    return blob.startswith(_MAGIC) and blob[len(_MAGIC) + 4 : len(_MAGIC) + 4 + size] != b"none"


def open_key(path: Path, passphrase: str | None = None) -> SigningKey:
    """The key at ``path``, made when there is none.

    Takes up to a second where there is a passphrase: call it off a loop. Raises ``KeyLocked`` without the right one,
    ``BadInput`` for a key of another type, and what ``load_key`` raises.
    """
    if not path.exists():
        return load_or_create_key(path)
    raw = read_private(path, _LIMIT)
    if not is_ssh(raw):
        return load_key(path)
    if _locked(raw) and not passphrase:
        raise KeyLocked(
            f"the key {path} is protected by a passphrase; type it in a terminal (bzzz-hap asks for it at its start)",
            path=str(path),
        )
    return _open_ssh(path, raw, passphrase if _locked(raw) else None)


def _open_ssh(path: Path, raw: bytes, passphrase: str | None) -> SigningKey:
    # Late: it takes longer to import than everything that a person without such a key needs.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        key = serialization.load_ssh_private_key(raw, passphrase.encode() if passphrase else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if passphrase:
            raise KeyLocked(f"this is not the passphrase of {path}", path=str(path)) from error
        raise BadInput(f"the key file {path} is damaged, or of a kind that is not known: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BadInput(
            f"the key {path} is not of the type ssh-ed25519; make one with: ssh-keygen -t ed25519", path=str(path)
        )
    return SigningKey(key.private_bytes_raw())


def protect(path: Path, key: SigningKey, passphrase: str) -> None:
    """Keep ``key`` at ``path`` under a passphrase, or without one when it is empty; the old file is replaced whole."""
    if not passphrase:
        spare = path.with_name(f".{path.name}.open")
        spare.unlink(missing_ok=True)
        write_key(spare, key)
        spare.replace(path)
        return
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    form = serialization.PrivateFormat.OpenSSH
    locked = Ed25519PrivateKey.from_private_bytes(key.seed).private_bytes(
        serialization.Encoding.PEM, form, form.encryption_builder().kdf_rounds(_ROUNDS).build(passphrase.encode())
    )
    write_private(path, locked, replace=True)
