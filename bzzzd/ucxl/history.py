"""The history of one address: the same order, heads and numbers on every node, whatever arrived first.

Versions form a graph by their parents. Its order puts parents before children, and versions that
know nothing of each other by their time, then by their id. A version's number, from 1, is its
place in that order. It is a view: a version that arrives late may move later ones up, so whoever
must name one version for good uses its id.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

from msgspec import Struct

from bzzzd.errors import NotFound
from bzzzd.ucxl.address import Temporal


class Entry(Struct, frozen=True):
    """What order needs to know of one version."""

    id: str
    parents: tuple[str, ...]
    at: float

    @property
    def key(self) -> tuple[float, str]:
        """Decides between versions that are not each other's ancestors."""
        return self.at, self.id


def order(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Parents first, then by time, then by id; repeated entries count once.

    A parent that is not among ``entries`` (it has not arrived, or belongs to another address) is
    taken as already placed. Ids are hashes over the parents, so there are no cycles; should data
    hold one all the same, it is entered at its earliest version instead of being lost.
    """
    known = {entry.id: entry for entry in entries}
    waiting = {id: sum(parent in known for parent in set(entry.parents)) for id, entry in known.items()}
    children: dict[str, list[str]] = {}
    for entry in known.values():
        for parent in set(entry.parents):
            children.setdefault(parent, []).append(entry.id)
    ready = [entry.key for entry in known.values() if waiting[entry.id] == 0]
    heapq.heapify(ready)
    placed: dict[str, Entry] = {}
    while len(placed) < len(known):
        if not ready:
            ready.append(min(entry.key for entry in known.values() if entry.id not in placed))
        id = heapq.heappop(ready)[1]
        if id in placed:
            continue
        placed[id] = known[id]
        for child in children.get(id, ()):
            waiting[child] -= 1
            if waiting[child] == 0 and child not in placed:
                heapq.heappush(ready, known[child].key)
    return tuple(placed.values())


def heads(ordered: Sequence[Entry]) -> tuple[str, ...]:
    """The versions that no later one builds on, in order. More than one: they conflict."""
    found: dict[str, None] = {}
    for entry in ordered:
        for parent in entry.parents:
            found.pop(parent, None)
        found[entry.id] = None
    return tuple(found)


def comes_last(entry: Entry, latest: tuple[float, str] | None, current: Iterable[str], awaited: bool) -> bool:
    """Whether a new entry goes to the end of a history, known without ordering it again.

    ``latest`` is the greatest ``key`` of the history (``None`` when it is empty), ``current`` are its
    heads, and ``awaited`` says that some version there names a parent which is missing. ``False``
    means only that ``order`` has to decide.
    """
    if awaited:
        return False
    return latest is None or entry.key > latest or set(current) <= set(entry.parents)


def resolve(temporal: Temporal, count: int) -> range:
    """The numbers that a temporal part picks from a history of ``count`` versions.

    ``*^`` and ``~~0`` the last, ``*~`` all, ``*~N`` number N, ``~~N`` the Nth before the last,
    ``^^N`` the Nth after the first (``^^0`` is number 1). Raises ``NotFound`` when it is not there.
    """
    number = count
    match temporal.type, temporal.direction:
        case "any", _:
            return range(1, count + 1)
        case "specific", _:
            number = temporal.count or 0
        case "relative", "backward":
            number = count - (temporal.count or 0)
        case "relative", "forward":
            number = 1 + (temporal.count or 0)
    if not 1 <= number <= count:
        there = f"has {count} version{'' if count == 1 else 's'}" if count else "holds nothing"
        raise NotFound(f"there is no version {number} here: the address {there}", number=number, versions=count)
    return range(number, number + 1)
