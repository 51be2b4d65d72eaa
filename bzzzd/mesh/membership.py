"""Who is a member: the pure half of admission, asked by everything that guards a door.

A peer is a member from the moment its chain of grants was accepted for the key that its connection
proved, until its last connection ends or its chain is no longer accepted. Nothing else makes one:
being found, being dialled, or sitting in the routing table implies nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from bzzzd.errors import BzzzError, GrantRefused
from bzzzd.mesh.describe import describe
from bzzzd.mesh.peer_id import key_of_raw
from bzzzd.mesh.values import Admit, GrantLike, How

K = TypeVar("K")

_REMEMBERED_REFUSALS: Final = 1024
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Member:
    """An admitted peer. ``raw_id`` are its peer id's bytes, ``since`` is Unix time."""

    raw_id: bytes
    grant: GrantLike
    chain: tuple[bytes, ...]
    since: float
    how: How


class Membership:
    """The table of members, by peer id bytes. ``left_out_s`` says for how long a peer is kept out."""

    def __init__(self, admit: Admit, left_out_s: Callable[[bytes], float] = lambda raw_id: 0.0) -> None:
        self._admit = admit
        self._left_out_s = left_out_s
        self._members: dict[bytes, Member] = {}

    def __contains__(self, raw_id: bytes) -> bool:
        return raw_id in self._members

    def __len__(self) -> int:
        return len(self._members)

    def get(self, raw_id: bytes) -> Member | None:
        return self._members.get(raw_id)

    def all(self) -> list[Member]:
        return list(self._members.values())

    def check(self, raw_id: bytes, chain: Sequence[bytes]) -> GrantLike:
        """The grant of ``chain``, if it is a node's and for the key behind ``raw_id``.

        Raises what ``admit`` raises, and ``GrantRefused`` for a good grant of somebody else, or of an
        agent or a person: those are members of the mesh through a node, not peers in it.
        """
        if left_s := self._left_out_s(raw_id):
            raise GrantRefused(f"this peer was cut off for what it sent, and is let in again in {left_s:.0f} s")
        try:
            grant = self._admit(chain)
        except BzzzError:
            raise
        except Exception as error:  # a check that breaks has not said yes
            raise GrantRefused(f"the grant could not be checked: {describe(error)}") from error
        if grant.kind != "node":
            raise GrantRefused(f"the grant of {grant.kind} {grant.id} makes no peer; only nodes join the mesh")
        if grant.key != key_of_raw(raw_id):
            raise GrantRefused(f"the grant of {grant.id} belongs to another key than the one this peer has proved")
        return grant

    def add(self, raw_id: bytes, chain: Sequence[bytes], *, now: float, how: How) -> Member:
        """Check and enter; one that is a member already keeps its ``since`` and ``how``."""
        grant = self.check(raw_id, chain)
        known = self._members.get(raw_id)
        member = Member(raw_id, grant, tuple(chain), known.since if known else now, known.how if known else how)
        self._members[raw_id] = member
        return member

    def remove(self, raw_id: bytes) -> Member | None:
        return self._members.pop(raw_id, None)

    def expired(self) -> list[tuple[Member, str]]:
        """Members whose chain is no longer accepted, with the reason: time passed, or it was revoked."""
        found: list[tuple[Member, str]] = []
        for member in self._members.values():
            try:
                self.check(member.raw_id, member.chain)
            except BzzzError as error:
                found.append((member, error.message))
        return found


class Patience(Generic[K]):
    """How long a refused peer waits before its next try is looked at: 1 s, doubling to 60 s.

    Remembers the last 1,024 that were refused; keys are cheap to make, so more would only cost memory.
    """

    def __init__(self) -> None:
        self._refused: OrderedDict[K, tuple[float, float]] = OrderedDict()

    def refused(self, key: K, now: float) -> None:
        _, pause = self._refused.pop(key, (0.0, _FIRST_PAUSE_S / 2))
        pause = min(pause * 2, _LONGEST_PAUSE_S)
        self._refused[key] = (now + pause, pause)
        if len(self._refused) > _REMEMBERED_REFUSALS:
            self._refused.popitem(last=False)

    def forget(self, key: K) -> None:
        self._refused.pop(key, None)

    def ready(self, key: K, now: float) -> bool:
        return now >= self._refused.get(key, (0.0, 0.0))[0]
