"""Machines and people join a mesh by an invitation: real processes, real commands."""

from __future__ import annotations

import getpass
import re
import socket
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bzzzd.cli.transfer import AT_ONCE_BYTES
from bzzzd.identity.invitation import read_token, token_text
from tests.integration.conftest import BIN, Node, NodeMaker, Program, hear, wait_for

TOKEN = re.compile(r"bzzz-invitation-1\.\S+(?=\n)")
CODE = re.compile(r"\b(\d{4}) (\d{4})\b")


def invite(node: Node, *options: str) -> dict[str, Any]:
    return dict(node.json("mesh", "invite", *options))


def hap(node: Node) -> dict[str, str]:
    return {"BZZZ_CONFIG_PATH": str(node.folder / "hap.yaml")}


def joining(node: Node, token: str, *options: str) -> Program:
    """A `bzzz mesh join` that goes on until the inviter has decided."""
    return node.run("bzzz", "mesh", "join", token, "--yes", *options, env=hap(node))


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


def lines_of(done: Any) -> str:
    return str(done.stderr.decode())


def members(node: Node, kind: str) -> set[str]:
    return {row["id"] for row in node.json("mesh", "members")["members"] if row["kind"] == kind}


def join(node: Node, token: str, *options: str) -> dict[str, Any]:
    """Join at once, by an invitation that asks nobody."""
    found = node.json("mesh", "join", token, "--yes", *options)
    node.wait_ready()
    return dict(found)


def refusal_of(node: Node, token: str, *options: str) -> str:
    done = node.bzzz("mesh", "join", token, "--yes", *options)
    assert done.returncode != 0
    return lines_of(done)


def test_unattended_joins_by_yes_and_by_a_pinned_key(make_node: NodeMaker) -> None:
    first, second, third = make_node("n1"), make_node("n2"), make_node("n3")
    for node in (first, second, third):
        node.start()
    made = invite(first, "--yes", "--uses", "2", "--expires", "10m")
    assert join(second, made["token"])["state"] == "joined"
    pinned = invite(first, "--key", third.peer_id)
    assert join(third, pinned["token"], "--id", "third")["id"] == "third"
    together(first, second, third)
    assert members(first, "node") == {"n1", "n2", "third"}
    assert join(second, made["token"])["state"] == "member"


def again(node: Node) -> None:
    """Stop a node and start it."""
    assert node.daemon is not None
    assert node.daemon.stop() == 0
    node.start()


def test_every_refusal_says_why(make_node: NodeMaker) -> None:
    first, second, other = make_node("n1"), make_node("n2"), make_node("n3")
    for node in (first, second, other):
        node.start()
    asked = invite(first)
    joiner = joining(second, asked["token"])
    assert first.bzzz("mesh", "refuse", code_of(joiner)).returncode == 0
    assert joiner.ended() == 3
    assert "refused n2" in joiner.text
    used = invite(first, "--yes")
    join(other, used["token"])
    cases: dict[str, tuple[str, tuple[str, ...], str]] = {
        "used": (used["token"], (), "used up"),
        "expired": (invite(first, "--yes", "--expires", "1")["token"], (), "expired"),
        "taken": (invite(first, "--yes")["token"], ("--id", "n3"), "another node of this mesh is called n3"),
        "name": (invite(first, "--yes", "--id", "n9")["token"], (), "this invitation is for n9"),
        "person": (invite(first, "--person", "bob")["token"], (), "have the machine join first"),
        "damaged": (used["token"][:-3], (), "damaged"),
    }
    token = read_token(invite(first, "--yes")["token"])
    changed = {"secret": b"x" * 20, "id": b"u" * 8, "inviter": bytes(32)}
    found = {name: token_text(msgspec.structs.replace(token, **{name: value})) for name, value in changed.items()}
    cases["inviter"] = (found["inviter"], (), "does not answer as the inviter")
    cases["unknown"] = (found["id"], (), "no such invitation")
    ends = time.time() + 1.0
    wait_for("the invitation to end", lambda: time.time() > ends)
    for name, (text, options, words) in cases.items():
        said = wait_for(f"a decision about {name}", lambda text=text, options=options: _decided(second, text, options))
        assert words in said, f"{name}: {said}"
    said = wait_for("the turnstile", lambda: _decided(second, found["secret"], ()))
    assert "the proof does not hold" in said
    assert members(first, "node") == {"n1", "n3"}
    assert members(second, "node") == {"n2"}
    refused = [row for row in first.json("mesh", "requests")["invitations"] if row["wrong"]]
    assert [row["wrong"] for row in refused] == [1]


