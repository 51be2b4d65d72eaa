"""Runs a program in a bubblewrap sandbox: no network, no files but the system's, bounded in everything.

What a program gets: the system folders read-only, a private ``/task`` and ``/tmp`` in memory, its
standard streams, and nothing else; no network, no other process, no environment, no capability, no
user namespace of its own. Its time, memory, processes, files and output are bounded, and the first
process inside (``sandbox_init.py``) ends everything at the lease's end unless the agent extends it.

The memory bound counts private memory and the writable folders. Memory that a program hides from
that count (unmapped memfds, pipe buffers) is bounded by the unit's ``MemoryMax``; the kernel ends
the sandbox first when memory runs out.

There is no way to run anything without the sandbox: where it cannot run, ``SandboxUnavailable``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from bzzzd.agent import bwrap, seccomp
from bzzzd.agent.bwrap import INIT_PLACE, Fence, Limits
from bzzzd.agent.lease import Lease, boottime
from bzzzd.errors import SandboxUnavailable

Why = Literal["exit", "timeout", "lease", "memory", "output", "stopped", "killed"]

_SEARCH: Final = "/usr/bin:/bin"
_READ_BYTES: Final = 65_536
# A program that writes more than this many times what is kept is ended instead of drained for ever.
_FLOOD: Final = 16
_STOP_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Report:
    """How a run ended: ``why``, the exit status (128 + signal) if the program ended by itself, and its output."""

    why: Why
    exit: int | None
    stdout: bytes
    stderr: bytes
    truncated: bool
    seconds: float


def _memory_file(name: str, data: bytes) -> int:
    handle = os.memfd_create(name, os.MFD_CLOEXEC)
    os.write(handle, data)
    os.lseek(handle, 0, os.SEEK_SET)
    return handle


class _Sink:
    """One output stream: keeps the first ``limit`` bytes, counts the rest, and notices a flood."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.kept = bytearray()
        self.total = 0

    async def fill(self, stream: asyncio.StreamReader) -> bool:
        """Read to the end; ``False`` when there was far too much of it."""
        while data := await stream.read(_READ_BYTES):
            self.total += len(data)
            self.kept += data[: max(0, self._limit - len(self.kept))]
            if self.total > self._limit * _FLOOD:
                return False
        return True

    @property
    def truncated(self) -> bool:
        return self.total > len(self.kept)


