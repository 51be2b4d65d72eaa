"""What goes around a program: bubblewrap's arguments, the first process's spec, and what may be shown.

Values from values; running is ``sandbox.py``'s.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bzzzd.errors import BadInput

NOBODY: Final = 65534
INIT_PLACE: Final = "/run/bzzz/init.py"
WRITABLE: Final = ("/task", "/tmp", "/dev/shm")  # noqa: S108 - paths inside the sandbox
_SYSTEM_FOLDERS: Final = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_SHOWN: Final = [("usr",), *((name,) for name in _SYSTEM_FOLDERS)]
_SYSTEM_FILES: Final = (
    "/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime",
    "/etc/ssl/certs", "/etc/magic", "/etc/mime.types",
)  # fmt: skip
_ENVIRONMENT: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/task", "TMPDIR": "/tmp", "LANG": "C.UTF-8"}  # noqa: S108
_MAX_ARGV_BYTES: Final = 131_072


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use. ``output_bytes`` are kept of standard output and of standard error each."""

    timeout_s: float = 300.0
    memory_mb: int = 512
    output_bytes: int = 1_048_576
    processes: int = 64
    open_files: int = 256


@dataclass(frozen=True, slots=True)
class Fence:
    """What keeps nested user namespaces out here: ``--disable-userns``, the seccomp filter, or both."""

    bwrap: str
    python: str
    disable_userns: bool
    seccomp: bytes | None = field(repr=False)

    def __str__(self) -> str:
        parts = [name for name, on in (("disable-userns", self.disable_userns), ("seccomp", self.seccomp)) if on]
        return " and ".join(parts)


def _system_view() -> list[str]:
    """The read-only part of the file system: /usr, the old top-level names, and a few files of /etc."""
    made = ["--ro-bind", "/usr", "/usr"]
    for name in _SYSTEM_FOLDERS:
        folder = Path("/") / name
        if folder.is_symlink():
            made += ["--symlink", str(folder.readlink()), str(folder)]
        elif folder.is_dir():
            made += ["--ro-bind", str(folder), str(folder)]
    for text in _SYSTEM_FILES:
        made += ["--ro-bind-try", text, text]
    return made


def flags(fence: Fence, visible: Sequence[Path], limits: Limits) -> list[str]:
    """The arguments of bwrap, apart from the file descriptors."""
    size = str(limits.memory_mb * 1_048_576)
    made = [
        "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--as-pid-1", "--clearenv",
        "--cap-drop", "ALL", "--hostname", "sandbox",
        *(["--disable-userns"] if fence.disable_userns else []),
        *_system_view(),
        "--proc", "/proc", "--dev", "/dev",
    ]  # fmt: skip
    for folder in WRITABLE:
        made += ["--size", size, "--tmpfs", folder]
    for path in visible:
        made += ["--ro-bind", str(path), str(path)]
    return [*made, "--chdir", "/task"]


def drop_root() -> list[str]:
    """Root's own files and process limits would not hold against root: an agent run by root becomes nobody."""
    if os.geteuid() != 0:
        return []
    return ["/usr/bin/setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all"]


def spec(argv: Sequence[str], limits: Limits, ends: float, check: bool) -> dict[str, Any]:
    memory = limits.memory_mb * 1_048_576
    return {
        "argv": list(argv),
        "env": _ENVIRONMENT,
        "ends": ends,
        "timeout_s": limits.timeout_s,
        "memory": memory,
        "folders": list(WRITABLE),
        "check": check,
        "rlimits": {
            "RLIMIT_CORE": 0,
            "RLIMIT_DATA": memory,
            "RLIMIT_FSIZE": memory,
            "RLIMIT_NPROC": limits.processes,
            "RLIMIT_NOFILE": limits.open_files,
            "RLIMIT_MEMLOCK": 65_536,
        },
    }


def inner_uid() -> int:
    return NOBODY if os.geteuid() == 0 else os.geteuid()


def check_argv(argv: Sequence[str]) -> None:
    if not argv or not argv[0]:
        raise BadInput("a command needs an argv with at least a program")
    if any("\0" in word for word in argv):
        raise BadInput("an argument of the command has a NUL character in it")
    if sum(len(word.encode()) + 1 for word in argv) > _MAX_ARGV_BYTES:
        raise BadInput(f"the arguments are over {_MAX_ARGV_BYTES} bytes; give large input on standard input")


def program_paths(argv: Sequence[str], closed: Sequence[Path]) -> list[Path]:
    """The files and folders of a configured ``argv`` that the sandbox must show besides the system's.

    Every absolute path that exists is shown, as it is and nothing around it; a folder with a
    ``__main__.py`` is how a Python program brings its modules. A path that holds one of ``closed``
    (state folders, key files), or is inside one, raises ``BadInput``.
    """
    found: list[Path] = []
    for word in argv:
        path = Path(word)
        if not path.is_absolute() or not path.exists() or path.parts[1:2] in _SHOWN:
            continue
        real = path.resolve()
        if real == Path("/") or stat.S_IFMT(real.stat().st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
            raise BadInput(f"{word} cannot be shown in a sandbox; name the program's own file or folder")
        for secret in closed:
            hidden = secret.resolve()
            if hidden.is_relative_to(real) or real.is_relative_to(hidden):
                raise BadInput(f"{word} overlaps {secret}, which no sandbox may see; move the program elsewhere")
        found.append(path)
    return found
