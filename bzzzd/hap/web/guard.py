"""What every request to the portal's port passes, and what every answer carries, whichever page it is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from bzzzd.errors import BadInput, BzzzError, Conflict, NotAllowed, NotFound, Overloaded, TooLarge
from bzzzd.hap.web.files import FILES
from bzzzd.runtime.hosts import is_own

API: Final = "/api/"
EVENTS: Final = "/api/events"
ANSWER_S: Final = 30.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}


async def dress(request: web.Request, response: web.StreamResponse) -> None:
    """Put the headers on an answer before its first byte goes out."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.pop("Server", None)


def foreign(request: web.Request) -> str:
    """Why a call cannot be one of our own page's, or nothing.

    Browsers name the page's origin with everything that changes something, and newer ones say with every call how
    far it comes; a page cannot forge either.
    """
    origin, how_far = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    if origin is None and request.method not in ("GET", "HEAD"):
        return "it names no origin"
    if origin is not None and _host(origin) != request.headers.get("Host", "").lower():
        return "it comes from another page"
    return "" if how_far in (None, "same-origin") else "it comes from another site"


def _host(origin: str) -> str | None:
    """The host and port of an origin; None for text that is no origin."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def refusal(error: BzzzError, status: int) -> web.Response:
    return web.json_response({"code": error.code, "message": error.message}, status=status)


def status_of(error: BzzzError) -> int:
    match error:
        case NotAllowed():
            return 403
        case NotFound():
            return 404
        case TooLarge():
            return 413
        case BadInput():
            return 400
        case Conflict():
            return 409
        case Overloaded():
            return 429
    return 503


def guard(names: frozenset[str]) -> Middleware:
    """The outermost middleware: our own names, our own page, a time limit, and errors as JSON."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_own(request.headers.get("Host", ""), names):
            return refusal(NotAllowed("this port answers only to names of its own machine"), 421)
        if request.path.startswith(API) and (why := foreign(request)):
            return refusal(NotAllowed(f"the call was refused: {why}"), 403)
        try:
            if request.path == EVENTS or request.path.startswith(FILES):
                return await handler(request)
            async with asyncio.timeout(ANSWER_S):
                return await handler(request)
        except TimeoutError:
            return refusal(BzzzError("this took too long; try again"), 504)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return refusal(BadInput(f"{error.reason.lower()}: {request.method} {request.path[:64]}"), error.status)
        except BzzzError as error:
            return refusal(error, status_of(error))
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:  # the boundary of the port: one call that fails must not take the portal with it
            logging.getLogger("bzzzd.hap.web").exception("%s %s failed", request.method, request.path[:64])
            return refusal(BzzzError("the portal failed at this; its log says why"), 500)

    return guarded
