"""The order of messages: what may be delivered, and what has to wait; ``gaps`` says what to do about the rest.

Rules over values, without clock or I/O. One ``Tracker`` serves one topic on one node. Each sender numbers what it
says on the topic from 1, under a journal name that is new at each of its starts; message 1 of a journal names the
last message before it, so a sender's journals form one chain::

    journal a: 1 2 3 4        b: 1 (after a, 4) 2 3        c: 1 (after b, 3) …

Two messages with one number, or two that follow the same one, show that the sender runs twice (a clone) or that its
disk was put back: both are delivered, and the sender is reported.

    arrival ─▶ next? ─yes─▶ delivered, with what was held behind it
                 │no
                 ▼
               held ──(nothing moves for ``grace_s``)──▶ asked from a peer ──▶ arrivals
                 └──(nobody has it: trimmed, refused, or its sender away for ``patience_s``)──▶ given up, reported

What a peer claims to hold is a reason to ask it, never to give anything up: that takes the sender's own signature
(an arrival, or the link in it) or its own word.
"""

from __future__ import annotations

from typing import Final

from bzzzd.storage.messages.gaps import Gaps
from bzzzd.storage.messages.sources import (
    MAX_JOURNALS,
    MAX_SOURCES,
    Arrival,
    Ask,
    Chain,
    Held,
    Link,
    Lost,
    Source,
    Verdict,
    Why,
)  # fmt: skip

GRACE_S: Final = 0.05
SETTLE_S: Final = 1.0
PATIENCE_S: Final = 60.0
HOLD_ITEMS: Final = 4096
HOLD_BYTES: Final = 16 * 1024 * 1024


