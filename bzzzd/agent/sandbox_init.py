"""The first process inside a sandbox: it starts the program and holds the deadline itself.

When process 1 of a PID namespace ends, the kernel ends everything in it. So this program ends when
the program does, when its time or memory is used up, when the lease's end comes without an
extension, and when the agent's end of the control pipe closes. A frozen agent cannot extend.

It runs under a bare ``python3 -I -S`` and is copied into the sandbox: it imports nothing of ours.

    spec     a file descriptor with one JSON map (see ``sandbox.py``), read once
    control  a pipe: one deadline a line, in seconds of CLOCK_BOOTTIME; the end of it means "stop"
    status   a pipe: one JSON map at the end, ``{"why": …, "exit": …}``

The program cannot reach these pipes or this process's memory: the process is not dumpable, which
closes ptrace and ``/proc/1`` to processes of the same user.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

_PR_SET_DUMPABLE = 4
_CLONE_NEWUSER = 0x10000000
_SLICE_S = 0.2
_INODE_BYTES = 1024


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Deadline:
    """The lease's end as last heard from the agent; ``gone`` once the agent has closed the pipe."""

    def __init__(self, control: int, ends: float) -> None:
        self._control = control
        self._rest = b""
        self.ends = ends
        self.gone = False

    def read(self) -> None:
        """Take in what has arrived; call it when the pipe is readable."""
        data = os.read(self._control, 4096)
        if not data:
            self.gone = True
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self.ends = float(line)


def memory_used(folders: list[str]) -> int:
    """Bytes of private memory of every process here, and of what lies in the writable folders."""
    page = os.sysconf("SC_PAGE_SIZE")
    total = 0
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are all that is wanted
        if name.isdigit() and name != "1":
            # A process may end between the listing and the reading.
            with contextlib.suppress(OSError, ValueError), open(f"/proc/{name}/statm", "rb") as file:  # noqa: PTH123
                fields = file.read().split()
                total += (int(fields[1]) - int(fields[2])) * page
    for folder in folders:
        found = os.statvfs(folder)
        total += (found.f_blocks - found.f_bfree) * found.f_frsize + (found.f_files - found.f_ffree) * _INODE_BYTES
    return total


def become_program(spec: dict[str, Any]) -> None:
    """Turn this (forked) process into the program; never returns."""
    try:
        for name, bound in spec["rlimits"].items():
            resource.setrlimit(getattr(resource, name), (bound, bound))
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.execvpe(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606
    except OSError as error:
        os.write(2, f"{spec['argv'][0]}: {error.strerror}\n".encode())
        os._exit(126 if isinstance(error, PermissionError) else 127)
    except BaseException as error:
        os.write(2, f"the sandbox could not start the program: {error}\n".encode())
        os._exit(125)


def reap(child: int) -> int | None:
    """Collect every process that has ended; the program's exit status (128 + signal) if it is among them."""
    status: int | None = None
    while True:
        try:
            pid, raw = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == child:
            code = os.waitstatus_to_exitcode(raw)
            status = code if code >= 0 else 128 - code


def harden() -> ctypes.CDLL:
    # The kernel should rather end this sandbox than the agent or the daemon when memory runs out.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    return libc


def watch(spec: dict[str, Any], control: int) -> dict[str, Any]:
    """Run the program and wait for the first reason to end; says which it was."""
    woken, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    started = now()
    child = os.fork()
    if child == 0:
        become_program(spec)
    # The program's pipes are its own: nothing here may keep them open or read from them.
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    deadline = Deadline(control, spec["ends"])
    while True:
        time_up = started + spec["timeout_s"]
        # Timers of the kernel's poll stand still while the machine sleeps, CLOCK_BOOTTIME does not: hence slices.
        wait = max(0.0, min(_SLICE_S, deadline.ends - now(), time_up - now()))
        ready, _, _ = select.select([control, woken], [], [], wait)
        if woken in ready:
            os.read(woken, 4096)
        if control in ready:
            deadline.read()
        status = reap(child)
        if status is not None:
            return {"why": "exit", "exit": status}
        if deadline.gone:
            return {"why": "stopped"}
        if now() >= deadline.ends:
            return {"why": "lease"}
        if now() >= time_up:
            return {"why": "timeout"}
        if memory_used(spec["folders"]) > spec["memory"]:
            return {"why": "memory"}


def main(arguments: list[str]) -> None:
    spec_fd, control, status = (int(word) for word in arguments)
    with os.fdopen(spec_fd, "rb") as file:
        spec = json.load(file)
    for number in (control, status):
        os.set_inheritable(number, False)
    libc = harden()
    if spec.get("check"):
        # Asked once at start: can a program in here make a user namespace? It must not.
        report = {"why": "exit", "exit": 0, "nested": libc.unshare(_CLONE_NEWUSER) == 0}
    else:
        report = watch(spec, control)
    os.write(status, json.dumps(report).encode())
    os._exit(report.get("exit", 1))


if __name__ == "__main__":
    main(sys.argv[1:])
