"""Tables of a list: columns in, rows of exact width out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from msgspec import Struct

from bzzzd.hap.rows import Row, Segment, clip, on
from bzzzd.hap.text import fit
from bzzzd.hap.words import Sign

MARK = "▌"


class Column(Struct, frozen=True):
    """``width`` 0 takes what the others leave; exactly one column of a table has it."""

    title: str
    width: int = 0
    align: str = "left"


def widths(columns: Sequence[Column], total: int) -> tuple[int, ...]:
    """The columns' widths in ``total``, with the mark in front and a blank between two."""
    fixed = 1 + sum(column.width for column in columns) + len(columns) - 1
    return tuple(column.width or max(1, total - fixed) for column in columns)


def heading(columns: Sequence[Column], total: int) -> Row:
    parts: list[Segment] = [("columns", " ")]
    for column, size in zip(columns, widths(columns, total), strict=True):
        parts += [("columns", fit(column.title, size, column.align)), ("columns", " ")]
    return clip(parts[:-1], total)


@lru_cache(maxsize=512)
def body_row(columns: tuple[Column, ...], cells: tuple[Segment, ...], total: int, chosen: bool) -> Row:
    """One row; the chosen one has a mark in front and another ground."""
    parts: list[Segment] = [("accent", MARK) if chosen else ("base", " ")]
    for column, size, (style, text) in zip(columns, widths(columns, total), cells, strict=True):
        parts += [(style, fit(text, size, column.align)), ("base", " ")]
    row = clip(parts[:-1], total)
    return on(row, "selected") if chosen else row


Table = tuple[Sequence[Column], Callable[[str], Sequence[Segment]]]
"""A list's columns, and the cells of a row by its id."""


def state_column(word: bool, size: int) -> Column:
    """The state with its word, or in a narrow window its sign alone."""
    return Column("STATE", size) if word else Column("", 1)


def with_sign(sign: Sign) -> Segment:
    return (sign.style, f"{sign.sign} {sign.word}")
