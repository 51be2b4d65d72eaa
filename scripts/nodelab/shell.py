"""Running programs for the lab: a failure says which one, and what it said."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence


class LabError(Exception):
    """Something of the lab failed; the message says what, and what to do."""


NEEDED = {
    "systemd-nspawn": "systemd-container",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "nsenter": "util-linux",
}


def unfit() -> str:
    """Why this machine can hold no lab; empty when it can."""
    if os.geteuid() != 0:
        return "the lab boots machines and makes network namespaces, which takes root"
    missing = sorted({package for program, package in NEEDED.items() if shutil.which(program) is None})
    return f"the lab needs packages; run: apt-get install {' '.join(missing)}" if missing else ""


def run(*argv: str, limit_s: float = 60.0, input: bytes | None = None) -> str:
    """Run to its end and give what it printed; ``LabError`` when it fails or takes too long."""
    try:
        done = subprocess.run(argv, input=input, capture_output=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(argv[:4])} did not end within {limit_s:g} s") from error
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise LabError(f"{' '.join(argv[:6])} ended with {done.returncode}: {said[-600:]}")
    return done.stdout.decode(errors="replace")


def attempt(*argv: str, limit_s: float = 60.0) -> bool:
    """Run, and tell whether it worked; for what may be gone already."""
    try:
        run(*argv, limit_s=limit_s)
    except LabError:
        return False
    return True


def entering(pid: int, argv: Sequence[str]) -> list[str]:
    """The command that runs ``argv`` inside the machine whose first process is ``pid``."""
    inside = (
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8",
        f"TERM={os.environ.get('TERM', 'dumb')}", "DEBIAN_FRONTEND=noninteractive",
    )  # fmt: skip
    return [
        "nsenter",
        "-t",
        str(pid),
        "-m",
        "-u",
        "-i",
        "-n",
        "-p",
        "-C",
        "-r",
        "-w",
        "--",
        "env",
        "-i",
        *inside,
        *argv,
    ]