class Tracker:
    """``hold_items`` and ``hold_bytes`` bound what waits for its turn; what does not fit is asked for again later."""

    def __init__(
        self,
        *,
        grace_s: float = GRACE_S,
        settle_s: float = SETTLE_S,
        patience_s: float = PATIENCE_S,
        hold_items: int = HOLD_ITEMS,
        hold_bytes: int = HOLD_BYTES,
    ) -> None:
        self._hold_items, self._hold_bytes = hold_items, hold_bytes
        self._chains: dict[Source, Chain] = {}
        self._gaps = Gaps(
            self._follows, lambda: self._room(0), grace_s=grace_s, settle_s=settle_s, patience_s=patience_s
        )
        # The nodes that anything was delivered of, and each node's journals, the newest last.
        self._nodes: set[bytes] = set()
        self._journals: dict[bytes, dict[str, None]] = {}
        self._holding = self._holding_bytes = 0
        self._ready: list[Arrival] = []
        self._clones: list[Source] = []

    # What the caller knows.

    def know(self, source: Source, position: int, after: Link | None, now: float) -> None:
        """Begin with, or advance to, what the caller has kept: its own messages and those of an earlier life."""
        chain = self._chain(source, now)
        if position > 0:
            self._nodes.add(source.node)
        if after is not None:
            self._link(chain, after, now)
        if position > chain.position:
            self._drop_early(chain, position)
            chain.position = position
            self._certain(chain, position)
            self._flow(chain, now, moved=True)

    def rewind(self, source: Source, position: int, now: float) -> None:
        """What was delivered after ``position`` could not be kept; it will come again."""
        chain = self._chain(source, now)
        chain.position = min(chain.position, position)
        self._gaps.watch(chain, now)

    def positions(self) -> dict[Source, int]:
        """Up to where each source is done with."""
        return {source: chain.position for source, chain in self._chains.items() if chain.position}

    def held(self) -> dict[Source, int]:
        """The highest number of each source that is held for its turn: peers may lack it, and can have it."""
        return {chain.source: max(chain.early) for chain in self._gaps.missing if chain.early}

    def early(self, source: Source, after: int) -> list[Arrival]:
        """What is held of a source with numbers over ``after``, in order."""
        chain = self._chains.get(source)
        return [] if chain is None else [chain.early[number] for number in sorted(chain.early) if number > after]

    @property
    def lagging(self) -> bool:
        """Whether something is missing, so that ``asks`` and ``losses`` are worth calling again shortly."""
        return len(self._gaps) > 0

    @property
    def holding(self) -> int:
        """How many messages wait for one before them."""
        return self._holding

    # Arrivals.

    def take(self, arrival: Arrival, now: float) -> Verdict:
        """Take in one arrival; what may be delivered by now comes from ``ready``.

        ``repeated``: its number is done with (the caller may compare digests). ``full``: there is no room to hold
        it, and it is asked for again. ``clone``: its number is held for another message; the first one stays.
        """
        if self._crowded(arrival.source):
            return "full"
        chain, number = self._chain(arrival.source, now), arrival.number
        if number <= chain.position:
            return "repeated"
        if arrival.after is not None and number == 1:
            self._link(chain, arrival.after, now)
        self._certain(chain, number)
        other = chain.early.get(number)
        if other is not None:
            if other.digest == arrival.digest:
                return "repeated"
            self._clones.append(arrival.source)
            return "clone"
        is_next = number == chain.position + 1 and self._follows(chain)
        if not is_next and not self._room(arrival.size):
            self._gaps.watch(chain, now)
            return "full"
        chain.early[number] = arrival
        self._holding += 1
        self._holding_bytes += arrival.size
        self._flow(chain, now)
        return "new" if number <= chain.position else "held"

    def exists(self, source: Source, number: int, now: float) -> None:
        """A message's signatures hold and it cannot be taken yet: it is missing until it comes again."""
        if not self._crowded(source):
            chain = self._chain(source, now)
            self._certain(chain, number)
            self._gaps.watch(chain, now)

    def ready(self) -> list[Arrival]:
        """What may be delivered now, in order; each comes once."""
        found, self._ready = self._ready, []
        return found

    def clones(self) -> list[Source]:
        """Sources that showed since the last call that their node runs twice or that its disk was put back."""
        found, self._clones = self._clones, []
        return found

    # Peers.

    def told(self, peer: bytes, heads: dict[Source, Held], now: float) -> None:
        """A connected peer says what it has of the topic: all of it, or what has changed."""
        self._gaps.met(peer)
        # What is only claimed leaves half of the room to what was signed.
        room = MAX_SOURCES // 2 - sum(not chain.known for chain in self._chains.values())
        for source, held in heads.items():
            if source not in self._chains:
                if room <= 0 or self._crowded(source):
                    continue
                room -= 1
            chain = self._chain(source, now)
            self._gaps.claimed(chain, peer, held)
            if peer == source.node:
                self._certain(chain, held.last)
            self._gaps.watch(chain, now)

    def gone(self, peer: bytes, now: float) -> None:
        """A peer is no longer connected."""
        self._gaps.left(peer)
        for chain in tuple(self._chains.values()):
            self._gaps.unclaimed(chain, peer)
            self._gaps.watch(chain, now)
            if not chain.known and not chain.held:
                self._forget(chain)

    def asks(self, now: float) -> list[Ask]:
        """Whom to ask for what, now. Each ask must be ended by ``answered``, ``put_off`` or ``failed``.

        One call looks at some of the sources (see ``gaps.LOOK``), the next one at those behind them.
        """
        return self._gaps.asks(now)

    def answered(self, ask: Ask, held: Held | None, now: float, *, helped: bool = True) -> None:
        """The peer has answered, and what it gave has been taken; ``held`` is what it says it has of the source.

        ``helped`` says that it gave something that had not come by itself meanwhile: the next is asked for at once.
        """
        chain = self._chains.get(ask.source)
        here = self._gaps.ended(ask, chain)
        if chain is None:
            return
        if here:
            if held is not None:
                self._gaps.claimed(chain, ask.peer, held)
                if ask.peer == ask.source.node:
                    self._certain(chain, held.last)
            else:
                chain.held.pop(ask.peer, None)
            if chain.position == ask.after:
                chain.denied.add(ask.peer)
        self._gaps.watch(chain, now)
        if helped and chain.position > ask.after:
            self._gaps.hurry(chain)

    def put_off(self, ask: Ask) -> None:
        """The answer had no room for this one; it is asked again at once."""
        chain = self._chains.get(ask.source)
        self._gaps.ended(ask, chain)
        if chain is not None:
            self._gaps.hurry(chain)

    def failed(self, ask: Ask, now: float) -> None:
        """The peer did not answer; it is left alone for a moment."""
        chain = self._chains.get(ask.source)
        self._gaps.ended(ask, chain)
        if chain is not None:
            self._gaps.rest(chain, ask.peer, now)

    def losses(self, now: float) -> list[Lost]:
        """Give up what nobody has, so that what was held behind it comes from ``ready``.

        One call looks at some of the sources, as ``asks`` does.
        """
        return [self._skip(chain, why, number, now) for chain, why, number in self._gaps.given_up(now)]

    def _skip(self, chain: Chain, why: Why, number: int, now: float) -> Lost:
        """Go on with ``number``."""
        lost = Lost(chain.source, chain.position + 1, number - 1, why, chain.source.node not in self._nodes)
        chain.position = number - 1
        chain.since = now
        chain.denied.clear()
        self._flow(chain, now, moved=True)
        return lost

    # Inside.

    def _chain(self, source: Source, now: float, *, beside: str = "") -> Chain:
        """The chain of a source, made where there is none; to make room, no journal named ``beside`` is forgotten."""
        chain = self._chains.get(source)
        if chain is None:
            chain = self._chains[source] = Chain(source, 0, now)
            journals = self._journals.setdefault(source.node, {})
            journals[source.journal] = None
            if len(journals) > MAX_JOURNALS:
                others = [self._chains[Source(source.node, name)] for name in journals]
                others = [one for one in others if one.source.journal not in (source.journal, beside)]
                # Peers can invent journals of anybody: those go before one that its node has signed.
                self._forget(next((one for one in others if not one.known), others[0]))
        return chain

    def _crowded(self, source: Source) -> bool:
        """Whether there are so many sources that another one is not taken up: peers can invent them."""
        return len(self._chains) >= MAX_SOURCES and source not in self._chains

    def _forget(self, chain: Chain) -> None:
        self._drop_early(chain, chain.known)
        del self._chains[chain.source]
        self._gaps.forget(chain)
        journals = self._journals[chain.source.node]
        del journals[chain.source.journal]
        if not journals:
            del self._journals[chain.source.node]

    def _room(self, size: int) -> bool:
        return self._holding < self._hold_items and self._holding_bytes + size <= self._hold_bytes

    def _certain(self, chain: Chain, number: int) -> None:
        """``number`` exists: the sender has said so."""
        if number > chain.known:
            chain.known = number
            if chain.child is not None and number > chain.child[1]:
                self._clones.append(chain.source)

    def _link(self, chain: Chain, after: Link, now: float) -> None:
        """``chain`` goes on from ``after``. Only one journal may, and only from the last number of the one before."""
        if chain.after is not None:
            return
        chain.after = after
        parent = self._chain(Source(chain.source.node, after.journal), now, beside=chain.source.journal)
        if parent is chain:
            return
        parent.children.add(chain.source.journal)
        if parent.child is None:
            if parent.known > after.number:
                self._clones.append(parent.source)
            parent.child = (chain.source.journal, after.number)
        elif parent.child[0] != chain.source.journal:
            self._clones.append(parent.source)
        parent.known = max(parent.known, after.number)
        self._gaps.watch(parent, now)

    def _flow(self, chain: Chain, now: float, *, moved: bool = False) -> None:
        """Hand out what is next, here and in the journals that waited for this one; ``moved``: it has advanced."""
        waiting = [chain]
        while waiting:
            one = waiting.pop()
            if self._advance(one, now) or moved:
                children = (self._chains.get(Source(one.source.node, name)) for name in sorted(one.children))
                waiting += [child for child in children if child is not None]
            moved = False
            self._gaps.watch(one, now)

    def _advance(self, chain: Chain, now: float) -> bool:
        begun = chain.position
        while (arrival := chain.early.get(chain.position + 1)) is not None and self._follows(chain):
            del chain.early[arrival.number]
            self._holding -= 1
            self._holding_bytes -= arrival.size
            chain.position = arrival.number
            self._ready.append(arrival)
        if chain.position == begun:
            return False
        chain.since = now
        chain.denied.clear()
        self._nodes.add(chain.source.node)
        return True

    def _follows(self, chain: Chain) -> bool:
        """Whether a journal's first message may come: the one before it is done with."""
        if chain.position > 0 or chain.after is None:
            return True
        parent = self._chains.get(Source(chain.source.node, chain.after.journal))
        return parent is None or parent is chain or parent.position >= chain.after.number

    def _drop_early(self, chain: Chain, position: int) -> None:
        for number in [number for number in chain.early if number <= position]:
            arrival = chain.early.pop(number)
            self._holding -= 1
            self._holding_bytes -= arrival.size
