"""Bech32, the text form of age's keys, written from the specification: BIP 173, without its limit of length.

Only encoding is needed: what is decoded here, age itself decodes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_CHARS: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECK_LENGTH: Final = 6


def bech32(prefix: str, data: bytes) -> str:
    """``data`` under a lower-case ``prefix``, with its checksum."""
    values = _fives(data)
    expanded = [*(ord(char) >> 5 for char in prefix), 0, *(ord(char) & 31 for char in prefix)]
    check = _polymod([*expanded, *values, *([0] * _CHECK_LENGTH)]) ^ 1
    sums = [(check >> 5 * (_CHECK_LENGTH - 1 - place)) & 31 for place in range(_CHECK_LENGTH)]
    return f"{prefix}1{''.join(_CHARS[value] for value in (*values, *sums))}"


def _polymod(values: Iterable[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for place, generator in enumerate(_GENERATOR):
            if top >> place & 1:
                check ^= generator
    return check


def _fives(data: bytes) -> list[int]:
    """The bits of ``data`` in groups of five, the last one filled up with zeros."""
    bits = len(data) * 8
    groups = -(-bits // 5)
    number = int.from_bytes(data, "big") << (groups * 5 - bits)
    return [(number >> 5 * (groups - 1 - place)) & 31 for place in range(groups)]
