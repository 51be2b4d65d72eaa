"""Splitting a key among holders, so that any few of them together have it back and fewer learn nothing.

Shamir's scheme (pycryptodome) splits a fresh 16-byte key, and an AEAD (XChaCha20-Poly1305) under that key
seals the secret: the scheme alone would give a wrong secret for wrong shares without a word. Every share
carries a hash of each part, so a wrong share is known by its holder's name before anything is put together.
The parts are random, so their hashes tell nothing about them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple

import msgspec
from Crypto.Protocol.SecretSharing import Shamir
from msgspec import Meta, Struct
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

from bzzzd.errors import BadInput

KEY_BYTES: Final = 16
MAX_SHARES: Final = 32
_NONCE_BYTES: Final = 24
_HEAD: Final = "bzzz authority share 1"
_CHECK_BYTES: Final = 6
_LINE: Final = 64
_LONGEST_TEXT: Final = 65_536

Part = Annotated[bytes, Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
Digest = Annotated[bytes, Meta(min_length=32, max_length=32)]
Holder = Annotated[str, Meta(min_length=1, max_length=64)]


class Deal(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What all shares of one split have in common. ``label`` says what the secret is; ``id`` is random."""

    id: Annotated[bytes, Meta(min_length=16, max_length=16)]
    label: Annotated[str, Meta(max_length=128)]
    threshold: Annotated[int, Meta(ge=2, le=MAX_SHARES)]
    holders: Annotated[tuple[Holder, ...], Meta(min_length=2, max_length=MAX_SHARES)]
    commitments: Annotated[tuple[Digest, ...], Meta(max_length=MAX_SHARES)]
    nonce: Annotated[bytes, Meta(min_length=_NONCE_BYTES, max_length=_NONCE_BYTES)]
    sealed: Annotated[bytes, Meta(max_length=256)]


