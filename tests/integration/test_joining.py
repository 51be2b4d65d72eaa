"""Machines and people join a mesh by an invitation: real processes, real commands."""

from __future__ import annotations

import re
from typing import Any

from tests.integration.conftest import Node, NodeMaker, Program, wait_for

CODE = re.compile(r"\b(\d{4}) (\d{4})\b")


def invite(node: Node, *options: str) -> dict[str, Any]:
    return dict(node.json("mesh", "invite", *options))


def joining(node: Node, token: str, *options: str) -> Program:
    """A `bzzz mesh join` that goes on until the inviter has decided."""
    env = {"BZZZ_CONFIG_PATH": str(node.folder / "hap.yaml")}
    return node.run("bzzz", "mesh", "join", token, "--yes", *options, env=env)


def code_of(program: Program) -> str:
    """The code that a joiner's screen shows."""

    def shown() -> str:
        found = CODE.search(program.text)
        assert found or program.running, program.text
        return found.group(0) if found else ""

    return str(wait_for("the joiner's code", shown))


def waiting(node: Node) -> list[dict[str, Any]]:
    return list(node.json("mesh", "requests")["requests"])


def mesh_of(node: Node) -> str:
    with node.guest() as guest:
        return str(guest.hello()["mesh_id"])


def together(*nodes: Node) -> None:
    """Wait until each of the nodes sees each other one as a connected member."""
    for node in nodes:
        others = {other.peer_id for other in nodes if other is not node}

        def all_there(node: Node = node, others: set[str] = others) -> bool:
            with node.guest() as guest:
                peers = guest.call("peers", effects=False)["peers"]
            return others <= {peer["peer_id"] for peer in peers if peer["connected"]}

        wait_for(f"{node.folder.name} to see the others", all_there)


def test_two_machines_join_by_a_code_that_both_show(make_node: NodeMaker) -> None:
    first, second = make_node("n1"), make_node("n2")
    first.start()
    daemon = second.start()
    old_mesh, pid = mesh_of(second), daemon.pid
    made = invite(first)
    joiner = joining(second, made["token"])
    code = code_of(joiner)
    (row,) = wait_for("the request", lambda: waiting(first))
    assert (row["code"], row["kind"], row["id"], row["role"]) == (code, "node", "n2", "node")
    assert first.bzzz("mesh", "confirm", *code.split()).returncode == 0
    assert joiner.ended() == 0, joiner.text
    assert mesh_of(second) == mesh_of(first) == made["mesh_id"]
    assert (daemon.running, daemon.pid) == (True, pid)
    second.wait_ready()
    together(first, second)
    assert (second.state / "before" / old_mesh / "grants" / "node.grant").exists()
    assert (second.state / "before" / old_mesh / "keys" / "authority.key").exists()
    assert not (second.state / "keys" / "authority.key").exists()
    rows = {row["id"]: row for row in first.json("mesh", "members")["members"]}
    assert rows["n2"]["kind"] == "node"
    assert made["token"] not in "".join(log.read_text() for log in first.folder.glob("bzzzd.log"))
