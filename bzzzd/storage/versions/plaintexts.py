"""Decrypted content kept in memory for a while: the least recently used goes first, within a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple


class Held(NamedTuple):
    """A plaintext, and the roles that may read it."""

    plaintext: bytes
    readers: frozenset[str]


class Plaintexts:
    """By version id, which binds plaintext and readers, so an entry is never stale. Belongs to the loop's thread."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._held: OrderedDict[str, Held] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    def get(self, id: str) -> Held | None:
        found = self._held.get(id)
        if found is not None:
            self._held.move_to_end(id)
        return found

    def put(self, id: str, plaintext: bytes, readers: frozenset[str]) -> None:
        """Keep ``plaintext``; one over a quarter of the limit is not worth the many it would displace."""
        if len(plaintext) > self._limit // 4 or id in self._held:
            return
        self._held[id] = Held(plaintext, readers)
        self.bytes += len(plaintext)
        while self.bytes > self._limit:
            self.bytes -= len(self._held.popitem(last=False)[1].plaintext)

    def drop(self, id: str) -> None:
        """Forget one that is not to be read any more."""
        held = self._held.pop(id, None)
        if held is not None:
            self.bytes -= len(held.plaintext)
