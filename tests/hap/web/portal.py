"""A web portal in this process, on a port of its own, over a model that a test moves; and a browser of bare HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientResponse, ClientSession, CookieJar

from bzzzd.config.load import load
from bzzzd.errors import NotFound
from bzzzd.hap.core import Core
from bzzzd.hap.files.state import StateFolder
from bzzzd.hap.messages import Ask, Attach, Order, Submit
from bzzzd.hap.web.server import WebPortal
from tests.ports import free_port

from ..builders import NOW, online
from ..portals import Home

CONTENT = bytes(range(256)) * 391


class Portal:
    """``effects`` are what the model asked for; nothing answers them but the test."""

    def __init__(self, folder: Path, **interface: Any) -> None:
        self.port = free_port()
        self.home = Home(
            folder, interface={"mode": "web", **interface}, ports={"http_port": self.port, "health_port": 0}
        )
        self.settings = load("hap", self.home.config)
        self.effects: list[Any] = []
        self.now = NOW
        self.core = Core(online(), StateFolder(self.home.state), lambda: self.now)
        self.web = WebPortal(self.settings, self.core, self)
        self.core.connect(self.web.surface, self)

    def perform(self, effect: Ask | Attach | Submit | Order) -> None:
        self.effects.append(effect)

    async def call(self, method: str, params: Mapping[str, Any]) -> Any:
        """What bzzzd answers about files: 100,000 bytes in three pieces, and an error for anything else."""
        self.effects.append((method, dict(params)))
        if method == "context.receive_begin" and "missing" not in params["address"]:
            return {"download": "d" * 32, "size": len(CONTENT)}
        if method == "context.receive":
            data = CONTENT[params["offset"] : params["offset"] + 40_000]
            return {"data": data, "last": not data}
        raise NotFound("nothing is kept at this address")

    @property
    def word(self) -> str:
        """The word of the URL as it lies in the state folder."""
        return self.web.url_file.read_text().strip().partition("#enter=")[2]

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def serving(folder: Path, **interface: Any) -> AsyncIterator[Portal]:
    portal = Portal(folder, **interface)
    await portal.web.start()
    try:
        yield portal
    finally:
        await portal.web.stop()
        await portal.core.close()


class Browser:
    """Calls as the page does; every header can be changed."""

    def __init__(self, portal: Portal) -> None:
        self.portal = portal
        self.http = ClientSession(cookie_jar=CookieJar(unsafe=True))
        self.key = ""

    async def __aenter__(self) -> Browser:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()

    async def call(
        self, path: str, body: Any = None, *, headers: dict[str, str | None] | None = None, method: str = "POST"
    ) -> tuple[int, Any, ClientResponse]:
        sent: dict[str, str | None] = {"Origin": self.portal.origin, "X-Bzzz-Key": self.key, **(headers or {})}
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        async with self.http.request(
            method, self.portal.origin + path, data=data,
            headers={name: value for name, value in sent.items() if value is not None},
        ) as answer:  # fmt: skip
            text = await answer.text()
        return answer.status, json.loads(text) if text.startswith("{") else text, answer

    async def enter(self) -> None:
        status, answer, _ = await self.call("/api/enter", {"word": self.portal.word})
        assert status == 200, answer
        self.key = answer["key"]

    async def act(self, action: str, id: str = "1", **arguments: Any) -> tuple[int, Any]:
        status, answer, _ = await self.call("/api/act", {"action": action, "id": id, **arguments})
        return status, answer

    def request(self, path: str) -> str:
        """The same as bytes on a wire, for a reader of its own kind."""
        (cookie,) = [f"{one.key}={one.value}" for one in self.http.cookie_jar]
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.portal.port}\r\n"
        return f"{head}Cookie: {cookie}\r\nX-Bzzz-Key: {self.key}\r\n\r\n"

    @asynccontextmanager
    async def events(self, place: str = "") -> AsyncIterator[Events]:
        headers = {"X-Bzzz-Key": self.key, **({"Last-Event-ID": place} if place else {})}
        async with self.http.get(self.portal.origin + "/api/events", headers=headers) as answer:
            yield Events(answer)


class Events:
    """What a stream says: ``next`` gives (name, data) of one event; ``place`` is the last id heard."""

    def __init__(self, answer: ClientResponse) -> None:
        self.answer = answer
        self.place = ""

    async def next(self) -> tuple[str, Any]:
        name, data = "message", None
        async with asyncio.timeout(30):
            while line := (await self.answer.content.readline()).decode():
                field, _, value = line.rstrip("\n").partition(": ")
                match field:
                    case "event":
                        name = value
                    case "id":
                        self.place = value
                    case "data":
                        data = json.loads(value)
                    case "" if data is not None:
                        return name, data
        raise EOFError("the stream has ended")

    async def whole(self) -> list[Any]:
        """The lines from ``reset`` to ``whole``."""
        assert (await self.next())[0] == "reset"
        lines = []
        while (event := await self.next())[0] != "whole":
            lines.append(event[1])
        return lines
