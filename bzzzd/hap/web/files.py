"""Saving a version's content in the browser: a ticket for one download, and the bytes as they come from bzzzd.

The page asks for a ticket with its session's key, and then follows a link, which can send the cookie alone; the ticket
is good for that session, once, for a minute. Content of any size passes through in pieces.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final, Protocol

from aiohttp import web

from bzzzd.errors import BadInput, BzzzError, NotFound, StorageFailed
from bzzzd.hap.web.sessions import Session
from bzzzd.ucxl.address import parse

FILES: Final = "/api/file/"
TICKET_S: Final = 60.0
MAX_TICKETS: Final = 32
STUCK_S: Final = 60.0
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")


class Reader(Protocol):
    """Asks bzzzd in the person's name."""

    async def call(self, method: str, params: Mapping[str, Any]) -> Any: ...


class Files:
    """``clock`` gives monotonic seconds."""

    def __init__(self, reader: Reader, clock: Callable[[], float]) -> None:
        self._reader = reader
        self._clock = clock
        self._tickets: dict[str, tuple[Session, str, str, float]] = {}

    def ticket(self, session: Session, address: str) -> dict[str, str]:
        """Where the content of an address can be fetched, once, and what to call it. Raises ``BadInput``."""
        name = file_name(address)
        ticket = secrets.token_urlsafe(32)
        self._tickets[ticket] = (session, address, name, self._clock() + TICKET_S)
        while len(self._tickets) > MAX_TICKETS:
            del self._tickets[next(iter(self._tickets))]
        return {"path": f"{FILES}{ticket}", "name": name}

    async def send(self, request: web.Request, is_of: Callable[[Session], bool]) -> web.StreamResponse:
        """The content that the request's ticket is for, if the request ``is_of`` the ticket's session."""
        session, address, name, until = self._tickets.pop(request.match_info["ticket"], (None, "", "", 0.0))
        if session is None or session.ended or until < self._clock() or not is_of(session):
            raise NotFound("this download is over; press Save again")
        found = await self._begun(address)
        response = web.StreamResponse(
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Disposition": f'attachment; filename="{name}"',
                "Content-Length": str(int(found.get("size") or 0)),
            }
        )
        pieces = self._pieces(str(found["download"]))
        first = await anext(pieces, b"")  # what goes wrong at the start is told, and not half a file
        await response.prepare(request)
        try:
            await _write(response, first)
            async for piece in pieces:
                await _write(response, piece)
        except (BzzzError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()  # the browser sees that the file is not whole
        return response

    async def _begun(self, address: str) -> Mapping[str, Any]:
        """A download, when bzzzd has fetched the whole content from other nodes."""
        while True:
            found = await self._reader.call("context.receive_begin", {"address": address})
            if not isinstance(found, Mapping):
                raise StorageFailed("bzzzd sent something else than content; try again")
            if found.get("download"):
                return found

    async def _pieces(self, download: str) -> AsyncIterator[bytes]:
        offset = 0
        while True:
            found = await self._reader.call("context.receive", {"download": download, "offset": offset})
            data = found.get("data") if isinstance(found, Mapping) else None
            if not isinstance(data, bytes):
                raise StorageFailed("bzzzd sent content with a gap; press Save again")
            if found.get("last"):
                return
            yield data
            offset += len(data)


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(STUCK_S):
        await response.write(data)


def file_name(address: str) -> str:
    """A harmless name for an address's content; raises ``BadInput``."""
    if len(address) > 4096:
        raise BadInput("this is too long for an address")
    place = parse(address)
    number = f"-v{place.temporal.count}" if place.temporal.type == "specific" else ""
    words = [place.project, place.task, *place.path.split("/")[-1:]]
    stem = _UNSAFE.sub("_", "-".join(word for word in words if word)).strip("._-")[:100] or "content"
    head, dot, tail = stem.rpartition(".")
    return f"{head}{number}.{tail}" if dot and len(tail) <= 5 else f"{stem}{number}"
