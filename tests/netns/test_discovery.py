"""Nodes that find each other by multicast, follow the machine's addresses, and notice a pulled cable."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bzzzd.crypto.keys import SigningKey
from tests.integration.conftest import Node, NodeMaker, nodes_in, wait_for
from tests.netns.kit import Network


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[NodeMaker]:
    with nodes_in(tmp_path) as make:
        yield make


def row(node: Node, other: Node) -> dict:
    with node.guest() as guest:
        rows = guest.call("peers", effects=False)["peers"]
    return next((row for row in rows if row["peer_id"] == other.peer_id), {"connected": False})


def together(one: Node, two: Node) -> bool:
    return bool(row(one, two)["connected"] and row(two, one)["connected"])


def neighbours(network: Network, make: NodeMaker) -> tuple[Node, Node, Node]:
    """Two nodes of one mesh and one of another, on one LAN; nobody's configuration names anybody."""
    authority = SigningKey.generate()
    nodes = [make(name, host=network.host(name), network={"listen": ["auto"]}) for name in ("n1", "n2", "n3")]
    for node in nodes:
        node.write_daemon(network={"listen_port": 8075})
    for node in nodes[:2]:
        node.join(authority)
    for node in nodes:
        node.start(ready=False)
    for node in nodes:
        node.wait_ready()
    return nodes[0], nodes[1], nodes[2]


def test_neighbours_of_one_mesh_find_each_other_and_notice_a_pulled_cable(
    network: Network, make_node: NodeMaker
) -> None:
    one, two, other = neighbours(network, make_node)
    assert one.host is not None
    assert two.host is not None
    wait_for("the two to meet", lambda: together(one, two))
    assert "mdns" in {row(one, two)["how"], row(two, one)["how"]}
    assert not row(one, other)["connected"]

    def warned() -> bool:
        return any(found["what"] == "other meshes" for found in one.json("doctor")["findings"])

    wait_for("the doctor to see the other mesh", warned)

    # A pulled cable: nothing is closed, nothing arrives.
    network.unplug(two.host)
    began = time.monotonic()
    wait_for("the loss to be noticed", lambda: not row(one, two)["connected"])
    assert time.monotonic() - began < 12.0, "10 s, and a moment to look"
    network.plug(two.host)
    wait_for("the two to meet again", lambda: together(one, two))


def test_a_node_follows_the_addresses_of_its_machine(network: Network, make_node: NodeMaker) -> None:
    one, two, _ = neighbours(network, make_node)
    assert two.host is not None
    wait_for("the two to meet", lambda: together(one, two))
    moved = two.host.ip.rpartition(".")[0] + ".77"
    two.host.run("ip", "addr", "del", f"{two.host.ip}/24", "dev", "eth0")
    two.host.run("ip", "addr", "add", f"{moved}/24", "dev", "eth0")

    def listens() -> bool:
        return any(f"/{moved}/" in address for address in two.json("status")["addresses"])

    wait_for("it to listen at its new address", listens)
    wait_for("the two to meet there", lambda: together(one, two))
    wait_for("the other to know", lambda: any(f"/{moved}/" in address for address in row(one, two)["addresses"]))