def _decided(node: Node, token: str, options: tuple[str, ...]) -> str:
    """What a try was answered, once the address may try again after a wrong one."""
    said = refusal_of(node, token, *options, "--timeout", "5")
    return "" if "from this address was wrong" in said.splitlines()[-1] else said


def test_a_person_with_an_invitation_works_on_the_second_node(make_node: NodeMaker) -> None:
    first, second = make_node("n1"), make_node("n2")
    second.write_hap("bob")
    first.start()
    second.start()
    join(second, invite(first, "--yes")["token"])
    together(first, second)
    assert "bzzz mesh invite --person" in lines_of(second.bzzz("task", "list"))
    made = invite(first, "--person", "bob")
    joiner = joining(second, made["token"])
    code = code_of(joiner)
    assert first.json("mesh", "confirm", code) == {"id": "bob", "kind": "person", "role": "operator"}
    assert joiner.ended() == 0, joiner.text
    task = second.json("task", "submit", "from the second node")["task"]["id"]
    assert second.json("task", "show", task)["task"]["author"]
    assert "bob" in members(first, "person")
    again(second)
    together(first, second)
    assert second.json("task", "list")["tasks"]


@pytest.mark.parametrize("unattended", [False, True])
def test_an_administrator_of_the_second_node_lets_a_third_in(make_node: NodeMaker, unattended: bool) -> None:
    """The authority's key stays on the first node; the second node's administrator signs by delegation."""
    first, second, third = make_node("n1"), make_node("n2"), make_node("n3")
    for node in (first, second, third):
        node.start()
    join(second, invite(first, "--yes")["token"])
    together(first, second)
    made = invite(first, "--person", "bob", "--role", "admin", "--yes")
    second.json("mesh", "join", made["token"], "--id", "bob")
    assert second.bzzz("mesh", "invite").returncode == 3
    assert first.json("mesh", "admin", "add", "bob")["admin"]
    wait_for("bob's delegation on his node", lambda: second.bzzz("mesh", "requests").returncode == 0)
    if unattended:
        signing = second.run("bzzz", "mesh", "invite", "--yes", "--wait", env=hap(second))
        joiner = joining(third, wait_for("the invitation", lambda: TOKEN.search(signing.text)).group(0))
        assert signing.ended() == 0, signing.text
    else:
        made = invite(second)
        assert made["signs"] == "client"
        joiner = joining(third, made["token"])
        assert second.bzzz("mesh", "confirm", code_of(joiner)).returncode == 0
    assert joiner.ended() == 0, joiner.text
    third.wait_ready()
    together(first, second, third)
    third.start_agent()  # whose chain leads over its node and the administrator
    assert mesh_of(third) == mesh_of(first)
    assert "n3" in members(second, "node")


def test_a_full_store_is_refused_then_exported_set_aside_and_brought_back(make_node: NodeMaker) -> None:
    first, second = make_node("n1"), make_node("n2")
    first.start()
    second.start()
    address = "ucxl://alice:admin@site:plan/*^/notes"
    for text in ("one", "two"):
        second.json("context", "put", address, "--body", text, "--type", "text/markdown")
    large = second.folder / "large"
    large.write_bytes(b"x" * (AT_ONCE_BYTES + 1))
    plan = address.replace("notes", "plan")
    second.json("context", "put", plan, "--file", str(large))
    second.json("task", "submit", "of the old mesh")
    made = invite(first, "--yes")
    said = refusal_of(second, made["token"])
    assert "bzzz mesh export" in said
    assert "ledger entries" in said
    assert "versions of content" in said
    saved = second.folder / "saved"
    exported = second.json("mesh", "export", str(saved))
    assert exported["versions"] >= 3
    assert (saved / "ledger.backup").stat().st_size > 0
    assert "not empty" in lines_of(second.bzzz("mesh", "export", str(saved)))
    old = mesh_of(second)
    assert join(second, made["token"], "--set-aside")["state"] == "joined"
    assert (second.state / "before" / old / "journal.sqlite").exists()
    together(first, second)
    person = invite(first, "--person", "alice2", "--role", "admin", "--yes")
    second.json("mesh", "join", person["token"], "--yes", "--id", "alice2")
    assert second.json("mesh", "import", str(saved))["imported"] == exported["versions"]
    assert second.json("mesh", "import", str(saved)) == {
        "folder": str(saved), "imported": 0, "before": exported["versions"], "bytes": 0,
    }  # fmt: skip
    assert second.bzzz("context", "get", address).stdout == b"two"
    assert second.bzzz("context", "get", address.replace("*^", "*~1")).stdout == b"one"
    assert second.bzzz("context", "get", plan).stdout == large.read_bytes()


