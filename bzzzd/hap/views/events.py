"""What has happened: on the mesh, in the ledger, with prompts and conversations; the newest first."""

from __future__ import annotations

from collections.abc import Sequence

from bzzzd.hap import words
from bzzzd.hap.rows import Segment
from bzzzd.hap.values.chronicle import Event
from bzzzd.hap.values.model import Model
from bzzzd.hap.views.tables import Column, Table

EMPTY = "Nothing has happened since this portal started."
_STYLES = {"ok": "ok", "warn": "warn", "bad": "bad"}
_SIGNS = {"ok": "✓", "warn": "▲", "bad": "✗"}


def table(model: Model, columns: int) -> Table:
    source, kind = columns >= 56, columns >= 84
    table = [Column("TIME", 8), Column("", 1)]
    if source:
        table.append(Column("WHERE", 9))
    if kind:
        table.append(Column("WHAT", 15))
    table.append(Column("EVENT"))
    known = {event.id: event for event in model.events}

    def cells(id: str) -> Sequence[Segment]:
        event = known[id]
        style = _STYLES.get(event.level, "base")
        found: list[Segment] = [("dim", time(model, event.at)), (style, _SIGNS.get(event.level, " "))]
        if source:
            found.append(("accent", event.source))
        if kind:
            found.append(("dim", event.kind))
        return [*found, (style, event.text)]

    return table, cells


def time(model: Model, at: float) -> str:
    """A time of day in eight columns, or how long ago it was when that is another day."""
    if at <= 0:
        return ""
    told = words.clock(at, model.now, model.utc_offset)
    return told if len(told) <= 8 else words.ago(model.now - at)


def facts(model: Model, event: Event) -> tuple[tuple[str, Segment], ...]:
    return (
        ("time", ("base", f"{words.clock(event.at, model.now, model.utc_offset)}, {words.ago(model.now - event.at)}")),
        ("where", ("base", event.source)),
        ("what", ("base", event.kind)),
        ("event", (_STYLES.get(event.level, "base"), event.text)),
        ("opens", ("info", event.target)),
    )


def line(model: Model, event: Event) -> str:
    """One event in words."""
    when = words.clock(event.at, model.now, model.utc_offset)
    level = {"warn": "warning: ", "bad": "error: "}.get(event.level, "")
    return f"{when} {event.source}: {level}{event.text}"
