"""Members find each other through one they know, remember each other, and meet again when one returns."""

import json
import time
from pathlib import Path

import pytest

from bzzzd.crypto.keys import SigningKey
from tests.integration.conftest import Node, NodeMaker, wait_for


def rows(node: Node) -> dict[str, dict]:
    with node.guest() as guest:
        return {row["peer_id"]: row for row in guest.call("peers", effects=False)["peers"]}


def connected(node: Node, other: Node) -> bool:
    return bool(rows(node).get(other.peer_id, {}).get("connected"))


def all_connected(nodes: list[Node]) -> bool:
    return all(connected(one, two) for one in nodes for two in nodes if one is not two)


@pytest.fixture
def three(make_node: NodeMaker) -> list[Node]:
    """Each of the later two knows the first alone: one by its whole address, one without its peer id."""
    authority = SigningKey.generate()
    nodes = [make_node(name) for name in ("n1", "n2", "n3")]
    for node in nodes:
        node.join(authority)
    nodes[1].write_daemon(network={"static_peers": [nodes[0].address]})
    nodes[2].write_daemon(network={"bootstrap_peers": [nodes[0].address.partition("/p2p/")[0]]})
    for node in nodes:
        node.start(ready=False)
    for node in nodes:
        node.wait_ready()
    return nodes


def test_members_that_know_one_get_to_know_all_and_meet_again(three: list[Node]) -> None:
    one, two, three_ = three
    wait_for("all to be connected", lambda: all_connected(three))
    assert {rows(two)[three_.peer_id]["how"], rows(three_)[two.peer_id]["how"]} <= {"exchange", "inbound"}
    assert rows(three_)[one.peer_id]["how"] == "bootstrap"
    for node in three:
        for row in rows(node).values():
            assert row["received"] > 0
            assert row["sent"] > 0

    # Stopped in order, each remembers the others; the one that all were told of is not needed any more.
    two.daemon.stop()
    three_.daemon.stop()
    book = json.loads((three_.state / "peers.json").read_text())
    assert {entry["id"] for entry in book["peers"]} == {"n1", "n2"}
    one.daemon.kill()
    two.write_daemon(network={"static_peers": []})
    three_.write_daemon(network={"bootstrap_peers": []})
    two.start()
    three_.start()
    wait_for("the two to meet by their books", lambda: connected(two, three_) and connected(three_, two))

    # Killed and returned: by the book alone it is back within moments of its listening.
    three_.daemon.kill()
    wait_for("the loss to be noticed", lambda: not connected(two, three_))
    # Who is missing is told by name, everywhere.
    gone = rows(two)[three_.peer_id]
    assert (gone["id"], gone["role"]) == ("n3", "node")
    assert "peer n3" in {row["what"] for row in two.json("doctor")["findings"]}
    told = two.json("status")
    assert (told["peers"], told["peers_missing"]) == (0, 2)
    three_.start()
    began = time.monotonic()
    wait_for("the return", lambda: connected(two, three_))
    assert time.monotonic() - began < 15.0


def test_a_damaged_book_is_no_obstacle(make_node: NodeMaker, tmp_path: Path) -> None:
    node = make_node("n1")
    node.state.mkdir(mode=0o700)
    (node.state / "peers.json").write_text('{"mesh_id": 7')
    node.start()
    assert rows(node) == {}


def test_the_doctor_asks_peers_how_they_see_this_node(three: list[Node]) -> None:
    wait_for("all to be connected", lambda: all_connected(three))
    wait_for("clocks to be compared", lambda: any(row["skew_s"] is not None for row in rows(three[0]).values()))

    def findings() -> dict[str, str]:
        return {row["what"]: row["level"] for row in three[0].json("doctor")["findings"]}

    found = wait_for("the answer of the peers", lambda: f if "reachable" in (f := findings()) else None)
    assert (found["reachable"], found["one mesh"], found["versions"], found["clocks"]) == ("ok", "ok", "ok", "ok")
    # Asked again at once, the peers tell what they found a moment ago.
    assert findings()["reachable"] == "ok"
