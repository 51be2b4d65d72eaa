"""Rows of styled segments: what a view returns, and the few operations that build them.

A ``Segment`` is (style, text); a ``Row`` is a tuple of them; a ``Frame`` is a window's rows, each
exactly as wide as the window, and where the cursor stands. Styles are names (``themes.py``); two joined
by ``+`` mean the first one's foreground on the second one's background; a link's target stands behind
them (``links.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from msgspec import Struct

from bzzzd.hap import links, text

Segment = tuple[str, str]
Row = tuple[Segment, ...]


class Frame(Struct, frozen=True):
    """One picture of the window: ``rows`` from the top; ``cursor`` is (column, row) from 0, or hidden."""

    rows: tuple[Row, ...]
    cursor: tuple[int, int] | None = None


def row_width(row: Row) -> int:
    return sum(text.width(part) for _, part in row)


def plain(row: Row) -> str:
    """The row's text without its styles."""
    return "".join(part for _, part in row)


def clip(row: Iterable[Segment], columns: int, fill: str = "base") -> Row:
    """The row in exactly ``columns``: cut at the end, or filled up with blanks in the style ``fill``."""
    return _clip(tuple(row), columns, fill)


@lru_cache(maxsize=1024)  # most rows of a frame are those of the frame before
def _clip(row: Row, columns: int, fill: str) -> Row:
    kept: list[Segment] = []
    left = columns
    for style, part in row:
        if left <= 0:
            break
        size = text.width(part)
        if size > left:
            part = text.take(part, left)
            size = text.width(part)
            if part:
                kept.append((style, part))
            left -= size
            if left:  # a wide character did not fit: its half is a blank
                kept.append((style, " " * left))
                left = 0
        elif part:
            kept.append((style, part))
            left -= size
    if left > 0:
        kept.append((fill, " " * left))
    return tuple(kept)


def skip(row: Row, columns: int) -> Row:
    """What is left of the row when its first ``columns`` are gone."""
    kept: list[Segment] = []
    for style, part in row:
        size = text.width(part)
        if columns <= 0:
            kept.append((style, part))
        elif size > columns:
            rest = text.drop(part, columns)
            kept.append((style, " " * (size - columns - text.width(rest)) + rest))
        columns -= size
    return tuple(kept)


def lay_over(row: Row, patch: Row, column: int, columns: int) -> Row:
    """``row`` (as wide as the window, ``columns``) with ``patch`` laid over it from ``column`` on."""
    return clip((*clip(row, column), *patch, *skip(row, column + row_width(patch))), columns)


def on(row: Row, ground: str) -> Row:
    """The same row on another background, such as that of the selected row."""
    return tuple((_grounded(style, ground), part) for style, part in row)


def _grounded(style: str, ground: str) -> str:
    bare, target = links.parts(style)
    joint = ground if bare == "base" else f"{bare}+{ground}"
    return links.linked(joint, target) if target else joint


def spread(left: Row, right: Row, columns: int, fill: str = "base") -> Row:
    """``left`` and ``right`` at the two ends; where they do not both fit, ``left`` goes first."""
    room = columns - row_width(right)
    if row_width(left) + 1 > room and room < columns:
        right = clip(right, max(0, columns - row_width(left) - 1), fill) if columns > row_width(left) + 1 else ()
        room = columns - row_width(right)
    return clip((*clip(left, room, fill), *right), columns, fill)


def joined(parts: Sequence[Row], between: Segment) -> Row:
    """The parts in one row with ``between`` in the gaps; empty parts leave no gap."""
    found: list[Segment] = []
    for part in parts:
        if part:
            if found:
                found.append(between)
            found.extend(part)
    return tuple(found)


def frame(rows: Sequence[Row], width: int, height: int, cursor: tuple[int, int] | None = None) -> Frame:
    """Exactly ``height`` rows of exactly ``width`` columns, whatever came in."""
    kept = [clip(row, width) for row in rows[:height]]
    kept += [clip((), width)] * (height - len(kept))
    inside = cursor is not None and 0 <= cursor[0] < width and 0 <= cursor[1] < height
    return Frame(rows=tuple(kept), cursor=cursor if inside else None)
