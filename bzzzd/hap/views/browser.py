"""The tree of what is kept by its address."""

from __future__ import annotations

from collections.abc import Sequence

from bzzzd.hap import words
from bzzzd.hap.rows import Segment
from bzzzd.hap.values.model import Model
from bzzzd.hap.values.shelf import JOIN, Branch, Entry
from bzzzd.hap.views.tables import Column, Table, widths

EMPTY = "Nothing is kept here yet. Decisions and notes appear under their addresses."
_FOLDED, _UNFOLDED, _LEAF = "▸", "▾", " "


def table(model: Model, columns: int) -> Table:
    """Names with what is below them; addresses with their newest version."""
    author, size = columns >= 64, columns >= 84
    table = [Column(f" BY {model.shelf.by.upper()}"), Column("VERSIONS", 10, "right")]
    if author:
        table.append(Column("AUTHOR", 14))
    if size:
        table.append(Column("SIZE", 10, "right"))
    table.append(Column("AGE", 4, "right"))
    room = widths(table, columns)[0]

    def cells(id: str) -> Sequence[Segment]:
        row = model.shelf.rows[id]
        entry = row.entry
        found: list[Segment] = [("base" if entry is not None else "strong", _name(row, room)), _versions(row)]
        if author:
            found.append(("base", entry.author) if entry is not None else ("base", ""))
        if size:
            found.append(("dim", words.size(entry.size)) if entry is not None else ("base", ""))
        return [*found, ("dim", words.since(row.at, model.now))]

    return table, cells


def _name(row: Branch, room: int) -> str:
    """The name with its mark; one that is too long keeps what it is grouped by, and the end, in which rows differ."""
    mark = _LEAF if row.entry is not None else _UNFOLDED if row.unfolded else _FOLDED
    lead = f"{'  ' * min(row.depth, 8)}{mark} "
    parts = row.name.split(JOIN)
    name = row.name
    if row.depth == 0 and len(lead) + len(name) > room:
        shorter = (JOIN.join((parts[0], "…", *parts[start:])) for start in range(2, len(parts)))
        name = next((one for one in shorter if len(lead) + len(one) <= room), name)
    while len(parts) > 1 and len(lead) + len(name) > room:
        parts = parts[1:]
        name = JOIN.join(("…", *parts))
    return lead + name


def _versions(row: Branch) -> Segment:
    if row.entry is None:
        return ("dim", words.plural(row.count, "place"))
    if row.entry.conflict:
        return ("warn", f"▲ {row.entry.versions}")
    return ("base", str(row.entry.versions))


def state(model: Model) -> str:
    """What is to be known of the list itself, in a few words."""
    shelf = model.shelf
    parts = [
        f"found by {shelf.pattern}" if shelf.pattern else "",
        f"only the first {len(shelf.entries)} are shown: / with an address finds more" if shelf.cut else "",
        "" if shelf.complete else "not every node was reached",
    ]
    return " · ".join(part for part in parts if part)


def facts(model: Model, row: Branch) -> tuple[tuple[str, Segment], ...]:
    """What is known of a row of the tree."""
    entry = row.entry
    when = f"{words.clock(row.at, model.now, model.utc_offset)}, {words.ago(model.now - row.at)}"
    if entry is None:
        return (("below it", ("base", words.plural(row.count, "place"))), ("newest", ("base", when)))
    conflict = "two writers at once: several latest versions" if entry.conflict else ""
    return (
        ("versions", ("base", str(entry.versions))),
        ("conflict", ("warn", conflict)),
        ("author", ("base", entry.author)),
        ("newest", ("base", when)),
        ("size", ("base", words.size(entry.size))),
        ("type", ("base", entry.content_type)),
        ("readers", ("base", ", ".join(entry.readers))),
        ("task", ("base", f"{entry.task} of {entry.project}")),
        ("address", ("info", entry.address)),
    )


def told(entry: Entry) -> str:
    """An address's newest version in one line of words."""
    conflict = ", two writers at once" if entry.conflict else ""
    return f"{words.plural(entry.versions, 'version')}, newest by {entry.author}, {words.size(entry.size)}{conflict}"
