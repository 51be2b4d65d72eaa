r"""Content for roles at a twentieth of what ``age`` takes: sealed with an audience's key, which goes to its readers.

``age`` takes about 0.1 ms for each recipient of each content. An audience is a symmetric key made for
one set of recipients; the key, encrypted once by ``age`` to each of them, stands in front of every
content that is sealed with it::

    "bzzz-audience-1\n"   length (4 bytes)   the key, encrypted to each recipient   nonce (24)   sealed content

So there is nothing else to keep, carry or restore: who holds the identity of one recipient opens the
key and with it the content, and nobody else does. Content is sealed by libsodium's
XChaCha20-Poly1305, whose nonces are long enough to be random, and bound to what stands before it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

from bzzzd.crypto import age
from bzzzd.errors import NotAllowed

_MAGIC: Final = b"bzzz-audience-1\n"
_START: Final = len(_MAGIC) + 4
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 24
_TAG_BYTES: Final = 16
# A key encrypted to 64 recipients, the most that a version can name, takes a tenth of it.
_MOST_BYTES: Final = 65_536


def has_audience(data: bytes) -> bool:
    """Whether ``data`` was made by ``Audiences.encrypt``."""
    return data.startswith(_MAGIC)


class Audiences:
    """The audiences that were made or opened, the ``keep`` last used of each; for data that fits in memory twice.

    They hold secrets, which no ``repr`` shows. An audience is made for this process alone, so that one
    which somebody else made, and may know the key of, is never used to encrypt.
    """

    def __init__(self, keep: int = 256) -> None:
        self._made = lru_cache(maxsize=keep)(_make)
        self._opened = lru_cache(maxsize=keep)(_open)

    def encrypt(self, data: bytes, recipients: Sequence[str]) -> bytes:
        """Encrypt ``data`` so that each of ``recipients`` (at least one) can read it."""
        head, key = self._made(tuple(recipients))
        nonce = os.urandom(_NONCE_BYTES)
        return head + nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(data, head, nonce, key)

    def decrypt(self, data: bytes, identities: Sequence[str]) -> bytes:
        """Decrypt what ``encrypt`` made, for whoever holds one of ``identities``.

        Raises ``NotAllowed`` when it is for others, or damaged.
        """
        start = _START + int.from_bytes(data[len(_MAGIC) : _START], "big")
        body = start + _NONCE_BYTES
        if start > _MOST_BYTES or len(data) < body + _TAG_BYTES:
            raise _damaged()
        head = data[:start]
        key = self._opened(head, tuple(identities))
        try:
            return crypto_aead_xchacha20poly1305_ietf_decrypt(data[body:], head, data[start:body], key)
        except CryptoError as error:
            raise _damaged() from error


def _make(recipients: tuple[str, ...]) -> tuple[bytes, bytes]:
    """What stands in front of the content, and the key."""
    key = os.urandom(_KEY_BYTES)
    wrapped = age.encrypt(key, recipients)
    return _MAGIC + len(wrapped).to_bytes(_START - len(_MAGIC), "big") + wrapped, key


def _open(head: bytes, identities: tuple[str, ...]) -> bytes:
    key = age.decrypt(head[_START:], identities)
    if len(key) != _KEY_BYTES:
        raise _damaged()
    return key


def _damaged() -> NotAllowed:
    return NotAllowed("this content cannot be decrypted: it is damaged; restore a backup or fetch it from another node")
