"""The web portal's life: bind, publish the URL, serve until asked to end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from pathlib import Path
from typing import Final

from aiohttp import web

from bzzzd.config.settings import Settings
from bzzzd.crypto.keys import write_private
from bzzzd.errors import BzzzError
from bzzzd.hap.core import Core
from bzzzd.hap.messages import Act
from bzzzd.hap.web.api import Api
from bzzzd.hap.web.assets import Assets
from bzzzd.hap.web.files import Files, Reader
from bzzzd.hap.web.guard import dress, guard
from bzzzd.hap.web.sessions import Sessions
from bzzzd.hap.web.surface import WebSurface
from bzzzd.runtime.hosts import own_names
from bzzzd.runtime.ports import listen

URL_FILE: Final = Path("portal") / "web-url"
MAX_CONNECTIONS: Final = 64
KEEPALIVE_S: Final = 30.0
STOP_S: Final = 3.0
"""Seconds that a call, or a download, has to end by itself when the portal does."""
FRAME_ROOM: Final = 16_384
_HEAD_BYTES: Final = 8190
_EVERYWHERE: Final = "0.0.0.0"  # noqa: S104  what a configuration may say; the URL then names the loopback
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class WebPortal:
    """``start`` binds; ``url`` lets the next browser in, and lies in ``url_file``, which only the person can read."""

    def __init__(self, settings: Settings, core: Core, reader: Reader) -> None:
        self.surface = WebSurface(core)
        self.url_file = settings.state_dir / URL_FILE
        self._core = core
        self._host = settings.config.network.bind
        self._port = settings.http_port
        self._sessions = Sessions(time.monotonic)
        self._api = Api(
            self.surface, self._sessions, Files(reader, time.monotonic), cookie=f"bzzz_portal_{self._port}",
            clock=time.monotonic, entered=self._publish,
        )  # fmt: skip
        self._app = web.Application(
            middlewares=[guard(own_names(settings.config.interface.web_names))],
            client_max_size=settings.max_message_bytes + FRAME_ROOM,
        )
        self._app.on_response_prepare.append(dress)
        self._app.add_routes([*Assets().routes(), *self._api.routes()])
        self._runner = web.AppRunner(
            self._app, access_log=None, keepalive_timeout=KEEPALIVE_S, max_line_size=_HEAD_BYTES,
            max_field_size=_HEAD_BYTES, handler_cancellation=True, shutdown_timeout=STOP_S,
        )  # fmt: skip
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        host = {_EVERYWHERE: "127.0.0.1", "::": "[::1]"}.get(self._host) or (
            f"[{self._host}]" if ":" in self._host else self._host
        )
        return f"http://{host}:{self._port}/"

    @property
    def url(self) -> str:
        """With the word in the fragment, which browsers do not send: it is in no log and in no Referer."""
        return f"{self.address}#enter={self._sessions.word}"

    async def start(self) -> None:
        """Bind and serve. Raises ``Conflict`` naming the holder when the port is taken."""
        listener = listen(self._host, self._port, key="ports.http_port")
        try:
            await self._publish()
            await self._runner.setup()
            self._server = await asyncio.get_running_loop().create_server(self._accept, sock=listener)
        except BaseException:
            listener.close()
            raise

    def _accept(self) -> asyncio.BaseProtocol:
        serve = self._runner.server
        assert serve is not None
        return serve() if len(serve.connections) < MAX_CONNECTIONS else _Full()

    async def _publish(self) -> None:
        """Write the URL for the next browser; one that cannot be written is told, and this browser is let in."""
        try:
            await asyncio.to_thread(write_private, self.url_file, f"{self.url}\n".encode(), replace=True)
        except BzzzError as error:
            logging.getLogger("bzzzd.hap.web").error("the portal's next URL was not written: %s", error.message)

    async def run(self) -> None:
        """Serve until a signal, or until the portal ends."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._core.send, Act("leave"))
        try:
            await self._core.ended.wait()
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    async def stop(self) -> None:
        self._api.close()
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()
        self.url_file.unlink(missing_ok=True)  # its word opens nothing any more

    def announce(self, out: int) -> None:
        """Say where the portal is. The URL with its word goes to a terminal only, never into a log."""
        text = f"the portal is at {self.url}" if os.isatty(out) else (
            f"the portal is at {self.address}; the URL that lets a browser in is in {self.url_file}"
        )  # fmt: skip
        os.write(out, f"{text}\n".encode())


class _Full(asyncio.Protocol):
    """What a connection over the limit gets."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
