"""What a node's store holds of its own: asked before the node leaves its mesh for another."""

from __future__ import annotations

import sqlite3
from typing import Final

from msgspec import Struct

from bzzzd.storage.journal.journal import Journal

# Entries of the ledger, versions of content, messages of topics. The names are this file's alone.
_COUNTED: Final = (
    ("ledger entries", "slurp_entries"),
    ("versions of content", "versions"),
    ("messages", "messages"),
)


class Holdings(Struct, frozen=True):
    """How many there are of what; false when there is nothing."""

    counts: tuple[tuple[str, int], ...]

    def __bool__(self) -> bool:
        return any(count for _, count in self.counts)

    @property
    def words(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in self.counts if count)


async def holdings(journal: Journal) -> Holdings:
    def work(connection: sqlite3.Connection) -> Holdings:
        return Holdings(
            tuple(
                (name, connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608  see above
                for name, table in _COUNTED
            )
        )

    return await journal.read(work)
