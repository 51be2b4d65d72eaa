"""The nodes that hold versions: who is a member, who is there, and who shall hold which address.

When each was last seen is kept in the journal, so that a node which has been gone for long does not count
again because this one was restarted.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, Protocol

from bzzzd.mesh.peer_id import key_of, peer_id_of
from bzzzd.mesh.values import PeerInfo
from bzzzd.storage.journal.journal import Journal, Schema
from bzzzd.storage.versions.placement import holders, present, ranked

SCHEMA: Final = Schema(
    "nodes", 1, ("CREATE TABLE IF NOT EXISTS nodes (key BLOB PRIMARY KEY, seen REAL NOT NULL) STRICT, WITHOUT ROWID",)
)


class Peers(Protocol):
    """Of the mesh: who is connected."""

    def peers(self) -> list[PeerInfo]: ...


class Nodes:
    """``members()`` gives the keys of all nodes that hold a valid grant, this one (``own``) among them."""

    def __init__(
        self,
        own: bytes,
        members: Callable[[], Iterable[bytes]],
        mesh: Peers,
        *,
        replicas: int,
        away_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.own = own
        self.replicas = replicas
        self._members = members
        self._mesh = mesh
        self._away_s = away_s
        self._clock = clock
        self._seen: dict[bytes, float] = {own: clock()}
        self._present: frozenset[bytes] = frozenset((own,))

    async def load(self, journal: Journal) -> None:
        rows = await journal.read(lambda connection: connection.execute("SELECT key, seen FROM nodes").fetchall())
        self._seen |= dict(rows)
        self.look()

    async def save(self, journal: Journal) -> None:
        rows = list(self._seen.items())

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM nodes")
            connection.executemany("INSERT INTO nodes (key, seen) VALUES (?, ?)", rows)

        await journal.write(write)

    def look(self) -> bool:
        """Look at who is there now; whether that changed who counts."""
        now, connected = self._clock(), self.connected()
        known = {node: self._seen.get(node, now) for node in self._members()}
        self._seen = {node: now if node in connected or node == self.own else at for node, at in known.items()}
        self._seen[self.own] = now
        before = self._present
        self._present = present(self._seen, connected | {self.own}, now, self._away_s)
        return self._present != before

    def connected(self) -> frozenset[bytes]:
        """The keys of the members that are connected."""
        return frozenset(_key(peer.peer_id) for peer in self._mesh.peers() if peer.connected)

    def reachable(self, node: bytes) -> bool:
        return node in self.connected()

    @property
    def present(self) -> frozenset[bytes]:
        """The nodes that count when an address is placed, this one among them."""
        return self._present

    @property
    def needed(self) -> int:
        """How many copies are wanted of each version: as many as asked for, or as there are nodes."""
        return min(self.replicas, len(self._present))

    def targets(self, base: str) -> tuple[bytes, ...]:
        """The nodes that shall hold an address, this one perhaps among them."""
        return holders(base, self._present, self.replicas)

    def others(self, base: str) -> tuple[bytes, ...]:
        """The other nodes that shall hold an address."""
        return tuple(node for node in self.targets(base) if node != self.own)

    def order(self, base: str) -> list[bytes]:
        """All nodes that count, those first that shall hold an address."""
        return ranked(base, self._present)

    @staticmethod
    def peer_id(node: bytes) -> str:
        return _peer_id(node)


# Both are asked for at every read and cost more than the rest of the question.
_key: Final = lru_cache(maxsize=4096)(key_of)
_peer_id: Final = lru_cache(maxsize=4096)(peer_id_of)
