"""A few read-only pages over HTTP/1.1: h11 speaks the protocol, one request a connection, bounded in size and time.

The health pages are on the way of every start. With aiohttp their import alone took 0.26 s of processor time,
a fifth of bzzzd's start, and 11 MiB; h11 takes a tenth of that. Whatever takes input over HTTP uses aiohttp.

    accept → head complete (≤ 8 KiB, within 5 s) → page → answer → close
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

import h11

HEAD_BYTES = 8192
HEAD_LIMIT_S = 5.0
MAX_CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class Page:
    """What is answered."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: int = 200


def plain(status: int, text: str = "") -> Page:
    """A page of one line; without ``text`` the status's own words."""
    return Page(f"{text or HTTPStatus(status).phrase.lower()}\n".encode(), status=status)


class Pages:
    """Serves pages by path. ``knows`` says whether a Host header names this machine.

    A page is a function that answers from memory; one that raises gives 500, and ``on_error`` gets the exception.
    """

    def __init__(
        self,
        pages: Mapping[str, Callable[[], Page]],
        *,
        knows: Callable[[str], bool],
        on_error: Callable[[str, Exception], None],
    ) -> None:
        self._pages = pages
        self._knows = knows
        self._on_error = on_error
        self._server: asyncio.Server | None = None
        self._open: set[_Connection] = set()

    async def serve(self, listener: socket.socket) -> None:
        """Answer on a listening socket until ``close``; the socket is closed with it."""
        self._server = await asyncio.get_running_loop().create_server(self._accept, sock=listener)

    def close(self) -> None:
        """Stop listening and cut what is open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._open):
            connection.abort()

    def _accept(self) -> _Connection:
        return _Connection(self)

    def opened(self, connection: _Connection) -> bool:
        """Whether there is room for one more."""
        self._open.add(connection)
        return len(self._open) <= MAX_CONNECTIONS

    def closed(self, connection: _Connection) -> None:
        self._open.discard(connection)

    def page(self, method: str, path: str, host: str) -> Page:
        """What a request gets; ``host`` is empty when an HTTP/1.0 client named none."""
        if host and not self._knows(host):
            return plain(421, "this port answers only to names of its own machine")
        page = self._pages.get(path)
        if page is None:
            return plain(404, f"there are {', '.join(self._pages)}")
        if method not in ("GET", "HEAD"):
            return plain(405)
        try:
            return page()
        except Exception as error:  # the boundary of the pages: one that fails must not take the port with it
            self._on_error(path, error)
            return plain(500)


class _Connection(asyncio.Protocol):
    """One connection: gathers the head, answers, closes."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        self._transport: asyncio.Transport | None = None
        self._limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by its methods alone
        self._limit = asyncio.get_running_loop().call_later(HEAD_LIMIT_S, self.abort)
        if not self._pages.opened(self):
            self._answer(plain(503, "too many connections"))

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        try:
            self._http.receive_data(data)
            event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            self._answer(plain(error.error_status_hint))
            return
        if isinstance(event, h11.Request) and event.http_version not in (b"1.1", b"1.0"):
            self._answer(plain(505))
        elif isinstance(event, h11.Request):
            headers = dict(event.headers)
            method, target = event.method.decode("ascii"), event.target.decode("latin-1")
            self._answer(
                self._pages.page(method, target.partition("?")[0], headers.get(b"host", b"").decode("latin-1")),
                head_only=method == "HEAD",
            )

    def _answer(self, page: Page, *, head_only: bool = False) -> None:
        """Send a page and close. A state in which HTTP allows no answer any more just closes."""
        assert self._transport is not None
        headers = [
            ("Content-Type", page.content_type),
            ("Content-Length", str(len(page.body))),
            *([("Allow", "GET, HEAD")] if page.status == 405 else []),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Connection", "close"),
        ]
        events = [
            h11.Response(status_code=page.status, headers=headers, reason=HTTPStatus(page.status).phrase),
            *([] if head_only else [h11.Data(page.body)]),
            h11.EndOfMessage(),
        ]
        try:
            self._transport.write(b"".join(self._http.send(event) or b"" for event in events))
        except h11.LocalProtocolError:
            self._transport.abort()
            return
        self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self._limit is not None:
            self._limit.cancel()
        self._pages.closed(self)
        self._transport = None

    def abort(self) -> None:
        """Cut the connection: its head did not come in time, its reader does not read, or the port closes."""
        if self._transport is not None:
            self._transport.abort()
