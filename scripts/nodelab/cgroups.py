"""A control group for each machine: nspawn would put all of them into one, and limits would be shared.

Works on cgroup v2, v1 and the mixture of both; where there is none to write to, machines have no limit.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/sys/fs/cgroup")
_OURS: Final = "bzzz-nodelab"


def _hierarchies() -> list[Path]:
    if (_ROOT / "cgroup.procs").exists():
        return [_ROOT]
    return [path for path in _ROOT.iterdir() if path.is_dir()] if _ROOT.is_dir() else []


def join(name: str, memory_mib: int) -> None:
    """Move the calling process into the machine's group; called between fork and exec."""
    for hierarchy in _hierarchies():
        with contextlib.suppress(OSError):
            group = hierarchy / _OURS / name
            group.mkdir(parents=True, exist_ok=True)
            for above in (hierarchy, hierarchy / _OURS):
                with contextlib.suppress(OSError):
                    (above / "cgroup.subtree_control").write_text("+cpu +memory +pids")
            for file in ("cpuset.cpus", "cpuset.mems"):  # v1 makes them empty, and then nobody may join
                with contextlib.suppress(OSError):
                    value = (hierarchy / file).read_text()
                    (hierarchy / _OURS / file).write_text(value)
                    (group / file).write_text(value)
            for file in ("memory.limit_in_bytes", "memory.max"):
                if (group / file).exists():
                    with contextlib.suppress(OSError):
                        (group / file).write_text(f"{memory_mib}M")
            (group / "cgroup.procs").write_text(str(os.getpid()))


def processes(name: str) -> Iterator[int]:
    """Everything that runs in a machine's group, in whatever group below it."""
    seen: set[int] = set()
    for hierarchy in _hierarchies():
        for file in (hierarchy / _OURS / name).rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                seen.update(int(line) for line in file.read_text().split())
    yield from sorted(seen)


def sweep(name: str) -> None:
    """Kill what a machine left behind when its nspawn was killed itself."""
    for pid in processes(name):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def drop(name: str = "") -> None:
    """Remove a machine's groups, or all of ours; those that are not empty stay."""
    for hierarchy in _hierarchies():
        top = hierarchy / _OURS / name
        if top.is_dir():
            folders = sorted((path for path in top.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts))
            for folder in (*folders, top):
                with contextlib.suppress(OSError):
                    folder.rmdir()
