"""The list of this node's log entries."""

from __future__ import annotations

from bzzzd.hap.model import Model
from bzzzd.hap.views.tables import Column, Table

EMPTY = "No log entry has been read yet."


def table(model: Model, columns: int) -> Table:
    return [Column("TIME", 8), Column("LEVEL", 7), Column("MESSAGE")], lambda _: ()
