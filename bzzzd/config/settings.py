"""What one process runs with: its configuration with every default of its kind filled in.

| process | HTTP, health port | state folder | message limit, freshness |
|---|---|---|---|
| bzzzd | 8070, 8071 | /var/lib/bzzz | 1 MiB, 5 s |
| bzzz-agent | 8080, 8081 | /var/lib/bzzz-agent | 1 MiB, 5 s |
| bzzz-agent@NAME | none unless configured | /var/lib/bzzz-agent-NAME | 1 MiB, 5 s |
| bzzz-hap | 8090 web, 8091 web and headless, none in a terminal | ~/.local/state/bzzz, or XDG | 512 KiB, 30 s |
"""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from bzzzd.config.roles import RolesFile
from bzzzd.config.schema import BinaryType, Config

PROGRAMS: Final[Mapping[BinaryType, str]] = {"daemon": "bzzzd", "agent": "bzzz-agent", "hap": "bzzz-hap"}
FILES: Final[Mapping[BinaryType, str]] = {"daemon": "bzzzd.yaml", "agent": "agent.yaml", "hap": "hap.yaml"}
CREDENTIAL: Final = "credential:"
CREDENTIALS: Final = Path("/etc/bzzz/credentials")
_ROLES: Final[Mapping[BinaryType, str]] = {"daemon": "node", "agent": "worker", "hap": "operator"}
_PORTS: Final[Mapping[BinaryType, tuple[int, int]]] = {
    "daemon": (8070, 8071),
    "agent": (8080, 8081),
    "hap": (8090, 8091),
}
_KEYS: Final[Mapping[BinaryType, str]] = {"daemon": "keys/node.key", "agent": "agent.key", "hap": "person.key"}


class Surroundings(Struct, frozen=True):
    """What of the machine decides defaults; passed in, so that tests need no machine of their own."""

    environ: Mapping[str, str]
    host: str
    user: str
    home: Path

    @classmethod
    def here(cls) -> Surroundings:
        try:
            entry = pwd.getpwuid(os.geteuid())
            user, home = entry.pw_name, entry.pw_dir
        except KeyError:
            user, home = f"uid-{os.geteuid()}", "/"
        home = os.environ.get("HOME") or home
        return cls(dict(os.environ), socket.gethostname().partition(".")[0], user, Path(home))


class Settings(Struct, frozen=True):
    """A process's configuration, complete: no port, limit, id, role or folder is left unset.

    ``found`` and ``roles_found`` are false where a file is missing and its defaults are in force, which
    the process says in its log. A port of 0 is off.
    """

    config: Config
    roles: RolesFile
    path: Path
    found: bool
    roles_path: Path
    roles_found: bool
    socket: str
    state_dir: Path
    key_file: Path
    grants_dir: Path

    @property
    def binary_type(self) -> BinaryType:
        return self.config.binary_type

    @property
    def http_port(self) -> int:
        return self.config.ports.http_port or 0

    @property
    def health_port(self) -> int:
        return self.config.ports.health_port or 0

    @property
    def max_message_bytes(self) -> int:
        return self.config.limits.max_message_bytes or 0

    @property
    def message_timeout_s(self) -> float:
        return self.config.limits.message_timeout_s or 0.0

    @property
    def memory_mb(self) -> int:
        return self.config.limits.memory_mb or 0


def complete(config: Config, *, instance: str, around: Surroundings) -> Config:
    """``config`` with the defaults of its process; ``instance`` is the NAME of bzzz-agent@NAME, or empty."""
    kind = config.binary_type
    person = kind == "hap"
    quiet = bool(instance) or (person and config.interface.mode == "terminal")
    http_port, health_port = (0, 0) if quiet else _PORTS[kind]
    if person and config.interface.mode != "web":
        http_port = 0
    ports, limits = config.ports, config.limits
    return replace(
        config,
        agent=replace(
            config.agent,
            id=config.agent.id or _default_id(kind, instance, around),
            role=config.agent.role or _ROLES[kind],
        ),
        ports=replace(
            ports,
            http_port=http_port if ports.http_port is None else ports.http_port,
            health_port=health_port if ports.health_port is None else ports.health_port,
            ucxi_port=ports.ucxi_port or 0,
            admin_ui_port=ports.admin_ui_port or 0,
        ),
        limits=replace(
            limits,
            max_message_bytes=limits.max_message_bytes or (524_288 if person else 1_048_576),
            message_timeout_s=limits.message_timeout_s or (30.0 if person else 5.0),
            memory_mb=limits.memory_mb or (128 if person else 256),
        ),
        storage=replace(config.storage, state_dir=str(_state_dir(config, instance, around))),
    )


def settle(
    config: Config,
    *,
    instance: str,
    around: Surroundings,
    roles: RolesFile,
    path: Path,
    found: bool,
    roles_path: Path,
    roles_found: bool,
    socket: str | None,
) -> Settings:
    """The settings that follow from a valid configuration; ``socket`` is what ``--socket`` named."""
    whole = complete(config, instance=instance, around=around)
    state = Path(whole.storage.state_dir)
    key_file, grants = whole.security.key_file, whole.security.grants_dir
    return Settings(
        config=whole,
        roles=roles,
        path=path,
        found=found,
        roles_path=roles_path,
        roles_found=roles_found,
        socket=socket or around.environ.get("BZZZ_SOCKET") or str(expand(whole.network.socket, around)),
        state_dir=state,
        key_file=expand(key_file, around) if key_file else state / _KEYS[whole.binary_type],
        grants_dir=expand(grants, around) if grants else state / "grants",
    )


def expand(path: str, around: Surroundings) -> Path:
    """A path with a leading ``~/`` made absolute; ``credential:NAME`` is what systemd handed to this unit.

    The units load ``/etc/bzzz/credentials`` (LoadCredential=), which only root can read; outside of a unit
    the name stands for the file there.
    """
    if path.startswith(CREDENTIAL):
        name = path.removeprefix(CREDENTIAL)
        handed = around.environ.get("CREDENTIALS_DIRECTORY")
        return Path(handed, f"credentials_{name}") if handed else CREDENTIALS / name
    return around.home / path[2:] if path.startswith("~/") else Path(path)


def _state_dir(config: Config, instance: str, around: Surroundings) -> Path:
    if config.storage.state_dir:
        return expand(config.storage.state_dir, around)
    if config.binary_type == "daemon":
        return Path("/var/lib/bzzz")
    if config.binary_type == "agent":
        return Path(f"/var/lib/bzzz-agent-{instance}" if instance else "/var/lib/bzzz-agent")
    if named := around.environ.get("BZZZ_STATE"):
        return Path(named)
    xdg = around.environ.get("XDG_STATE_HOME", "")
    # The XDG specification has relative paths ignored.
    return (Path(xdg) if xdg.startswith("/") else around.home / ".local/state") / "bzzz"


def _default_id(kind: BinaryType, instance: str, around: Surroundings) -> str:
    # Cloud images like to call the machine and its user the same; ids of two processes must differ.
    person = around.user if around.user != around.host else f"{around.user}-person"
    text = {"daemon": around.host, "agent": f"{around.host}-{instance or 'agent'}", "hap": person}[kind]
    clean = "".join(char if char.isascii() and (char.isalnum() or char in "_-") else "-" for char in text)
    return clean[:64] or kind
