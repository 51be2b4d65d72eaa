"""From one version to the next and away: under load, with what is kept and what must not be left."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from nodelab.shell import LabError

from tests.appliance.conftest import Box, wait_for, with_version

RUNS = """binary_type: agent
agent: {role: worker, handlers: [{kind: command, capability: run}]}
ai: {provider: none}
network: {socket: /run/bzzz/bzzzd.sock}
security: {}
"""
TASKS = 12


@pytest.fixture(scope="module")
def box(machines: Callable[[int], list[Box]], older: Path) -> Box:
    found = machines(1)[0]
    found.install(older)
    found.run("tee", "/etc/bzzz/agent.yaml", input=RUNS.encode())
    found.run("systemctl", "restart", "bzzz-agent", limit_s=90)
    found.wait_healthy()
    found.run("useradd", "--create-home", "alice")
    found.run("usermod", "-aG", "bzzz", "alice")
    found.run("bzzz", "mesh", "admin", "add", "alice")
    return found


def states(box: Box) -> dict[str, int]:
    found: dict[str, int] = {}
    for task in box.bzzz("task", "list", "--limit", "200", user="alice")["tasks"]:
        found[task["state"]] = found.get(task["state"], 0) + 1
    return found


def test_an_upgrade_under_load_loses_no_task_and_keeps_who_the_node_is(box: Box, deb: Path) -> None:
    before = box.status()
    assert before["build"] == "0.0.9"
    for number in range(TASKS):
        box.bzzz("task", "submit", f"job {number}", "--capability", "run", user="alice")
    box.install(deb)
    box.wait_healthy()
    after = box.status()
    assert after["build"] != "0.0.9"
    assert (after["node_id"], after["mesh_id"], after["peer_id"]) == tuple(
        before[name] for name in ("node_id", "mesh_id", "peer_id")
    )
    # An own agent.yaml is a conffile that was changed: it stays.
    assert box.run("cat", "/etc/bzzz/agent.yaml") == RUNS
    wait_for("all tasks to end", lambda: states(box).get("failed", 0) + states(box).get("completed", 0) == TASKS, 90)
    assert not {"submitted", "working"} & set(states(box))


def test_a_newer_journal_is_not_opened_by_a_downgrade_that_cannot_read_it(box: Box, older: Path) -> None:
    """Both versions here have one schema, so the way back is safe: everything is still there."""
    held = states(box)
    box.install(older)
    box.wait_healthy()
    assert box.status()["build"] == "0.0.9"
    assert states(box) == held


def test_purge_leaves_nothing_and_installing_again_starts_anew(box: Box, deb: Path) -> None:
    mesh = box.status()["mesh_id"]
    box.run("apt-get", "purge", "--yes", "--quiet", "bzzz", limit_s=120)
    left = box.sh(
        "ls -d /var/lib/bzzz* /etc/bzzz /run/bzzz /usr/lib/bzzz /etc/systemd/system/*/bzzz* 2>/dev/null; "
        "getent passwd bzzz bzzz-agent; getent group bzzz bzzz-agent; pgrep -x 'bzzzd|bzzz-agent'; true"
    )
    assert left == ""
    box.install(deb)
    box.wait_healthy()
    assert box.status()["mesh_id"] != mesh


def test_the_package_is_fine_for_lintian_and_built_the_same_twice(debs: dict[str, Path], tmp_path: Path) -> None:
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", *map(str, debs.values())],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_a_package_of_another_python_is_refused_by_apt(box: Box, deb: Path, tmp_path: Path) -> None:
    """The virtual environment is for Python 3.11 alone, and the package says so."""
    wrong = with_version(deb, "9.0.0", tmp_path, python=("3.12", "3.13"))
    with pytest.raises(LabError, match="held broken packages"):
        box.install(wrong)
