"""One machine: install, start, figures, logs, the watchdog, and what lives beside each other."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.appliance.conftest import UNITS, Box, wait_for

SECOND = """binary_type: agent
agent: {id: n1-second, role: worker, handlers: [{kind: command, capability: second}]}
ai: {provider: none}
network: {socket: /run/bzzz/bzzzd.sock}
security: {}
"""
# Its commands may take a second; and one handler that cannot be had, for want of a model.
FAILS = """binary_type: agent
agent:
  role: worker
  handlers: [{kind: command, capability: run, timeout_s: 1}, {kind: answer, capability: answer}]
ai: {provider: embedded}
network: {socket: /run/bzzz/bzzzd.sock}
security: {}
"""
PORTAL = """binary_type: hap
agent: {role: operator}
ai: {}
network: {socket: /run/bzzz/bzzzd.sock}
security: {}
interface: {mode: headless}
"""


@pytest.fixture(scope="module")
def box(machines: Callable[[int], list[Box]], deb: Path) -> Box:
    found = machines(1)[0]
    found.install(deb)
    found.start()
    found.wait_healthy()
    return found


def test_one_command_after_the_install_makes_a_working_node(box: Box) -> None:
    assert box.status()["phase"] == "ready"
    assert wait_for("the agent", lambda: [row["id"] for row in box.bzzz("agent", "list")["agents"]]) == ["n1-agent"]
    assert box.run("dpkg", "--verify", "bzzz") == ""
    assert box.sh("systemctl --failed --no-legend") == ""


def test_the_figures_of_an_appliance(box: Box, debs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    box.machine.cut_power()
    powered = time.monotonic()
    box.machine.boot()
    box.wait_healthy()
    booted_s = time.monotonic() - powered
    ready_s = min(start_s(box) for _ in range(3))  # the least: what else the host does only adds to it
    box.start()
    box.wait_healthy()
    rows = {
        "package, MB": (debs["bzzz"].stat().st_size / 1e6, 25.0),
        "model's package, MB": (debs["bzzz-model-smollm2"].stat().st_size / 1e6, None),
        "installed, MB": (int(box.run("dpkg-query", "-W", "-f=${Installed-Size}", "bzzz")) / 1000, None),
        "unit to ready, s": (ready_s, 5.0),
        "power to healthy, s": (booted_s, None),
        "bzzzd: exposure": (exposure(box, "bzzzd"), 1.5),
        "bzzz-agent: exposure": (exposure(box, "bzzz-agent"), 2.5),
    }
    rows |= {f"{unit}: memory, MB": (int(box.show(unit, "MemoryCurrent")) / 1e6, None) for unit in UNITS}
    with capsys.disabled():
        print(f"\n  {'':24} {'measured':>9} {'at most':>9}")
        for name, (value, most) in rows.items():
            print(f"  {name:24} {value:9.2f} {'' if most is None else f'{most:9.2f}'}")
    over = {name: value for name, (value, most) in rows.items() if most is not None and value > most}
    assert not over


def start_s(box: Box) -> float:
    """From the word to start the daemon until it says that it is ready, in seconds."""
    box.run("systemctl", "stop", "bzzz.target", *UNITS, limit_s=120)
    box.run("systemctl", "reset-failed")  # no start counts towards the limit of starts
    started = time.monotonic()
    box.start("bzzzd")
    return time.monotonic() - started


def exposure(box: Box, unit: str) -> float:
    found = re.search(
        r"Overall exposure level .*: ([0-9.]+)", box.run("systemd-analyze", "security", "--no-pager", unit)
    )
    assert found is not None
    return float(found[1])


def logged(box: Box, *filters: str, unit: str = "bzzzd") -> list[dict[str, str]]:
    """What ``journalctl`` finds by fields."""
    told = box.run("journalctl", "--no-pager", "--output=json", "--unit", unit, *filters)
    return [json.loads(line) for line in told.splitlines()]


def test_log_lines_carry_fields_that_journalctl_can_filter(box: Box) -> None:
    box.run("tee", "/etc/bzzz/agent.yaml", input=FAILS.encode())
    box.run("systemctl", "restart", "bzzz-agent", limit_s=90)
    box.wait_healthy()
    box.add_user("alice", "bzzz")
    box.run("bzzz", "mesh", "admin", "add", "alice")
    task = box.submit("to fail", "run", "sleep", "60")
    assert wait_for("the task to fail", lambda: box.ended(task))["state"] == "failed"
    found = wait_for("the agent's lines", lambda: logged(box, "AGENT_ID=n1-agent", unit="bzzz-agent"))
    assert {line["AGENT_ID"] for line in found} == {"n1-agent"}
    # One task's way: the daemon's lines and the agent's, and nothing else.
    for unit in ("bzzzd", "bzzz-agent"):
        found = wait_for(f"lines of {unit}", lambda unit=unit: logged(box, f"TASK_ID={task}", unit=unit))
        assert {line["TASK_ID"] for line in found} == {task}


def test_errors_are_found_by_their_code(box: Box) -> None:
    """A capability that is not to be had here, and a daemon that may not start: both before and after its log is up."""
    missing = wait_for("the agent to say it", lambda: logged(box, "ERROR_CODE=UNAVAILABLE", unit="bzzz-agent"))
    assert "capability is not offered" in missing[-1]["MESSAGE"]
    good = box.run("cat", "/etc/bzzz/bzzzd.yaml")
    box.run("tee", "/etc/bzzz/bzzzd.yaml", input=good.replace("role: node", "rolle: node").encode())
    box.refused("systemctl", "restart", "bzzzd")
    box.run("tee", "/etc/bzzz/bzzzd.yaml", input=good.encode())
    lines = wait_for("the daemon to say it", lambda: logged(box, "ERROR_CODE=CONFIG_INVALID"))
    said = "\n".join(line["MESSAGE"] for line in lines)
    assert "/etc/bzzz/bzzzd.yaml" in said
    assert "rolle" in said
    box.run("systemctl", "reset-failed", "bzzzd")
    box.start()
    box.wait_healthy()


def test_a_frozen_daemon_is_restarted_and_the_agent_stays(box: Box) -> None:
    agent, daemon = box.show("bzzz-agent", "MainPID"), box.show("bzzzd", "MainPID")
    box.sh(f"kill -STOP {daemon}")
    wait_for("the watchdog", lambda: box.show("bzzzd", "MainPID") not in ("0", daemon), 180)
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


def test_agent_portal_and_daemon_live_beside_each_other(box: Box) -> None:
    """Each has ports of its own; a portal of a person takes a health port in its service mode."""
    box.run("tee", "/etc/bzzz/hap.yaml", input=PORTAL.encode())
    unit = ("--quiet", "--collect", "--unit=portal", "--uid=alice", "--property=Environment=HOME=/home/alice")
    box.run("systemd-run", *unit, "bzzz-hap", "--config", "/etc/bzzz/hap.yaml")
    try:
        for port in (8071, 8081, 8091):
            wait_for(f"port {port}", lambda port=port: ready(box, port))
        assert box.run("bzzz", "config", "check").strip()
        assert all(box.is_active(unit) for unit in (*UNITS, "bzzz-agent@two", "portal"))
    finally:
        box.sh("systemctl stop portal || true")


def ready(box: Box, port: int) -> bool:
    """Whether the health page on a port says that its process is ready."""
    ask = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:{port}/readyz', timeout=5).status)"
    return box.run("python3", "-c", ask).strip() == "200"


def test_one_port_in_two_configurations_is_refused_before_anything_starts(box: Box) -> None:
    good = box.run("cat", "/etc/bzzz/agent.yaml")
    box.run("tee", "/etc/bzzz/agent.yaml", input=f"{good}ports: {{health_port: 8071}}\n".encode())
    try:
        box.refused("systemctl", "restart", "bzzz-agent")
        said = box.sh("bzzz config check 2>&1; test $? = 2")
        assert re.search(r"agent\.yaml.*port 8071 .*is taken by .*bzzzd\.yaml", said), said
    finally:
        box.run("tee", "/etc/bzzz/agent.yaml", input=good.encode())
        box.sh("systemctl reset-failed bzzz-agent; systemctl start bzzz-agent", limit_s=120)
    box.wait_healthy()


def test_a_second_process_of_one_kind_and_id_is_refused_by_name(box: Box) -> None:
    pid = box.show("bzzzd", "MainPID")
    status, said = box.refused("bzzzd", "--config", "/etc/bzzz/bzzzd.yaml", user="bzzz")
    assert status == 1
    assert f"process {pid}" in said
    assert "ALREADY_RUNNING" in said
    pid = box.show("bzzz-agent", "MainPID")
    status, said = box.refused("bzzz-agent", "--config", "/etc/bzzz/agent.yaml", user="bzzz-agent")
    assert status == 1
    assert f"process {pid}" in said
    box.wait_healthy()


@pytest.mark.parametrize(("unit", "port"), [("bzzzd", 8071), ("bzzz-agent", 8081)])
def test_a_foreign_program_on_a_port_is_named(box: Box, unit: str, port: int) -> None:
    box.run("systemctl", "stop", unit, limit_s=90)
    box.sh(f"systemd-run --quiet --collect --unit=squatter --uid=alice python3 -m http.server --bind 127.0.0.1 {port}")
    try:
        wait_for("the squatter", lambda: box.sh(f"ss -Hltn 'sport = :{port}'"))
        box.refused("systemctl", "start", unit)
        uid = box.run("id", "-u", "alice").strip()
        lines = wait_for("the refusal", lambda: logged(box, "ERROR_CODE=CONFLICT", unit=unit))
        said = "\n".join(line["MESSAGE"] for line in lines)
        assert re.search(rf"port 127.0.0.1:{port} .*is taken by .*uid {uid}", said), said
    finally:
        box.sh(f"systemctl stop squatter; systemctl reset-failed {unit}; systemctl start bzzz-agent bzzz-agent@two")
    box.wait_healthy()