class Share(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One holder's part; ``index`` counts from 1, in the order of the deal's holders."""

    deal: Deal
    index: Annotated[int, Meta(ge=1, le=MAX_SHARES)]
    part: Part

    @property
    def holder(self) -> str:
        return self.deal.holders[self.index - 1] if self.index <= len(self.deal.holders) else f"number {self.index}"

    def __repr__(self) -> str:
        return f"Share({self.index} of {len(self.deal.holders)})"


class Recovered(NamedTuple):
    """The secret, and the holders whose shares were wrong and were not needed."""

    secret: bytes
    wrong: tuple[str, ...]


_DECODER: Final = msgspec.msgpack.Decoder(Share)


def split(secret: bytes, label: str, holders: Sequence[str], threshold: int) -> list[Share]:
    """One share for each of ``holders``, any ``threshold`` of which give ``secret`` back; ``BadInput`` otherwise."""
    if len(set(holders)) != len(holders) or not 2 <= len(holders) <= MAX_SHARES:
        raise BadInput(f"a key is split among 2 to {MAX_SHARES} holders with a name each")
    if not 2 <= threshold <= len(holders):
        raise BadInput(f"the threshold is 2 to {len(holders)} for {len(holders)} holders, not {threshold}")
    key, id, nonce = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(16), secrets.token_bytes(_NONCE_BYTES)
    parts: list[tuple[int, bytes]] = Shamir.split(threshold, len(holders), key, ssss=False)
    commitments = tuple(_commitment(id, index, part) for index, part in parts)
    deal = Deal(id, label, threshold, tuple(holders), commitments, nonce, b"")
    sealed = crypto_aead_xchacha20poly1305_ietf_encrypt(secret, _bound(deal), nonce, _stretched(key))
    deal = msgspec.structs.replace(deal, sealed=sealed)
    return [Share(deal, index, part) for index, part in parts]


def recover(shares: Sequence[Share]) -> Recovered:
    """Put a secret together.

    Raises ``BadInput`` whose ``data`` has ``reason`` (``too_few``, ``wrong``, or ``forged``), ``wrong`` (holders
    whose shares do not belong or are damaged), ``have`` and ``lack`` (names).
    """
    if not shares:
        raise BadInput("no share was given", reason="too_few", wrong=[], have=[], lack=[])
    deal = Counter(share.deal for share in shares).most_common(1)[0][0]
    wrong = sorted({share.holder for share in shares if not _fits(share, deal)})
    good = {share.index: share for share in shares if _fits(share, deal)}
    have = [good[index].holder for index in sorted(good)]
    if len(good) < deal.threshold:
        raise _not_enough(deal, have, wrong)
    chosen = [(index, good[index].part) for index in sorted(good)[: deal.threshold]]
    key: bytes = Shamir.combine(chosen, ssss=False)
    try:
        secret = crypto_aead_xchacha20poly1305_ietf_decrypt(deal.sealed, _bound(deal), deal.nonce, _stretched(key))
    except CryptoError:
        raise BadInput(
            f"the shares of {', '.join(have)} agree with each other and open nothing: somebody made them up",
            reason="forged", wrong=wrong, have=have, lack=[],
        ) from None  # fmt: skip
    return Recovered(secret, tuple(wrong))


def _not_enough(deal: Deal, have: list[str], wrong: list[str]) -> BadInput:
    lack = [name for name in deal.holders if name not in have]
    more = deal.threshold - len(have)
    faults = f"the share of {' and of '.join(wrong)} is damaged or belongs to another split; " if wrong else ""
    return BadInput(
        f"{faults}{len(have)} good shares of the {deal.threshold} that are needed ({', '.join(have) or 'none'}); "
        f"bring {more} more, of {', '.join(lack)}",
        reason="wrong" if wrong else "too_few", wrong=wrong, have=have, lack=lack,
    )  # fmt: skip


def _fits(share: Share, deal: Deal) -> bool:
    return (
        share.deal == deal
        and share.index <= len(deal.commitments)
        and hmac.compare_digest(deal.commitments[share.index - 1], _commitment(deal.id, share.index, share.part))
    )


def _commitment(id: bytes, index: int, part: bytes) -> bytes:
    return hashlib.sha256(b"bzzz share\0" + id + index.to_bytes(2, "big") + part).digest()


def _bound(deal: Deal) -> bytes:
    return msgspec.msgpack.encode(msgspec.structs.replace(deal, sealed=b""))


def _stretched(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=32, person=b"bzzz authority").digest()


def share_text(share: Share) -> str:
    """A share as a small text file, with words for who finds it."""
    body = msgspec.msgpack.encode(share)
    coded = base64.b64encode(body + hashlib.sha256(body).digest()[:_CHECK_BYTES]).decode("ascii")
    lines = [coded[at : at + _LINE] for at in range(0, len(coded), _LINE)]
    deal = share.deal
    return (
        f"{_HEAD}\n# {deal.label}\n# share {share.index} of {len(deal.holders)}, for {share.holder}; any "
        f"{deal.threshold} give the key back: keep it where the others are not\n" + "\n".join(lines) + "\n"
    )


def read_share(text: str) -> Share:
    """The inverse; ``BadInput`` for anything else."""
    lines = [line.strip() for line in text[:_LONGEST_TEXT].splitlines() if line.strip() and line[:1] != "#"]
    if not lines or lines[0] != _HEAD:
        raise BadInput(f"this is no share of a key: one begins with the line {_HEAD!r}")
    try:
        raw = base64.b64decode("".join(lines[1:]), validate=True)
        body, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
        if hashlib.sha256(body).digest()[:_CHECK_BYTES] != check:
            raise ValueError
        share = _DECODER.decode(body)
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise BadInput("this share is damaged: copy its file again, whole") from None
    if len(share.deal.commitments) != len(share.deal.holders):
        raise BadInput("this share is damaged: it names other holders than it has parts of")
    return share
