"""The briefing: who has missed a revocation learns of it while joining, before it acts on the other's word."""

from collections.abc import Sequence
from typing import Any

from bzzzd.errors import GrantRefused
from bzzzd.mesh.values import Briefing
from tests.mesh.kit import Node, Town, eventually


class Knowledge:
    """What a node knows, as a number in bytes; what it learned, and what it had been told by then."""

    def __init__(self, known: bytes) -> None:
        self.known = known
        self.learned: list[tuple[bytes, list[str]]] = []
        self.node: Node | None = None
        self.briefing = Briefing(heads=lambda: self.known, missing=self._missing, learn=self._learn)

    def _missing(self, theirs: bytes) -> bytes:
        return self.known if theirs < self.known else b""

    async def _learn(self, peer_id: str, papers: bytes) -> None:
        assert self.node is not None
        self.learned.append((papers, self.node.kinds()))
        self.known = max(self.known, papers)


async def met(town: Town, one: Knowledge, two: Knowledge) -> tuple[Node, Node]:
    one.node = await town.node("one", briefing=one.briefing)
    two.node = await town.node("two", briefing=two.briefing, static_peers=one.node.mesh.addresses)
    return one.node, two.node


async def test_whoever_is_behind_learns_before_it_counts_the_other_as_joined(town: Town) -> None:
    for dialled, dialler in ((b"1", b"2"), (b"2", b"1")):
        one, two = Knowledge(dialled), Knowledge(dialler)
        nodes = await met(town, one, two)
        for node in nodes:
            await eventually("both to have joined", lambda n=node: "joined" in n.kinds())
        assert one.known == two.known == b"2"
        ((papers, before),) = one.learned + two.learned
        assert papers == b"2"
        assert "joined" not in before


async def test_nothing_travels_between_two_that_know_the_same(town: Town) -> None:
    one, two = Knowledge(b"1"), Knowledge(b"1")
    for node in await met(town, one, two):
        await eventually("both to have joined", lambda n=node: "joined" in n.kinds())
    assert not one.learned
    assert not two.learned


async def test_a_dialler_that_learns_that_the_other_was_revoked_does_not_let_it_in(town: Town) -> None:
    one, two = Knowledge(b"2"), Knowledge(b"1")
    one.node = await town.node("one", briefing=one.briefing)

    def admit(chain: Sequence[bytes]) -> Any:
        grant = town.realm.admit(chain)
        if grant.id == "one" and two.known == b"2":
            raise GrantRefused("one was revoked")
        return grant

    two.node = Node(town.realm, "two", briefing=two.briefing, static_peers=one.node.mesh.addresses)
    two.node.admit = admit
    town.nodes.append(two.node)
    await two.node.mesh.start()
    await eventually("the refusal", lambda: any(event.detail == "one was revoked" for event in two.node.events))
    assert "joined" not in two.node.kinds()
    assert not any(peer.connected for peer in two.node.mesh.peers())
