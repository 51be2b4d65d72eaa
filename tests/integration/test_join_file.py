"""Machines that nobody watches join by an invitation in a file: real processes, no command on the joiner."""

from __future__ import annotations

from pathlib import Path

from bzzzd.errors import BzzzError
from tests.integration.conftest import Node, NodeMaker, wait_for
from tests.integration.test_joining import invite, mesh_of, together
from tests.ports import free_port


def put(path: Path, text: str) -> str:
    path.touch(mode=0o600)
    path.write_text(text)
    return str(path)


def said(node: Node) -> str:
    return (node.folder / "bzzzd.log").read_text()


def wait_in_mesh_of(first: Node, node: Node) -> None:
    """Until ``node`` serves in the mesh of ``first``; it starts again in between."""
    mesh_id = mesh_of(first)

    def inside() -> bool:
        try:
            return mesh_of(node) == mesh_id
        except BzzzError:
            return False

    wait_for("the node to be in the mesh", inside)
    node.wait_ready()


def test_a_lone_node_joins_by_itself_whether_the_file_is_there_before_it_or_comes_later(make_node: NodeMaker) -> None:
    first, second, third = make_node("n1"), make_node("n2"), make_node("n3")
    # Its own invitation is none for the node that made it: all of a set can be given the same file.
    for node in (first, second, third):
        node.write_daemon(security={"join_file": str(node.folder / "invitation")})
    first.start()
    token = invite(first, "--yes", "--uses", "2")["token"]
    put(first.folder / "invitation", token)
    put(second.folder / "invitation", token)
    daemon = second.start(ready=False)
    third.start()
    third.start_agent()
    put(third.folder / "invitation", token)
    for node in (second, third):
        wait_in_mesh_of(first, node)
    together(first, second, third)
    wait_for("the agent to work for the new mesh", lambda: third.attached("worker-1"))
    assert daemon.running
    # Member of the file's mesh: nothing to do at the next start.
    daemon.stop()
    second.start()
    assert mesh_of(second) == mesh_of(first)
    for node in (first, second, third):
        assert token not in said(node)


def test_a_node_that_holds_something_does_not_leave_it_for_a_file(make_node: NodeMaker) -> None:
    first, second = make_node("n1"), make_node("n2")
    first.start()
    before = second.start()
    second.json("task", "submit", "of the old mesh")
    before.stop()
    old = put(second.folder / "invitation", invite(first, "--yes")["token"])
    second.write_daemon(security={"join_file": old})
    daemon = second.start()
    wait_for("the refusal in the log", lambda: "does not join by security.join_file" in daemon.text)
    assert mesh_of(second) != mesh_of(first)


def test_the_inviter_is_found_where_members_meet_when_it_has_moved(make_node: NodeMaker) -> None:
    """Pods get new addresses; their names, which are in network.bootstrap_peers, stay."""
    first, second = make_node("n1"), make_node("n2")
    before = first.start()
    token = invite(first, "--yes")["token"]
    before.stop()
    first.mesh_port = free_port()
    first.write_daemon(network={"listen": [f"/ip4/127.0.0.1/tcp/{first.mesh_port}"]})
    first.start()
    second.write_daemon(
        security={"join_file": put(second.folder / "invitation", token)},
        network={"bootstrap_peers": [f"/dns/localhost/tcp/{first.mesh_port}"]},
    )
    second.start(ready=False)
    wait_in_mesh_of(first, second)
    together(first, second)
