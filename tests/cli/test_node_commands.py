"""status, peers, health, doctor, logs, agent: for people, for programs, and when they say that something is wrong."""

import json

from bzzzd.errors import Conflict, from_map
from bzzzd.identity.charter import open_document
from bzzzd.identity.revocations import read_list
from bzzzd.rpc.access import guest
from bzzzd.slurp.coordinator import read_coordinator
from tests.cli.conftest import MESH


def test_status_tells_how_the_node_is(node, bzzz):
    found = bzzz("status")
    assert found.status == 0
    assert "node        atlas[2J\n" in found.out
    assert "phase       ready\n" in found.out
    assert "tasks       working 2\n" in found.out
    assert "approvals are not protected" in found.out
    assert "warning: low disk\n" in found.out


def test_a_node_that_is_not_ready_says_why(node, bzzz):
    node.answers["status"] |= {"ready": False, "reason": "mesh is starting"}
    assert "monitoring, not ready: mesh is starting\n" in bzzz("status").out


def test_json_is_the_answer_as_it_came(node, bzzz):
    found = bzzz("status", "--json")
    assert json.loads(found.out) == node.answers["status"]
    assert "\x1b" not in found.out


def test_peers_are_a_table_or_a_hint(node, bzzz):
    assert "network.bootstrap_peers" in bzzz("peers").out
    node.answers["peers"] = {
        "peers": [{"peer_id": "12D3", "id": "b\x07", "role": "node", "connected": True, "rtt_ms": 1.25, "since": 1.0}]
    }
    lines = bzzz("peers").out.splitlines()
    assert lines[0].split() == [
        "PEER",
        "ID",
        "ROLE",
        "CONNECTED",
        "RTT",
        "CLOCK",
        "IN",
        "OUT",
        "HOW",
        "VERSION",
        "ADDRESSES",
    ]
    assert lines[1].split()[:3] == ["12D3", "b", "node"]
    assert "1.2 ms" in lines[1]


def test_health_is_also_an_exit_status(node, bzzz):
    assert bzzz("health").status == 0
    node.answers["health"] = {"ok": False, "services": [{"name": "mesh", "state": "failed", "detail": "gone"}]}
    found = bzzz("health")
    assert found.status == 1
    assert found.out.splitlines()[1].split() == ["mesh", "failed", "gone"]
    assert bzzz("health", "--json").status == 1


def test_doctor_shows_what_mends_it(node, bzzz):
    assert bzzz("doctor") == (0, "ok    disk\n", "")
    node.answers["doctor"] = {"findings": [{"level": "bad", "what": "disk full", "why": "1 MiB left", "fix": "rm"}]}
    found = bzzz("doctor")
    assert (found.status, found.out) == (1, "bad   disk full\n      why: 1 MiB left\n      fix: rm\n")


def test_logs_are_lines(node, bzzz):
    assert bzzz("logs", "--lines", "2").out == "one\ntwo\n"
    assert node.asked[-1][1].lines == 2


def test_agents_are_listed_and_shown(node, bzzz):
    assert "systemctl start bzzz-agent" in bzzz("agent", "list").out
    agent = {"id": "a1", "role": "worker", "capabilities": ["answer", "x"], "attached": True, "load": 1, "slots": 2}
    node.answers["agent.list"] = {"agents": [agent]}
    assert bzzz("agent", "list").out.splitlines()[1].split() == ["a1", "worker", "attached", "1/2", "answer,", "x"]


def test_answers_of_an_unexpected_shape_are_no_crash(node, bzzz):
    for answer in (None, [], "x", {"peers": "x", "findings": 3, "services": None, "tasks": 1, "agents": {}}):
        for name in ("status", "peers", "doctor", "agent.list"):
            node.answers[name] = answer
        assert [bzzz(*name.split()).status for name in ("status", "peers", "doctor", "agent list")] == [0, 0, 0, 0]


