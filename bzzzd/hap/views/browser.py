"""The tree of what is kept by its address."""

from __future__ import annotations

from bzzzd.hap.model import Model
from bzzzd.hap.views.tables import Column, Table

EMPTY = "Nothing is kept here yet. Decisions and notes appear under their addresses."


def table(model: Model, columns: int) -> Table:
    return [Column("ADDRESS"), Column("AGE", 4, "right")], lambda _: ()
