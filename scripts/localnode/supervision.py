"""supervisord over the two processes of a local node: start, look, stop, and the last lines of a log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from http.client import HTTPException
from pathlib import Path
from typing import Any
from xmlrpc.client import Error, ServerProxy

from supervisor.xmlrpc import SupervisorTransport

from bzzzd.errors import ServiceStartFailed
from localnode.folder import ROOT, Folder

PROGRAMS = ("bzzzd", "bzzz-agent")
START_LIMIT_S = 20.0
STOP_LIMIT_S = 40.0


class Supervision:
    """A running supervisord: our own child, or one that an earlier run left going (``child`` is ``None``)."""

    def __init__(self, folder: Folder, child: subprocess.Popen[bytes] | None) -> None:
        self._folder = folder
        self.child = child
        self._log_began = {name: _size(folder.log(name)) for name in PROGRAMS}

    def states(self) -> dict[str, str]:
        """Supervisord's word for each program: STARTING, RUNNING, BACKOFF, FATAL, …; empty when it does not answer."""
        # A connection for each question: supervisor's transport does not recover one that broke.
        transport = SupervisorTransport(None, None, f"unix://{self._folder.supervisor_socket}")
        try:
            rows: Any = ServerProxy("http://127.0.0.1", transport=transport).supervisor.getAllProcessInfo()
        except (OSError, HTTPException, Error):
            return {}
        finally:
            transport.close()
        return {row["name"]: row["statename"] for row in rows}

    def fallen(self) -> str:
        """The first program that failed to start and is tried again, or is given up; empty when none."""
        if self.child is not None and self.child.poll() is not None:
            return "supervisord"
        states = self.states()
        return next((name for name in PROGRAMS if states.get(name) in ("BACKOFF", "FATAL", "EXITED")), "")

    def last_words(self, name: str) -> str:
        """The end of what a program logged since it was started."""
        return last_lines(self._folder.log(name), self._log_began.get(name, 0))

    def stop(self) -> None:
        """Stop everything, the agent first. Returns when the processes are gone."""
        if self.child is None or self.child.poll() is not None:
            return
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()


def running(folder: Folder) -> Supervision | None:
    """The supervisord that already runs in this folder, if one answers."""
    if not folder.supervisor_socket.exists():
        return None
    found = Supervision(folder, None)
    return found if found.states() else None


def start(folder: Folder, programs: Path = Path(sys.executable).parent) -> Supervision:
    """Start supervisord, and with it the two programs of the folder ``programs``.

    It gets SIGTERM when this process dies, however it dies, and stops its programs then.
    """
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("BZZZ_", "PYTHON"))},
        "BZZZ_RUN_STATE": str(folder.path),
        "BZZZ_RUN_SOCKETS": str(folder.sockets),
        "BZZZ_RUN_BIN": str(programs),
        "PYTHONUNBUFFERED": "1",
    }
    folder.supervisor_socket.unlink(missing_ok=True)
    command = [
        "setpriv", "--pdeathsig", "TERM",
        sys.executable, "-m", "supervisor.supervisord",
        "-c", str(ROOT / "packaging" / "supervisor" / "local.conf"), "--silent",
    ]  # fmt: skip
    if os.geteuid() == 0:
        command += ["--user", "root"]
    supervision = Supervision(folder, None)
    with folder.log("supervisord-start").open("wb") as out:
        supervision.child = child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environ, start_new_session=True
        )
    try:
        _wait_until_it_answers(supervision, child, folder)
    except BaseException:
        supervision.stop()
        raise
    return supervision


def _wait_until_it_answers(supervision: Supervision, child: subprocess.Popen[bytes], folder: Folder) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while not supervision.states():
        if child.poll() is not None or time.monotonic() > deadline:
            raise ServiceStartFailed(f"supervisord did not start:\n{last_lines(folder.log('supervisord-start'))}")
        time.sleep(0.05)


def last_lines(log: Path, since: int = 0, count: int = 15) -> str:
    """The end of a log from the byte ``since`` on, indented, for an error message."""
    try:
        raw = log.read_bytes()
    except OSError as error:
        return f"  ({log}: {error.strerror})"
    lines = raw[since if since < len(raw) else 0 :].decode(errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-count:]) or f"  ({log} is empty)"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
