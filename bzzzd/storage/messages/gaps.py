"""What a topic's sources lack: who may have it, whom to ask for it, when to give it up.

Rules over values, without clock or I/O. The chains are those of ``order.Tracker``, which says what follows what.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from bzzzd.storage.messages.sources import Ask, Chain, Held, Source, Why

ASKS_PER_PEER: Final = 4
LOOK: Final = 2048
"""What one look may cost, in sources and in what peers say of them: peers can invent any number of both."""
REST_S: Final = 1.0


class Gaps:
    """``follows(chain)``: nothing before what comes next is missing; ``room()``: what cannot be delivered can be held.

    Times are in seconds: ``grace_s`` before a gap is asked for, ``settle_s`` before it may be given up, ``patience_s``
    before it is given up although its sender may come back.
    """

    def __init__(
        self,
        follows: Callable[[Chain], bool],
        room: Callable[[], bool],
        *,
        grace_s: float,
        settle_s: float,
        patience_s: float,
    ) -> None:
        self._follows, self._room = follows, room
        self._grace_s, self._settle_s, self._patience_s = grace_s, settle_s, patience_s
        # How much each connected peer is being asked for.
        self._peers: dict[bytes, int] = {}
        # Those of which a peer may have more than was delivered, and among them those of which more surely exists.
        self._wanted, self._missing = Rota(), Rota()

    def __len__(self) -> int:
        return len(self._wanted)

    @property
    def missing(self) -> Iterator[Chain]:
        """Chains of which more exists than was delivered: their senders have said so."""
        return iter(self._missing)

    def watch(self, chain: Chain, now: float) -> None:
        """Something of the chain has changed: note whether it lacks anything."""
        missing, claimed = chain.known > chain.position, chain.top > chain.position
        if missing:
            self._missing.add(chain)
        else:
            self._missing.discard(chain)
        if missing or (claimed and any(offered(chain, peer, self._peers) for peer in chain.held)):
            if chain not in self._wanted:
                self._wanted.add(chain)
                chain.since = now
        else:
            self._wanted.discard(chain)
            chain.eager = False

    def forget(self, chain: Chain) -> None:
        self._wanted.discard(chain)
        self._missing.discard(chain)

    # Peers.

    def met(self, peer: bytes) -> None:
        """A peer is connected."""
        self._peers.setdefault(peer, 0)

    def left(self, peer: bytes) -> None:
        """A peer is no longer connected; each chain is told by ``unclaimed``."""
        self._peers.pop(peer, None)

    def claimed(self, chain: Chain, peer: bytes, held: Held) -> None:
        """A peer says what it has of a chain."""
        if chain.held.get(peer) != held:
            chain.denied.discard(peer)
        chain.held[peer] = held
        chain.top = max(chain.top, held.highest)

    def unclaimed(self, chain: Chain, peer: bytes) -> None:
        """Nothing of a chain can be had from a peer that has left."""
        chain.held.pop(peer, None)
        chain.denied.discard(peer)
        chain.resting.pop(peer, None)
        if chain.asked is not None and chain.asked[0] == peer:
            chain.asked = None

    # Asking.

    def asks(self, now: float) -> list[Ask]:
        """Whom to ask for what: of as many chains as one look allows; the next one goes on behind them."""
        found: list[Ask] = []
        left = LOOK
        for chain in self._wanted.turn():
            left -= 1
            if self._askable(chain, now):
                left -= len(chain.held)
                peer = choose(chain, now, self._peers)
                if peer is not None:
                    chain.asked = (peer, chain.position)
                    chain.eager = False
                    self._peers[peer] += 1
                    found.append(Ask(peer, chain.source, chain.position))
            if left <= 0:
                break
        return found

    def _askable(self, chain: Chain, now: float) -> bool:
        if chain.asked is not None or chain.position + 1 in chain.early:
            return False
        if not self._follows(chain) and not self._room():  # there would be no place to hold it
            return False
        return chain.eager or now >= chain.since + self._grace_s

    def ended(self, ask: Ask, chain: Chain | None) -> bool:
        """An ask has ended; whether its peer is still there. ``chain`` is what it was about, if that is followed."""
        if chain is not None and chain.asked == (ask.peer, ask.after):
            chain.asked = None
        if ask.peer not in self._peers:
            return False
        self._peers[ask.peer] = max(0, self._peers[ask.peer] - 1)
        return True

    def hurry(self, chain: Chain) -> None:
        """What follows is asked for at the next look, without a moment's grace."""
        if chain in self._wanted:
            chain.eager = True
            self._wanted.first(chain)

    def rest(self, chain: Chain, peer: bytes, now: float) -> None:
        """Leave a peer that did not answer alone for a moment."""
        chain.resting[peer] = now + REST_S

    # Giving up.

    def given_up(self, now: float) -> Iterator[tuple[Chain, Why, int]]:
        """Chains of which nobody has what comes next, why, and the number to go on with; looks at some, as ``asks``."""
        left = LOOK
        for chain in self._missing.turn():
            left -= 1
            if self._may_be_lost(chain, now):
                left -= len(chain.held)
                end = lost(chain, now, self._peers, self._patience_s)
                if end is not None:
                    yield chain, *end
            if left <= 0:
                break

    def _may_be_lost(self, chain: Chain, now: float) -> bool:
        if chain.asked is not None or now < chain.since + self._settle_s:
            return False
        return chain.position + 1 not in chain.early and self._follows(chain)


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


def lost(chain: Chain, now: float, peers: Mapping[bytes, int], patience_s: float) -> tuple[Why, int] | None:
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
