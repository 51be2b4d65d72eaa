"""The calls of the page: let in, act, listen, leave.

| call | body, answer |
|---|---|
| `POST /api/enter` | `{"word"}` of the URL → `{"key"}`, and the cookie |
| `GET /api/events` | server-sent events, each one line of ``headless.py``; `Last-Event-ID` reads on |
| `POST /api/act` | a line in of ``headless.py`` → `{"type": "handled", …}`; the same `id` again is done once |
| `POST /api/save` | `{"address"}` → `{"path", "name"}`: where its content can be fetched, once |
| `GET /api/file/TICKET` | the content, with the cookie alone: a link cannot send the header |
| `POST /api/leave` | ends the session |

All but the first and the file need the cookie and the header ``X-Bzzz-Key``. The stream begins with the event
``reset`` and everything that there is to know, unless the place in ``Last-Event-ID`` is still kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

import msgspec
from aiohttp import web

from bzzzd.errors import UNREADABLE, BadInput, NotAllowed, Overloaded, Unavailable
from bzzzd.hap.web.files import FILES, Files
from bzzzd.hap.web.guard import EVENTS, Handler
from bzzzd.hap.web.sessions import IDLE_S, Session, Sessions
from bzzzd.hap.web.surface import WebSurface

KEY_HEADER: Final = "X-Bzzz-Key"
MAX_STREAMS: Final = 24
BEAT_S: Final = 15.0
STUCK_S: Final = 30.0
_BATCH: Final = 65_536


class _Enter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    word: str


class _Request(msgspec.Struct, frozen=True):
    """``id`` is the page's own, so that sending a request twice does it once; the rest is for ``headless.py``."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class _Save(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    address: str


class Api:
    """``entered`` is called after a word was used up, to publish the next one."""

    def __init__(
        self, surface: WebSurface, sessions: Sessions, files: Files, *, cookie: str, clock: Callable[[], float],
        entered: Callable[[], Awaitable[None]],
    ) -> None:  # fmt: skip
        self._surface = surface
        self._files = files
        self._sessions = sessions
        self._cookie = cookie
        self._clock = clock
        self._entered = entered
        self._closing = False

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/api/enter", self._enter),
            web.get(EVENTS, self._inside(self._events)),
            web.post("/api/act", self._inside(self._act)),
            web.post("/api/save", self._inside(self._save)),
            web.get(FILES + "{ticket}", self._file),
            web.post("/api/leave", self._inside(self._leave)),
        ]

    def close(self) -> None:
        """End the streams; a browser comes back by itself."""
        self._closing = True
        self._surface.wake()

    def _inside(self, handler: Callable[[web.Request, Session], Awaitable[web.StreamResponse]]) -> Handler:
        """Only for a session, and not too often."""

        async def checked(request: web.Request) -> web.StreamResponse:
            key = request.headers.get(KEY_HEADER, "")
            session = self._sessions.find(request.cookies.get(self._cookie, ""), key)
            if session is None:
                raise web.HTTPUnauthorized(reason="Sign in again")
            if not session.bucket.take(self._clock()):
                raise Overloaded("too many requests; wait a moment")
            return await handler(request, session)

        return checked

    async def _enter(self, request: web.Request) -> web.Response:
        try:
            word = msgspec.json.decode(await request.read(), type=_Enter).word
        except UNREADABLE as error:
            raise BadInput("signing in takes the word of the portal's URL") from error
        found = self._sessions.enter(word)
        if found is None:
            # Only wrong words are counted: others on this machine must not keep out whoever has the right one.
            if not self._sessions.may_try():
                raise Overloaded("too many tries; wait a moment")
            raise NotAllowed("this address was used already, or is of an earlier start; open the portal's newest one")
        _, cookie, key = found
        await self._entered()
        response = web.json_response({"key": key})
        response.set_cookie(
            self._cookie, cookie, path="/", httponly=True, samesite="Strict", max_age=int(IDLE_S),
            secure=request.headers.get("Origin", "").startswith("https:"),
        )  # fmt: skip
        return response

    async def _save(self, request: web.Request, session: Session) -> web.Response:
        try:
            address = msgspec.json.decode(await request.read(), type=_Save).address
        except UNREADABLE as error:
            raise BadInput("saving takes an address") from error
        return web.json_response(self._files.ticket(session, address))

    async def _file(self, request: web.Request) -> web.StreamResponse:
        cookie = request.cookies.get(self._cookie, "")
        return await self._files.send(request, lambda session: session.is_of(cookie))

    async def _leave(self, request: web.Request, session: Session) -> web.Response:
        self._sessions.end(session)
        self._surface.wake()
        response = web.json_response({})
        response.del_cookie(self._cookie, path="/")
        return response

    async def _act(self, request: web.Request, session: Session) -> web.Response:
        body = await request.read()
        try:
            re = msgspec.json.decode(body, type=_Request).id
        except UNREADABLE as error:
            raise BadInput(f"a request is an object with an id of 1 to 64 characters: {error}") from error
        answer = session.answered(re)
        if answer is None:
            answer = self._surface.act(body)
            session.keep(re, answer)
        return web.json_response(answer, dumps=lambda value: msgspec.json.encode(value).decode())

    async def _events(self, request: web.Request, session: Session) -> web.StreamResponse:
        if self._surface.readers >= MAX_STREAMS:
            raise Unavailable(f"{MAX_STREAMS} pages are open already; close some")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        with self._surface.listening() as more:
            await response.prepare(request)
            try:
                await self._tell(request, session, response, more)
            except TimeoutError:  # a reader that does not read is cut off, and reads on later
                if request.transport is not None:
                    request.transport.abort()
        return response

    async def _tell(
        self, request: web.Request, session: Session, response: web.StreamResponse, more: asyncio.Event
    ) -> None:
        ring = self._surface.ring
        place = ring.number_of(request.headers.get("Last-Event-ID", ""))
        while not (self._closing or session.ended):
            session.used = self._clock()  # a page that is open is in use, also where it has much to hear
            more.clear()
            found = ring.after(place) if place is not None else None
            data = self._anew() if found is None else b"".join(_event(line, ring.place(n)) for n, line in found)
            place = ring.number
            for start in range(0, len(data), _BATCH):
                async with asyncio.timeout(STUCK_S):
                    await response.write(data[start : start + _BATCH])
            try:
                async with asyncio.timeout(BEAT_S):
                    await more.wait()
            except TimeoutError:
                async with asyncio.timeout(STUCK_S):
                    await response.write(b": still here\n\n")

    def _anew(self) -> bytes:
        """Everything, between an event ``reset`` and one that has the place to read on from."""
        ring = self._surface.ring
        lines = b"".join(_event(line) for line in self._surface.whole())
        return b"event: reset\ndata: {}\n\n" + lines + b"event: whole\n" + _event(b"{}", ring.place(ring.number))


def _event(line: bytes, place: str = "") -> bytes:
    """One event; a line of JSON has no line break in it."""
    return (f"id: {place}\n".encode() if place else b"") + b"data: " + line + b"\n\n"
