"""Short grants on real nodes: renewed before their end, and after it; work goes on meanwhile."""

from __future__ import annotations

import time
from typing import Any

from bzzzd.crypto.keys import SigningKey, load_or_create_key
from bzzzd.identity.grants import mesh_id_of
from bzzzd.identity.node import make_grant, write_grant
from tests.integration.conftest import HOUR_S, ROLES, Node, NodeMaker, wait_for


def pair_of(make: NodeMaker) -> tuple[Node, Node, SigningKey]:
    """The first holds the authority's key; the second dials it. Neither has started."""
    one, two = make("n1"), make("n2")
    two.write_hap("bob")
    authority = load_or_create_key(one.state / "keys" / "authority.key")
    one.join(authority)
    two.write_daemon(network={"static_peers": [one.address]})
    return one, two, authority


def row_of(node: Node, id: str) -> Any:
    rows = node.json("mesh", "members")["members"]
    return next((row for row in rows if row["id"] == id), None)


def together(one: Node, two: Node) -> bool:
    with one.guest() as guest:
        rows = guest.call("peers", effects=False)["peers"]
    return any(row["peer_id"] == two.peer_id and row["connected"] for row in rows)


def newer(row: Any, than: float) -> bool:
    return bool(row["not_after"] > than and row["state"] == "valid")


def test_a_node_and_its_agents_are_renewed_before_the_end_and_nothing_is_interrupted(make_node: NodeMaker) -> None:
    one, two, authority = pair_of(make_node)
    two.join(authority, valid_s=20.0)
    ends = time.time() + 20.0
    two.write_daemon(security={"agent_grant_s": 6.0})
    one.start()
    two.start()
    wait_for("the two to meet", lambda: together(one, two))
    with two.agent("digger") as digger:
        first = wait_for("the agent's grant", lambda: row_of(one, "digger"))["not_after"]
        wait_for("the node's newer grant", lambda: row_of(one, "n2")["not_after"] > ends + 1)
        wait_for("the first grants to have ended", lambda: time.time() > ends + 1)
        assert together(one, two)
        assert row_of(one, "n2")["state"] == "valid"
        digger.call("agent.list")  # the same session
        wait_for("the agent's newer grant", lambda: newer(row_of(one, "digger"), first))


def test_a_node_whose_grant_has_ended_gets_a_newer_one_while_it_joins(make_node: NodeMaker) -> None:
    one, two, authority = pair_of(make_node)
    two.join(authority)
    ended = make_grant(
        authority, mesh_id_of(authority.public), kind="node", id="n2",
        key=load_or_create_key(two.state / "keys" / "node.key").public, role="node", valid_s=HOUR_S,
        now=time.time() - 2 * HOUR_S, may_grant=ROLES, max_validity_s=HOUR_S, age=two.age,
    )  # fmt: skip
    write_grant(two.state / "grants", "node", authority.public, [ended])
    one.start()
    two.start()
    wait_for("the two to meet", lambda: together(one, two))
    assert row_of(one, "n2")["not_after"] > time.time() + HOUR_S / 2
    # It is written down: the next start needs nobody.
    assert two.daemon is not None
    two.daemon.stop()
    two.start()
    wait_for("the two to meet again", lambda: together(one, two))
