"""Large content through ``age`` without stopping the process.

``pyrage`` holds the interpreter's lock for a whole call: 0.2 s for 64 MiB, during which nobody is
answered, thread or not. Its streaming calls come back to Python for every piece, and there other
threads get their turn: run in a thread, the same work was measured to hold the loop for 12 ms at most.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import pyrage
from pyrage import x25519

from bzzzd.errors import NotAllowed

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

LARGE_BYTES: Final = 262_144


class _Reader(io.BufferedIOBase):
    # Python code on purpose: a BytesIO would answer without ever letting go of the lock.
    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    def read(self, size: int | None = -1, /) -> bytes:
        end = len(self._data) if size is None or size < 0 else self._at + size
        piece = bytes(self._data[self._at : end])
        self._at += len(piece)
        return piece


class _Writer(io.BufferedIOBase):
    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: Buffer, /) -> int:
        self._pieces.append(bytes(piece))
        return len(self._pieces[-1])

    def value(self) -> bytes:
        return b"".join(self._pieces)


def encrypt_large(data: bytes, recipients: Sequence[str]) -> bytes:
    """Like ``crypto.age.encrypt``, to be called in a thread; ``recipients`` are valid ``age1…`` keys."""
    writer = _Writer()
    pyrage.encrypt_io(_Reader(data), writer, [x25519.Recipient.from_str(text) for text in recipients])
    return writer.value()


def decrypt_large(data: bytes, identities: Sequence[str]) -> bytes:
    """Like ``crypto.age.decrypt``, to be called in a thread; ``identities`` are valid secrets."""
    writer = _Writer()
    try:
        pyrage.decrypt_io(_Reader(data), writer, [x25519.Identity.from_str(text) for text in identities])
    except (pyrage.DecryptError, OSError) as error:  # a piece that fails is told as an OSError
        raise NotAllowed(
            "this content cannot be decrypted here: it is encrypted for other roles, or it is damaged"
        ) from error
    return writer.value()
