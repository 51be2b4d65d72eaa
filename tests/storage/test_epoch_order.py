"""Epochs in any order of arrival, with crashes between: every node ends in the same one and reads everything."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from bzzzd.crypto.keys import SigningKey
from bzzzd.identity.charter import Book, Paper
from bzzzd.identity.epoch import open_epoch, seal_epoch
from bzzzd.identity.grants import Trust, mesh_id_of
from bzzzd.identity.node import make_grant
from bzzzd.storage.versions.rolekeys import RoleKeys

AUTHORITY, ONE, TWO = (SigningKey.from_seed(bytes([number]) * 32) for number in range(3))
MESH = mesh_id_of(AUTHORITY.public)
TRUST = Trust(MESH, AUTHORITY.public)
NOW = 1_800_000_000.0
SIGNERS = {
    signer: (
        make_grant(
            AUTHORITY, MESH, kind="admin", id=f"a{number}", key=signer.public, role="admin", valid_s=3600, now=NOW,
            may_grant=["worker"], max_validity_s=3600,
        ),
    )
    for number, signer in enumerate((ONE, TWO))
}  # fmt: skip


class Node:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.book = Book(TRUST)
        self.keys = RoleKeys.load(folder, MESH)
        self.contents: list[tuple[bytes, bytes]] = []

    def hear(self, paper: Paper) -> None:
        self.book.take(paper)
        self.settle()

    def settle(self) -> None:
        standing = self.book.current("epoch")
        if standing is not None:
            self.keys.enforce(open_epoch(standing.raw, MESH))

    def crash(self) -> None:
        self.keys = RoleKeys.load(self.folder, MESH)
        self.settle()

    def write(self) -> None:
        text = b"content %d" % len(self.contents)
        self.contents.append((self.keys.encrypt(["worker"], text), text))


@settings(max_examples=40, deadline=None)
@given(
    made=st.lists(st.sampled_from(("one", "two")), min_size=1, max_size=4),
    orders=st.lists(st.randoms(use_true_random=False), min_size=2, max_size=2),
    crashes=st.sets(st.integers(0, 5)),
)
def test_nodes_end_in_the_same_epoch_and_read_what_each_wrote(
    made: list[str], orders: list[object], crashes: set[int]
) -> None:
    with TemporaryDirectory() as folder:
        makers = {name: RoleKeys.load(Path(folder) / name, MESH) for name in ("one", "two")}
        founder = RoleKeys.found(Path(folder) / "founder", MESH, AUTHORITY, ["worker"], NOW)
        assert founder.epoch is not None
        first, papers, secrets = founder.epoch, [Paper(founder.epoch.raw)], [founder]
        for maker in makers.values():
            maker.enforce(first)
        for name in made:  # the two makers do not hear of each other: numbers clash
            maker, signer = makers[name], ONE if name == "one" else TWO
            record, fresh = maker.next([], now=NOW)
            maker.enforce(maker.keep(seal_epoch(signer, MESH, record), fresh))
            assert maker.epoch is not None
            papers.append(Paper(maker.epoch.raw, SIGNERS[signer]))
        nodes = [Node(Path(folder) / f"n{number}") for number in range(2)]
        for node, order in zip(nodes, orders, strict=True):
            mixed = list(papers)
            order.shuffle(mixed)  # type: ignore[attr-defined]
            for step, paper in enumerate(mixed):
                node.hear(paper)
                node.write()
                if step in crashes:
                    node.crash()
        best = min((open_epoch(paper.raw, MESH) for paper in papers), key=lambda epoch: epoch.rank)
        held = [*secrets, *makers.values()]
        for node in nodes:
            assert node.keys.epoch == best
            for paper in node.book.papers():  # one that lost its number was in force elsewhere
                node.keys.keep(paper.raw)
            while any(node.keys.adopt(paper.raw) for paper in papers):
                pass
            for source in held:
                for missing in node.keys.missing(["worker"]):
                    found = source.secret(missing.recipient)
                    node.keys.add([found.secret] if found is not None else [])
        for node in nodes:
            for ciphertext, text in nodes[0].contents + nodes[1].contents:
                assert node.keys.decrypt(ciphertext, ["worker"], number=1) == text
