"""The process's own upkeep: systemd's readiness and watchdog, and the memory target."""

from __future__ import annotations

import structlog

from bzzzd.runtime.limits import MemoryWatch
from bzzzd.runtime.notify import Notifier
from bzzzd.runtime.restart import Restart
from bzzzd.runtime.services import Health, ServiceManager


class Upkeep:
    """The last service to start and the first to stop, so it speaks for all of them."""

    name = "upkeep"
    depends = ("health-http",)

    def __init__(self, manager: ServiceManager, memory_mb: int, restart: Restart) -> None:
        self._manager = manager
        self._restart = restart
        self._notifier = Notifier()
        self._memory = MemoryWatch(memory_mb, report=_report)

    async def start(self) -> None:
        if self._notifier.interval_s:
            self._manager.spawn(self.name, "watchdog", self._notifier.watchdog(self._unhealthy))
        self._manager.spawn(self.name, "memory", self._memory.watch())
        self._notifier.ready()

    async def stop(self) -> None:
        if self._restart.wanted:
            # To be told that it stops, systemd would wait for an end that does not come.
            self._notifier.reloading()
            self._restart.keep(self._notifier.taken)
        else:
            self._notifier.stopping()
        self._notifier.close()

    def health(self) -> Health:
        return Health(detail=self._memory.detail, degraded=self._memory.over)

    def _unhealthy(self) -> str:
        """Why the watchdog should not be fed: a part that is gone for good, not one that is merely busy."""
        return "a service has failed" if self._manager.failed.is_set() else ""


def _report(event: str, size: int) -> None:
    structlog.get_logger().warning(event, bytes=size)
