"""Real processes for the integration tests: a node (bzzzd), its agents, and commands against them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import lru_cache
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
import yaml

from bzzzd.crypto.age import load_or_create_identity, new_identity, recipient_of
from bzzzd.crypto.keys import SigningKey, load_or_create_key, write_private
from bzzzd.identity.charter import Paper, open_document, seal_document
from bzzzd.identity.epoch import EpochRecord, open_epoch, seal_epoch
from bzzzd.identity.grants import mesh_id_of
from bzzzd.identity.node import make_grant, write_grant
from bzzzd.mesh.peer_id import peer_id_of
from bzzzd.rpc.blocking import BlockingClient
from bzzzd.slurp.coordinator import Coordinator
from bzzzd.storage.versions.rolekeys import RoleKeys
from tests.integration.sessions import Session
from tests.netns.kit import Host
from tests.ports import free_port

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
LIMIT_S = 30.0
HOUR_S = 3600.0
RUN = [{"kind": "command", "capability": "run"}]
ROLES = ("worker", "coordinator", "reviewer", "observer")


def wait_for(what: str, condition: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
    """Ask until ``condition`` gives something true; its value is returned."""
    end = time.monotonic() + limit_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"waited {limit_s} s for {what}"
        time.sleep(0.02)


@lru_cache(maxsize=64)
def first_epoch(seed: bytes) -> tuple[bytes, dict[str, str]]:
    """Epoch 1 of the mesh of this authority, signed, and its secrets by role: the same for all of its nodes."""
    authority = SigningKey(seed)
    roles = yaml.safe_load((ROOT / "etc" / "roles.yaml").read_text())["roles"]
    secrets = {role: new_identity() for role in roles}
    recipients = {role: recipient_of(secret) for role, secret in secrets.items()}
    record = EpochRecord(number=1, at=time.time(), recipients=recipients)
    return seal_epoch(authority, mesh_id_of(authority.public), record), secrets


@lru_cache(maxsize=64)
def first_coordinator(seed: bytes, mesh_id: str) -> list[bytes]:
    """The signed document that names who keeps this mesh's ledger, once its first node is known."""
    return []


class Program:
    """One process with its log in a file; ended by the node that started it."""

    def __init__(self, argv: list[str], log: Path, env: dict[str, str], **popen: Any) -> None:
        self.log = log
        self._before = log.stat().st_size if log.exists() else 0
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                argv, **{"stdout": out, "stderr": out, "stdin": subprocess.DEVNULL, "env": env, **popen}
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def text(self) -> str:
        """What it has said since its start; programs of one name share a log."""
        with self.log.open("rb") as file:
            file.seek(self._before)
            return file.read().decode(errors="replace")

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def stop(self, limit_s: float = 20.0) -> int:
        if self.running:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(limit_s)

    def ended(self, limit_s: float = LIMIT_S) -> int:
        """Wait for an end that it comes to by itself; gives the exit status."""
        return self.process.wait(limit_s)


