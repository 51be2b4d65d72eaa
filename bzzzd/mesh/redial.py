"""When to dial again a peer that is not connected, and which of two connections stays. Pure; time is passed in.

A peer that has gone is dialled at once and then twice a second for a minute, so that one that returns is back
within a second. After that the pauses grow to 15 s: a peer that returns dials the others itself, is announced
by multicast, or by another member, and each of these starts its redialling afresh. Retries of all peers together
are bounded as well, so that many absent peers cost no more than a few.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

from bzzzd.mesh.values import How

Outcome = Literal["absent", "unclear", "refused"]

FIRST_PAUSE_S: Final = 0.1
BRISK_PAUSE_S: Final = 0.5
BRISK_S: Final = 60.0
LONGEST_ABSENT_S: Final = 15.0
_UNCLEAR_FIRST_S: Final = 0.5
_LONGEST_UNCLEAR_S: Final = 10.0
_REFUSED_S: Final = 60.0
RETRIES_PER_S: Final = 6.0
RETRIES_AT_ONCE: Final = 40.0


class Redial:
    """The pauses of one peer."""

    def __init__(self) -> None:
        self._pause = 0.0
        self._last: Outcome = "absent"
        self._since: float | None = None

    def news(self) -> None:
        """It was connected, or somebody has seen it: the next failure is its first."""
        self._pause = 0.0
        self._since = None

    @property
    def refused(self) -> bool:
        """Whether the last try ended at somebody's grant, which no news of an address mends."""
        return self._since is not None and self._last == "refused"

    def failed(self, outcome: Outcome, now: float) -> float:
        """Seconds to wait after a try that came to nothing.

        ``absent``: nobody answered there; ``unclear``: somebody did who did not join; ``refused``: a grant was not
        accepted by either side.
        """
        if self._since is None or outcome != self._last:
            self._since, self._pause, self._last = now, 0.0, outcome
        if outcome == "refused":
            return _REFUSED_S
        if outcome == "unclear":
            self._pause = min(self._pause * 2 or _UNCLEAR_FIRST_S, _LONGEST_UNCLEAR_S)
        else:
            longest = BRISK_PAUSE_S if now - self._since < BRISK_S else LONGEST_ABSENT_S
            self._pause = min(self._pause * 2 or FIRST_PAUSE_S, longest)
        return self._pause


def stays(own: bytes, other: bytes, dialled_here: bool) -> bool:
    """Whether a connection is the one to keep of two that peers have dialled at the same time.

    Both sides must say the same, so it is the one that the peer with the smaller id has dialled.
    """
    return dialled_here == (own < other)


class Contact:
    """What is known about how to reach a peer: its addresses, by how they were found.

    ``how`` is the strongest way: one that the configuration names stays that whatever else is heard of it.
    """

    _RANK: Final[tuple[How, ...]] = get_args(How)
    MOST: Final = 16

    def __init__(self) -> None:
        self._by: dict[str, tuple[str, ...]] = {}
        self.good = ""

    def learn(self, how: str, addresses: tuple[str, ...]) -> bool:
        """Take what a source says now in place of what it said; whether it said something new."""
        known = set(self.addresses)
        self._by[how] = addresses[: self.MOST]
        return not set(self._by[how]) <= known

    def forget(self, how: str) -> None:
        self._by.pop(how, None)

    @property
    def how(self) -> How:
        return next((how for how in self._RANK if how in self._by), "inbound")

    @property
    def addresses(self) -> tuple[str, ...]:
        """Each once: the one that led to the peer last, then what is configured, seen near, told, remembered."""
        found = dict.fromkeys([self.good] if self.good else [])
        for how in self._RANK:
            found |= dict.fromkeys(self._by.get(how, ()))
        return tuple(found)[: self.MOST]
