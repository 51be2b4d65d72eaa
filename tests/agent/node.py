"""A real bzzzd, real agents and a person, each in a process or session of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import BzzzError
from bzzzd.identity.attach import attach_params
from bzzzd.rpc.blocking import BlockingClient
from bzzzd.slurp.brief import Brief, Writer, submit_params
from tests.ports import free_port

START_S = 60.0


def until(condition: Callable[[], Any], limit: float = 30.0) -> Any:
    """Wait for a true value of ``condition`` and give it."""
    end = time.monotonic() + limit
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, "the condition was not met in time"
        time.sleep(0.02)


class Node:
    """One bzzzd in ``folder``; ``lease_s`` is the ledger's."""

    def __init__(self, folder: Path, lease_s: float) -> None:
        self.folder = folder
        self.socket = str(folder / "b.sock")
        self._lease_s = lease_s
        self._process: subprocess.Popen[bytes] | None = None
        self._key = SigningKey.generate()
        self._mesh_port = free_port()

    def start(self) -> None:
        config = {
            "binary_type": "daemon", "agent": {"id": "n1"}, "ai": {}, "security": {"development": True},
            "network": {"socket": self.socket, "listen": [f"/ip4/127.0.0.1/tcp/{self._mesh_port}"]},
            "ports": {"http_port": 0, "health_port": 0}, "slurp": {"lease_s": self._lease_s, "offer_s": 1.0},
            "storage": {"state_dir": str(self.folder / "node")},
        }  # fmt: skip
        file = self.folder / "node.yaml"
        file.write_text(yaml.safe_dump(config))
        log = (self.folder / "node.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bzzzd.daemon.main", "--config", str(file)], stderr=log, stdout=log
        )
        log.close()
        until(self._ready, START_S)

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "node.log").read_text()
        try:
            with BlockingClient(self.socket, 5.0) as client:
                return bool(client.call("status", effects=False)["ready"])
        except BzzzError:
            return False

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None

    # The person.

    @contextmanager
    def person(self) -> Iterator[tuple[BlockingClient, dict[str, Any]]]:
        with BlockingClient(self.socket, 20.0) as client:
            attached = client.attach(
                lambda nonce, mesh_id: attach_params(self._key, nonce, mesh_id, kind="person", id="p1", role="admin")
            )
            yield client, attached

    def submit(self, capability: str, title: str = "A task", body: str = "", **args: Any) -> str:
        with self.person() as (client, attached):
            caller = attached["caller"]
            writer = Writer(self._key, attached["mesh_id"], caller["id"], caller["role"], attached["epoch"])
            task, params = submit_params(
                writer, Brief(title, body, args), readers=attached["readers"]["brief"], at=time.time(),
                capability=capability,
            )  # fmt: skip
            client.call("task.submit", params)
            return task

    def show(self, task: str) -> dict[str, Any]:
        with self.person() as (client, _):
            found: dict[str, Any] = client.call("task.show", {"id": task}, effects=False)
            return found

    def steps(self, task: str) -> list[str]:
        with self.person() as (client, _):
            return [step["what"] for step in client.call("task.trace", {"id": task}, effects=False)["steps"]]

    def state(self, task: str) -> str:
        return str(self.show(task)["task"]["state"])

    def finished(self, task: str, limit: float = 40.0) -> dict[str, Any]:
        until(lambda: self.state(task) in ("completed", "failed", "canceled"), limit)
        return self.show(task)

    def attached(self, agent: str) -> bool:
        with BlockingClient(self.socket, 20.0) as client:
            rows = client.call("agent.list", effects=False)["agents"]
        return any(row["id"] == agent and row["attached"] for row in rows)


class AgentProcess:
    """One bzzz-agent of ``node``; ``config`` is merged into its file."""

    def __init__(self, node: Node, id: str, **config: Any) -> None:
        self._node = node
        self.id = id
        self.folder = node.folder / id
        self.log = node.folder / f"{id}.log"
        self.folder.mkdir(mode=0o700, exist_ok=True)
        sections: dict[str, Any] = {
            "binary_type": "agent", "agent": {"id": id, "slots": 2, **config.pop("agent", {})}, "ai": {},
            "network": {"socket": node.socket}, "security": {}, "ports": {"http_port": 0, "health_port": 0},
            "storage": {"state_dir": str(self.folder)}, **config,
        }  # fmt: skip
        self.file = node.folder / f"{id}.yaml"
        self.file.write_text(yaml.safe_dump(sections))
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self, *, attach: bool = True) -> float:
        """Start it; gives the seconds until it was attached."""
        began = time.monotonic()
        log = self.log.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bzzzd.agent.main", "--config", str(self.file)], stderr=log, stdout=log,
            env={**os.environ, "BZZZ_SOCKET": self._node.socket},
        )  # fmt: skip
        log.close()
        if attach:
            until(self._attached, START_S)
        return time.monotonic() - began

    def _attached(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        return self._node.attached(self.id)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and wait for its end; gives the exit status."""
        if self.process is None:
            return 0
        self.process.send_signal(number)
        status = self.process.wait(40)
        self.process = None
        return status

    def status(self, name: str) -> int:
        """A number of /proc/PID/status, in KiB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
        raise AssertionError(name)
