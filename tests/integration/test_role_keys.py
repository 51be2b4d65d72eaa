"""Role secrets among real nodes: who is given which, from whom, and what a removed node does not get."""

from __future__ import annotations

import pytest

from bzzzd.crypto.keys import SigningKey
from tests.integration.conftest import ROLES, Node, NodeMaker, wait_for

GRANTED = {"node", *ROLES}


def held(node: Node) -> set[str]:
    """The roles whose secrets of the epoch in force a node has."""
    with node.guest() as guest:
        return set(guest.call("status", effects=False)["role_keys"])


def epoch(node: Node) -> int:
    with node.guest() as guest:
        return int(guest.call("status", effects=False)["epoch"])


def start(*nodes: Node) -> None:
    for node in nodes:
        others = [other.address for other in nodes if other is not node]
        node.write_daemon(network={"static_peers": others})
    for node in nodes:
        node.start(ready=False)
    for node in nodes:
        node.wait_ready()


@pytest.fixture
def three(make_node: NodeMaker) -> tuple[Node, Node, Node]:
    """Only n1 has secrets at first."""
    authority = SigningKey.generate()
    nodes = make_node("n1"), make_node("n2"), make_node("n3")
    for number, node in enumerate(nodes):
        if number:
            node.write_hap(("alice", "bob", "carol")[number])
        node.join(authority, secrets=None if number == 0 else ())
    nodes[0].make_admin(authority)
    start(*nodes)
    return nodes


def test_nodes_are_given_the_secrets_of_their_roles_and_those_of_people_who_attach(
    three: tuple[Node, Node, Node],
) -> None:
    one, two, three_ = three
    everything = held(one)
    assert {"admin", "operator"} | GRANTED == everything
    for node in (two, three_):
        wait_for("the secrets", lambda n=node: held(n) == GRANTED)
    with two.person():
        wait_for("the administrators' secret", lambda: held(two) == GRANTED | {"admin"})
    assert held(three_) == GRANTED
    # Whoever has them serves, also when the node that made them is away.
    assert one.daemon is not None
    one.daemon.stop()
    with three_.person():
        wait_for("the secret from another holder", lambda: held(three_) == GRANTED | {"admin"})
    secrets = [path.read_text().strip() for path in (one.state / "keys" / "roles").glob("*.age")]
    assert secrets
    for node in three:
        for log in node.folder.glob("*.log"):
            assert "AGE-SECRET-KEY" not in log.read_text()


def test_an_administrator_starts_an_epoch_and_all_nodes_follow(three: tuple[Node, Node, Node]) -> None:
    one, two, three_ = three
    for node in (two, three_):
        wait_for("the secrets", lambda n=node: held(n) == GRANTED)
    address = "ucxl://alice:admin@garden:map/*^/north"
    with one.person() as alice:
        alice.put(address, b"before")
    assert one.json("mesh", "epoch", "new")["number"] == 2
    wait_for("the new epoch", lambda: all(epoch(node) == 2 for node in three))
    for node in (two, three_):
        wait_for("the new secrets", lambda n=node: held(n) >= GRANTED)
    with one.person() as alice:
        assert alice.call("context.get", address=address)["content"] == b"before"
        alice.put(address, b"after")
        assert alice.call("context.get", address=address)["content"] == b"after"
    shown = two.json("mesh", "epoch", "show")
    assert (shown["number"], shown["known"]) == (2, [2, 1])
    assert one.json("mesh", "epoch", "show")["by"] == "alice"
    assert all(wanted["role"] not in GRANTED for wanted in shown["lacking"])
