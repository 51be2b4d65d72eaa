"""A mesh that falls in two goes on in both halves, and is one again after the merge, with all that was said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bzzzd.crypto.keys import SigningKey
from tests.integration.conftest import Node, NodeMaker, nodes_in, wait_for
from tests.integration.sessions import Watch
from tests.netns.kit import Network

WORDS = 10
# Generous for a loaded machine; peers redial within a second of a merge, gaps are asked for a few seconds later.
MERGED_S = 60.0


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[NodeMaker]:
    with nodes_in(tmp_path) as make:
        yield make


def sees(node: Node) -> set[str]:
    with node.guest() as guest:
        return {row["peer_id"] for row in guest.call("peers", effects=False)["peers"] if row["connected"]}


def test_two_halves_go_on_and_after_the_merge_everybody_has_everything_once(
    network: Network, make_node: NodeMaker
) -> None:
    authority = SigningKey.generate()
    nodes: list[Node] = []
    for number in range(4):
        node = make_node(f"n{number}", host=network.host(f"h{number}"))
        node.write_hap(f"person-{number}")
        node.write_daemon(network={"static_peers": [other.address for other in nodes]})
        node.join(authority)
        node.start(ready=False)
        nodes.append(node)
    for node in nodes:
        node.wait_ready()

    def meets(group: list[Node]) -> bool:
        wanted = {node.peer_id for node in group}
        return all(sees(node) == wanted - {node.peer_id} for node in group)

    wait_for("all to meet", lambda: meets(nodes), 60.0)
    with ExitStack() as stack:
        people = [stack.enter_context(node.person()) for node in nodes]
        watches = [Watch(person, "topic:talk") for person in people]
        halves = (nodes[:2], nodes[2:])
        hosts = [[node.host for node in half if node.host is not None] for half in halves]
        network.split(*hosts)
        wait_for("the halves to notice", lambda: all(meets(half) for half in halves), 60.0)
        said = [f"{word} of {person.id}" for word in range(WORDS) for person in people]
        for word in range(WORDS):
            for person in people:
                person.publish("talk", f"{word} of {person.id}")

        def heard(watch: Watch) -> list[str]:
            watch.look(0.1)
            return sorted(item["payload"] for item in watch.seen)

        for half, ears in zip((people[:2], people[2:]), (watches[:2], watches[2:]), strict=True):
            own = sorted(text for text in said if any(text.endswith(f" of {person.id}") for person in half))
            for ear in ears:
                wait_for("a half to go on", lambda ear=ear, own=own: heard(ear) == own, 30.0)
        network.merge()
        wait_for("all to meet again", lambda: meets(nodes), MERGED_S)
        for watch in watches:
            wait_for("every message", lambda watch=watch: len(heard(watch)) >= len(said), MERGED_S)
        assert all(heard(watch) == sorted(said) for watch in watches)
