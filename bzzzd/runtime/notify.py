"""What the service manager is told: systemd's notify protocol and its watchdog (sd_notify(3))."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, MutableMapping

Environ = MutableMapping[str, str]
_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """Sends READY, STATUS, STOPPING and WATCHDOG to ``NOTIFY_SOCKET``; without one, every call does nothing.

    The variables are taken out of ``environ``, so that no child speaks in this process's name. A message that
    cannot be sent is lost, as sd_notify(3) has it: systemd's own time-outs decide then.
    """

    def __init__(self, environ: Environ = os.environ, pid: int | None = None) -> None:
        self.taken = {name: environ.pop(name) for name in _VARIABLES if name in environ}
        """What the environment held, for a process that starts itself again."""
        address, usec, owner = (self.taken.get(name, "") for name in _VARIABLES)
        mine = not owner or owner == str(pid if pid is not None else os.getpid())
        self.interval_s = int(usec) / 2_000_000 if usec.isdigit() and mine else 0.0
        self._socket: socket.socket | None = None
        self._address = "\0" + address[1:] if address.startswith("@") else address
        if address.startswith(("/", "@")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    def ready(self, status: str = "ready") -> None:
        self._send(f"READY=1\nSTATUS={_line(status)}")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._send(f"STATUS={_line(text)}")

    def stopping(self, status: str = "stopping") -> None:
        self._send(f"STOPPING=1\nSTATUS={_line(status)}")

    def reloading(self, status: str = "restarting") -> None:
        """A stop from which this very process comes back with ``ready``."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS={_line(status)}")

    def extend(self, seconds: float) -> None:
        """Ask for more time to start or stop."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    async def watchdog(self, healthy: Callable[[], str]) -> None:
        """Report life at half of ``WATCHDOG_USEC``, for ever; returns at once when no watchdog is asked for.

        It runs on the loop, so a blocked loop is not reported as alive; nor is a process for which ``healthy``
        gives a reason why not (empty text: healthy).
        """
        while self._socket is not None and self.interval_s:
            reason = healthy()
            if reason:
                self.status(f"unhealthy: {reason}")
            else:
                self.alive()
            await asyncio.sleep(self.interval_s)

    def _send(self, message: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(message.encode(), self._address)
        except OSError:  # see the class: losing one is by design
            return

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _line(text: str) -> str:
    return " ".join(text.split())
