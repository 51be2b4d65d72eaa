"""The list of what happened on the mesh."""

from __future__ import annotations

from bzzzd.hap.model import Model
from bzzzd.hap.views.tables import Column, Table

EMPTY = "Nothing has happened since this portal started."


def table(model: Model, columns: int) -> Table:
    return [Column("TIME", 8), Column("WHAT", 12), Column("EVENT")], lambda _: ()
