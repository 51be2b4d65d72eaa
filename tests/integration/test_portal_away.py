"""A person's portal on one node of a mesh while the node that keeps the ledger is away."""

from __future__ import annotations

from tests.hap.portals import Terminal
from tests.integration.conftest import NodeMaker
from tests.integration.test_inbox import PersonsHome
from tests.integration.test_mesh_tasks import mesh_of


async def test_the_banner_names_the_coordinator_that_is_away_and_what_is_sent_arrives(make_node: NodeMaker) -> None:
    one, two = mesh_of(make_node, 2)
    portal = Terminal(PersonsHome(two), 100, 30)
    try:
        await portal.shows("● person-2")
        assert one.daemon is not None
        one.daemon.kill()
        await portal.shows("the ledger at n1 does not answer")
        await portal.walk(("n", "New task"), ("Check the backups\tAll of them.\x13", "waiting.*Check the backups"))
        one.start()
        await portal.shows("submitted.*Check the backups", 60)
        await portal.shows(r"● person-2[^\n]*\n STATE")  # the banner has gone
        portal.type("q")
        assert await portal.ends() == 0
    finally:
        portal.close()
