r"""Content for several readers at the price of one: encrypted to an audience, whose secret goes to the readers.

``age`` takes about 0.1 ms for each recipient of each content. An audience is an age identity that was
made for one set of recipients; its secret, encrypted once to each of them, stands in front of every
content that is encrypted to it::

    "bzzz-audience-1\n"   length, 4 bytes   the secret, to each recipient   the content, to the audience

So there is nothing else to keep, carry or restore: who holds the identity of one recipient opens the
secret and with it the content, and nobody else does. Both parts are ``age`` files.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from bzzzd.crypto import age
from bzzzd.errors import BadInput, NotAllowed

_MAGIC: Final = b"bzzz-audience-1\n"
_LENGTH: Final = 4
_START: Final = len(_MAGIC) + _LENGTH
# 64 recipients, the most that a version can name, take a tenth of it.
_MOST_BYTES: Final = 65_536


class Audiences:
    """Audiences that were made or opened, the ``keep`` last used of each. They hold secrets: no ``repr`` shows them.

    An audience is made for this process alone, so that one which somebody else made, and may hold the
    secret of, is never encrypted to.
    """

    def __init__(self, keep: int = 256) -> None:
        self._made = lru_cache(maxsize=keep)(_make)
        self._opened = lru_cache(maxsize=keep)(_open)

    def encrypt(self, data: bytes, recipients: Sequence[str]) -> bytes:
        """Encrypt ``data`` so that each of ``recipients`` (at least one) can read it."""
        if len(recipients) < 2:
            return age.encrypt(data, recipients)
        head, audience = self._made(tuple(recipients))
        return head + age.encrypt(data, (audience,))

    def enter(self, data: bytes, identities: Sequence[str]) -> tuple[bytes, Sequence[str]]:
        """The ``age`` file in ``data``, and the identities that may open it.

        These are the ones given, or for content that is encrypted to an audience the audience's own.
        Raises ``NotAllowed`` when the audience's secret is not for ``identities``, or is damaged.
        """
        if not data.startswith(_MAGIC):
            return data, identities
        end = _START + int.from_bytes(data[len(_MAGIC) : _START], "big")
        if end > _MOST_BYTES:
            raise _unreadable()
        return data[end:], (self._opened(data[_START:end], tuple(identities)),)


def _make(recipients: tuple[str, ...]) -> tuple[bytes, str]:
    """What stands in front of the content, and the audience's recipient."""
    secret = age.new_identity()
    wrapped = age.encrypt(secret.encode("ascii"), recipients)
    return _MAGIC + len(wrapped).to_bytes(_LENGTH, "big") + wrapped, age.recipient_of(secret)


def _open(wrapped: bytes, identities: tuple[str, ...]) -> str:
    secret = age.decrypt(wrapped, identities).decode("ascii", "replace")
    try:
        age.recipient_of(secret)
    except BadInput:
        raise _unreadable() from None
    return secret


def _unreadable() -> NotAllowed:
    return NotAllowed("this content cannot be decrypted here: its audience's secret is damaged")
