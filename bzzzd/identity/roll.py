"""The roll: who is known to be a member, by key, with the grant chain that shows it. Bounded, and pure.

Of two grants for a key the one that was signed later counts, whoever signed it; but a node's word that a key
is an agent's never displaces that it is a node's or a person's, or any node could put any member out. A
delegation stands beside its person's grant. A node may be the issuer of so many agents and no more, so that no
single member can push the others out; when the roll is full, what ended first is let go first.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from bzzzd.identity.grants import Grant

MOST: Final = 16_384
MOST_OF_A_NODE: Final = 1024


class Entry(NamedTuple):
    """One chain on the roll, read (``grants``) and as it was signed (``chain``); ``digest`` names its leaf."""

    grants: tuple[Grant, ...]
    chain: tuple[bytes, ...]
    digest: bytes

    @property
    def grant(self) -> Grant:
        return self.grants[0]

    @property
    def rank(self) -> tuple[bool, float, int, bytes]:
        """The highest counts."""
        return self.grant.kind != "agent", self.grant.not_before, self.grant.serial, self.digest


class Roll:
    """``most`` entries at most, ``most_of_a_node`` agents of one issuer."""

    def __init__(self, most: int = MOST, most_of_a_node: int = MOST_OF_A_NODE) -> None:
        self._most = most
        self._most_of_a_node = most_of_a_node
        self._entries: dict[tuple[bytes, bool], Entry] = {}
        self._agents: Counter[bytes] = Counter()
        self._called: dict[str, set[bytes]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def get(self, key: bytes) -> Entry | None:
        """The grant of a node, an agent or a person."""
        return self._entries.get((key, False))

    def delegation(self, key: bytes) -> Entry | None:
        """The grant that makes a key an administrator's."""
        return self._entries.get((key, True))

    def agents(self, id: str) -> list[Entry]:
        """The grants of all agents of this id, in the order of their keys."""
        return [self._entries[key, False] for key in sorted(self._called.get(id, ()))]

    def add(self, grants: tuple[Grant, ...], chain: tuple[bytes, ...]) -> bool:
        """Enter a chain that was checked; ``False`` when a later grant, or this very one, stands there already."""
        grant, entry = grants[0], Entry(grants, chain, hashlib.sha256(chain[0]).digest())
        place = (grant.key, grant.kind == "admin")
        known = self._entries.get(place)
        if known is not None:
            if known.rank >= entry.rank:
                return False
            self._remove(place)
        self._make_room(grant)
        self._entries[place] = entry
        if grant.kind == "agent":
            self._agents[grant.issuer] += 1
            self._called.setdefault(grant.id, set()).add(grant.key)
        return True

    def _make_room(self, grant: Grant) -> None:
        if grant.kind == "agent" and self._agents[grant.issuer] >= self._most_of_a_node:
            self._drop_first(lambda entry: entry.grant.kind == "agent" and entry.grant.issuer == grant.issuer)
        if len(self._entries) >= self._most:
            self._drop_first(lambda entry: True)

    def _drop_first(self, wanted: Callable[[Entry], bool]) -> None:
        fitting = (item for item in self._entries.items() if wanted(item[1]))
        self._remove(min(fitting, key=lambda item: (item[1].grant.not_after, item[1].digest))[0])

    def _remove(self, place: tuple[bytes, bool]) -> None:
        grant = self._entries.pop(place).grant
        if grant.kind != "agent":
            return
        self._agents[grant.issuer] -= 1
        if not self._agents[grant.issuer]:
            del self._agents[grant.issuer]
        self._called[grant.id].discard(grant.key)
        if not self._called[grant.id]:
            del self._called[grant.id]