class Node:
    """A machine's worth of BZZZ in one folder. ``changes`` are merged into bzzzd.yaml, section by section.

    With a ``host`` of ``tests.netns`` it runs there, and its mesh has that host's address.
    """

    def __init__(self, folder: Path, *, host: Host | None = None, **changes: Any) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self.folder = folder
        self.host = host
        self.ip = host.ip if host else "127.0.0.1"
        self.socket = folder / "s"
        self.state = folder / "bzzzd"
        self.health_port = free_port()
        self.mesh_port = free_port()
        self.programs: list[Program] = []
        self.daemon: Program | None = None
        self.config: dict[str, Any] = {
            "binary_type": "daemon",
            "agent": {"id": folder.name},
            "ai": {},
            "network": {"socket": str(self.socket), "listen": [f"/ip4/{self.ip}/tcp/{self.mesh_port}"]},
            "security": {"development": True},
            "ports": {"http_port": 0, "health_port": self.health_port},
            "storage": {"state_dir": str(self.state)},
        }
        self.write_daemon(**changes)
        self.roles = folder / "roles.yaml"
        self.roles.write_text((ROOT / "etc" / "roles.yaml").read_text())
        self.write_agent()
        self.write_hap()

    @property
    def env(self) -> dict[str, str]:
        keep = {name: os.environ[name] for name in ("PATH", "LANG", "TERM", "PYTHONPATH") if name in os.environ}
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return {
            **keep,
            "HOME": str(home),
            "BZZZ_SOCKET": str(self.socket),
            "PYTHONWARNINGS": "default",
        }

    # Configuration.

    def write_daemon(self, **changes: Any) -> Path:
        """Merge ``changes`` into what bzzzd.yaml says already."""
        for section, values in changes.items():
            self.config.setdefault(section, {}).update(values)
        path = self.folder / "bzzzd.yaml"
        path.write_text(yaml.safe_dump(self.config))
        return path

    def write_agent(self, id: str = "worker-1", **changes: Any) -> Path:
        config: dict[str, Any] = {
            "binary_type": "agent",
            "agent": {"id": id, "role": "worker", "handlers": RUN},
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
        self.person_id = id
        self.person_state = self.folder / id
        path = self.folder / "hap.yaml"
        path.write_text(
            yaml.safe_dump(
                {
                    "binary_type": "hap",
                    "agent": {"id": id, "role": "admin"},
                    "ai": {},
                    "network": {"socket": str(self.socket)},
                    "security": {},
                    "storage": {"state_dir": str(self.person_state)},
                }
            )
        )
        return path

    def edit_roles(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Let ``change`` rewrite what roles.yaml says."""
        said = yaml.safe_load(self.roles.read_text())
        change(said)
        self.roles.write_text(yaml.safe_dump(said))

    # Processes.

    def start(self, *, ready: bool = True, **popen: Any) -> Program:
        self.daemon = self.run("bzzzd", "--config", str(self.folder / "bzzzd.yaml"), **popen)
        if ready:
            self.wait_ready()
        return self.daemon

    def wait_ready(self) -> None:
        daemon = self.daemon
        assert daemon is not None

        def ready() -> bool:
            assert daemon.running, daemon.text
            return self.http("/readyz")[0] == 200

        wait_for("bzzzd to be ready", ready)

    def start_agent(self, id: str = "worker-1", *, attached: bool = True) -> Program:
        agent = self.run("bzzz-agent", "--config", str(self.folder / f"{id}.yaml"))

        def there() -> bool:
            assert agent.running, agent.text
            return self.attached(id)

        if attached:
            wait_for(f"{id} to attach", there)
        return agent

    def attached(self, id: str) -> bool:
        with self.guest() as client:
            rows = client.call("agent.list", effects=False)["agents"]
        return any(row["id"] == id and row["attached"] for row in rows)

    def run(self, program: str, *arguments: str, env: dict[str, str] | None = None, **popen: Any) -> Program:
        argv = [str(BIN / program), *arguments]
        if self.host is not None:
            argv = self.host.argv(argv)
        started = Program(argv, self.folder / f"{program}.log", {**self.env, **(env or {})}, **popen)
        self.programs.append(started)
        return started

    def refused(self, program: str = "bzzzd", config: Path | None = None, **popen: Any) -> tuple[int, str]:
        """Start a program that must end by itself; gives its exit status and what it said."""
        names = {"bzzzd": "bzzzd.yaml", "bzzz-agent": "worker-1.yaml"}
        started = self.run(program, "--config", str(config or self.folder / names[program]), **popen)
        return started.ended(), started.text

    def bzzz(
        self, *arguments: str, input: str | bytes | None = None, limit_s: float = 60.0
    ) -> subprocess.CompletedProcess[bytes]:
        data = input.encode() if isinstance(input, str) else input
        env = {**self.env, "BZZZ_CONFIG_PATH": str(self.folder / "hap.yaml")}
        return subprocess.run(
            [str(BIN / "bzzz"), *arguments], input=data, capture_output=True, env=env, timeout=limit_s, check=False
        )

    def json(self, *arguments: str, input: str | bytes | None = None) -> Any:
        head, tail = list(arguments), []
        if "--" in head:
            head, tail = head[: head.index("--")], head[head.index("--") :]
        done = self.bzzz(*head, "--json", *tail, input=input)
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    def http(self, path: str) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", self.health_port, timeout=5)
        try:
            with closing(connection):
                if self.host is not None:
                    connection.sock = self.host.connect("127.0.0.1", self.health_port)
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
        except OSError:
            return 0, ""

    def end(self) -> None:
        for program in reversed(self.programs):
            if program.running:
                program.process.terminate()
        for program in self.programs:
            try:
                program.process.wait(15)
            except subprocess.TimeoutExpired:
                program.kill()

    # Sessions.

    def guest(self) -> BlockingClient:
        return BlockingClient(str(self.socket), 20.0, name="test")

    def person(self) -> Session:
        """A session of the person whose commands ``bzzz`` runs: the same key, the same grant."""
        key = load_or_create_key(self.person_state / "person.key")
        grant = self.person_state / "grants" / "person.grant"
        return Session(self.socket, key, self.person_id, chain=self.chain if grant.exists() else ())

    def agent(self, id: str, *, capabilities: tuple[str, ...] = (), role: str = "worker", slots: int = 1) -> Session:
        """A session that attaches as an agent does; its key lasts as long as the node's folder."""
        key = load_or_create_key(self.folder / f"{id}-session" / "agent.key")
        return Session(self.socket, key, id, kind="agent", role=role, capabilities=capabilities, slots=slots)

    # Membership of a mesh that others founded.

    @property
    def peer_id(self) -> str:
        return peer_id_of(load_or_create_key(self.state / "keys" / "node.key").public)

    @property
    def age(self) -> str:
        """What role secrets for this node are encrypted to."""
        return recipient_of(load_or_create_identity(self.state / "keys" / "node.age"))

    @property
    def address(self) -> str:
        """What other nodes dial."""
        return f"/ip4/{self.ip}/tcp/{self.mesh_port}/p2p/{self.peer_id}"

    def join(self, authority: SigningKey, *, valid_s: float = HOUR_S, secrets: Sequence[str] | None = None) -> None:
        """Give node and person grants of the mesh of ``authority``, and its epoch 1, before the first start.

        ``secrets`` are the roles whose secrets it has from the start; all of them unless they are named.
        """
        mesh_id, now = mesh_id_of(authority.public), time.time()
        key = load_or_create_key(self.state / "keys" / "node.key")
        node = make_grant(
            authority, mesh_id, kind="node", id=self.folder.name, key=key.public, role="node", valid_s=valid_s,
            now=now, may_grant=ROLES, max_validity_s=24 * HOUR_S, age=self.age,
        )  # fmt: skip
        write_grant(self.state / "grants", "node", authority.public, [node])
        person = load_or_create_key(self.person_state / "person.key")
        grant = make_grant(
            authority, mesh_id, kind="person", id=self.person_id, key=person.public, role="admin", valid_s=HOUR_S,
            now=now,
        )  # fmt: skip
        write_grant(self.person_state / "grants", "person", authority.public, [grant])
        self.chain = (grant,)
        self._know_coordinator(authority, mesh_id, key.public)
        epoch, made = first_epoch(authority.seed)
        keys = RoleKeys.load(self.state / "keys" / "roles", mesh_id)
        keys.enforce(open_epoch(epoch, mesh_id))
        keys.add(secret for role, secret in made.items() if secrets is None or role in secrets)

    def _know_coordinator(self, authority: SigningKey, mesh_id: str, key: bytes) -> None:
        """Give it the mesh's first coordinator document: the first that joins keeps the ledger."""
        known = first_coordinator(authority.seed, mesh_id)
        if not known:
            named = Coordinator(number=1, at=time.time(), node=key)
            known.append(seal_document(authority, "coordinator", mesh_id, named))
        digest = open_document(known[0], mesh_id).digest.hex()
        folder = self.state / "charter"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(folder / f"coordinator-{digest}.paper", msgspec.msgpack.encode(Paper(known[0])), replace=True)

    def make_admin(self, authority: SigningKey) -> None:
        """Give the person who works here an administrator's delegation, before the start after ``join``."""
        mesh_id = mesh_id_of(authority.public)
        person = load_or_create_key(self.person_state / "person.key")
        delegation = make_grant(
            authority, mesh_id, kind="admin", id=self.person_id, key=person.public, role="admin", valid_s=HOUR_S,
            now=time.time(), may_grant=(*ROLES, "admin", "operator", "node"), max_validity_s=HOUR_S,
        )  # fmt: skip
        write_grant(self.state / "grants", f"admin-{self.person_id}", authority.public, [delegation])

    # What lies on disk.

    def check_logs(self) -> None:
        """No process met anything that it did not expect, nor did Python see it do something careless."""
        for log in self.folder.glob("*.log"):
            lines = log.read_text(errors="replace").splitlines()
            found = [line for line in lines if "Traceback" in line or "Warning: " in line]
            assert not found, f"{log}: {found[:5]}"

    def check_journal(self) -> None:
        """The journal of a node that does not run opens and is sound; looked at in a copy, which changes nothing."""
        with TemporaryDirectory() as folder:
            for path in self.state.glob("journal.sqlite*"):
                shutil.copy(path, folder)
            with closing(sqlite3.connect(Path(folder) / "journal.sqlite")) as journal:
                assert journal.execute("PRAGMA quick_check").fetchall() == [("ok",)]


NodeMaker = Callable[..., Node]


@contextmanager
def nodes_in(folder: Path) -> Iterator[NodeMaker]:
    """Makes nodes in folders of their own and ends everything that they started."""
    nodes: list[Node] = []

    def make(name: str = "n1", *, host: Host | None = None, **changes: Any) -> Node:
        node = Node(folder / name, host=host, **changes)
        nodes.append(node)
        return node

    try:
        yield make
    finally:
        for node in nodes:
            node.end()
    for node in nodes:
        node.check_logs()


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[NodeMaker]:
    with nodes_in(tmp_path) as make:
        yield make


@pytest.fixture
def node(make_node: NodeMaker) -> Node:
    """One node that is up and ready."""
    started = make_node()
    started.start()
    return started


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """The end of the notify socket that systemd holds."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(LIMIT_S)
        yield listener


def hear(listener: socket.socket, wanted: str) -> list[str]:
    """Take in messages until one has the line ``wanted``; gives all of their lines."""
    heard: list[str] = []
    while wanted not in heard:
        heard += listener.recv(4096).decode().splitlines()
    return heard


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.integration)
