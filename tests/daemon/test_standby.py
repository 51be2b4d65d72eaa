"""A copy of the ledger comes from the coordinator alone, and never over the ledger that this node has become."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bzzzd.daemon.ledger import wire
from bzzzd.daemon.ledger.standby import Standby
from bzzzd.errors import NotAllowed
from bzzzd.mesh.peer_id import peer_id_of
from bzzzd.slurp import query, replica, sqlite
from bzzzd.slurp.coordinator import Coordinator
from bzzzd.slurp.task import LedgerClock
from bzzzd.storage.versions.adopt import Carried
from tests.slurp.kit import Clock, InlineJournal, Maker, person, raw_of, rules

KEEPER = b"k" * 32
PEER = peer_id_of(KEEPER)
VERSION = Carried(b"header", (b"grant",), bytes(32), 0)


class Contexts:
    """Checks nothing; ``meanwhile`` happens while a version is checked."""

    def __init__(self) -> None:
        self.meanwhile: Any = lambda: None
        self.discarded = 0

    async def verify(self, carried: Carried, *, holder: bytes) -> Any:
        self.meanwhile()
        return SimpleNamespace(id="v")

    async def discard(self, pending: Any) -> None:
        self.discarded += 1


def bench() -> tuple[Standby, InlineJournal, Contexts, Any]:
    journal, contexts = InlineJournal(), Contexts()
    for statement in replica.SCHEMA:
        journal.conn.execute(statement)
    office: Any = SimpleNamespace(
        record=Coordinator(number=3, at=1.0, node=KEEPER), here=False, peer_id=PEER, name="n1"
    )
    settled: Any = SimpleNamespace(settled=True)
    standby = Standby(journal, contexts, office, settled, lambda kind, detail: None)  # type: ignore[arg-type]
    return standby, journal, contexts, office


def fresh(*versions: Carried) -> wire.Copy:
    return wire.Copy("first-1", 1, 0, True, (), versions)


async def test_only_the_coordinator_gives_a_copy() -> None:
    standby, journal, _, office = bench()
    assert (await standby.take(PEER, fresh())).incarnation == "first-1"
    with pytest.raises(NotAllowed):
        await standby.take(peer_id_of(b"o" * 32), fresh())
    office.record = None
    with pytest.raises(NotAllowed):
        await standby.take("", fresh())
    await journal.close()


async def test_a_node_that_becomes_the_coordinator_meanwhile_keeps_its_ledger() -> None:
    standby, journal, contexts, _ = bench()
    clock = Clock()
    maker, alice = Maker(clock), person()
    await standby.take(PEER, fresh())

    def promoted() -> None:
        journal.conn.execute("BEGIN")
        assert replica.take_office(journal.conn, 4, 1, LedgerClock(1.0, 1.0), "second")
        command = maker.command("submit", "t-1")
        sqlite.execute(journal.conn, rules(), alice.author, command, raw_of(alice, command), clock())
        journal.conn.execute("COMMIT")

    contexts.meanwhile = promoted
    said = await standby.take(PEER, fresh(VERSION))
    assert said.incarnation == ""
    assert query.show(journal.conn, "t-1").id == "t-1"
    assert contexts.discarded == 1
    await journal.close()
