"""The socket's file: made with the right permissions from its first instant, and taken away only while it is ours."""

from __future__ import annotations

import errno
import grp
import os
import socket
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bzzzd.errors import AlreadyRunning, ConfigInvalid

MAX_PATH: Final = 107
"""Bytes that ``sockaddr_un`` has room for, without the closing NUL (unix(7))."""

_PEERCRED: Final = struct.Struct("iII")


@dataclass(frozen=True, slots=True)
class Bound:
    """A socket bound to ``path``, not listening yet; ``device`` and ``inode`` say which file is ours."""

    sock: socket.socket
    path: Path
    device: int
    inode: int

    def remove(self) -> None:
        """Take the file away, unless somebody has put another in its place."""
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return
        if (found.st_dev, found.st_ino) == (self.device, self.inode):
            self.path.unlink(missing_ok=True)


def bind(path: Path, *, mode: int = 0o660, group: str | None = None) -> Bound:
    """Bind a unix socket that only ``mode`` and ``group`` can open; the stale file of a dead process is replaced.

    Raises ``AlreadyRunning`` when a live process holds it, ``ConfigInvalid`` when the path cannot be used.
    The umask is changed for one system call: call this before threads create files of their own.
    """
    size = len(os.fsencode(path))
    if size > MAX_PATH:
        raise ConfigInvalid(
            f"the socket path {path} has {size} bytes and a unix socket's has at most {MAX_PATH}; "
            "set a shorter one with --socket, BZZZ_SOCKET or network.socket",
            path=str(path),
        )
    gid = _group(group)
    _make_way(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        # No moment with wider permissions: the file begins with them, and nobody can connect before listen().
        before = os.umask(0o777 & ~mode)
        try:
            sock.bind(os.fspath(path))
        finally:
            os.umask(before)
        try:
            if gid is not None and path.lstat().st_gid != gid:
                os.chown(path, -1, gid)
        except PermissionError as error:
            path.unlink()
            raise ConfigInvalid(
                f"cannot give {path} to the group {group}: the user who runs bzzzd must be a member of it",
                path=str(path),
            ) from error
        found = path.lstat()
    except OSError as error:
        sock.close()
        raise _unusable(path, error) from error
    except BaseException:
        sock.close()
        raise
    return Bound(sock, path, found.st_dev, found.st_ino)


def _make_way(path: Path) -> None:
    """Remove the socket of a process that has died; refuse everything else that is in the way."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unusable(path, error) from error
    if not stat.S_ISSOCK(found.st_mode):
        raise ConfigInvalid(f"{path} exists and is no socket; move it away or choose another path", path=str(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        state = probe.connect_ex(os.fspath(path))
        if state == errno.ECONNREFUSED:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise _unusable(path, error) from error
            return
        if state == errno.ENOENT:
            return
        if state in (0, errno.EAGAIN):  # EAGAIN: alive, with a full queue
            raise _held(path, probe if state == 0 else None)
    raise _unusable(path, OSError(state, os.strerror(state)))


def _held(path: Path, probe: socket.socket | None) -> AlreadyRunning:
    pid = _PEERCRED.unpack(probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEERCRED.size))[0] if probe else 0
    who = f"process {pid}" if pid else "a live process"
    return AlreadyRunning(
        f"{path} is held by {who}; stop it, or choose another path with --socket or BZZZ_SOCKET",
        path=str(path), pid=pid or None,
    )  # fmt: skip


def _group(name: str | None) -> int | None:
    if name is None:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigInvalid(
            f"there is no group {name} for the socket; make it with: sudo groupadd --system {name}", group=name
        ) from None


def _unusable(path: Path, error: OSError) -> ConfigInvalid:
    folder = path.parent
    match error.errno:
        case errno.ENOENT:
            text = f"the folder {folder} of the socket is missing; make it with: mkdir -p {folder}"
        case errno.ENOTDIR:
            text = f"{folder} is no folder, so the socket {path} cannot be made; choose another path"
        case errno.EACCES | errno.EPERM:
            text = f"no right to use {path}: run as the owner of {folder}, or choose another path"
        case errno.EROFS:
            text = f"{folder} is on a read-only file system; choose another path for the socket"
        case errno.EADDRINUSE:
            text = f"{path} was taken by another process a moment ago; look for a second bzzzd"
        case _:
            text = f"cannot make the socket {path}: {error.strerror}"
    return ConfigInvalid(text, path=str(path))
