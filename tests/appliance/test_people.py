"""Who may do what on an installed machine: outsiders, guests, people, administrators; and what is closed to all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.appliance.conftest import Box, wait_for

# An own program behind a capability: what a guest may ask for, since guests name no program themselves.
SHOUTS = """binary_type: agent
agent: {role: worker, handlers: [{kind: external, capability: shout, argv: [/usr/bin/tr, a-z, A-Z]}]}
ai: {provider: none}
network: {socket: /run/bzzz/bzzzd.sock}
security: {}
"""
NODE_KEY, JOURNAL = "/var/lib/bzzz/keys/node.key", "/var/lib/bzzz/journal.sqlite"
AGENT_KEY, PERSON_KEY = "/var/lib/bzzz-agent/agent.key", "/home/dora/.local/state/bzzz/person.key"
MENDS = "sudo bzzz mesh admin add alice"
# What a guest is refused, one of each kind of right.
REFUSED = (
    ("task", "list"),
    ("task", "cancel", "t-0"),
    ("task", "submit", "run this", "--capability", "shout", "--", "id"),
    ("task", "submit", "wait for it", "--capability", "shout", "--wait"),
    ("context", "put", "ucxl://alice:operator@default:notes/*^/note", "--body", "hello"),
    ("context", "get", "ucxl://alice:operator@default:notes/*^/note"),
    ("publish", "news", "hello"),
    ("mesh", "invite"),
    ("mesh", "members"),
    ("mesh", "policy", "apply"),
    ("ledger", "promote"),
)


@pytest.fixture(scope="module")
def box(machines: Callable[[int], list[Box]], deb: Path) -> Box:
    """alice is in the group, bob is not, dora is an administrator."""
    found = machines(1)[0]
    found.install(deb)
    found.run("tee", "/etc/bzzz/agent.yaml", input=SHOUTS.encode())
    found.run("systemctl", "restart", "bzzz-agent", limit_s=90)
    found.wait_healthy()
    found.add_user("alice", "bzzz")
    found.add_user("bob")
    found.add_user("dora", "bzzz")
    found.run("bzzz", "mesh", "admin", "add", "dora")
    return found


def test_who_is_not_in_the_group_is_told_the_command_that_lets_him_in(box: Box) -> None:
    for words in (("status",), ("task", "submit", "let me in")):
        status, said = box.refused("bzzz", *words, user="bob")
        assert status == 5
        assert "no right to open /run/bzzz/bzzzd.sock, which is for the group bzzz" in said
        assert "sudo usermod -aG bzzz bob" in said
    box.run("usermod", "-aG", "bzzz", "bob")
    assert box.bzzz("status", user="bob")["node_id"] == "n1"


def test_a_guest_looks_and_a_guests_task_is_done(box: Box) -> None:
    assert box.bzzz("status", user="alice")["phase"] == "ready"
    agents = wait_for("the agent", lambda: box.bzzz("agent", "list", user="alice")["agents"])
    assert [row["id"] for row in agents] == ["n1-agent"]
    task = box.submit("of a guest", "shout", body="please", user="alice")
    done = wait_for("the guest's task", lambda: box.ended(task, user="dora"))
    assert (done["state"], done["agent"]) == ("completed", "n1-agent")
    assert "PLEASE" in box.run("bzzz", "context", "get", done["address"], user="dora")
    assert "alice (uid " in box.run("bzzz", "task", "show", task, user="dora")


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_each_refusal_of_a_guest_names_the_command_that_mends_it(box: Box, words: tuple[str, ...]) -> None:
    status, said = box.refused("bzzz", *words, user="alice")
    assert status == 3, said
    assert MENDS in said


def test_the_named_command_makes_a_person_who_decides(box: Box) -> None:
    waits = box.submit("nobody can", "none-has-it", user="alice")
    assert box.refused("bzzz", "task", "cancel", waits, user="alice")[0] == 3
    box.run(*MENDS.removeprefix("sudo ").split())
    box.bzzz("task", "cancel", waits, user="alice")
    assert box.ended(waits, user="alice")["state"] == "canceled"
    task = box.submit("own", "shout", body="mine", user="alice")
    assert wait_for("her task", lambda: box.ended(task, user="alice"))["state"] == "completed"
    assert box.bzzz("mesh", "invite", "--yes", "--no-wait", user="alice")["token"]
    before = box.bzzz("mesh", "policy", "show", user="alice")["number"]
    box.bzzz("mesh", "policy", "apply", user="alice")
    assert box.bzzz("mesh", "policy", "show", user="alice")["number"] == before + 1


def test_the_agents_user_is_nobody_in_the_mesh_by_himself(box: Box) -> None:
    as_agent = ("runuser", "--user=bzzz-agent", "--", "env", "HOME=/var/lib/bzzz-agent")
    status, said = box.refused(*as_agent, "bzzz", "task", "list")
    assert status == 3, said
    assert "bzzz-agent runs agents on this machine, so its processes act for no person" in said


@pytest.mark.parametrize("user", ["bzzz-agent", "alice", "bob"])
def test_keys_and_store_are_closed_to_everybody_else(box: Box, user: str) -> None:
    for path in (NODE_KEY, JOURNAL, PERSON_KEY, AGENT_KEY):
        assert box.sh(f"test -s {path} && echo there") == "there\n", path
        if (user, path) != ("bzzz-agent", AGENT_KEY):
            assert "Permission denied" in box.refused("cat", path, user=user)[1]
    for path in (PERSON_KEY, AGENT_KEY):
        assert "Permission denied" in box.refused("cat", path, user="bzzz")[1]
