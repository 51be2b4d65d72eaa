"""One machine: install, start, people, hardening, the watchdog, and what lives beside each other."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.appliance.conftest import Box, wait_for

KEYS = ("/var/lib/bzzz/keys/node.key", "/var/lib/bzzz/journal.sqlite", "/home/alice/.local/state/bzzz/person.key")
SECOND = """binary_type: agent
agent: {id: n1-second, role: worker, handlers: [{kind: command, capability: second}]}
ai: {provider: none}
network: {socket: /run/bzzz/bzzzd.sock}
security: {}
"""


@pytest.fixture(scope="module")
def box(machines: Callable[[int], list[Box]], deb: Path) -> Box:
    found = machines(1)[0]
    found.install(deb)
    found.start()
    found.wait_healthy()
    found.add_user("alice", "bzzz")
    found.add_user("bob")
    return found


def test_one_command_after_the_install_makes_a_working_node(box: Box) -> None:
    assert box.status()["phase"] == "ready"
    assert [agent["id"] for agent in box.bzzz("agent", "list")["agents"]] == ["n1-agent"]
    assert box.run("dpkg", "--verify", "bzzz") == ""
    assert box.sh("systemctl --failed --no-legend") == ""


def test_the_figures_of_an_appliance(box: Box, debs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    box.run("systemctl", "stop", "bzzz.target", "bzzzd", "bzzz-agent", limit_s=120)
    started = time.monotonic()
    box.start("bzzzd")
    ready_s = time.monotonic() - started
    box.start()
    box.wait_healthy()
    rows = {
        "package, MB": debs["bzzz"].stat().st_size / 1e6,
        "model's package, MB": debs["bzzz-model-smollm2"].stat().st_size / 1e6,
        "installed, MB": int(box.run("dpkg-query", "-W", "-f=${Installed-Size}", "bzzz")) / 1000,
        "unit to ready, s": ready_s,
    }
    for unit in ("bzzzd", "bzzz-agent"):
        rows[f"{unit}: memory, MB"] = int(box.show(unit, "MemoryCurrent")) / 1e6
        rows[f"{unit}: exposure"] = exposure(box, unit)
    with capsys.disabled():
        print("\n" + "\n".join(f"  {name:24} {value:8.2f}" for name, value in rows.items()))
    assert rows["package, MB"] <= 25
    assert rows["unit to ready, s"] < 5
    assert rows["bzzzd: exposure"] <= 1.5
    assert rows["bzzz-agent: exposure"] <= 2.5


def exposure(box: Box, unit: str) -> float:
    found = re.search(
        r"Overall exposure level .*: ([0-9.]+)", box.run("systemd-analyze", "security", "--no-pager", unit)
    )
    assert found is not None
    return float(found[1])


def test_the_group_looks_and_others_are_told_what_is_missing(box: Box) -> None:
    assert box.bzzz("status", user="alice")["node_id"] == "n1"
    status, said = box.refused("bzzz", "status", user="bob")
    assert status in (3, 5)
    assert "usermod -aG bzzz bob" in said


def test_an_administrator_is_made_with_the_command_that_the_refusal_names(box: Box) -> None:
    asked = box.bzzz("task", "submit", "of a guest", "--capability", "none-has-it", user="alice")
    assert asked["task"]["state"] == "submitted"
    status, said = box.refused("bzzz", "task", "cancel", asked["task"]["id"], user="alice")
    assert status == 3
    assert box.refused("bzzz", "mesh", "policy", "apply", user="alice")[0] == 3
    named = re.search(r"sudo (bzzz mesh admin add alice)", said)
    assert named is not None, said
    box.run(*named[1].split())
    submitted = box.bzzz("task", "submit", "hello", "--capability", "none-has-it", user="alice")
    assert submitted["task"]["state"] == "submitted"
    for task in (asked, submitted):
        box.run("bzzz", "task", "cancel", task["task"]["id"], user="alice")


def test_the_agents_user_reads_nobodys_keys(box: Box) -> None:
    for path in KEYS:
        assert box.sh(f"test -e {path} && echo there") == "there\n"
        box.refused("runuser", "-u", "bzzz-agent", "--", "cat", path)


def test_log_lines_carry_fields_that_journalctl_can_filter(box: Box) -> None:
    lines = box.sh("journalctl -u bzzz-agent -o json --no-pager AGENT_ID=n1-agent | head -3").splitlines()
    assert lines
    assert json.loads(lines[0])["AGENT_ID"] == "n1-agent"


def test_a_frozen_daemon_is_restarted_and_the_agent_stays(box: Box) -> None:
    agent, daemon = box.show("bzzz-agent", "MainPID"), box.show("bzzzd", "MainPID")
    box.sh(f"kill -STOP {daemon}")
    wait_for("the watchdog", lambda: box.show("bzzzd", "MainPID") not in ("0", daemon), 90)
    wait_for("the agent to be back", lambda: any(row["attached"] for row in box.bzzz("agent", "list")["agents"]), 90)
    assert box.show("bzzz-agent", "MainPID") == agent


def test_a_second_agent_has_a_user_of_its_own(box: Box) -> None:
    box.sh("adduser --system --group --no-create-home --quiet bzzz-agent-two")
    box.run("tee", "/etc/bzzz/agent@two.yaml", input=SECOND.encode())
    config = box.run("cat", "/etc/bzzz/bzzzd.yaml")
    rule = "    - {user: bzzz-agent, role: worker}\n"
    box.run(
        "tee", "/etc/bzzz/bzzzd.yaml", input=config.replace(rule, rule + rule.replace("agent,", "agent-two,")).encode()
    )
    box.run("systemctl", "restart", "bzzzd", limit_s=90)
    box.start("bzzz-agent@two")
    wait_for("both agents", lambda: len([row for row in box.bzzz("agent", "list")["agents"] if row["attached"]]) == 2)
    assert box.run("bzzz", "config", "check").strip()
    users = {box.show(unit, "User") for unit in ("bzzz-agent", "bzzz-agent@two")}
    assert {"bzzz-agent", "bzzz-agent-two"} == users


def test_a_foreign_program_on_a_port_is_named(box: Box) -> None:
    box.run("systemctl", "stop", "bzzzd", limit_s=90)
    box.sh("systemd-run --quiet --unit=squatter python3 -m http.server --bind 127.0.0.1 8071")
    try:
        wait_for("the squatter", lambda: box.sh("ss -Hltn 'sport = :8071'"))
        box.refused("systemctl", "start", "bzzzd")
        said = box.sh("journalctl -u bzzzd -n 20 --no-pager -o cat")
        assert re.search(r"8071 .*is taken by .*uid 0", said), said
    finally:
        box.sh("systemctl stop squatter; systemctl reset-failed bzzzd; systemctl start bzzz-agent bzzz-agent@two")
    box.wait_healthy()
