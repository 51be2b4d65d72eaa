"""What is missing: which sources to look at now, whom to ask, and when to give up. Rules over values, without I/O."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Final

from bzzzd.storage.sources import Chain, Held, Source, Why

ASKS_PER_PEER: Final = 4
LOOK: Final = 2048
"""What one look may cost, in sources and in what peers say of them: peers can invent any number of both."""


class Rota:
    """Sources that are looked at in turn, a few at a time."""

    def __init__(self) -> None:
        self._chains: OrderedDict[Source, Chain] = OrderedDict()

    def __contains__(self, chain: Chain) -> bool:
        return chain.source in self._chains

    def __len__(self) -> int:
        return len(self._chains)

    def __iter__(self) -> Iterator[Chain]:
        return iter(self._chains.values())

    def add(self, chain: Chain) -> None:
        """Put it behind all others, unless it is among them."""
        self._chains.setdefault(chain.source, chain)

    def discard(self, chain: Chain) -> None:
        self._chains.pop(chain.source, None)

    def first(self, chain: Chain) -> None:
        """Its turn is next."""
        if chain in self:
            self._chains.move_to_end(chain.source, last=False)

    def turn(self) -> Iterator[Chain]:
        """Each in its turn, until the reader has had enough; the next turn begins where this one ended."""
        for _ in range(len(self)):
            if not self._chains:
                return
            source = next(iter(self._chains))
            self._chains.move_to_end(source)
            yield self._chains[source]


def offered(chain: Chain, peer: bytes, peers: Mapping[bytes, int]) -> Held | None:
    """What ``peer`` may be able to give: what it said, and of its own messages everything until it denies.

    ``peers`` are those that are there, with how much each is being asked for.
    """
    if peer not in peers or peer in chain.denied:
        return None
    held = chain.held.get(peer)
    if held is None:
        return Held(1, chain.known) if peer == chain.source.node and chain.known > chain.position else None
    return held if max(held.first, chain.position + 1) <= held.highest else None


def choose(chain: Chain, now: float, peers: Mapping[bytes, int]) -> bytes | None:
    """The best peer to ask for what follows a chain's position; ``None`` while nobody can be asked."""
    best: tuple[bool, bool, int, bytes] | None = None
    for peer in {*chain.held, chain.source.node}:
        held = offered(chain, peer, peers)
        if held is None or peers[peer] >= ASKS_PER_PEER or chain.resting.get(peer, 0.0) > now:
            continue
        # One that has the next number before one that begins later; the sender itself before others.
        rank = (held.first > chain.position + 1, peer != chain.source.node, peers[peer], peer)
        best = rank if best is None or rank < best else best
    return best[3] if best is not None else None


def given_up(chain: Chain, now: float, peers: Mapping[bytes, int], patience_s: float) -> tuple[Why, int] | None:
    """Why what follows a chain's position will not come any more, and the number to go on with; it surely exists."""
    needed = chain.position + 1
    offers = [held for peer in {*chain.held, chain.source.node} if (held := offered(chain, peer, peers)) is not None]
    if any(held.first <= needed <= held.highest for held in offers):
        return None
    later = [held.first for peer, held in chain.held.items() if peer in peers and held.first > needed]
    why: Why
    if later:
        why = "trimmed"
    elif chain.source.node in chain.denied:
        why = "refused"
    elif now >= chain.since + patience_s:
        why = "unreachable"
    else:
        return None
    return why, min([*later, *chain.early, chain.known + 1])