def test_without_a_daemon_the_status_is_five_and_the_message_says_what_to_do(bzzz, place):
    found = bzzz("status")
    assert found.status == 5
    assert found.out == ""
    assert found.err == (
        f"bzzz: bzzzd is not running: there is no socket at {place}/s; start it with: "
        "sudo systemctl start bzzzd (from a clone: scripts/run) (UNREACHABLE)\n"
    )


def test_an_error_of_a_newer_daemon_keeps_its_code(node, bzzz):
    def fail(call, params):
        raise from_map({"code": "ON_FIRE", "message": "the \x1bnode\nburns", "data": {}})

    node.add("agent.show", fail, access=guest())
    found = bzzz("agent", "show", "x")
    assert (found.status, found.err) == (1, "bzzz: the node\nburns (ON_FIRE)\n")


def test_promoting_signs_the_next_coordinator_document_for_this_node(node, bzzz):
    key, signed = b"k" * 32, []

    def promote(call, params):
        signed.append((read_coordinator(open_document(params.envelope, MESH).payload), params.force))
        return {"coordinator": "n2", "term": 7}

    node.add("ledger.succession", lambda call, params: {"number": 3, "node": key})
    node.add("ledger.promote", promote)
    found = bzzz("ledger", "promote")
    assert (found.status, found.out, found.err) == (0, "n2 keeps the ledger, in term 7\n", "")
    (record, force) = signed[0]
    assert (record.number, record.node, record.standbys, force) == (4, key, (), False)


def test_revoking_signs_the_list_that_follows_the_one_in_force_and_again_when_another_came_between(node, bzzz):
    key, gone, tries = b"k" * 32, b"g" * 32, []

    def revoke(call, params):
        tries.append(read_list(open_document(params.envelope, MESH).payload))
        if len(tries) == 1:
            raise Conflict("another list came first", number=4)
        return {"number": tries[-1].number}

    row = {"id": "atlas", "kind": "node", "key": key.hex(), "admin": False}
    node.add("mesh.members", lambda call, params: {"members": [row]})
    node.add(
        "mesh.revocations",
        lambda call, params: {"number": 3 + len(tries), "keys": [[gone, 5.0]], "grants": [], "admins": []},
    )
    node.add("mesh.revoke", revoke)
    found = bzzz("mesh", "revoke", "atlas")
    assert (found.status, found.out) == (0, "node atlas is revoked, by list 5 in the whole mesh\n")
    assert [each.number for each in tries] == [4, 5]
    assert tries[-1].named == {key, gone}


def test_revoking_nobody_or_several_kinds_says_so(node, bzzz):
    rows = [{"id": "n1", "kind": kind, "key": kind.encode().hex(), "admin": False} for kind in ("node", "agent")]
    node.add("mesh.members", lambda call, params: {"members": rows})
    assert bzzz("mesh", "revoke", "atlas").status == 4
    found = bzzz("mesh", "revoke", "n1")
    assert found.status == 2
    assert "--kind agent" in found.err
    assert bzzz("mesh", "admin", "remove", "n1").status == 4


def test_the_authority_of_the_node_signs_when_root_asks(node, bzzz):
    node.add("mesh.revoke_here", lambda call, params: {"number": 2, "revoked": "person bob"}, access=guest())
    found = bzzz("mesh", "admin", "remove", "bob", "--authority", "--all")
    assert found.out == "person bob is no administrator any more, by list 2 in the whole mesh\n"
    asked = node.asked[-1][1]
    assert (asked.id, asked.kind, asked.admin, asked.everything) == ("bob", "person", True, True)


def test_adding_an_administrator_needs_no_session(node, bzzz):
    node.add("mesh.admin_add", lambda call, params: {}, access=guest())
    found = bzzz("mesh", "admin", "add", "alice")
    assert (found.status, node.asked[-1][1].user) == (0, "alice")
    assert "alice is an administrator" in found.out
