"""Real nodes on hosts of their own: they meet, are parted, and meet again; slow lines and lost packets do no harm."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bzzzd.crypto.keys import SigningKey
from tests.integration.conftest import Node, NodeMaker, nodes_in, wait_for
from tests.integration.sessions import Session, Watch
from tests.netns.kit import Network


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[NodeMaker]:
    with nodes_in(tmp_path) as make:
        yield make


def pair(network: Network, make: NodeMaker, *, slow: bool = False) -> tuple[Node, Node]:
    """Two nodes of one mesh on two hosts."""
    authority = SigningKey.generate()
    one = make("n1", host=network.host("one", slow=slow))
    two = make("n2", host=network.host("two"))
    two.write_hap("bob")
    for node, other in ((one, two), (two, one)):
        node.write_daemon(network={"static_peers": [other.address]})
        node.join(authority)
        node.start(ready=False)
    for node in (one, two):
        node.wait_ready()
    return one, two


def connected(node: Node, other: Node) -> bool:
    with node.guest() as guest:
        rows = guest.call("peers", effects=False)["peers"]
    return any(row["peer_id"] == other.peer_id and row["connected"] for row in rows)


def together(one: Node, two: Node) -> bool:
    return connected(one, two) and connected(two, one)


def hears(speaker: Session, watch: Watch, word: str) -> bool:
    """Say it (again), and see whether it has come."""
    speaker.publish("talk", word)
    return any(item["payload"] == word for item in watch.look(0.2))


def test_nodes_on_two_hosts_meet_part_and_meet_again(network: Network, make_node: NodeMaker) -> None:
    one, two = pair(network, make_node)
    wait_for("the meeting", lambda: together(one, two))
    assert one.host is not None
    network.unplug(one.host)
    wait_for("both to notice", lambda: not connected(one, two) and not connected(two, one))
    network.plug(one.host)
    wait_for("the meeting again", lambda: together(one, two))
    with one.person() as alice, two.person() as bob:
        watch = Watch(bob, "topic:talk")
        wait_for("a message", lambda: hears(alice, watch, "we are back"))


def test_a_slow_line_with_losses_carries_messages(network: Network, make_node: NodeMaker) -> None:
    one, two = pair(network, make_node, slow=True)
    assert one.host is not None
    network.shape(one.host, delay_ms=50, loss=0.02)
    wait_for("the meeting", lambda: together(one, two))
    with one.person() as alice, two.person() as bob:
        watch = Watch(bob, "topic:talk")
        wait_for("a first message", lambda: hears(alice, watch, "hello"))
        for number in range(50):
            alice.publish("talk", f"number {number}")
        wait_for("the burst", lambda: any(item["payload"] == "number 49" for item in watch.look(0.2)))
        burst = [item["payload"] for item in watch.seen if item["payload"].startswith("number")]
        assert burst == [f"number {number}" for number in range(50)]