def test_systemd_sees_a_reload_and_the_agent_comes_back_in_the_new_mesh(
    make_node: NodeMaker, systemd: socket.socket, tmp_path: Path
) -> None:
    first, second = make_node("n1"), make_node("n2")
    first.start()
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "10000000"}
    daemon = second.start(env=env)
    hear(systemd, "READY=1")
    agent = second.start_agent()
    join(second, invite(first, "--yes")["token"])
    heard = hear(systemd, "RELOADING=1") + hear(systemd, "READY=1")
    assert "STOPPING=1" not in heard
    assert (daemon.running, agent.running) == (True, True)
    wait_for("the agent", lambda: second.attached("worker-1"))
    daemon.process.terminate()
    hear(systemd, "STOPPING=1")
    assert daemon.ended() == 0


def test_supervisord_notices_nothing(make_node: NodeMaker) -> None:
    first, second = make_node("n1"), make_node("n2")
    first.start()
    log = second.folder / "supervisord-own"
    conf = second.folder / "supervisord.conf"
    conf.write_text(
        f"[supervisord]\nnodaemon=true\nuser={getpass.getuser()}\nlogfile={log}\npidfile={second.folder / 'pid'}\n"
        f"[program:bzzzd]\ncommand={BIN / 'bzzzd'} --config {second.folder / 'bzzzd.yaml'}\nstartsecs=1\n"
        'environment=PYTHONWARNINGS="default"\n'
        f"redirect_stderr=true\nstdout_logfile={second.folder / 'bzzzd.log'}\n"
    )
    supervisor = second.run("supervisord", "-c", str(conf), env={"PYTHONWARNINGS": "ignore"})  # of its own

    def ready() -> bool:
        assert supervisor.running, supervisor.text
        return second.http("/readyz")[0] == 200

    wait_for("bzzzd to be ready", ready)
    found = second.json("mesh", "join", invite(first, "--yes")["token"], "--yes")
    assert found["state"] == "joined"
    wait_for("bzzzd to be ready again", ready)
    together(first, second)
    said = log.read_text()
    assert said.count("spawned: 'bzzzd'") == 1
    assert "exited: bzzzd" not in said
    assert supervisor.stop() == 0


@pytest.mark.parametrize("delay_s", [0.15, 0.25, 0.35, 0.5, 0.8, 1.2])
def test_a_joiner_killed_at_any_moment_is_one_member_or_none(make_node: NodeMaker, delay_s: float) -> None:
    first, second = make_node("n1"), make_node("n2")
    first.start()
    daemon = second.start()
    old = mesh_of(second)
    made = invite(first, "--yes")
    joiner = joining(second, made["token"])
    kill_at(daemon, time.monotonic() + delay_s)
    joiner.kill()
    second.start()
    assert mesh_of(second) in (old, made["mesh_id"])
    assert members(first, "node") <= {"n1", "n2"}
    assert join(second, made["token"])["state"] in ("joined", "member")
    assert mesh_of(second) == made["mesh_id"]
    together(first, second)
    assert [row["id"] for row in first.json("mesh", "members")["members"] if row["kind"] == "node"].count("n2") == 1


@pytest.mark.parametrize("delay_s", [0.1, 0.2, 0.3, 0.5])
def test_an_inviter_killed_at_any_moment_lets_one_in_or_nobody(make_node: NodeMaker, delay_s: float) -> None:
    first, second = make_node("n1"), make_node("n2")
    daemon = first.start()
    second.start()
    first.json("mesh", "members")
    made = invite(first)
    joiner = joining(second, made["token"])
    confirming = first.run("bzzz", "mesh", "confirm", code_of(joiner), env=hap(first))
    kill_at(daemon, time.monotonic() + delay_s)
    confirming.ended()
    assert members_of_grants(second) == 1
    first.start()

    def in_the_mesh() -> bool:
        rows = waiting(first) if joiner.running else []
        if rows:
            first.bzzz("mesh", "confirm", rows[0]["code"])
        return not joiner.running

    wait_for("the joiner to be let in", in_the_mesh, 60.0)
    assert joiner.ended() == 0, joiner.text
    second.wait_ready()
    together(first, second)
    assert members(first, "node") == {"n1", "n2"}
    assert first.json("mesh", "requests") == {"requests": [], "invitations": []}


def kill_at(program: Program, moment: float) -> None:
    wait_for("the moment", lambda: time.monotonic() >= moment)
    program.kill()


def members_of_grants(node: Node) -> int:
    return len(list((node.state / "grants").glob("node.grant")))
