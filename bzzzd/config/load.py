"""Finding, reading and checking configuration files: one process's settings, or the faults of a whole folder.

A process loads its own file and the roles.yaml beside it, and is refused when they clash with the other
processes' files in that folder. ``check`` reads all files and returns every fault of all of them.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from bzzzd.config.across import Member, across
from bzzzd.config.convert import convert
from bzzzd.config.faults import Fault, in_order, refuse
from bzzzd.config.roles import RolesFile, default_roles, problems
from bzzzd.config.rules import SOCKET_PATH_BYTES, rules
from bzzzd.config.schema import BinaryType, Config
from bzzzd.config.settings import FILES, PROGRAMS, Settings, Surroundings, complete, expand, settle
from bzzzd.config.source import Source, nothing, read_source

FOLDER: Final = Path("/etc/bzzz")
ROLES: Final = "roles.yaml"


def load(
    binary_type: BinaryType,
    path: str | Path | None = None,
    *,
    socket: str | None = None,
    around: Surroundings | None = None,
) -> Settings:
    """The settings of one process.

    ``path`` is what ``--config`` named, else ``BZZZ_CONFIG_PATH``, else the process's file in /etc/bzzz;
    ``socket`` is what ``--socket`` named. A missing file means the defaults (``Settings.found``).
    Raises ``ConfigInvalid`` with every fault.
    """
    around = around or Surroundings.here()
    chosen = Path(path or around.environ.get("BZZZ_CONFIG_PATH") or FOLDER / FILES[binary_type])
    reader = _Reader(around)
    member = reader.member(chosen, binary_type, socket)
    faults = list(reader.faults)
    named = socket or around.environ.get("BZZZ_SOCKET") or ""
    if len(named.encode("utf-8", "surrogateescape")) > SOCKET_PATH_BYTES:
        source = "--socket" if socket else "BZZZ_SOCKET"
        faults.append(
            Fault(source, 0, 0, "", f"a socket's path has at most {SOCKET_PATH_BYTES} bytes", "use a shorter path")
        )
    if member is not None and not faults and kind_of(chosen) is not None:
        others = _Reader(around, reader.roles_read)
        found = [other for sibling in _siblings(chosen) if (other := others.member(sibling, None, socket)) is not None]
        faults += [fault for fault in across([*found, member]) if fault.file == str(chosen)]
    if faults or member is None:
        raise refuse(in_order(faults), PROGRAMS[binary_type])
    return member.settings


def check(paths: Sequence[str | Path] = (), around: Surroundings | None = None) -> list[Fault]:
    """Every fault of all files together; ``paths`` are files or folders, none means the usual folder."""
    around = around or Surroundings.here()
    # What is judged are the files: a socket that this shell names instead of theirs must not hide a clash.
    environ = {name: value for name, value in around.environ.items() if name != "BZZZ_SOCKET"}
    reader = _Reader(replace(around, environ=environ))
    members = []
    for path in files_of(paths, around):
        if _is_roles(path):
            reader.roles(path, required=True)
        elif (member := reader.member(path, None, required=True)) is not None:
            members.append(member)
    return in_order([*reader.faults, *across(members)])


def read_roles(path: Path) -> tuple[RolesFile | None, list[Fault]]:
    """One roles.yaml by itself, and its faults; ``None`` when there are any."""
    reader = _Reader(Surroundings(environ={}, host="", user="", home=Path("/")))
    file, _ = reader.roles(path, required=True)
    return (None if reader.faults else file), reader.faults


def files_of(paths: Sequence[str | Path], around: Surroundings) -> list[Path]:
    """The files that ``check`` reads for these paths."""
    if not paths:
        named = around.environ.get("BZZZ_CONFIG_PATH")
        paths = [Path(named).parent if named else FOLDER]
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if path.is_dir():
            usual = [path / name for name in (*FILES.values(), ROLES)]
            found.update(dict.fromkeys(file for file in usual if file.exists()))
            found.update(dict.fromkeys(sorted(path.glob("agent@*.yaml"))))
        else:
            found[path] = None
    return list(found)


def _siblings(path: Path) -> Iterator[Path]:
    for other in (*(path.with_name(name) for name in FILES.values()), *sorted(path.parent.glob("agent@*.yaml"))):
        if other != path and other.is_file():
            yield other


def _is_roles(path: Path) -> bool:
    return path.stem == "roles"


def kind_of(path: str | Path) -> BinaryType | None:
    """The process that reads a file of this name; ``None`` for names of their own."""
    stem = Path(path).stem.partition("@")[0]
    return next((kind for kind, name in FILES.items() if Path(name).stem == stem), None)


class _Reader:
    """Reads files once and gathers their faults."""

    def __init__(self, around: Surroundings, roles_read: dict[Path, tuple[RolesFile, bool]] | None = None) -> None:
        self.around = around
        self.faults: list[Fault] = []
        self.roles_read = {} if roles_read is None else roles_read

    def roles(self, path: Path, *, required: bool = False) -> tuple[RolesFile, bool]:
        """The roles of ``path`` and whether it exists; with faults, the defaults go on."""
        if path not in self.roles_read:
            source, found = self._source(path, required=required)
            file: RolesFile | None = None
            if found and source is not None:
                file, faults = convert(source, RolesFile)
                self.faults += faults
                if file is not None:
                    self.faults += [source.fault(broken.at, broken.message, broken.fix) for broken in problems(file)]
            self.roles_read[path] = (file or default_roles(), found)
        return self.roles_read[path]

    def member(
        self, path: Path, kind: BinaryType | None, socket: str | None = None, *, required: bool = False
    ) -> Member | None:
        """One process's file; ``kind`` is the process that reads it, ``None`` for what the file says it is."""
        roles_path = path.with_name(ROLES)
        roles, roles_found = self.roles(roles_path)
        source, found = self._source(path, required=required)
        if source is None:
            return None
        config = self._config(source, path, kind, found)
        if config is None:
            return None
        instance = path.stem.partition("@")[2] if config.binary_type == "agent" else ""
        whole = complete(config, instance=instance, around=self.around)
        broken = [source.fault(bad.at, bad.message, bad.fix) for bad in rules(whole, source.given, roles)]
        self.faults += broken
        settings = settle(
            config,
            instance=instance,
            around=self.around,
            roles=roles,
            path=path,
            found=found,
            roles_path=roles_path,
            roles_found=roles_found,
            socket=socket,
        )
        member = Member(source, settings)
        self.faults += _secrets(member, self.around)
        return member

    def _config(self, source: Source, path: Path, kind: BinaryType | None, found: bool) -> Config | None:
        named = source.data.get("binary_type")
        mine = kind or kind_of(path)
        if named is None and mine is None:
            message, fix = "this file does not say its process", "add `binary_type: daemon`, agent or hap"
            self.faults.append(source.fault(("binary_type",), message, fix))
            return None
        data = {**source.data, "binary_type": named or mine}
        if not found:
            data.update(agent={}, ai={}, network={}, security={})
        config, faults = convert(replace(source, data=data), Config)
        self.faults += faults
        if config is not None and mine is not None and mine != config.binary_type:
            self.faults.append(
                source.fault(
                    ("binary_type",),
                    f"this file is for {PROGRAMS[config.binary_type]}, and {PROGRAMS[mine]} reads it",
                    f"set `binary_type: {mine}`, or name another file",
                )
            )
            return None
        return config

    def _source(self, path: Path, *, required: bool) -> tuple[Source | None, bool]:
        """The file's source, or ``None`` when it cannot be used; and whether it exists."""
        file = str(path)
        try:
            raw = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            if required:
                self.faults.append(Fault(file, 0, 0, "", "there is no such file", "name one that exists"))
                return None, False
            return nothing(file), False
        except OSError as error:
            fix = "name a file" if isinstance(error, IsADirectoryError) else "make it readable for this user"
            self.faults.append(Fault(file, 0, 0, "", f"cannot be read: {error.strerror}", fix))
            return None, True
        source = read_source(file, raw)
        self.faults += source.faults
        if source.data is not None and not isinstance(source.data, dict):
            self.faults.append(source.fault((), "expected sections with keys", "write `section:` lines"))
        return (source if isinstance(source.data, dict) else None), True


def _secrets(member: Member, around: Surroundings) -> Iterator[Fault]:
    """Secret files that others can read or that are missing. One in a closed folder cannot be judged from outside."""
    security, ai = member.settings.config.security, member.settings.config.ai
    for key, text in ((("security", "key_file"), security.key_file), (("ai", "api_key_file"), ai.api_key_file)):
        if not text:
            continue
        path = expand(text, around)
        try:
            mode = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            if key[0] == "ai":
                yield member.fault(key, f"there is no file {path}", "write the endpoint's token into it, mode 600")
            continue
        except (OSError, ValueError):
            continue
        if not stat.S_ISREG(mode):
            yield member.fault(key, f"{path} is not a file", "name a file")
        elif stat.S_IMODE(mode) & 0o077:
            yield member.fault(
                key, f"{path} is open to others (mode {stat.S_IMODE(mode):04o})", f"run: chmod 600 '{path}'"
            )
