"""The page's own files: read once at the start, served from memory with an ETag. They hold nothing of the person."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Final

from aiohttp import web

_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


class Assets:
    """``/`` is ``index.html``; the others are below ``/assets/``. A name that is not one of them is not found."""

    def __init__(self) -> None:
        folder = files("bzzzd.hap.web") / "assets"
        self._files = {one.name: one.read_bytes() for one in folder.iterdir() if one.is_file()}
        self._tags = {name: hashlib.sha256(data).hexdigest()[:32] for name, data in self._files.items()}

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/", self._index), web.get("/assets/{name}", self._asset)]

    async def _index(self, request: web.Request) -> web.Response:
        return self._answer(request, "index.html")

    async def _asset(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._files or name == "index.html":
            raise web.HTTPNotFound(reason="Not found")
        return self._answer(request, name)

    def _answer(self, request: web.Request, name: str) -> web.Response:
        tag = f'"{self._tags[name]}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = _TYPES[name.rpartition(".")[2]]
        return web.Response(body=self._files[name], headers=headers)
