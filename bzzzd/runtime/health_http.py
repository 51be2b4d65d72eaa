"""Health over HTTP: ``/healthz``, ``/readyz``, ``/health`` and ``/metrics`` on the health port.

It shows how a process is, never what it holds, and changes nothing; so it asks for no identity. It listens on
127.0.0.1 unless configured, and answers only to names of this machine, so that a web page that points a name of
its own at 127.0.0.1 (DNS rebinding) reads nothing.
"""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from bzzzd.runtime.metrics import CONTENT_TYPE, Metrics
from bzzzd.runtime.ports import listen
from bzzzd.runtime.process import warm
from bzzzd.runtime.services import Health

if TYPE_CHECKING:
    from aiohttp import web

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

IMPORTS = ("aiohttp.web", "prometheus_client")


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
        self._names = {"localhost", socket.gethostname().lower(), *(name.lower() for name in names)}
        self._runner: web.AppRunner | None = None
        self.address = ""

    async def start(self) -> None:
        """Bind and serve. Raises ``Conflict`` naming the holder when the port is taken."""
        if self._port == 0:
            return
        listener = listen(self._host, self._port, key="ports.health_port")
        try:
            await warm(IMPORTS)
            from aiohttp import web

            self._runner = web.AppRunner(self._app(), access_log=None, handle_signals=False, shutdown_timeout=1.0)
            await self._runner.setup()
            await web.SockSite(self._runner, listener).start()
        except BaseException:
            listener.close()
            raise
        self.address = f"http://{self._host}:{self._port}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def health(self) -> Health:
        return Health(detail=self.address or "off")

    def _app(self) -> web.Application:
        from aiohttp import web

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            if not self._knows(request.host):
                return web.Response(status=421, text="this port answers only to names of its own machine\n")
            response = await handler(request)
            response.headers["X-Content-Type-Options"] = "nosniff"
            response.headers["Cache-Control"] = "no-store"
            return response

        app = web.Application(middlewares=[guard], client_max_size=1024)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/health", self._health)
        app.router.add_get("/metrics", self._metrics_page)
        return app

    def _knows(self, host: str) -> bool:
        """Whether a Host header is ours: an address (which no foreign name can be), or a name of this machine."""
        name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name.lower().rstrip(".") in self._names
        return True

    async def _healthz(self, _request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        return web.Response(text="alive\n")

    async def _readyz(self, _request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        reason = self._probe.not_ready()
        return web.Response(status=503 if reason else 200, text=f"{reason or 'ready'}\n")

    async def _health(self, _request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        reason = self._probe.not_ready()
        body = {
            **self._info(),
            "ready": not reason,
            "reason": reason,
            "services": [row.to_map() for row in self._probe.rows()],
        }
        return web.Response(
            status=503 if reason else 200, text=json.dumps(body, indent=1) + "\n", content_type="application/json"
        )

    async def _metrics_page(self, _request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE})
