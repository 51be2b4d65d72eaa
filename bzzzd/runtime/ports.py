"""TCP ports: taking one, and saying who has it when it is taken."""

from __future__ import annotations

import errno
import pwd
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bzzzd.errors import Conflict, NotAllowed, Unavailable

_LISTEN = "0A"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who listens on a port. ``program`` and ``pid`` are known only where /proc lets us read them."""

    uid: int
    program: str = ""
    pid: int | None = None

    def __str__(self) -> str:
        try:
            user = f"{pwd.getpwuid(self.uid).pw_name}, uid {self.uid}"
        except KeyError:
            user = f"uid {self.uid}"
        return f"{self.program} (process {self.pid}, {user})" if self.program else f"a program of {user}"


def listen(host: str, port: int, *, key: str = "", backlog: int = 128) -> socket.socket:
    """Bind and listen; gives the socket, non-blocking.

    ``key`` is the configuration key to name in the error. Raises ``Conflict`` with the holder's uid, and its
    program where that is readable, when the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(backlog)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise _refusal(host, port, key, error) from error
    return listener


def _refusal(host: str, port: int, key: str, error: OSError) -> Conflict | NotAllowed | Unavailable:
    where = f"{host}:{port}" + (f" ({key})" if key else "")
    if error.errno == errno.EADDRINUSE:
        found = holder(port)
        by = f" by {found}" if found else ""
        return Conflict(
            f"port {where} is taken{by}; stop that program or set another port",
            port=port,
            uid=found.uid if found else None,
            program=found.program if found else "",
            pid=found.pid if found else None,
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return NotAllowed(f"port {where} may not be opened by this user; set one above 1023", port=port)
    return Unavailable(f"port {where} cannot be opened: {error.strerror}; set network.bind or the port", port=port)


def is_free(host: str, port: int) -> bool:
    """Whether ``listen`` would succeed now. Another process may take the port right after."""
    try:
        listen(host, port).close()
    except (Conflict, NotAllowed, Unavailable):
        return False
    return True


def free_port(host: str, wanted: int, *, avoid: Iterable[int] = ()) -> int:
    """``wanted`` when it is free, else one that the kernel picks; never one of ``avoid``."""
    taken = set(avoid)
    if wanted and wanted not in taken and is_free(host, wanted):
        return wanted
    while True:
        with listen(host, 0) as probe:
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port


def holder(port: int, proc: Path = Path("/proc")) -> Holder | None:
    """Who listens on a TCP port of this machine, from /proc/net; ``None`` when nobody is seen to."""
    for uid, inode in _listeners(port, proc):
        pid = _process_with(inode, proc)
        if pid is None:
            return Holder(uid)
        try:
            program = (proc / str(pid) / "comm").read_text().strip()
        except OSError:
            program = ""
        return Holder(uid, program, pid if program else None)
    return None


def _listeners(port: int, proc: Path) -> Iterator[tuple[int, str]]:
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            if len(columns) > 9 and columns[3] == _LISTEN and int(columns[1].rpartition(":")[2], 16) == port:
                yield int(columns[7]), columns[9]


def _process_with(inode: str, proc: Path) -> int | None:
    target = f"socket:[{inode}]"
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            for descriptor in (folder / "fd").iterdir():
                if str(descriptor.readlink()) == target:
                    return int(folder.name)
        except OSError:  # another user's process, or one that has just ended
            continue
    return None
