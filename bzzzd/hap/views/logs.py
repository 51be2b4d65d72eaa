"""The log of this node: what `bzzz logs` shows, followed."""

from __future__ import annotations

from collections.abc import Sequence

from bzzzd.hap import words
from bzzzd.hap.rows import Segment
from bzzzd.hap.values.logbook import Line
from bzzzd.hap.values.model import Model
from bzzzd.hap.views.events import time
from bzzzd.hap.views.tables import Column, Table

EMPTY = "No log entry has been read yet."
_STYLES = {"debug": "faint", "info": "base", "warning": "warn", "error": "bad", "critical": "bad"}
_SHORT = {"debug": "debug", "info": "info", "warning": "▲ warn", "error": "✗ error", "critical": "✗ fatal"}


def table(model: Model, columns: int) -> Table:
    title = "MESSAGE" if model.logbook.level == "debug" else f"MESSAGE, FROM {model.logbook.level.upper()} UP"
    table = [Column("TIME", 8), Column("LEVEL", 7), Column(title)]
    known = {line.id: line for line in model.logbook.lines}

    def cells(id: str) -> Sequence[Segment]:
        entry = known[id]
        style = _STYLES.get(entry.level, "base")
        more = f"(+{entry.rest.count(chr(10)) + 1} lines)" if entry.rest else ""
        told = "  ".join(part for part in (entry.text, entry.fields, more) if part)
        return [
            ("dim", time(model, entry.at)),
            (style, _SHORT.get(entry.level, entry.level)),
            (style, told),
        ]

    return table, cells


def empty(model: Model) -> str:
    """Why no entry is shown."""
    if model.logbook.fault:
        return model.logbook.fault
    if model.logbook.lines:
        return f"No entry is of level {model.logbook.level} or above; v shows the next level."
    return EMPTY


def facts(model: Model, entry: Line) -> tuple[tuple[str, Segment], ...]:
    style = _STYLES.get(entry.level, "base")
    when = words.clock(entry.at, model.now, model.utc_offset)
    rest = tuple(("", ("base", line)) for line in entry.rest.split("\n") if line)
    return (
        ("time", ("base", f"{when}, {words.ago(model.now - entry.at)}" if entry.at else "")),
        ("level", (style, entry.level)),
        ("message", (style, entry.text)),
        ("fields", ("base", entry.fields)),
        *rest,
    )


def line(model: Model, entry: Line) -> str:
    """One entry in words."""
    when = words.clock(entry.at, model.now, model.utc_offset) if entry.at else "some time"
    return f"{when} {entry.level}: " + "  ".join(part for part in (entry.text, entry.fields) if part)
