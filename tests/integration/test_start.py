"""Starting and stopping: the socket answers first, systemd is told, and a stop during the start is a clean one."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from pathlib import Path

import pytest

from bzzzd.errors import BzzzError, NotReady
from tests.integration.conftest import BIN, Node, NodeMaker, Program, hear, wait_for
from tests.integration.sessions import refusal

STOP_S = 20.0
WATCHDOG_USEC = 200_000


def starting(program: Program, service: str) -> None:
    """Wait until the log says that ``service`` is being started."""
    said = re.compile(rf"service starting\s+service={service}\b")
    wait_for(f"the start of {service}", lambda: said.search(program.text) or not program.running)


def test_hello_is_answered_before_anything_else_is_up(make_node: NodeMaker) -> None:
    node = make_node()
    node.start(ready=False)
    wait_for("the socket", node.socket.exists)
    phases: list[str] = []
    refused: list[BzzzError] = []
    with node.guest() as guest:

        def ready() -> bool:
            phases.append(str(guest.hello()["phase"]))
            try:
                return bool(guest.call("status", effects=False)["ready"])
            except NotReady as error:
                refused.append(error)
                return False

        wait_for("the node to be ready", ready)
    order = ["configuration", "mesh", "core", "process", "monitoring", "ready"]
    assert phases == sorted(phases, key=order.index)
    assert phases[0] != "ready"
    assert refused, "status was answered from the first moment on"
    assert {error.code for error in refused} == {"NOT_READY"}
    with node.guest() as guest:
        assert refusal(lambda: guest.call("no.such.thing", effects=False)).code == "UNKNOWN_METHOD"


def test_a_stop_during_the_start_is_a_clean_one(make_node: NodeMaker) -> None:
    """At each service in turn, so that every start goes on with what a start that was stopped has left."""
    node = make_node()
    for service in ("identity", "mesh", "store", "ledger", "health-http"):
        daemon = node.start(ready=False)
        starting(daemon, service)
        assert daemon.stop(STOP_S) == 0
        assert "Traceback" not in daemon.text
        assert not node.socket.exists()
        if (node.state / "journal.sqlite").exists():
            node.check_journal()
    before = node.peer_id
    node.start()
    assert node.json("status")["peer_id"] == before


def test_a_stop_at_the_very_first_moment_leaves_nothing_broken(make_node: NodeMaker) -> None:
    node = make_node()
    daemon = node.start(ready=False)
    # Before the program has a word in it, the signal ends it as it ends any other.
    assert daemon.stop(STOP_S) in (0, -15)
    assert not node.socket.exists()
    daemon = node.start(ready=False)
    wait_for("the socket", node.socket.exists)
    assert daemon.stop(STOP_S) == 0
    node.start()


def test_an_impatient_second_signal_ends_it_too(make_node: NodeMaker) -> None:
    node = make_node()
    daemon = node.start(ready=False)
    starting(daemon, "mesh")
    daemon.process.terminate()
    daemon.process.terminate()
    assert daemon.ended(STOP_S) in (0, 1)
    assert "Traceback" not in daemon.text
    assert not node.socket.exists()
    node.start()


def test_systemd_hears_that_it_is_ready_alive_and_stopping(
    make_node: NodeMaker, systemd: socket.socket, tmp_path: Path
) -> None:
    node = make_node()
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": str(WATCHDOG_USEC)}
    daemon = node.start(ready=False, env=env)
    hear(systemd, "READY=1")
    assert node.http("/readyz")[0] == 200
    for _ in range(3):
        hear(systemd, "WATCHDOG=1")
    daemon.process.terminate()
    hear(systemd, "STOPPING=1")
    assert daemon.ended(STOP_S) == 0


def test_systemd_hears_the_same_of_an_agent(node: Node, systemd: socket.socket, tmp_path: Path) -> None:
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": str(WATCHDOG_USEC)}
    agent = node.run("bzzz-agent", "--config", str(node.folder / "worker-1.yaml"), env=env)
    hear(systemd, "READY=1")
    for _ in range(3):
        hear(systemd, "WATCHDOG=1")
    agent.process.terminate()
    hear(systemd, "STOPPING=1")
    assert agent.ended(STOP_S) == 0


def test_logs_are_lines_of_json_where_that_is_asked_for(make_node: NodeMaker) -> None:
    node = make_node(logging={"format": "json"})
    daemon = node.start()
    assert daemon.stop() == 0
    lines = [json.loads(line) for line in daemon.text.splitlines()]
    assert any(line["event"].startswith("phase done") for line in lines)


@pytest.mark.parametrize("program", ["bzzzd", "bzzz-agent", "bzzz-hap"])
def test_programs_tell_their_version_and_check_their_configuration(make_node: NodeMaker, program: str) -> None:
    node = make_node()
    files = {"bzzzd": "bzzzd.yaml", "bzzz-agent": "worker-1.yaml", "bzzz-hap": "hap.yaml"}

    def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BIN / program), *arguments], env=node.env, capture_output=True, text=True, timeout=30, check=False
        )

    assert ran("--version").stdout.startswith(f"{program} ")
    path = node.folder / files[program]
    good = ran("--check-config", "--config", str(path))
    assert (good.returncode, good.stdout) == (0, f"{program}: the configuration is sound\n")
    path.write_text(path.read_text().replace("security:", "securitty:"))
    bad = ran("--check-config", "--config", str(path))
    assert bad.returncode == 2
    assert "securitty" in bad.stderr
    assert str(path) in bad.stderr
    assert not node.state.exists()
