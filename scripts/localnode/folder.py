"""The state folder of a local node: configuration files, sockets, and a ``bzzz`` command bound to it."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bzzzd.config.faults import refuse
from bzzzd.config.load import check
from bzzzd.errors import BadInput, StorageFailed
from bzzzd.runtime.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "etc"
"""What a package puts into /etc/bzzz: forms, texts for people, roles."""
SOCKET_PATH_BYTES = 107
LONGEST_SOCKET = "supervisor.sock"
HEADER = """\
# Written by scripts/run. A change of yours is kept; delete the file to get a new one.
# docs/configuration.md lists every key.
"""


@dataclass(frozen=True)
class Folder:
    """Where everything of one local node lies. ``sockets`` is another folder only when the path is too long."""

    path: Path
    sockets: Path

    @property
    def socket(self) -> Path:
        return self.sockets / "bzzzd.sock"

    @property
    def supervisor_socket(self) -> Path:
        return self.sockets / LONGEST_SOCKET

    @property
    def command(self) -> Path:
        """The ``bzzz`` that speaks to this node, with this person's key."""
        return self.path / "bzzz"

    def log(self, program: str) -> Path:
        return self.path / "log" / f"{program}.log"

    @property
    def environ(self) -> dict[str, str]:
        """What clients of this node find in their environment."""
        return {
            "BZZZ_CONFIG_PATH": str(self.path / "hap.yaml"),
            "BZZZ_SOCKET": str(self.socket),
            "BZZZ_STATE": str(self.path / "person"),
        }


def open_folder(path: Path) -> Folder:
    """Make or open a state folder. Raises ``StorageFailed`` when it cannot be this user's alone."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        (path / "log").mkdir(mode=0o700, exist_ok=True)
        if path.stat().st_uid != os.geteuid():
            raise BadInput(f"{path} belongs to another user; name a folder of your own with --state DIR")
        path.chmod(0o700)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise StorageFailed(
            f"cannot write the state folder {path}: {error.strerror}; name another with --state DIR"
        ) from error
    return Folder(path, _sockets_folder(path))


def _sockets_folder(path: Path) -> Path:
    """The state folder itself, or a short one when a socket's path in it would be too long for Linux."""
    if len(os.fsencode(path / LONGEST_SOCKET)) <= SOCKET_PATH_BYTES:
        return path
    memory = _read_memory(path)
    kept = Path(memory.get("sockets", "/nowhere"))
    if kept.is_dir() and kept.stat().st_uid == os.geteuid() and kept.stat().st_mode & 0o077 == 0:
        return kept
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    if runtime.is_absolute() and runtime.is_dir() and os.access(runtime, os.W_OK):
        short = runtime / f"bzzz-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"
        short.mkdir(mode=0o700, exist_ok=True)
    else:
        short = Path(tempfile.mkdtemp(prefix="bzzz-"))
    _write_memory(path, {**memory, "sockets": str(short)})
    return short


def write_configuration(folder: Folder) -> list[str]:
    """Write the four files and the ``bzzz`` command; gives one sentence for each thing worth saying.

    Ports are kept from the last run while they are free. A file that was changed by hand stays as it is; raises
    ``ConfigInvalid`` with every fault when such a change does not fit.
    """
    memory = _read_memory(folder.path)
    written: dict[str, str] = memory.get("written", {})
    ports, said = _ports(memory.get("ports", {}))
    files = {name: HEADER + yaml.safe_dump(data, sort_keys=False) for name, data in _files(folder, ports).items()}
    files["roles.yaml"] = (SHIPPED / "roles.yaml").read_text()
    for name, text in files.items():
        target = folder.path / name
        if target.exists() and _digest(target.read_text()) != written.get(name):
            said.append(f"{target} was changed by hand and is used as it is")
            continue
        _replace(target, text, 0o600)
        written[name] = _digest(text)
    _replace(folder.command, _command(folder), 0o700)
    _write_memory(folder.path, {**_read_memory(folder.path), "ports": ports, "written": written})
    faults = check([folder.path])
    if faults:
        raise refuse(faults, "run")
    return said


def leave(folder: Folder) -> None:
    """Take away the short folder of the sockets, if there is one, once nothing runs."""
    if folder.sockets != folder.path:
        shutil.rmtree(folder.sockets)


def _ports(kept: Mapping[str, int]) -> tuple[dict[str, int], list[str]]:
    chosen: dict[str, int] = {}
    said = []
    for name, usual in (("mesh", 8075), ("bzzzd health", 8071), ("bzzz-agent health", 8081)):
        wanted = kept.get(name, usual)
        chosen[name] = free_port("127.0.0.1", wanted, avoid=chosen.values())
        if chosen[name] != wanted:
            said.append(f"port {wanted} ({name}) is taken, using {chosen[name]}")
    return chosen, said


def _files(folder: Folder, ports: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    common: dict[str, Any] = {"network": {"socket": str(folder.socket)}}
    return {
        "bzzzd.yaml": {
            "binary_type": "daemon",
            "agent": {"role": "node"},
            "ai": {},
            "network": {**common["network"], "listen": [f"/ip4/127.0.0.1/tcp/{ports['mesh']}"]},
            "security": {"development": True},
            "ports": {"http_port": 0, "health_port": ports["bzzzd health"]},
            "storage": {"state_dir": str(folder.path / "bzzzd")},
        },
        "agent.yaml": {
            "binary_type": "agent",
            "agent": {"role": "worker"},
            "ai": {"provider": "embedded"},
            **common,
            "interface": {"prompt_library_path": str(SHIPPED / "prompts")},
            "security": {},
            "ports": {"http_port": 0, "health_port": ports["bzzz-agent health"]},
            "storage": {"state_dir": str(folder.path / "agent")},
        },
        "hap.yaml": {
            "binary_type": "hap",
            "agent": {"role": "operator"},
            "ai": {},
            **common,
            "interface": {"message_templates_path": str(SHIPPED / "templates")},
            "security": {},
            "storage": {"state_dir": str(folder.path / "person")},
        },
    }


def _command(folder: Folder) -> str:
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in folder.environ.items())
    program = shlex.quote(str(Path(sys.executable).parent / "bzzz"))
    return f'#!/bin/sh\n# bzzz, bound to the node of this folder.\nexec env {settings} {program} "$@"\n'


def _read_memory(path: Path) -> dict[str, Any]:
    """What earlier runs decided. A damaged file is as good as none: everything in it can be decided again."""
    try:
        memory = json.loads((path / "run.json").read_text())
    except (OSError, ValueError):
        return {}
    return memory if isinstance(memory, dict) else {}


def _write_memory(path: Path, memory: Mapping[str, Any]) -> None:
    _replace(path / "run.json", json.dumps(memory, indent=1) + "\n", 0o600)


def _replace(path: Path, text: str, mode: int) -> None:
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(text)
    fresh.chmod(mode)
    fresh.replace(path)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
