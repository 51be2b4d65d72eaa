"""Real processes for the integration tests: a node (bzzzd), its agents, and commands against them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
LIMIT_S = 30.0


def wait_for(what: str, condition: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
    """Ask until ``condition`` gives something true; its value is returned."""
    end = time.monotonic() + limit_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"waited {limit_s} s for {what}"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Program:
    """One process with its log in a file; ended by the node that started it."""

    def __init__(self, argv: list[str], log: Path, env: dict[str, str]) -> None:
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=env)

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def stop(self, limit_s: float = 20.0) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(limit_s)


class Node:
    """A machine's worth of BZZZ in one folder. ``changes`` are merged into bzzzd.yaml, section by section."""

    def __init__(self, folder: Path, **changes: dict[str, Any]) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self.folder = folder
        self.socket = folder / "s"
        self.health_port = free_port()
        self.mesh_port = free_port()
        self.programs: list[Program] = []
        self.daemon: Program | None = None
        config: dict[str, Any] = {
            "binary_type": "daemon",
            "agent": {"id": folder.name},
            "ai": {},
            "network": {"socket": str(self.socket), "listen": [f"/ip4/127.0.0.1/tcp/{self.mesh_port}"]},
            "security": {"development": True},
            "ports": {"http_port": 0, "health_port": self.health_port},
            "storage": {"state_dir": str(folder / "bzzzd")},
        }
        for section, values in changes.items():
            config.setdefault(section, {}).update(values)
        (folder / "bzzzd.yaml").write_text(yaml.safe_dump(config))
        (folder / "roles.yaml").write_text((ROOT / "etc" / "roles.yaml").read_text())
        self.write_agent()
        self.write_hap()

    @property
    def env(self) -> dict[str, str]:
        keep = {name: os.environ[name] for name in ("PATH", "LANG", "TERM") if name in os.environ}
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return {
            **keep,
            "HOME": str(home),
            "BZZZ_SOCKET": str(self.socket),
            "PYTHONWARNINGS": "default",
        }

    def write_agent(self, id: str = "worker-1", **changes: Any) -> Path:
        config: dict[str, Any] = {
            "binary_type": "agent",
            "agent": {"id": id, "role": "worker"},
            "ai": {"provider": "none"},
            "network": {"socket": str(self.socket)},
            "security": {},
            "ports": {"http_port": 0, "health_port": 0},
            "storage": {"state_dir": str(self.folder / id)},
        }
        for section, values in changes.items():
            config.setdefault(section, {}).update(values)
        path = self.folder / f"{id}.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    def write_hap(self, id: str = "alice") -> Path:
        path = self.folder / "hap.yaml"
        path.write_text(
            yaml.safe_dump(
                {
                    "binary_type": "hap",
                    "agent": {"id": id, "role": "admin"},
                    "ai": {},
                    "network": {"socket": str(self.socket)},
                    "security": {},
                    "storage": {"state_dir": str(self.folder / id)},
                }
            )
        )
        return path

    def start(self, *, ready: bool = True) -> Program:
        self.daemon = self.run("bzzzd", "--config", str(self.folder / "bzzzd.yaml"))
        if ready:
            self.wait_ready()
        return self.daemon

    def wait_ready(self) -> None:
        daemon = self.daemon
        assert daemon is not None

        def ready() -> bool:
            assert daemon.process.poll() is None, daemon.text
            return self.http("/readyz")[0] == 200

        wait_for("bzzzd to be ready", ready)

    def start_agent(self, id: str = "worker-1") -> Program:
        agent = self.run("bzzz-agent", "--config", str(self.folder / f"{id}.yaml"))

        def attached() -> bool:
            assert agent.process.poll() is None, agent.text
            return any(row["id"] == id and row["attached"] for row in self.json("agent", "list")["agents"])

        wait_for(f"{id} to attach", attached)
        return agent

    def run(self, program: str, *arguments: str) -> Program:
        started = Program([str(BIN / program), *arguments], self.folder / f"{program}.log", self.env)
        self.programs.append(started)
        return started

    def bzzz(
        self, *arguments: str, input: str | bytes | None = None, limit_s: float = 60.0
    ) -> subprocess.CompletedProcess[bytes]:
        data = input.encode() if isinstance(input, str) else input
        env = {**self.env, "BZZZ_CONFIG_PATH": str(self.folder / "hap.yaml")}
        return subprocess.run(
            [str(BIN / "bzzz"), *arguments], input=data, capture_output=True, env=env, timeout=limit_s, check=False
        )

    def json(self, *arguments: str, input: str | bytes | None = None) -> Any:
        done = self.bzzz(*arguments, "--json", input=input)
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    def http(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}{path}", timeout=5) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def end(self) -> None:
        for program in reversed(self.programs):
            if program.process.poll() is None:
                program.process.terminate()
        for program in self.programs:
            try:
                program.process.wait(15)
            except subprocess.TimeoutExpired:
                program.kill()


NodeMaker = Callable[..., Node]


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[NodeMaker]:
    """Makes nodes in folders of their own and ends everything that they started."""
    nodes: list[Node] = []

    def make(name: str = "n1", **changes: dict[str, Any]) -> Node:
        node = Node(tmp_path / name, **changes)
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.end()


@pytest.fixture
def node(make_node: NodeMaker) -> Node:
    """One node that is up and ready."""
    started = make_node()
    started.start()
    return started
