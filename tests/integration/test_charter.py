"""Three nodes of one mesh: what an administrator signs on one is in force on all, and who is revoked stays out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bzzzd.crypto.keys import SigningKey, load_or_create_key
from bzzzd.identity.grants import mesh_id_of
from bzzzd.identity.node import make_grant, read_grants, write_grant
from tests.integration.conftest import HOUR_S, ROLES, Node, NodeMaker, nodes_in, wait_for

Trio = tuple[Node, Node, Node]


def trio_of(make: NodeMaker) -> Trio:
    """Three nodes that know each other; alice, an administrator, works on the first, bob and carol on the others."""
    authority = SigningKey.generate()
    nodes = (make("n1"), make("n2"), make("n3"))
    for node, person in zip(nodes, ("alice", "bob", "carol"), strict=True):
        node.write_hap(person)
    for node in nodes:
        node.write_daemon(network={"static_peers": [other.address for other in nodes if other is not node]})
        node.join(authority)
    delegate(nodes[0], authority)
    for node in nodes:
        node.start(ready=False)
    for node in nodes:
        node.wait_ready()
    wait_for("all to meet", lambda: all(len(connected(node)) == 2 for node in nodes))
    return nodes


def delegate(node: Node, authority: SigningKey) -> None:
    """Make the person of a node an administrator."""
    key = load_or_create_key(node.person_state / "person.key")
    raw = make_grant(
        authority, mesh_id_of(authority.public), kind="admin", id=node.person_id, key=key.public, role="admin",
        valid_s=HOUR_S, now=time.time(), may_grant=("node", "admin", *ROLES), max_validity_s=24 * HOUR_S,
    )  # fmt: skip
    write_grant(node.state / "grants", f"admin-{node.person_id}", authority.public, [raw])


def connected(node: Node) -> set[str]:
    with node.guest() as guest:
        rows = guest.call("peers", effects=False)["peers"]
    return {row["peer_id"] for row in rows if row["connected"]}


def charter(node: Node) -> dict[str, int]:
    with node.guest() as guest:
        numbers: dict[str, int] = guest.call("status", effects=False)["charter"]
    return numbers


def state_of(node: Node, id: str, kind: str) -> Any:
    rows = node.json("mesh", "members")["members"]
    return next((row["state"] for row in rows if (row["id"], row["kind"]) == (id, kind)), None)


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    with nodes_in(tmp_path_factory.mktemp("trio")) as make:
        yield trio_of(make)


def test_a_policy_applied_on_one_node_is_in_force_on_all_and_members_files_do_not_narrow_it(trio: Trio) -> None:
    one, two, _ = trio
    one.edit_roles(lambda said: said["guests"].append("task.list"))
    done = one.bzzz("mesh", "policy", "apply", str(one.roles))
    assert done.returncode == 0, done.stderr.decode()
    for node in trio:
        wait_for("the policy", lambda n=node: charter(n).get("policy") == 1)
        with node.guest() as guest:
            guest.call("task.list", effects=False)
    shown = two.json("mesh", "policy", "show")
    assert (shown["number"], shown["by"], shown["narrowed"]) == (1, "alice", False)


def test_every_node_lists_every_member_of_the_mesh(trio: Trio) -> None:
    _, two, three = trio
    with two.agent("digger"), two.person(), three.person():
        for node in trio:
            for id, kind in (("n1", "node"), ("n2", "node"), ("n3", "node"), ("bob", "person"), ("carol", "person"),
                             ("digger", "agent")):  # fmt: skip
                wait_for(f"{id} on {node.folder.name}", lambda n=node, i=id, k=kind: state_of(n, i, k) == "valid")
        rows = {(row["id"], row["kind"]): row for row in three.json("mesh", "members")["members"]}
        assert rows["digger", "agent"]["issuer"] == "n2"
        assert rows["alice", "person"]["admin"] is True
        assert rows["n1", "node"]["issuer"] == "authority"


def test_an_administrator_renews_a_node_where_nobody_holds_the_authoritys_key(trio: Trio) -> None:
    one, two, _ = trio
    before = {row["id"]: row for row in one.json("mesh", "members")["members"]}["n2"]
    one.json("mesh", "renew", "n2")
    for node in trio:
        wait_for(
            "the newer grant",
            lambda n=node: any(
                (row["id"], row["issuer"], row["not_after"] > before["not_after"]) == ("n2", "alice", True)
                for row in n.json("mesh", "members")["members"]
            ),
        )
    path = two.state / "grants" / "node.grant"
    wait_for("the node to have written it down", lambda: len(dict(read_grants(path.parent))[path].chain) == 2)


def test_only_an_administrator_revokes(trio: Trio) -> None:
    assert trio[1].bzzz("mesh", "revoke", "carol").returncode == 3


def test_a_revoked_person_is_refused_everywhere_and_its_sessions_end(trio: Trio) -> None:
    one, two, three = trio
    with two.person() as bob:
        wait_for("bob to be known", lambda: state_of(one, "bob", "person") == "valid")
        assert one.json("mesh", "revoke", "bob")["revoked"] == "person bob"
        for node in trio:
            wait_for("the list", lambda n=node: charter(n).get("revocations") == 1)
        wait_for("bob's session to end", lambda: gone(bob))
    done = two.bzzz("task", "list")
    assert (done.returncode, b"revoked" in done.stderr) == (3, True)
    assert state_of(three, "bob", "person") == "revoked"


def gone(session: Any) -> bool:
    try:
        session.call("task.list")
    except Exception as error:  # whatever the end of a connection looks like
        return "bob" not in str(error)
    return False


def test_a_revoked_agent_is_not_given_a_grant_again(trio: Trio) -> None:
    one, two, _ = trio
    with two.agent("mole"):
        wait_for("mole to be known", lambda: state_of(one, "mole", "agent") == "valid")
        one.json("mesh", "revoke", "mole")
        wait_for("its end", lambda: not two.attached("mole"))
    with pytest.raises(Exception, match="revoked"), two.agent("mole"):
        pass


def test_a_removed_administrator_stays_a_person_and_signs_nothing_more(trio: Trio) -> None:
    one = trio[0]
    assert one.json("mesh", "admin", "remove", "alice")["number"] == 3
    wait_for("the list everywhere", lambda: all(charter(node).get("revocations") == 3 for node in trio))
    assert one.bzzz("mesh", "revoke", "carol").returncode == 3
    assert one.bzzz("task", "list").returncode == 0
    # What was signed before stands.
    assert all(charter(node)["policy"] == 1 for node in trio)
    rows = {row["id"]: row for row in trio[2].json("mesh", "members")["members"] if row["kind"] == "person"}
    assert (rows["alice"]["state"], rows["alice"]["admin"]) == ("valid", False)


def test_a_revoked_node_is_cut_off_and_stays_out_also_where_it_was_not_heard_and_after_restarts(
    make_node: NodeMaker, tmp_path: Path
) -> None:
    one, two, three = trio_of(make_node)
    assert three.daemon is not None
    three.daemon.stop()
    wait_for("the third one's end", lambda: three.peer_id not in connected(one))
    one.json("mesh", "revoke", "n2")
    wait_for("the second one to be cut off", lambda: two.peer_id not in connected(one))

    # The third was down meanwhile: whoever it meets first, the second one is out within seconds.
    three.start()
    wait_for("the third to learn it", lambda: charter(three).get("revocations") == 1)
    wait_for("the third to be with the first alone", lambda: connected(three) == {one.peer_id})
    assert state_of(three, "n2", "node") == "revoked"
    # After a restart of everybody it is no different.
    for node in (one, two, three):
        assert node.daemon is not None
        node.daemon.stop()
        node.start()
    wait_for("the two to meet", lambda: connected(one) == {three.peer_id} and connected(three) == {one.peer_id})
    assert state_of(one, "n2", "node") == state_of(three, "n2", "node") == "revoked"
    # Nobody looks for it any more, and no doctor complains that it is not there.
    assert {row["id"] for row in one.json("peers")["peers"]} == {"n3"}
    assert not [row for row in three.json("doctor")["findings"] if row["what"].startswith("peer ")]
