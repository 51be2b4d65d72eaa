"""All nodes of a simulated mesh, its authority, and what can be asked about the whole."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from bzzzd.crypto.keys import SigningKey
from bzzzd.identity.charter import CharterKind, Paper, seal_document
from bzzzd.identity.grants import Trust, mesh_id_of
from bzzzd.identity.revocations import RevocationList, Revoked
from bzzzd.storage.messages.sources import Source
from simulation.node import SILENT_S, Node
from simulation.world import World

EPOCH_S: Final = 1_800_000_000.0


class _Word(Struct):
    number: int
    at: float


class Mesh:
    """``count`` nodes of one mesh; the first ``bootstrap`` of them are known to all."""

    def __init__(self, world: World, count: int, *, bootstrap: int = 3) -> None:
        self.world = world
        self.authority = SigningKey.from_seed(b"simulated authority".ljust(32, b"."))
        self.mesh_id = mesh_id_of(self.authority.public)
        self.trust = Trust(self.mesh_id, self.authority.public)
        self.bootstrap = tuple(range(min(bootstrap, count)))
        self.nodes = [Node(index, self) for index in range(count)]
        self.by_key = {node.key: node.index for node in self.nodes}
        self._members: dict[int, tuple[int, ...]] = {}
        self.said: dict[Source, int] = {}
        for node in self.nodes:
            for index in self.bootstrap:
                node.known |= 1 << index

    def members_in(self, known: int) -> list[int]:
        """The indices whose bits are set."""
        found = self._members.get(known)
        if found is None:
            if len(self._members) > 4096:
                self._members.clear()
            text = bin(known)[:1:-1]
            found = self._members[known] = tuple(index for index, bit in enumerate(text) if bit == "1")
        return list(found)

    def refuses(self, one: Node, other: Node) -> bool:
        """Whether ``one`` has heard that ``other`` is no member any more."""
        revoked = one.book.revocations
        return bool(revoked.keys) and other.key in revoked.keys

    def published(self, source: Source, number: int) -> None:
        self.said[source] = number

    # What happens.

    def start_all(self, within_s: float) -> None:
        for node in self.nodes:
            self.world.set_up(node.index, False)
            self.world.at(self.world.chance.uniform(0, within_s), node.start)

    def split(self, share: float) -> None:
        """A share of the nodes is parted from the rest; connections across are noticed to be silent."""
        part = {node.index: int(self.world.chance.random() < share) for node in self.nodes}
        self.world.split(part)
        for node in self.nodes:
            for peer in tuple(node.connected):
                if part[peer] != part[node.index]:
                    self.world.at(SILENT_S, self._silent, node, peer)

    def _silent(self, node: Node, peer: int) -> None:
        if not self.world.reaches(node.index, peer):
            node.lost(peer)

    def merge(self) -> None:
        self.world.split({})

    def document(self, kind: CharterKind, number: int) -> Paper:
        return Paper(seal_document(self.authority, kind, self.mesh_id, _Word(number, EPOCH_S + self.world.now)))

    def revocation(self, number: int, revoked: Sequence[Node]) -> Paper:
        at = EPOCH_S + self.world.now
        listed = RevocationList(number=number, at=at, keys=tuple(Revoked(node.key, at) for node in revoked))
        return Paper(seal_document(self.authority, "revocations", self.mesh_id, listed))

    # What can be asked.

    def living(self) -> Iterator[Node]:
        return (node for node in self.nodes if node.up)

    def all_know_all(self) -> bool:
        everybody = (1 << len(self.nodes)) - 1
        return all(node.up and node.known == everybody for node in self.nodes)

    def in_one_piece(self) -> bool:
        """Whether gossip can reach every living node from every other."""
        living = {node.index for node in self.living()}
        if not living:
            return False
        reached, edge = set(), [next(iter(living))]
        while edge:
            index = edge.pop()
            if index not in reached:
                reached.add(index)
                edge += [peer for peer in self.nodes[index].gossip_peers if peer in living]
        return reached == living

    def all_heard_all(self, among: Sequence[Node] | None = None) -> bool:
        wanted = self.said.items()
        for node in among if among is not None else self.living():
            kept = node.kept
            if any(kept.get(source, (0, None))[0] != number for source, number in wanted):
                return False
        return True

    def all_hold(self, kind: CharterKind, number: int, among: Sequence[Node] | None = None) -> bool:
        for node in among if among is not None else self.living():
            document = node.book.current(kind)
            if document is None or document.number != number:
                return False
        return True


def wall_s() -> float:
    """Real seconds, for telling what a simulation took."""
    return time.perf_counter()
