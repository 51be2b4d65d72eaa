"""A peer's libp2p name: how an Ed25519 public key becomes a peer id, and back.

An Ed25519 peer id is the key itself (an "identity" multihash of its protobuf form) in base58, so a
grant's key and the key that a connection proved are compared without asking anybody.
Source: libp2p specification, peer-ids/peer-ids.md.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from bzzzd.errors import BadInput

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES: Final = {char: value for value, char in enumerate(_ALPHABET)}
# multihash "identity", 36 bytes long, holding protobuf {1: key type 1 (Ed25519), 2: 32 bytes}
_PREFIX: Final = bytes.fromhex("002408011220")
_LONGEST_TEXT: Final = 64
# The text of an id costs 30 µs to make, and every event and message asks for some.
_KEPT: Final = 4096


@lru_cache(_KEPT)
def peer_id_of(public: bytes) -> str:
    """The peer id of a 32-byte Ed25519 public key, like ``12D3KooW…``."""
    raw = _PREFIX + public
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + text


def key_of_raw(raw: bytes) -> bytes:
    """The 32-byte key inside a peer id's bytes; ``BadInput`` for another kind of key."""
    if len(raw) != len(_PREFIX) + 32 or not raw.startswith(_PREFIX):
        raise BadInput("this peer id does not hold an Ed25519 key; BZZZ nodes have Ed25519 keys")
    return raw[len(_PREFIX) :]


@lru_cache(_KEPT)
def key_of(peer_id: str) -> bytes:
    """The 32-byte Ed25519 key that a peer id names; anything else raises ``BadInput``."""
    number = 0
    if not 0 < len(peer_id) <= _LONGEST_TEXT or any(char not in _VALUES for char in peer_id):
        raise BadInput(f"{peer_id[:_LONGEST_TEXT]!r} is not a peer id: expected base58 text like 12D3KooW…")
    for char in peer_id:
        number = number * 58 + _VALUES[char]
    zeros = len(peer_id) - len(peer_id.lstrip("1"))
    return key_of_raw(b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big"))
