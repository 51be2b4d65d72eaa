"""Encryption for roles: the ``age`` format (age-encryption.org/v1), by pyrage.

``pyrage`` holds the interpreter's lock while it works: a few recipients and small data cost about
0.1 ms each, so callers move data over 256 KiB to a thread and passphrases to a subprocess.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pyrage
from pyrage import x25519

from bzzzd.crypto.bech32 import bech32
from bzzzd.crypto.keys import SEED_BYTES, read_private, write_private
from bzzzd.errors import BadInput, NotAllowed, StorageFailed

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer


def new_identity() -> str:
    """A fresh secret identity, ``AGE-SECRET-KEY-1…``."""
    return str(x25519.Identity.generate())


def identity_of(seed: bytes) -> str:
    """The identity whose scalar is ``seed`` (32 secret bytes): the same bytes give the same identity."""
    if len(seed) != SEED_BYTES:
        raise BadInput(f"an age identity is made from {SEED_BYTES} bytes, not {len(seed)}")
    return bech32("age-secret-key-", seed).upper()


@lru_cache(maxsize=256)
def _recipient(text: str) -> x25519.Recipient:
    try:
        return x25519.Recipient.from_str(text)
    except pyrage.RecipientError as error:
        raise BadInput(f"{text[:70]!r} is not an age recipient (age1…)") from error


def _identity(text: str) -> x25519.Identity:
    try:
        return x25519.Identity.from_str(text)
    except pyrage.IdentityError as error:
        # The text is a secret, damaged or not: it never appears in a message.
        raise BadInput("this is not an age identity (AGE-SECRET-KEY-1…)") from error


def check_recipient(text: str) -> None:
    """Raise ``BadInput`` for a text that nothing can be encrypted to."""
    _recipient(text)


def recipient_of(identity: str) -> str:
    """The public recipient, ``age1…``, of a secret identity."""
    return str(_identity(identity).to_public())


def encrypt(data: bytes, recipients: Sequence[str]) -> bytes:
    """Encrypt ``data`` so that each of ``recipients`` (at least one) can read it."""
    if not recipients:
        raise BadInput("nothing is encrypted for nobody: name at least one recipient")
    return pyrage.encrypt(data, [_recipient(text) for text in recipients])


class _Pieces(io.BufferedIOBase):
    """An iterable of pieces as a file to read; keeps the error that ends it, of which pyrage tells its own alone."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._left = b""
        self.error: BaseException | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        try:
            while not self._left and (piece := next(self._pieces, None)) is not None:
                self._left = piece
        except BaseException as error:  # also a person's Ctrl-C
            self.error = error
            raise
        end = len(self._left) if size is None or size < 0 else size
        taken, self._left = self._left[:end], self._left[end:]
        return taken


class _Written(io.BufferedIOBase):
    """A function that takes pieces as a file to write; keeps its error."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self.error: BaseException | None = None

    def write(self, piece: Buffer, /) -> int:
        data = bytes(piece)
        try:
            self._write(data)
        except BaseException as error:  # also a person's Ctrl-C
            self.error = error
            raise
        return len(data)


def encrypt_pieces(pieces: Iterable[bytes], write: Callable[[bytes], object], recipients: Sequence[str]) -> None:
    """As ``encrypt``, for what is never held whole: ``write`` gets the ciphertext by and by.

    Raises what ``pieces`` and ``write`` raise.
    """
    if not recipients:
        raise BadInput("nothing is encrypted for nobody: name at least one recipient")
    reader, writer = _Pieces(pieces), _Written(write)
    try:
        pyrage.encrypt_io(reader, writer, [_recipient(text) for text in recipients])
    except (OSError, pyrage.EncryptError):
        for error in (reader.error, writer.error):
            if error is not None:
                raise error from None
        raise


def decrypt(data: bytes, identities: Sequence[str]) -> bytes:
    """Decrypt with the first of ``identities`` that fits; ``NotAllowed`` when none does or data is damaged."""
    try:
        return pyrage.decrypt(data, [_identity(text) for text in identities])
    except pyrage.DecryptError as error:
        raise NotAllowed(
            "this content cannot be decrypted here: it is encrypted for other roles, or it is damaged"
        ) from error


def load_identity(path: Path) -> str:
    """Read an identity file; raises ``NotFound``, ``KeyExposed``, or ``StorageFailed`` when it is damaged."""
    secret = read_private(path, 256).decode("ascii", "replace").strip()
    try:
        recipient_of(secret)
    except BadInput as error:
        raise StorageFailed(
            f"the key {path} is damaged; put it back from a backup: without it, what was encrypted for it "
            "cannot be read",
            path=str(path),
        ) from error
    return secret


def write_identity(path: Path, secret: str) -> None:
    """Keep a secret identity as one line: file 0600, folder 0700; one that lies there already stays. Blocking."""
    with contextlib.suppress(FileExistsError):
        write_private(path, f"{secret}\n".encode("ascii"))


def load_or_create_identity(path: Path) -> str:
    """The identity at ``path``, made there when there is none; of two processes that make one, one wins."""
    if not path.exists():
        write_identity(path, new_identity())
    return load_identity(path)
