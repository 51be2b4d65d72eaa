"""Running text as rows: broken at blanks, with a blank at each side."""

from __future__ import annotations

from functools import lru_cache

from bzzzd.hap.links import block
from bzzzd.hap.rows import Row
from bzzzd.hap.text import wrap


@lru_cache(maxsize=2)  # each may be as large as the largest content that is shown
def prose(text: str, columns: int) -> tuple[Row, ...]:
    """A text that was read, in rows of at most ``columns``."""
    if "://" not in text:
        return tuple((("base", f" {line}"),) for line in wrap(text, max(1, columns - 2)))
    return tuple((("base", " "), *row) for row in block(text, max(1, columns - 2)))


def told(text: str, columns: int, style: str = "dim") -> list[Row]:
    """A sentence of the portal itself."""
    return [((style, f" {line}"),) for line in wrap(text, max(1, columns - 2))]
