"""How many connections are enough, who leaves when there are too many, and when to try one more. Pure.

Up to ``ENOUGH_MEMBERS`` everybody is connected to everybody; beyond, gossip and DHT need no more. Two rules keep a
larger mesh in one piece. A full node makes room: one that only refuses is no way in for newcomers, who would know
nobody else. And a node that has enough goes on trying a member that it is not connected to, now and then: two halves
that were parted have enough of their own, and nobody else would ever bring them together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

ENOUGH_MEMBERS: Final = 64
EXPLORE_S: Final = 30.0
# A member that came a moment ago may know nobody else yet.
_SETTLING_S: Final = 30.0
_STAY: Final = ("static", "bootstrap")


class Neighbour(NamedTuple):
    """A connected member: its peer id, since when it is connected (in seconds), and how it was found."""

    raw_id: bytes
    since: float
    how: str


def most_members(connections: int, strangers: int) -> int:
    """How many members a node keeps that may have so many connections, of which strangers may take so many.

    What it keeps below the whole is where newcomers knock: there must be room to show a grant.
    """
    return max(connections - strangers, connections // 2, 1)


def leaving(neighbours: Iterable[Neighbour], most: int, now: float) -> list[bytes]:
    """Who is asked to go so that ``most`` stay: whoever has been here longest, and so has had time to find others.

    Those that the configuration names never go, nor those that have come within half a minute.
    """
    present = list(neighbours)
    may_go = [one for one in present if one.how not in _STAY and now - one.since >= _SETTLING_S]
    may_go.sort(key=lambda one: (one.since, one.raw_id))
    return [one.raw_id for one in may_go[: max(len(present) - most, 0)]]


def explores(members: int, chance: float) -> bool:
    """Whether a node with so many members tries one more this time; ``chance`` is drawn from 0 to 1.

    Always while it has no more than enough; beyond, ever more seldom, so that connections hardly grow.
    """
    return members <= ENOUGH_MEMBERS or chance < (ENOUGH_MEMBERS / members) ** 4
