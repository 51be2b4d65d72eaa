"""The inbox: what needs the person, the most urgent first."""

from __future__ import annotations

from collections.abc import Sequence

from bzzzd.hap import words
from bzzzd.hap.rows import Segment
from bzzzd.hap.values.model import Model
from bzzzd.hap.views.tables import Column, Table

EMPTY = (
    "Nothing needs you. Questions to you, mentions, and tasks that wait for you appear here. "
    "n gives the agents a task, 2 shows all tasks, ? every key."
)


def table(model: Model, columns: int) -> Table:
    by_id = {need.id: need for need in model.needs}
    wide = columns >= 72
    shown = [Column("WHAT", 11 if columns >= 56 else 1)]
    if wide:
        shown.append(Column("FROM", 14))
    shown += [Column("LEFT", 5, "right"), Column(" ABOUT")]

    def cells(id: str) -> Sequence[Segment]:
        need = by_id[id]
        sign = words.need_sign(need.kind, need.risk)
        found: list[Segment] = [(sign.style, f"{sign.sign} {sign.word}" if columns >= 56 else sign.sign)]
        if wide:
            found.append(("base", need.by) if need.by else ("faint", "-"))
        left = need.expires - model.now
        style = "bad" if left < 60 else "warn" if left < 600 else "dim"
        found.append((style, words.left(left)) if need.expires else ("faint", "-"))
        found.append(("base", f" {need.title}"))
        return found

    return shown, cells
