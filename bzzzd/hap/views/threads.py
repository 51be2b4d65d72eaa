"""The list of threads."""

from __future__ import annotations

from bzzzd.hap.model import Model
from bzzzd.hap.views.tables import Column, Table

EMPTY = "No conversation yet. Agents and people talk on the threads of their tasks."


def table(model: Model, columns: int) -> Table:
    return [Column("STATE", 8), Column("BY", 12), Column("AGE", 4, "right"), Column("SUBJECT")], lambda _: ()
