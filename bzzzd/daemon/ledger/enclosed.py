"""A checked version that goes with a command: stored in its transaction here, carried to the ledger from elsewhere."""

from __future__ import annotations

import sqlite3

from bzzzd.storage.versions.context import ContextStore
from bzzzd.storage.versions.rows import Pending


class Enclosed:
    """What ``Ledger.execute`` takes as ``along``."""

    def __init__(self, pending: Pending) -> None:
        self.pending = pending

    def __call__(self, connection: sqlite3.Connection) -> object:
        return ContextStore.insert(connection, self.pending)
