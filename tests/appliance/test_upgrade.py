"""From one version to the next and away: under load, with what is kept and what must not be left."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from nodelab.shell import LabError

from tests.appliance.conftest import ROOT, Box, wait_for, with_version
from tests.appliance.load import RUNS, Stream

# A second agent, to see that instances go along; it asks for what nobody gives.
SECOND = RUNS.replace("{role: worker", "{id: n1-second, role: worker").replace("capability: run", "capability: other")
SCHEMA = """
import sqlite3, sys
journal = sqlite3.connect("/var/lib/bzzz/journal.sqlite")
print(journal.execute("SELECT major FROM schemas WHERE name = (SELECT min(name) FROM schemas)").fetchone()[0])
journal.execute("UPDATE schemas SET major = ? WHERE name = (SELECT min(name) FROM schemas)", (int(sys.argv[1]),))
journal.commit()
"""
AGENTS = ("bzzz-agent", "bzzz-agent@two")


@pytest.fixture(scope="module")
def box(machines: Callable[[int], list[Box]], older: Path) -> Box:
    found = machines(1)[0]
    found.install(older)
    found.run("tee", "/etc/bzzz/agent.yaml", input=RUNS.encode())
    found.run("tee", "/etc/bzzz/agent@two.yaml", input=SECOND.encode())
    found.sh("adduser --system --group --no-create-home --quiet bzzz-agent-two")
    rule = "    - {user: bzzz-agent, role: worker}"
    found.sh(f"sed -i 's/^{rule}$/&\\n{rule.replace('agent,', 'agent-two,')}/' /etc/bzzz/bzzzd.yaml")
    found.run("systemctl", "restart", "bzzzd", "bzzz-agent", limit_s=90)
    found.run("systemctl", "enable", "--now", "bzzz-agent@two", limit_s=90)
    found.wait_healthy()
    found.add_user("alice", "bzzz")
    found.run("bzzz", "mesh", "admin", "add", "alice")
    wait_for("both agents", lambda: attached(found) == 2)
    return found


def attached(box: Box) -> int:
    return sum(row["attached"] for row in box.bzzz("agent", "list")["agents"])


def who(box: Box) -> tuple[str, ...]:
    status = box.status()
    return status["node_id"], status["mesh_id"], status["peer_id"]


def test_an_upgrade_under_load_loses_no_task_and_keeps_who_the_node_is(box: Box, deb: Path) -> None:
    assert box.status()["build"] == "0.0.9"
    before, pids = who(box), [box.show(unit, "MainPID") for unit in ("bzzzd", *AGENTS)]
    with Stream(box) as stream:
        wait_for("the stream to flow", lambda: len(stream.given) > 3)
        waiting = [box.submit(f"slow {number}", "run", "sleep", "2") for number in range(4)]
        box.install(deb)
        box.wait_healthy()
        count = len(stream.given)
        wait_for("the stream to flow again", lambda: len(stream.given) > count + 3)
    assert box.status()["build"] != "0.0.9"
    assert who(box) == before
    # Everything runs the new files, agents under names of their own as well.
    wait_for("both agents", lambda: attached(box) == 2)
    assert not set(pids) & {box.show(unit, "MainPID") for unit in ("bzzzd", *AGENTS)}
    # An own agent.yaml is a conffile that was changed: it stays.
    assert box.run("cat", "/etc/bzzz/agent.yaml") == RUNS
    stream.check(box)
    tasks = box.tasks()
    assert {(tasks[id]["state"], tasks[id]["strikes"]) for id in waiting} == {("completed", 0)}


def test_a_downgrade_that_can_read_the_journal_is_safe(box: Box, older: Path) -> None:
    """Both versions here have one schema."""
    held, before = {id: task["state"] for id, task in box.tasks().items()}, who(box)
    box.install(older)
    box.wait_healthy()
    assert box.status()["build"] == "0.0.9"
    assert who(box) == before
    assert {id: task["state"] for id, task in box.tasks().items()} == held


def test_a_downgrade_that_cannot_read_the_journal_is_refused_and_spoils_nothing(box: Box, deb: Path) -> None:
    """The journal is marked as a later version's; the daemon says so and leaves it, and the later version goes on."""
    held = set(box.tasks())
    box.run("systemctl", "stop", *AGENTS, "bzzzd", limit_s=90)
    schema = box.run("/usr/lib/bzzz/bin/python3", "-c", SCHEMA, "9999").strip()
    box.refused("systemctl", "start", "bzzzd")
    said = box.run("journalctl", "--no-pager", "-u", "bzzzd", "-n", "20", "-o", "cat")
    assert "newer" in said, said
    assert box.run("/usr/lib/bzzz/bin/python3", "-c", SCHEMA, schema).strip() == "9999"
    box.sh("systemctl reset-failed bzzzd")
    box.install(deb)
    box.start("bzzzd", *AGENTS)
    box.wait_healthy()
    assert set(box.tasks()) == held


def test_purge_leaves_nothing_and_installing_again_starts_anew(box: Box, deb: Path) -> None:
    mesh = box.status()["mesh_id"]
    box.run("apt-get", "remove", "--yes", "--quiet", "bzzz", limit_s=120)
    assert box.sh("pgrep -f '^/usr/lib/bzzz' || true") == ""
    assert box.sh("test -s /var/lib/bzzz/journal.sqlite && ls /etc/bzzz") != ""
    box.run("apt-get", "purge", "--yes", "--quiet", "bzzz", limit_s=120)
    left = box.sh(
        "ls -d /var/lib/bzzz* /etc/bzzz /run/bzzz /usr/lib/bzzz /etc/systemd/system/*/bzzz* 2>/dev/null; "
        "getent passwd bzzz bzzz-agent; getent group bzzz bzzz-agent; pgrep -x 'bzzzd|bzzz-agent'; true"
    )
    assert left == ""
    box.install(deb)
    box.wait_healthy()
    assert box.status()["mesh_id"] != mesh


def test_the_packages_have_nothing_for_lintian_to_say(debs: dict[str, Path]) -> None:
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", *map(str, debs.values())],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif("BZZZ_DEBS" in os.environ, reason="BZZZ_DEBS names packages that need not be of this commit")
def test_two_builds_of_one_commit_are_the_same_bytes(debs: dict[str, Path], tmp_path: Path) -> None:
    done = subprocess.run(
        [str(ROOT / "scripts" / "package"), "--output", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for name, deb in debs.items():
        assert (name, digest(tmp_path / deb.name)) == (name, digest(deb))


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_a_package_of_another_python_is_refused_by_apt(box: Box, deb: Path, tmp_path: Path) -> None:
    """The virtual environment is for Python 3.11 alone, and the package says so."""
    wrong = with_version(deb, "9.0.0", tmp_path, python=("3.12", "3.13"))
    with pytest.raises(LabError, match="held broken packages"):
        box.install(wrong)
