"""Copies of versions while nodes die, are away, write apart, or have no room."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from bzzzd.storage.versions.records import blob_key, place_name
from tests.integration.conftest import Node, NodeMaker, wait_for
from tests.integration.sessions import Session
from tests.integration.test_storage import LIMIT_S, held_by, holders, meet, mesh_of, metric

KIB, MIB = 1024, 1_048_576


def put_all(node: Node, contents: dict[str, bytes]) -> None:
    with node.person() as writer:
        for address, content in contents.items():
            writer.put(address, content)


def read_all(node: Node, contents: dict[str, bytes]) -> None:
    with node.person() as reader:
        for address, content in contents.items():
            assert reader.call("context.get", address=address)["content"] == content


def whole(session: Session, address: str, count: int) -> bool:
    return len(holders(session, address)) >= count


def test_what_a_dead_node_wrote_is_read_elsewhere_and_its_copies_are_made_again(make_node: NodeMaker) -> None:
    """Five nodes: the writer and one holder are killed; everything is read back, and each version has three again."""
    nodes = mesh_of(make_node, 5, storage={"repair_after_s": 4.0})
    contents = {f"ucxl://person-1:admin@dead:t{n}/*^/note": os.urandom(KIB) for n in range(20)}
    contents |= {f"ucxl://person-1:admin@dead:t{n}/*^/large": os.urandom(2 * MIB) for n in range(3)}
    put_all(nodes[0], contents)
    with nodes[0].person() as writer:
        found = {address: held_by(writer, address, 3) for address in contents}
    victim = next(node for node in nodes[1:] if any(node.folder.name in names for names in found.values()))
    for node in (nodes[0], victim):
        assert node.daemon is not None
        node.daemon.kill()
    left = [node for node in nodes if node not in (nodes[0], victim)]
    read_all(left[0], contents)
    # With two of five gone for good, the three that are left hold everything.
    with left[0].person() as reader:
        for address in contents:
            wait_for(f"three copies of {address}", lambda a=address: whole(reader, a, 3), LIMIT_S)
        assert reader.call("context.get", address=next(iter(contents)))["complete"] is True
    wait_for("the repairs to be counted", lambda: sum(metric(n, "bzzz_storage_copies_repaired") for n in left) > 0)
    for node in left[1:]:
        read_all(node, contents)
    # And those who come back find their place again.
    for node in (nodes[0], victim):
        node.start()
    meet(nodes)
    read_all(victim, contents)


def test_a_holder_that_was_revoked_is_replaced(make_node: NodeMaker) -> None:
    nodes = mesh_of(make_node, 4, admin=True)
    contents = {f"ucxl://person-1:admin@gone:t{n}/*^/note": os.urandom(KIB) for n in range(8)}
    put_all(nodes[0], contents)
    with nodes[0].person() as writer:
        found = {address: set(held_by(writer, address, 3)) for address in contents}
        victim = next(name for name in ("n2", "n3", "n4") if any(name in names for names in found.values()))
        # Nodes see to what is owed a while after their start, whatever happens; here it must be the revocation.
        wait_for("the nodes to be calm", lambda: all(node.json("status")["uptime_s"] > 8.0 for node in nodes))
        nodes[0].json("mesh", "revoke", victim)
        left = {"n1", "n2", "n3", "n4"} - {victim}
        for address in contents:
            wait_for(f"copies of {address}", lambda a=address: set(holders(writer, a)) == left, LIMIT_S)


def test_what_is_owed_survives_a_kill_of_the_writer(make_node: NodeMaker) -> None:
    one, two = mesh_of(make_node, 2)
    assert one.daemon is not None
    assert two.daemon is not None
    two.daemon.kill()
    contents = {f"ucxl://person-1:admin@owed:t{n}/*^/note": os.urandom(KIB) for n in range(40)}
    put_all(one, contents)
    wait_for("the books", lambda: metric(one, "bzzz_storage_copies_owed") >= 40)
    one.daemon.kill()
    one.start(ready=False)
    two.start(ready=False)
    for node in (one, two):
        node.wait_ready()
    meet([one, two])
    # In the midst of the copying the writer dies again.
    wait_for("some copies", lambda: metric(one, "bzzz_storage_copies_made") > 0, LIMIT_S)
    assert one.daemon is not None
    one.daemon.kill()
    one.start()
    meet([one, two])
    with one.person() as writer:
        for address in contents:
            wait_for(f"two copies of {address}", lambda a=address: whole(writer, a, 2), LIMIT_S)
    one.daemon.stop()
    read_all(two, contents)
    one.check_journal()


def test_what_was_written_apart_is_one_history_with_a_conflict_when_they_meet(make_node: NodeMaker) -> None:
    one, two = mesh_of(make_node, 2)
    address = "ucxl://shared:admin@apart:map/*^/both"
    with one.person() as writer:
        first = writer.put(address, b"together")
        held_by(writer, address, 2)
    assert one.daemon is not None
    assert two.daemon is not None
    two.daemon.kill()
    with one.person() as writer:
        left = writer.put(address, b"left")
        assert writer.call("context.get", address=address)["complete"] is False
    one.daemon.kill()
    two.start()
    with two.person() as writer:
        assert writer.call("context.get", address=address)["content"] == b"together"
        right = writer.put(address, b"right")
    one.start()
    meet([one, two])
    for node in (one, two):
        with node.person() as reader:
            found = wait_for("both versions", lambda r=reader: _of(r, address, 3), LIMIT_S)
            assert (found["conflict"], sorted(found["heads"])) == (True, sorted([left, right]))
            assert found["versions"][0]["version_id"] == first
            order = [step["version_id"] for step in found["versions"]]
            assert order[1:] == [left, right]
    with two.person() as writer:
        writer.put(address, b"united")
    with one.person() as reader:
        assert wait_for("the union", lambda: _of(reader, address, 4))["conflict"] is False


def _of(session: Session, address: str, count: int) -> dict[str, object] | None:
    found: dict[str, object] = session.call("context.history", address=address)
    return found if found["of"] == count else None


def test_a_large_transfer_goes_on_after_a_cut(make_node: NodeMaker) -> None:
    one, two = mesh_of(make_node, 2)
    assert one.daemon is not None
    assert two.daemon is not None
    two.daemon.kill()
    size = 60 * MIB
    source = one.folder / "source"
    with source.open("wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))
    address = "ucxl://person-1:admin@big:file/*^/image"
    told = one.json("context", "put", address, "--file", str(source))
    assert told["offset"] == size
    two.start()
    meet([one, two])
    part = wait_for("some of it", lambda: _parts(two), LIMIT_S)
    two.daemon.kill()
    kept = part.stat().st_size
    assert kept > 0
    two.start()
    meet([one, two])
    target = two.folder / "target"
    found = two.json("context", "get", address, "--output", str(target))
    assert found["version_id"] == told["version_id"]
    assert subprocess.run(["cmp", str(source), str(target)], check=False).returncode == 0
    fetched = metric(two, "bzzz_storage_chunks_fetched_bytes")
    assert 0 < fetched <= size + 2 * MIB
    with one.person() as writer:
        assert held_by(writer, address, 2)


def _parts(node: Node) -> Path | None:
    found = [path for path in (node.state / "content").glob("??/*.part") if path.stat().st_size > 2 * MIB]
    return found[0] if found else None


def test_the_dht_tells_who_holds_an_address(make_node: NodeMaker) -> None:
    one, two = mesh_of(make_node, 2)
    address = "ucxl://person-1:admin@dht:map/*^/north"
    with one.person() as writer:
        writer.put(address, b"a tree")
        held_by(writer, address, 2)
        key = blob_key(place_name(address))
        wait_for("the record", lambda: _record(writer, key), LIMIT_S)
    with two.person() as reader:
        wait_for("the record on the other node", lambda: _record(reader, key), LIMIT_S)


def _record(session: Session, key: str) -> bool:
    try:
        return bool(session.call("dht.get", key=key)["value"])
    except Exception as error:
        if getattr(error, "code", "") == "NOT_FOUND":
            return False
        raise


@pytest.fixture
def small_state(tmp_path: Path) -> Path:
    return tmp_path / "n3" / "bzzzd"


def test_a_holder_without_room_is_passed_over_until_it_has_some(make_node: NodeMaker, small_state: Path) -> None:
    """The third node's disk takes 12 MiB; where none can be mounted, it has room and must hold its copies at once."""
    small_state.mkdir(parents=True, mode=0o700)
    small_state.parent.chmod(0o700)
    mounted = not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m,mode=0700", "none", str(small_state)], capture_output=True, check=False
    ).returncode
    try:
        nodes = mesh_of(make_node, 3, storage={"inline_bytes": 65536})
        ballast = small_state / "ballast"
        if mounted:
            with ballast.open("wb") as file:
                file.write(bytes(_free(small_state) - 400_000))
        contents = {f"ucxl://person-1:admin@full:t{n}/*^/large": os.urandom(MIB) for n in range(6)}
        put_all(nodes[0], contents)
        with nodes[0].person() as writer:
            for address in contents:
                held_by(writer, address, 3 if not mounted else 2)
        for node in nodes[1:2]:
            read_all(node, contents)
        assert all(node.daemon is not None and node.daemon.running for node in nodes)
        if mounted:
            wait_for("the refusal", lambda: _refusals(nodes) > 0, LIMIT_S)
            ballast.unlink()
        with nodes[0].person() as writer:
            for address in contents:
                held_by(writer, address, 3)
        for node in nodes:
            node.end()
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(small_state)], check=True)


def _free(folder: Path) -> int:
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize


def _refusals(nodes: list[Node]) -> float:
    return sum(max(metric(node, "bzzz_storage_copies_refused"), 0.0) for node in nodes)