class _Run:
    """One sandbox from start to end. Closing ``control`` ends everything inside at once."""

    def __init__(self, fence: Fence, spec: Mapping[str, Any], visible: Sequence[Path], limits: Limits) -> None:
        self._fence, self._spec, self._visible, self._limits = fence, spec, visible, limits
        self._status = -1
        self._control = -1
        self._flooded = False

    async def start(self) -> asyncio.subprocess.Process:
        passwd = f"sandbox:x:{bwrap.inner_uid()}:{bwrap.inner_uid()}::/task:/bin/sh\n".encode()
        group = f"sandbox:x:{bwrap.inner_uid()}:\n".encode()
        inside: list[int] = []
        try:
            files = [
                ("--ro-bind-data", _memory_file("init", _init_source()), INIT_PLACE),
                ("--ro-bind-data", _memory_file("passwd", passwd), "/etc/passwd"),
                ("--ro-bind-data", _memory_file("group", group), "/etc/group"),
            ]
            inside += [handle for _, handle, _ in files]
            spec = _memory_file("spec", json.dumps(self._spec).encode())
            inside.append(spec)
            control, self._control = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            inside.append(control)
            self._status, status = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            inside.append(status)
            flags = bwrap.flags(self._fence, self._visible, self._limits)
            for flag, handle, place in files:
                flags += [flag, str(handle), place]
            # Last, so that the mount points above could be made.
            flags += ["--remount-ro", "/dev", "--remount-ro", "/"]
            if self._fence.seccomp:
                handle = _memory_file("seccomp", self._fence.seccomp)
                inside.append(handle)
                flags += ["--seccomp", str(handle)]
            command = [
                *bwrap.drop_root(),
                self._fence.bwrap,
                *flags,
                "--",
                self._fence.python,
                "-I",
                "-S",
                "-B",
                INIT_PLACE,
            ]
            return await asyncio.create_subprocess_exec(
                *command, str(spec), str(control), str(status), pass_fds=inside, env={}, cwd="/",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
        finally:
            for handle in inside:
                os.close(handle)

    def extend(self, ends: float) -> None:
        """Tell the first process of a later deadline; one that has ended needs none."""
        if self._control >= 0:
            with contextlib.suppress(BrokenPipeError, BlockingIOError):
                os.write(self._control, f"{ends}\n".encode())

    def stop(self) -> None:
        if self._control >= 0:
            os.close(self._control)
            self._control = -1

    async def collect(self, process: asyncio.subprocess.Process, stdin: bytes) -> tuple[_Sink, _Sink]:
        out, err = _Sink(self._limits.output_bytes), _Sink(self._limits.output_bytes)
        assert process.stdin
        assert process.stdout
        assert process.stderr
        try:
            await asyncio.gather(
                _feed(process.stdin, stdin), self._drain(out, process.stdout), self._drain(err, process.stderr)
            )
            await process.wait()
        finally:
            self.stop()
            if process.returncode is None:
                await _end(process)
        return out, err

    async def _drain(self, sink: _Sink, stream: asyncio.StreamReader) -> None:
        if not await sink.fill(stream):
            self._flooded = True
            self.stop()
            # The pipe is read to its end, which now comes at once, so that nothing blocks on it.
            while await stream.read(_READ_BYTES):
                pass

    def status(self) -> dict[str, Any]:
        """What the first process said at its end; ``killed`` when it could say nothing."""
        try:
            raw = os.read(self._status, 4096)
        except BlockingIOError:
            raw = b""
        if self._flooded:
            return {"why": "output"}
        found: dict[str, Any] = json.loads(raw) if raw else {"why": "killed"}
        return found

    def close(self) -> None:
        self.stop()
        if self._status >= 0:
            os.close(self._status)
            self._status = -1


async def _feed(stream: asyncio.StreamWriter, data: bytes) -> None:
    # A program that does not read its input, or ends before it has, is no fault.
    # The event loop may have seen its end already, and closed: to write all the same would be ours.
    if not stream.is_closing():
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            stream.write(data)
            await stream.drain()
    stream.close()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        await stream.wait_closed()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Wait for the end that closing the control pipe brings; a stuck one is killed."""
    try:
        await asyncio.wait_for(process.wait(), _STOP_S)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _python() -> str:
    """An interpreter that the sandbox shows, for its first process: the system's, or ours if it is under /usr."""
    for path in ("/usr/bin/python3", os.path.realpath(sys.executable)):
        if path.startswith("/usr/") and os.access(path, os.X_OK):
            return path
    raise SandboxUnavailable("there is no /usr/bin/python3, which a sandbox needs; run: apt-get install python3")


def _init_source() -> bytes:
    return Path(__file__).with_name("sandbox_init.py").read_bytes()


class Sandbox:
    """A sandbox that was seen to work here. ``fence`` says what is in force."""

    def __init__(self, fence: Fence) -> None:
        self.fence = fence

    @classmethod
    async def probe(cls, *, search: str = _SEARCH) -> Sandbox:
        """Find bwrap and what it can do here, by running it; raises ``SandboxUnavailable`` with the reason."""
        program = shutil.which("bwrap", path=search)
        if program is None:
            raise SandboxUnavailable("there is no bwrap; install it with: apt-get install bubblewrap")
        python = _python()
        filter_ = seccomp.program_here()
        said = ""
        for disable_userns in (True, False):
            if not disable_userns and filter_ is None:
                break
            sandbox = cls(Fence(program, python, disable_userns, filter_))
            works, said = await sandbox._check()
            if works:
                return sandbox
        raise SandboxUnavailable(f"bwrap does not work here: {said or 'it ended without a word'}")

    async def _check(self) -> tuple[bool, str]:
        limits = Limits(timeout_s=10.0)
        run = _Run(self.fence, bwrap.spec(["check"], limits, boottime() + 10.0, check=True), (), limits)
        try:
            process = await run.start()
            _, err = await asyncio.wait_for(run.collect(process, b""), 15.0)
            status = run.status()
        except (OSError, TimeoutError) as error:
            return False, str(error) or "it did not end in time"
        finally:
            run.close()
        if status.get("nested"):
            return False, "a program inside could make a user namespace of its own"
        return status.get("why") == "exit", err.kept.decode("utf-8", "replace").strip()[:300]

    async def run(
        self,
        argv: Sequence[str],
        *,
        lease: Lease,
        stdin: bytes = b"",
        limits: Limits | None = None,
        visible: Sequence[Path] = (),
    ) -> Report:
        """Run ``argv`` until it ends or a bound is met. ``visible`` paths are added read-only.

        Cancelling ends everything inside before it returns. Raises ``BadInput`` for an argv that
        cannot be one, ``SandboxUnavailable`` when the sandbox itself does not start.
        """
        bwrap.check_argv(argv)
        limits = limits or Limits()
        started = boottime()
        run = _Run(self.fence, bwrap.spec(argv, limits, lease.stop_at, check=False), visible, limits)
        unwatch = lease.watch(run.extend)
        try:
            process = await run.start()
            out, err = await run.collect(process, stdin)
            status = run.status()
        except OSError as error:
            raise SandboxUnavailable(f"the sandbox did not start: {error}") from error
        finally:
            unwatch()
            run.close()
        if status["why"] == "killed" and process.returncode and not out.total and err.kept.startswith(b"bwrap:"):
            raise SandboxUnavailable(f"the sandbox did not start: {err.kept.decode('utf-8', 'replace').strip()[:300]}")
        return Report(
            why=status["why"],
            exit=status.get("exit"),
            stdout=bytes(out.kept),
            stderr=bytes(err.kept),
            truncated=out.truncated or err.truncated,
            seconds=boottime() - started,
        )
