"""One simulated node: whom it knows and is connected to, what it has heard, what is in force.

Order, gaps and catching up are ``storage.order.Tracker``; the charter is ``identity.charter.Book``. What stands
here in their place for the organs that need a real network (dialling, gossip's mesh) keeps their numbers: eight
gossip peers, a dozen at most, heads told every five seconds, the charter compared every half minute.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from bzzzd.errors import BzzzError
from bzzzd.identity.charter import Book, Paper, newer
from bzzzd.mesh.enough import ENOUGH_MEMBERS, EXPLORE_S, explores
from bzzzd.storage.messages.exchange import FETCH_WANTS
from bzzzd.storage.messages.order import Tracker
from bzzzd.storage.messages.sources import Arrival, Ask, Held, Link, Source

if TYPE_CHECKING:
    from simulation.mesh import Mesh

ENOUGH: Final = ENOUGH_MEMBERS
MOST: Final = 256
DEGREE: Final = 8
DEGREE_HIGH: Final = 12
DIALS_AT_ONCE: Final = 8
TELL_S: Final = 5.0
COMPARE_S: Final = 30.0
LOOK_S: Final = 0.05
NOTICED_S: Final = 0.2
SILENT_S: Final = 9.0
# What one answer carries: 256 KiB of messages of 1 KiB.
ANSWERED: Final = 256


def key_of(index: int) -> bytes:
    return hashlib.sha256(b"node %d" % index).digest()


class Node:
    """Node ``index`` of a mesh; ``known`` has a bit for each member whose grant and address it has heard of."""

    def __init__(self, index: int, mesh: Mesh) -> None:
        self.index = index
        self.key = key_of(index)
        self.mesh = mesh
        self.world = mesh.world
        self.known = 1 << index
        self.connected: set[int] = set()
        self.gossip_peers: set[int] = set()
        self.book = Book(mesh.trust)
        self.kept: dict[Source, tuple[int, Link | None]] = {}
        self.lives = 0
        self.tracker = Tracker()
        self.seen: set[tuple[Source, int]] = set()
        self.own = Source(self.key, "")
        # What each peer was told last, by version; and at which version each source changed.
        self._told: dict[int, int] = {}
        self._version = 0
        self._changed: dict[Source, int] = {}
        self._looking = False

    # Life.

    def start(self) -> None:
        """Start, or start again with what was kept: its members, its charter and its messages."""
        self.lives += 1
        life = self.lives
        self.world.set_up(self.index, True)
        self.connected, self.gossip_peers, self._told = set(), set(), {}
        self.tracker, self.seen, self._looking = Tracker(), set(), False
        for source, (position, after) in self.kept.items():
            self.tracker.know(source, position, after, self.world.now)
        self._before = self.own
        self.own = Source(self.key, f"life {life}")
        rounds = (
            (self._dial, 1.0),
            (self._explore, EXPLORE_S),
            (self._tell_all, TELL_S),
            (self._compare_one, COMPARE_S),
        )
        for each, every_s in rounds:
            self.world.at(self.world.chance.uniform(0, every_s), self._repeat, life, each, every_s)

    def _repeat(self, life: int, work: object, every_s: float) -> None:
        if life == self.lives and self.up:
            work()  # type: ignore[operator]
            self.world.at(every_s * self.world.chance.uniform(0.8, 1.2), self._repeat, life, work, every_s)

    def stop(self) -> None:
        """It is killed: whoever is connected to it is told by the kernel."""
        self.world.set_up(self.index, False)
        for peer in tuple(self.connected):
            self.world.at(NOTICED_S, self.mesh.nodes[peer].lost, self.index)
        self.connected.clear()

    @property
    def up(self) -> bool:
        return self.world.is_up(self.index)

    # Connections.

    def _dial(self) -> None:
        """Until there are enough: bootstrap nodes, and members that are known."""
        if len(self.connected) >= ENOUGH:
            return
        wanted = [peer for peer in self.mesh.bootstrap if peer not in self.connected and peer != self.index]
        self._call(wanted + self._others(DIALS_AT_ONCE))

    def _explore(self) -> None:
        """One more, whoever it is: without it two halves that have enough of their own would never meet again."""
        if explores(len(self.connected), self.world.chance.random()):
            self._call(self._others(1))

    def _others(self, count: int) -> list[int]:
        others = [
            peer for peer in self.mesh.members_in(self.known) if peer not in self.connected and peer != self.index
        ]
        return self.world.chance.sample(others, min(len(others), count))

    def _call(self, wanted: list[int]) -> None:
        for peer in wanted:
            self.world.counts["dials"] += 1
            # TCP, Noise, and the two ways of joining.
            self.world.at(4 * self.world.delay_s(), self._meet, self.lives, peer)

    def _meet(self, life: int, peer: int) -> None:
        other = self.mesh.nodes[peer]
        if life != self.lives or peer in self.connected or not self.world.reaches(self.index, peer):
            return
        if self.mesh.refuses(self, other) or self.mesh.refuses(other, self):
            return
        for full in (self, other):
            if len(full.connected) >= MOST:  # it makes room: a node that nobody can reach any more is no bootstrap
                full.part(self.world.chance.choice(sorted(full.connected)))
        self.world.counts["joins"] += 1
        for one, two in ((self, other), (other, self)):
            one.connected.add(two.index)
            one._told[two.index] = -1
            one.known |= two.known
            one.compare(two.index)
            one.tell(two.index, ask=True)
        self._graft(other)

    def _graft(self, other: Node) -> None:
        if len(self.gossip_peers) < DEGREE and len(other.gossip_peers) < DEGREE_HIGH:
            self.gossip_peers.add(other.index)
            other.gossip_peers.add(self.index)

    def part(self, peer: int) -> None:
        """Close a connection."""
        self.lost(peer)
        self.world.at(self.world.delay_s(), self.mesh.nodes[peer].lost, self.index)

    def lost(self, peer: int) -> None:
        """A connection has ended."""
        if peer not in self.connected:
            return
        self.connected.discard(peer)
        self.gossip_peers.discard(peer)
        self._told.pop(peer, None)
        self.tracker.gone(key_of(peer), self.world.now)
        spare = [p for p in self.connected if p not in self.gossip_peers]
        if len(self.gossip_peers) < DEGREE and spare:
            self._graft(self.mesh.nodes[self.world.chance.choice(sorted(spare))])

    # Messages.

    def publish(self) -> None:
        number = self.kept.get(self.own, (0, None))[0] + 1
        before = self.kept.get(self._before)
        after = Link(self._before.journal, before[0]) if number == 1 and before else None
        self.kept[self.own] = (number, after if number == 1 else self.kept[self.own][1])
        self.tracker.know(self.own, number, after, self.world.now)
        self.seen.add((self.own, number))
        self._note(self.own)
        self.mesh.published(self.own, number)
        receivers = set(self.gossip_peers)
        for peer in sorted(self.connected - receivers)[: DEGREE_HIGH - len(receivers)]:
            receivers.add(peer)
        self._pass_on(Arrival(self.own, number, after, b""), receivers)

    def _note(self, source: Source) -> None:
        self._version += 1
        self._changed[source] = self._version

    def _pass_on(self, arrival: Arrival, receivers: set[int]) -> None:
        for peer in receivers:
            self.world.gossip(self.index, peer, self.mesh.nodes[peer].hear, self.index, arrival)

    def hear(self, sender: int, arrival: Arrival) -> None:
        """A gossip frame has come."""
        name = (arrival.source, arrival.number)
        if name in self.seen:
            self.world.counts["repeated frames"] += 1
            return
        self.seen.add(name)
        self._take(arrival)
        self._pass_on(arrival, self.gossip_peers - {sender})

    def _take(self, arrival: Arrival) -> None:
        self.tracker.take(arrival, self.world.now)
        self._keep()

    def _keep(self) -> None:
        for one in self.tracker.ready():
            position, after = self.kept.get(one.source, (0, one.after))
            if one.number != position + 1:
                self.world.counts["out of order"] += 1
            self.kept[one.source] = (one.number, after)
            self._note(one.source)
        if self.tracker.lagging and not self._looking:
            self._looking = True
            self.world.at(LOOK_S, self._look, self.lives)

    def _look(self, life: int) -> None:
        if life != self.lives or not self.up:
            return
        self._looking = False
        self.world.counts["given up"] += len(self.tracker.losses(self.world.now))
        by_peer: dict[bytes, list[Ask]] = {}
        for ask in self.tracker.asks(self.world.now):
            by_peer.setdefault(ask.peer, []).append(ask)
        for peer, asks in by_peer.items():
            for start in range(0, len(asks), FETCH_WANTS):
                self._fetch(self.mesh.by_key[peer], asks[start : start + FETCH_WANTS])
        self._keep()

    def _fetch(self, peer: int, asks: list[Ask]) -> None:
        life, other = self.lives, self.mesh.nodes[peer]

        def done(given: list[tuple[list[Arrival], Held | None]]) -> None:
            if life != self.lives:
                return
            for ask, (arrivals, held) in zip(asks, given, strict=True):
                self.world.counts["fetched"] += len(arrivals)
                for arrival in arrivals:
                    self.seen.add((arrival.source, arrival.number))
                    self.tracker.take(arrival, self.world.now)
                self.tracker.answered(ask, held, self.world.now)
            self._keep()

        def failed() -> None:
            if life == self.lives:
                for ask in asks:
                    self.tracker.failed(ask, self.world.now)
                self._keep()

        self.world.request(self.index, peer, lambda: [other.give(ask.source, ask.after) for ask in asks], done, failed)

    def give(self, source: Source, after: int) -> tuple[list[Arrival], Held | None]:
        """What this node has of a source after a number."""
        position, link = self.kept.get(source, (0, None))
        numbers = range(after + 1, min(position, after + ANSWERED) + 1)
        held = Held(1, position) if position else None
        return [Arrival(source, n, link if n == 1 else None, b"") for n in numbers], held

    def _heads(self, since: int = -1) -> dict[Source, Held]:
        return {source: Held(1, self.kept[source][0]) for source, at in self._changed.items() if at > since}

    def _tell_all(self) -> None:
        for peer in self.connected:
            if self._told.get(peer) != self._version:
                self.tell(peer, ask=False)

    def tell(self, peer: int, *, ask: bool) -> None:
        """Say what is kept here, and with ``ask`` hear what is kept there."""
        other, version, life = self.mesh.nodes[peer], self._version, self.lives
        heads = self._heads(self._told.get(peer, -1))

        def answer() -> dict[Source, Held]:
            other.told(self.key, heads)
            return other._heads() if ask else {}

        def done(theirs: dict[Source, Held]) -> None:
            if life == self.lives and peer in self.connected:
                self._told[peer] = version
                self.told(other.key, theirs)

        self.world.request(self.index, peer, answer, done)

    def told(self, key: bytes, heads: dict[Source, Held]) -> None:
        if self.mesh.by_key[key] in self.connected:
            self.tracker.told(key, heads, self.world.now)
            self._keep()

    # The charter and the roll.

    def _compare_one(self) -> None:
        if self.connected:
            self.compare(self.world.chance.choice(sorted(self.connected)))

    def compare(self, peer: int) -> None:
        """Fetch what the other holds and this node lacks: papers of the charter, and members."""
        other = self.mesh.nodes[peer]
        held = self.book.digests()

        def answer() -> tuple[list[Paper], int]:
            if held == other.book.digests():
                return [], other.known
            return newer(other.book.papers(), held, 1 << 22)[0], other.known

        def done(given: tuple[list[Paper], int]) -> None:
            papers, known = given
            self.known |= known
            for paper in papers:
                self.learn(paper, spread=False)

        self.world.request(self.index, peer, answer, done)

    def learn(self, paper: Paper, *, spread: bool) -> None:
        """Take a document of the charter; one that is new is passed on."""
        if paper.digest in self.book.digests():
            return
        try:
            changed = self.book.take(paper)
        except BzzzError:
            self.world.counts["refused papers"] += 1
            return
        if spread and changed:
            for peer in self.gossip_peers:
                self.world.gossip(self.index, peer, lambda p=peer: self.mesh.nodes[p].learn(paper, spread=True))
        if "revocations" in changed:
            for peer in tuple(self.connected):
                if self.mesh.refuses(self, self.mesh.nodes[peer]):
                    self.lost(peer)
                    self.mesh.nodes[peer].lost(self.index)
