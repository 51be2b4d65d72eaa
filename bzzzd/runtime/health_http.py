"""Health over HTTP: ``/healthz``, ``/readyz``, ``/health`` and ``/metrics`` on the health port.

It shows how a process is, never what it holds, and changes nothing; so it asks for no identity. It listens on
127.0.0.1 unless configured, and answers only to names of this machine, so that a web page that points a name of
its own at 127.0.0.1 (DNS rebinding) reads nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from bzzzd.runtime.hosts import is_own, own_names
from bzzzd.runtime.metrics import CONTENT_TYPE, Metrics
from bzzzd.runtime.ports import listen
from bzzzd.runtime.process import warm
from bzzzd.runtime.services import Health

if TYPE_CHECKING:
    from bzzzd.runtime.http_pages import Page, Pages

WARM_AFTER_S = 2.0


class Probe(Protocol):
    """What the pages show; ``ServiceManager`` is one."""

    def not_ready(self) -> str: ...
    def rows(self) -> Iterable[Any]: ...


class HealthHttp:
    """The service that serves the four pages. ``port`` 0 turns it off."""

    name = "health-http"

    def __init__(
        self,
        host: str,
        port: int,
        *,
        probe: Probe,
        metrics: Metrics,
        info: Callable[[], dict[str, Any]] = dict,
        names: Iterable[str] = (),
        depends: tuple[str, ...] = (),
    ) -> None:
        self.depends = depends
        self._host = host
        self._port = port
        self._probe = probe
        self._metrics = metrics
        self._info = info
        self._names = own_names(names)
        self._pages: Pages | None = None
        self._warming: asyncio.TimerHandle | None = None
        self.address = ""

    async def start(self) -> None:
        """Bind and serve. Raises ``Conflict`` naming the holder when the port is taken."""
        if self._port == 0:
            return
        listener = listen(self._host, self._port, key="ports.health_port")
        await warm(("bzzzd.runtime.http_pages",))
        from bzzzd.runtime.http_pages import Pages

        self._pages = Pages(
            {"/healthz": self._healthz, "/readyz": self._readyz, "/health": self._health, "/metrics": self._scrape},
            knows=lambda host: is_own(host, self._names),
            on_error=self._failed,
        )
        await self._pages.serve(listener)
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.address = f"http://{host}:{self._port}"
        self._warming = asyncio.get_running_loop().call_later(WARM_AFTER_S, self._warm)

    def _warm(self) -> None:
        """Import what a scrape needs in a thread, once the start is over; a scrape before that imports it itself."""
        asyncio.get_running_loop().run_in_executor(None, self._metrics.warm)

    async def stop(self) -> None:
        if self._warming is not None:
            self._warming.cancel()
        if self._pages is not None:
            self._pages.close()

    def health(self) -> Health:
        return Health(detail=self.address or "off")

    def _healthz(self) -> Page:
        from bzzzd.runtime.http_pages import plain

        return plain(200, "alive")

    def _readyz(self) -> Page:
        from bzzzd.runtime.http_pages import plain

        reason = self._probe.not_ready()
        return plain(503 if reason else 200, reason or "ready")

    def _health(self) -> Page:
        from bzzzd.runtime.http_pages import Page

        reason = self._probe.not_ready()
        body = {
            **self._info(),
            "ready": not reason,
            "reason": reason,
            "services": [row.to_map() for row in self._probe.rows()],
        }
        text = json.dumps(body, indent=1, default=str) + "\n"
        return Page(text.encode(), "application/json; charset=utf-8", 503 if reason else 200)

    def _scrape(self) -> Page:
        from bzzzd.runtime.http_pages import Page

        return Page(self._metrics.render(), CONTENT_TYPE)

    def _failed(self, path: str, error: Exception) -> None:
        logging.getLogger("bzzzd.health").error("the page %s failed", path, exc_info=error)
