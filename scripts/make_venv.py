"""Make the checkout's .venv from the hash-pinned locks. Standard library only; see scripts/bootstrap.

Nothing is done when the locks and the interpreter are those of the last time (a stamp in .venv says so).
Writes into the checkout alone: no cache in the home folder, no configuration of the user's.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from steps import Step, Steps

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCKS = ROOT / "packaging"
PIP = (
    "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--no-cache-dir", "--progress-bar", "off",
    "--no-deps", "--no-build-isolation", "--no-warn-script-location",
)  # fmt: skip
_PROGRESS = re.compile(r"^\s*Collecting ([A-Za-z0-9._-]+)|^(Installing collected packages)")


class Stopped(Exception):
    """The environment cannot be made; the message says what to do."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bootstrap", description=__doc__)
    parser.add_argument("--dev", action="store_true", help="with the tools of the tests")
    dev = parser.parse_args().dev
    steps = Steps()
    try:
        with _alone():
            stamp = _stamp(dev)
            if not _is_made(stamp, dev):
                _make(steps, stamp, dev)
            # Without compiled modules every start compiles the package anew where PYTHONDONTWRITEBYTECODE is set.
            _run(
                [str(VENV / "bin" / "python"), "-m", "compileall", "-q", str(ROOT / "bzzzd")], "compiling bzzzd failed"
            )
            _system_packages(steps, ["libgomp1"], needed=True)
            _system_packages(steps, ["bubblewrap", "prometheus"] if dev else ["bubblewrap"], needed=dev)
    except Stopped as stop:
        print(f"bootstrap: {stop}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bootstrap: stopped; the next run goes on from here", file=sys.stderr)
        return 130
    return 0


@contextmanager
def _alone() -> Iterator[None]:
    """Two runs at once would write one .venv: the second waits. The lock is on a file that exists anyway."""
    with (LOCKS / "lock.txt").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# What is there.


def _lock_names(dev: bool) -> list[str]:
    return ["lock-build.txt", "lock-dev.txt" if dev else "lock.txt"]


def _stamp(dev: bool) -> str:
    """What the environment is made from: locks, project file, interpreter, place."""
    digest = hashlib.sha256(f"{sys.version} {sysconfig.get_platform()} {ROOT}".encode())
    for path in (*(LOCKS / name for name in _lock_names(dev)), ROOT / "pyproject.toml"):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _is_made(stamp: str, dev: bool) -> bool:
    """Whether .venv is of this stamp. One with the tests' tools also serves where they are not asked for."""
    if not (VENV / "bin" / "python").exists():
        return False
    stamps = _read_stamps()
    return stamps.get("dev" if dev else "run") == stamp or (not dev and stamps.get("dev") == _stamp(dev=True))


def _stamp_file(kind: str) -> Path:
    return VENV / f"made-from-{kind}"


def _read_stamps() -> dict[str, str]:
    return {kind: path.read_text() for kind in ("run", "dev") if (path := _stamp_file(kind)).exists()}


# Making it.


def _make(steps: Steps, stamp: str, dev: bool) -> None:
    _system_packages(steps, ["python3-venv", "python3-dev", "gcc", "libgmp-dev"], needed=True)
    if not _usable():
        with steps.step("making .venv"):
            _run([sys.executable, "-m", "venv", "--clear", str(VENV)], "python3 -m venv failed")
    for kind in _read_stamps():
        _stamp_file(kind).unlink()
    for name in _lock_names(dev):
        wanted = _count(LOCKS / name)
        with steps.step(f"installing {wanted} packages ({name})") as step:
            _pip(["--require-hashes", "--requirement", str(LOCKS / name)], step, wanted)
    with steps.step("installing bzzz itself") as step:
        _pip(["--editable", str(ROOT)], step, 0)
    _stamp_file("dev" if dev else "run").write_text(stamp)


def _usable() -> bool:
    """Whether .venv is one of this interpreter at this place, with pip."""
    python = VENV / "bin" / "python"
    script = "import sys, pip; print(sys.version, sys.prefix)"
    if not python.exists():
        return False
    asked = subprocess.run([python, "-c", script], capture_output=True, text=True, check=False)
    return asked.returncode == 0 and asked.stdout.strip() == f"{sys.version} {VENV}"


def _count(lock: Path) -> int:
    return len(re.findall(r"(?m)^[A-Za-z0-9._-]+==", lock.read_text()))


def _pip(arguments: list[str], step: Step, wanted: int) -> None:
    command = [str(VENV / "bin" / "python"), *PIP, *arguments]
    environ = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PIP_USER")}
    last: deque[str] = deque(maxlen=25)
    seen = 0
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environ
    ) as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            last.append(line.rstrip())
            found = _PROGRESS.match(line)
            if found and found[1]:
                seen += 1
                step.note(f"{seen}/{wanted} {found[1]}" if wanted else found[1])
            elif found:
                step.note(f"{seen}/{wanted} fetched, unpacking" if wanted else "")
    step.note("")
    if pip.returncode:
        raise Stopped(
            "pip could not install the packages; its last words were:\n  "
            + "\n  ".join(last)
            + "\nCheck that this machine reaches its package index (pip config list), then run this again."
        )


def _run(command: list[str], failed: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise Stopped(f"{failed}:\n{done.stdout.strip()}")


# System packages.


def _has(package: str) -> bool:
    """Whether what we want of a Debian package is there, however it came."""
    if package == "python3-venv":
        return _runs([sys.executable, "-c", "import ensurepip, venv"])
    if package == "python3-dev":
        return (Path(sysconfig.get_path("include")) / "Python.h").exists()
    if package == "libgmp-dev":
        return _runs(["gcc", "-E", "-include", "gmp.h", "-x", "c", "/dev/null"])
    if package == "libgomp1":  # the embedded model's server is linked to it
        return _runs([sys.executable, "-c", "import ctypes; ctypes.CDLL('libgomp.so.1')"])
    program = {"bubblewrap": "bwrap", "prometheus": "promtool"}.get(package, package)
    return shutil.which(program) is not None


def _runs(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _system_packages(steps: Steps, packages: list[str], *, needed: bool) -> None:
    """Install what is missing when root runs this on Debian; otherwise name the exact command."""
    missing = [package for package in packages if not _has(package)]
    if not missing:
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        with steps.step(f"installing {' '.join(missing)}"):
            environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            for command in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
                for _attempt in range(3):
                    done = subprocess.run(
                        ["apt-get", "-qq", *command], env=environ, capture_output=True, text=True, check=False
                    )
                    if done.returncode == 0:
                        break
        missing = [package for package in missing if not _has(package)]
        if not missing:
            return
    command_line = f"sudo apt-get install {' '.join(missing)}"
    if needed:
        raise Stopped(f"this machine lacks {', '.join(missing)}; install with\n  {command_line}\nand run this again")
    steps.say(f"note: without {', '.join(missing)} agents run no commands; install with: {command_line}")


if __name__ == "__main__":
    sys.exit(main())
