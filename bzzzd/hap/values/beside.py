"""Two texts side by side, as rows of pairs. Pure, and bounded whatever the texts are."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import zip_longest
from typing import Literal

from msgspec import Struct

Kind = Literal["same", "changed", "gone", "new", "skipped"]
AROUND = 3
MOST_CHANGES = 300
"""More are shown as one replacement: the search's cost grows with their square, and a key waits for it."""
MOST_LINES = 20_000


class Pair(Struct, frozen=True):
    """One line of each side, numbered from 1; 0 where a side has none. ``skipped`` stands for ``left`` equal lines."""

    kind: Kind
    left: int = 0
    right: int = 0
    old: str = ""
    new: str = ""


@lru_cache(maxsize=4)
def pairs(old: str, new: str, around: int = AROUND) -> tuple[Pair, ...]:
    """What became of ``old`` in ``new``; equal lines further than ``around`` from a change are skipped."""
    # Imported late: only a comparison needs it.
    from bzzzd.storage.versions.difference import opcodes

    a, b = old.split("\n")[:MOST_LINES], new.split("\n")[:MOST_LINES]
    found: list[Pair] = []
    codes = list(opcodes(a, b, MOST_CHANGES))
    for place, (tag, a_from, a_to, b_from, b_to) in enumerate(codes):
        if tag == "equal":
            before = 0 if place == 0 else around
            behind = 0 if place == len(codes) - 1 else around
            found += _equal(a, a_from, b_from, a_to - a_from, before, behind)
            continue
        for one, two in zip_longest(range(a_from, a_to), range(b_from, b_to)):
            if one is None:
                found.append(Pair("new", 0, two + 1, "", b[two]))
            elif two is None:
                found.append(Pair("gone", one + 1, 0, a[one], ""))
            else:
                found.append(Pair("changed", one + 1, two + 1, a[one], b[two]))
    return tuple(found)


def _equal(a: list[str], a_from: int, b_from: int, length: int, before: int, behind: int) -> Iterator[Pair]:
    skipped = length - before - behind
    for step in range(length):
        if skipped > 1 and before <= step < length - behind:
            if step == before:
                yield Pair("skipped", skipped)
            continue
        yield Pair("same", a_from + step + 1, b_from + step + 1, a[a_from + step], a[a_from + step])
