"""An opened address: its text, its versions on a time line, where a version comes from, and two side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from bzzzd.hap import words
from bzzzd.hap.rows import Row, Segment, clip, joined
from bzzzd.hap.text import fit, wrap
from bzzzd.hap.values import beside
from bzzzd.hap.values.books import TABS, Book, Edition
from bzzzd.hap.values.model import Model, Page
from bzzzd.hap.views.prose import prose, told

_DOT: Segment = ("dim", " · ")
_LABELS: Mapping[str, str] = {"text": "Text", "versions": "Versions", "facts": "Provenance", "compare": "Compare"}
WIDE = 96
"""Columns from which two versions stand beside each other."""
WHOLE = 2000
"""Columns from which a text is for copying, not for a window."""
MOST_READ = 2_097_152
"""Bytes of content that are read to be shown; more is saved to a file."""


def head(model: Model, page: Page, columns: int, height: int) -> list[Row]:
    """What stands above the text: the address, the version in view, the tabs."""
    book = model.shelf.books.get(page.id)
    lines = wrap(page.id, max(1, columns - 2))[: 2 if height >= 12 else 1]
    rows: list[Row] = [(("strong", " " + line),) for line in lines]
    if book is None:
        return [*rows, ()]
    if height >= 5:
        rows.append(_standing(model, page, book))
    if height >= 3:
        rows.append(_tabs(page, book))
    return rows


def _standing(model: Model, page: Page, book: Book) -> Row:
    shown = book.shown
    parts: list[Row] = [(("dim", f" {words.plural(book.of, 'version')}"),)]
    if shown is not None:
        parts[0] = (("base", f" version {shown.number} of {book.of}"),)
        parts += [(("base", shown.author),), (("dim", words.clock(shown.at, model.now, model.utc_offset)),)]
        parts.append((("dim", words.size(shown.size)),))
    if book.conflict:
        parts.append((("warn", "▲ several latest versions"),))
    if not book.complete:
        parts.append((("warn", "▲ not every holder was reached"),))
    return joined(parts, _DOT)


def _tabs(page: Page, book: Book) -> Row:
    parts: list[Segment] = [("base", " ")]
    for name in TABS:
        label = f"{_LABELS[name]} {book.of}" if name == "versions" and book.of else _LABELS[name]
        style = "tab" if name == page.tab else "dim" if name == "compare" and book.of < 2 else "base"
        parts += [(style, f" {label} "), ("base", " ")]
    return tuple(parts)


def text(model: Model, page: Page, columns: int) -> list[Row]:
    """The tab in view, every row of it."""
    book = model.shelf.books.get(page.id)
    if book is None or not book.editions:
        return [(), *_missing(model, page, "history", columns)]
    tab = _PAGES.get(page.tab, _text)
    rows = tab(model, page, book, columns)
    faults = [row for why in page.faults.values() for row in told(f"▲ {why}", columns, "warn")]
    return [(), *faults, *rows]


def _missing(model: Model, page: Page, tag: str, columns: int) -> list[Row]:
    if tag in page.faults:
        return told(f"▲ {page.faults[tag]}", columns, "warn")
    return told("reading…" if model.link.state == "online" else "Not seen before bzzzd went away.", columns)


def unread(model: Model, book: Book, edition: Edition | None) -> str:
    """Why the text of a version is not there."""
    if edition is None:
        return "this version is not known here"
    if edition.size > MOST_READ:
        return f"{words.size(edition.size)} are too much to show; w saves them to a file"
    return "reading…" if model.link.state == "online" else "Not read before bzzzd went away."


def _text(model: Model, page: Page, book: Book, columns: int) -> list[Row]:
    shown = book.shown
    found = book.texts.get(shown.id) if shown is not None else None
    if found is None:
        return told(unread(model, book, shown), columns) if not page.faults else []
    return list(prose(found or "(empty)", columns))


def _versions(model: Model, page: Page, book: Book, columns: int) -> list[Row]:
    """The newest first, with the time between two; above them all of them on one line."""
    rows: list[Row] = [strip(book, columns - 2), ()] if len(book.editions) > 1 else []
    shown, other = book.shown, book.compared
    before: Edition | None = None
    for edition in reversed(book.editions):
        if before is not None:
            gap = words.age(max(0.0, before.at - edition.at))
            rows.append((("faint", " │ "), ("dim", "at once" if gap == "now" else f"{gap} later")))
        rows.append(_version(model, edition, edition == shown, edition == other and book.other > 0, columns))
        before = edition
    return rows


def _version(model: Model, edition: Edition, shown: bool, other: bool, columns: int) -> Row:
    mark: Segment = ("accent", "▌") if shown else ("base", " ")
    sign: Segment = ("ok", "●") if edition.head else ("base", "○")
    when = words.clock(edition.at, model.now, model.utc_offset)
    notes = [
        "latest" if edition.head else "",
        "compared" if other else "",
        f"on {words.plural(len(edition.holders), 'node')}" if edition.holders else "",
    ]
    note = ", ".join(part for part in notes if part)
    return clip(
        (
            mark, sign, ("strong" if shown else "base", f" {fit(str(edition.number), 4, 'right')}  "),
            ("dim", f"{fit(when, 19)}  "), ("base", f"{fit(edition.author, 16)} "),
            ("dim", f"{fit(words.size(edition.size), 10, 'right')}  "), ("accent" if shown else "dim", note),
        ),
        columns,
    )  # fmt: skip


def strip(book: Book, columns: int) -> Row:
    """The versions on one line of time, the oldest at its left end."""
    room = max(2, columns - 2)
    first, last = book.editions[0].at, book.editions[-1].at
    whole = max(1e-9, last - first)
    cells = ["─"] * room
    shown = book.shown
    for edition in book.editions:
        place = round((room - 1) * min(1.0, max(0.0, (edition.at - first) / whole)))
        cells[place] = "●"
    here = -1
    if shown is not None:
        here = round((room - 1) * min(1.0, max(0.0, (shown.at - first) / whole)))
    line = "".join(cells)
    if here < 0:
        return (("base", " "), ("faint", line))
    return (("base", " "), ("faint", line[:here]), ("accent", "■"), ("faint", line[here + 1 :]))


def facts(model: Model, book: Book, edition: Edition) -> list[tuple[str, Segment]]:
    """Where a version comes from, who may read it, and who has it."""
    numbers = {known.id: known.number for known in book.editions}
    builds = [f"{numbers[id]}" if id in numbers else f"{id[:12]}…" for id in edition.parents]
    holders: Segment = ("dim", "not asked yet")
    if edition.holders is not None:
        wanted = f" of {book.replicas} wanted" if book.replicas else ""
        short = len(edition.holders) < book.replicas
        names = ", ".join(edition.holders) or "no node that was asked"
        holders = ("warn" if short else "base", f"{names} ({len(edition.holders)}{wanted})")
    return [
        ("version", ("base", f"{edition.number} of {book.of}{', latest' if edition.head else ''}")),
        ("author", ("base", edition.author)),
        ("signed", ("base", words.clock(edition.at, model.now, model.utc_offset))),
        ("builds on", ("base", ", ".join(builds)) if builds else ("dim", "nothing: the first")),
        ("readers", ("base", ", ".join(edition.readers))),
        ("holders", holders),
        ("size", ("base", f"{words.size(edition.size)} ({edition.size} bytes)")),
        ("type", ("base", edition.content_type)),
        ("epoch", ("base", str(edition.epoch))),
        ("id", ("info", edition.id)),
        ("address", ("info", book.address)),
    ]


def _facts(model: Model, page: Page, book: Book, columns: int) -> list[Row]:
    from bzzzd.hap.views.facts import fact_rows

    shown = book.shown
    return list(fact_rows(tuple(facts(model, book, shown)), columns)) if shown is not None else []


def _compare(model: Model, page: Page, book: Book, columns: int) -> list[Row]:
    new, old = book.shown, book.compared
    if new is None or old is None:
        return told("There is only one version, so there is nothing to compare it with.", columns)
    for edition in (old, new):
        if edition.id not in book.texts:
            return told(f"version {edition.number}: {unread(model, book, edition)}", columns)
    a, b = book.texts[old.id], book.texts[new.id]
    if a == b:
        return told(f"Versions {old.number} and {new.number} have the same text.", columns)
    titles = (f"version {old.number}, {old.author}", f"version {new.number}, {new.author}")
    return list((_beside if WIDE <= columns < WHOLE else _below)(a, b, titles, columns))


@lru_cache(maxsize=2)
def _beside(old: str, new: str, titles: tuple[str, str], columns: int) -> tuple[Row, ...]:
    half = (columns - 3) // 2
    rows: list[Row] = [(("strong", " " + fit(titles[0], half)), ("faint", "│"), ("strong", " " + titles[1]))]
    for pair in beside.pairs(old, new):
        if pair.kind == "skipped":
            rows.append((("faint", f" {'┄' * 3} {words.plural(pair.left, 'equal line')} {'┄' * 3}"),))
            continue
        one = _side(pair.left, pair.old, half, "gone" if pair.left and pair.kind != "same" else "")
        two = _side(pair.right, pair.new, half, "new" if pair.right and pair.kind != "same" else "")
        blank: Row = (("base", " " * half),)
        for line in range(max(len(one), len(two))):
            left = one[line] if line < len(one) else blank
            right = two[line] if line < len(two) else blank
            rows.append((("base", " "), *clip(left, half), ("faint", "│"), *right))
    return tuple(rows)


_MARKS: Mapping[str, Segment] = {"": ("base", " "), "gone": ("bad", "-"), "new": ("ok", "+")}


def _side(number: int, line: str, columns: int, kind: str) -> list[Row]:
    if not number:
        return []
    style = _MARKS[kind][0]
    lead: Row = (("faint", fit(str(number), 5, "right")), ("base", " "), _MARKS[kind], ("base", " "))
    return [
        (*(lead if place == 0 else (("base", " " * 8),)), (style, part))
        for place, part in enumerate(wrap(line, max(1, columns - 9)))
    ]


@lru_cache(maxsize=2)
def _below(old: str, new: str, titles: tuple[str, str], columns: int) -> tuple[Row, ...]:
    """Both sides under each other, where the window is too narrow for two."""
    rows: list[Row] = [(("bad", f" - {titles[0]}"),), (("ok", f" + {titles[1]}"),), ()]
    gone: list[Row] = []
    new_rows: list[Row] = []
    for pair in beside.pairs(old, new):
        if pair.kind in ("same", "skipped"):
            rows += [*gone, *new_rows]
            gone, new_rows = [], []
        if pair.kind == "skipped":
            rows.append((("faint", f" {'┄' * 3} {words.plural(pair.left, 'equal line')} {'┄' * 3}"),))
        elif pair.kind == "same":
            rows += _side(pair.right, pair.new, columns, "")
        else:
            gone += _side(pair.left, pair.old, columns, "gone")
            new_rows += _side(pair.right, pair.new, columns, "new")
    return (*rows, *gone, *new_rows)


_PAGES: Mapping[str, Callable[[Model, Page, Book, int], list[Row]]] = {
    "text": _text,
    "versions": _versions,
    "facts": _facts,
    "compare": _compare,
}
