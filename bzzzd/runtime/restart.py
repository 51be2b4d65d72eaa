"""Restarting in place: the same program and arguments in the same process, once everything has been stopped.

The process id stays, so systemd and supervisord see a service that reloads, not one that died.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import MutableMapping
from typing import NoReturn


class Restart:
    """The wish to start again: set once, with the reason. Whoever waits stops in order and then calls ``now``."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._environ: dict[str, str] = {}
        self.reason = ""

    @property
    def wanted(self) -> bool:
        return self._event.is_set()

    def request(self, reason: str) -> None:
        if not self.wanted:
            self.reason = reason
            self._event.set()

    async def wait(self) -> None:
        await self._event.wait()

    def keep(self, variables: MutableMapping[str, str]) -> None:
        """Variables that were taken out of the environment and that the program needs again."""
        self._environ.update(variables)

    def now(self) -> NoReturn:
        """Replace the process's program by a fresh start of itself. Descriptors close themselves (PEP 446)."""
        sys.stdout.flush()
        sys.stderr.flush()
        environ = {**os.environ, **self._environ}
        # Not sys.argv: that lacks the interpreter's own options. S606: no shell is involved.
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environ)  # noqa: S606
