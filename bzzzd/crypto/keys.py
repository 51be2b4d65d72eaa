"""Ed25519 keys: made, kept in files that only their owner can read, used to sign and verify.

The algorithm is libsodium's, by PyNaCl; this module adds the rules about files. A key file holds the
32-byte seed as one line of base32, so that an administrator can see that it is whole.
"""

from __future__ import annotations

import base64
import binascii
import errno
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

from bzzzd.errors import BadInput, DiskFull, KeyExposed, NotFound, StorageFailed

SEED_BYTES: Final = 32
PUBLIC_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
_PREFIX: Final = "bzzz-ed25519-seed-1 "


class SigningKey:
    """An Ed25519 private key. ``seed`` is secret; ``public`` is its 32-byte name in the mesh."""

    __slots__ = ("_secret", "public", "seed")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise BadInput(f"an Ed25519 seed has {SEED_BYTES} bytes, not {len(seed)}")
        self.seed = seed
        self.public, self._secret = crypto_sign_seed_keypair(seed)

    @classmethod
    def generate(cls) -> SigningKey:
        return cls(secrets.token_bytes(SEED_BYTES))

    @classmethod
    def from_seed(cls, seed: bytes) -> SigningKey:
        return cls(seed)

    def sign(self, data: bytes) -> bytes:
        return crypto_sign(data, self._secret)[:SIGNATURE_BYTES]

    def __repr__(self) -> str:
        return f"SigningKey({key_text(self.public)[:12]}…)"


def verify(public: bytes, signature: bytes, data: bytes) -> bool:
    """Whether ``signature`` (64 bytes) over ``data`` was made by the holder of ``public`` (32 bytes)."""
    # libsodium reads these lengths without looking at the sizes of what it is given.
    if len(public) != PUBLIC_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        crypto_sign_open(signature + data, public)
    except BadSignatureError:
        return False
    return True


def _b32(data: bytes) -> str:
    return base64.b32encode(data).decode("ascii").rstrip("=").lower()


def _unb32(text: str) -> bytes:
    return base64.b32decode(text.upper() + "=" * (-len(text) % 8))


def key_text(public: bytes) -> str:
    """A public key for people and files: 52 characters of lower-case base32."""
    return _b32(public)


def key_from_text(text: str) -> bytes:
    """The inverse of ``key_text``; anything else raises ``BadInput``."""
    try:
        public = _unb32(text.strip())
    except (binascii.Error, ValueError):
        public = b""
    if len(public) != PUBLIC_BYTES:
        raise BadInput(f"{text[:60]!r} is not a public key: expected 52 characters a-z and 2-7")
    return public


def check_private(path: Path) -> None:
    """Refuse a file or folder that others can read or change, or that somebody else owns.

    Its folder must be closed as well: who can rename files in it can swap the key.
    """
    for thing, shown in ((path, "file"), (path.parent, "folder")):
        found = thing.stat()
        if found.st_uid not in (os.geteuid(), 0):
            raise KeyExposed(
                f"the key {shown} {thing} belongs to uid {found.st_uid}, not to this process's uid {os.geteuid()}; "
                f"run: chown {os.geteuid()} '{thing}'",
                path=str(thing),
            )
        open_to = 0o077 if thing is path else 0o022
        if stat.S_IMODE(found.st_mode) & open_to:
            mode = "600" if thing is path else "700"
            raise KeyExposed(
                f"the key {shown} {thing} is open to others (mode {stat.S_IMODE(found.st_mode):04o}); "
                f"run: chmod {mode} '{thing}', and make a new key if somebody may have read it",
                path=str(thing),
            )


def write_private(path: Path, data: bytes, *, replace: bool = False) -> None:
    """Write a secret so that it is whole or absent: 0600 from the first byte, synced, then named.

    Without ``replace`` an existing file raises ``FileExistsError``: two processes that start
    together must end up with one key.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                temporary.replace(path)
            else:
                os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        raise
    except OSError as error:
        raise write_failed(path, error) from error


def write_failed(path: Path, error: OSError) -> StorageFailed:
    """What to tell a person when ``path`` could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DiskFull(f"no space left to write {path}; free some space and start again", path=str(path))
    return StorageFailed(
        f"cannot write {path}: {error.strerror}; check that the folder exists and belongs to this user", path=str(path)
    )


def read_private(path: Path, limit: int = 65536) -> bytes:
    """Read a secret after checking that nobody else could."""
    try:
        check_private(path)
        with path.open("rb") as file:
            return file.read(limit)
    except FileNotFoundError as error:
        raise NotFound(f"there is no key file {path}", path=str(path)) from error
    except PermissionError as error:
        raise KeyExposed(
            f"cannot read the key file {path}: it belongs to another user; run as its owner, or chown it",
            path=str(path),
        ) from error


def remove_private(path: Path) -> None:
    """Take a secret off the disk, durably; one that is not there is no fault.

    The bytes may live on in blocks that the disk has not used again: whoever fears that encrypts the disk.
    """
    try:
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise write_failed(path, error) from error
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load_key(path: Path) -> SigningKey:
    """Read a key file; raises ``NotFound``, ``KeyExposed``, or ``BadInput`` when it is damaged."""
    text = read_private(path, 256).decode("ascii", "replace").strip()
    try:
        seed = _unb32(text.removeprefix(_PREFIX)) if text.startswith(_PREFIX) else b""
    except (binascii.Error, ValueError):
        seed = b""
    if len(seed) != SEED_BYTES:
        raise BadInput(
            f"the key file {path} is damaged; restore it from a backup, or move it away to get a new identity",
            path=str(path),
        )
    return SigningKey(seed)


def write_key(path: Path, key: SigningKey) -> None:
    """Keep a key in a file of its own; raises ``FileExistsError`` when there is one already."""
    write_private(path, f"{_PREFIX}{_b32(key.seed)}\n".encode("ascii"))


def load_or_create_key(path: Path) -> SigningKey:
    """Read the key at ``path``, or make one: file 0600, folder 0700."""
    if not path.exists():
        key = SigningKey.generate()
        try:
            write_key(path, key)
        except FileExistsError:
            pass
        else:
            return key
    return load_key(path)
