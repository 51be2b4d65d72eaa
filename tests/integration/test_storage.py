"""Versions on several nodes: copies made and repaired, read from any node, whatever dies, lies or is full meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bzzzd.crypto.keys import SigningKey
from tests.integration.conftest import Node, NodeMaker, nodes_in, wait_for
from tests.integration.sessions import Session, Watch, refusal

LIMIT_S = 60.0


def mesh_of(make: NodeMaker, count: int, *, admin: bool = False, **changes: Any) -> list[Node]:
    """``count`` nodes of one mesh that are all connected; the first one's person is an ``admin``."""
    authority = SigningKey.generate()
    nodes = [make(f"n{number}") for number in range(1, count + 1)]
    for number, node in enumerate(nodes):
        node.write_hap(f"person-{number + 1}")
        node.write_daemon(network={"static_peers": [other.address for other in nodes if other is not node]}, **changes)
        node.join(authority)
    if admin:
        nodes[0].make_admin(authority)
    for node in nodes:
        node.start(ready=False)
    for node in nodes:
        node.wait_ready()
    meet(nodes)
    return nodes


def connected(node: Node) -> int:
    with node.guest() as guest:
        return sum(row["connected"] for row in guest.call("peers", effects=False)["peers"])


def meet(nodes: list[Node]) -> None:
    for node in nodes:
        wait_for("all nodes to meet", lambda node=node: connected(node) >= len(nodes) - 1, LIMIT_S)
        # A member is a peer a moment before it counts as a holder.
        wait_for("all to be holders", lambda node=node: metric(node, "bzzz_storage_nodes") >= len(nodes), LIMIT_S)


def holders(session: Session, address: str) -> list[str]:
    return list(session.call("context.get", address=address, holders=True)["holders"])


def held_by(session: Session, address: str, count: int) -> list[str]:
    """Wait until so many nodes say that they hold the latest version."""
    return list(wait_for(f"{count} copies of {address}", lambda: _enough(holders(session, address), count), LIMIT_S))


def _enough(found: list[str], count: int) -> list[str]:
    return found if len(found) >= count else []


def metric(node: Node, name: str) -> float:
    lines = node.http("/metrics")[1].splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(f"{name} ")), -1.0)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    with nodes_in(tmp_path_factory.mktemp("three")) as make:
        yield mesh_of(make, 3)


def test_a_version_goes_to_the_other_nodes_and_is_read_there(three: list[Node]) -> None:
    address = "ucxl://person-1:admin@garden:map/*^/north"
    with three[0].person() as writer:
        events = Watch(writer, "events")
        id = writer.put(address, b"a tree")
        assert sorted(held_by(writer, address, 3)) == ["n1", "n2", "n3"]
        told = wait_for("the event", lambda: [e for e in events.look() if _tells(e, id)])
        assert told[0]["replicas"] == 3
    for node in three[1:]:
        with node.person() as reader:
            found = reader.call("context.get", address=address)
            assert (found["content"], found["version_id"], found["complete"]) == (b"a tree", id, True)
            assert found["author"] == "person-1"
            history = reader.call("context.history", address=address, holders=True)
            assert [sorted(step["holders"]) for step in history["versions"]] == [["n1", "n2", "n3"]]
            assert address in [e["address"] for e in reader.call("context.list", pattern=address)["entries"]]


def _tells(event: Any, id: str) -> bool:
    return event["source"] == "storage" and event["kind"] == "replicated" and id in event["version_ids"]


def test_many_small_and_some_large_versions_are_read_back_elsewhere(three: list[Node]) -> None:
    small = {f"ucxl://person-2:admin@many:t{n}/*^/note": os.urandom(1024) for n in range(30)}
    large = {f"ucxl://person-2:admin@many:t{n}/*^/large": os.urandom(3_000_000) for n in range(2)}
    with three[1].person() as writer:
        for address, content in {**small, **large}.items():
            writer.put(address, content)
        for address in (*large, *list(small)[-3:]):
            held_by(writer, address, 3)
    with three[2].person() as reader:
        for address, content in {**small, **large}.items():
            assert reader.call("context.get", address=address)["content"] == content
        page = reader.call("context.list", pattern="ucxl://person-2:any@many:any/*~/note", limit=1000)
        assert {entry["address"] for entry in page["entries"]} == set(small)
        assert page["complete"] is True


def test_two_writers_at_once_are_one_conflict_on_every_node_until_somebody_unites_them(three: list[Node]) -> None:
    address = "ucxl://shared:admin@garden:map/*^/both"
    ids: list[str] = []
    for node in three[:2]:
        with node.person() as writer:
            ids.append(writer.put(address, f"from {node.folder.name}".encode(), parents=[]))
    histories = []
    for node in three:
        with node.person() as reader:
            found = reader.call("context.history", address=address)
            assert (found["conflict"], sorted(found["heads"])) == (True, sorted(ids))
            histories.append([step["version_id"] for step in found["versions"]])
            assert reader.call("context.get", address=address)["conflict"] is True
    assert histories[0] == histories[1] == histories[2]
    with three[2].person() as writer:
        writer.put(address, b"both")
    with three[0].person() as reader:
        found = reader.call("context.get", address=address)
        assert (found["content"], found["conflict"], found["of"]) == (b"both", False, 3)


def test_damaged_content_is_noticed_and_another_node_serves(three: list[Node]) -> None:
    address = "ucxl://person-1:admin@garden:map/*^/damaged"
    content = os.urandom(300_000)
    with three[0].person() as writer:
        writer.put(address, content)
        held_by(writer, address, 3)
    files = {node: _files(node) for node in three}
    shared = set.intersection(*({path.name for path in paths} for paths in files.values()))
    # The last node starts with nothing in memory, and its file is flipped meanwhile.
    victim = three[2]
    assert victim.daemon is not None
    victim.daemon.stop()
    for path in files[victim]:
        if path.name in shared and path.stat().st_size < 1_000_000:
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
    victim.start()
    meet(three)
    with victim.person() as reader:
        assert reader.call("context.get", address=address)["content"] == content


def _files(node: Node) -> list[Path]:
    return [path for path in (node.state / "content").glob("??/*") if len(path.name) == 64]


def test_an_address_that_nobody_knows_is_not_found(three: list[Node]) -> None:
    with three[0].person() as reader:
        error = refusal(lambda: reader.call("context.get", address="ucxl://nobody:admin@garden:map/*^/x"))
        assert error.code == "NOT_FOUND"
