"""A real OpenAI-compatible endpoint that behaves as badly as it is told to."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Behaviour = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]

KEY = "sk-unguessable-test-key"


def chunk(text: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    delta = {"role": "assistant"} | ({"content": text} if text is not None else {})
    body = {"model": "test-model", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}}\n\n'
DONE = b"data: [DONE]\n\n"


async def stream(request: web.Request, *pieces: bytes, wait: float = 0.0) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for piece in pieces:
        await response.write(piece)
        await asyncio.sleep(wait)
    return response


async def good(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    return await stream(request, chunk(""), chunk("Hello "), chunk("there."), chunk(finish="stop"), USAGE, DONE)


class ModelEndpoint:
    """``behave`` decides the answers, one after the other; the last one stays."""

    def __init__(self) -> None:
        self.behaviours: list[Behaviour] = [good]
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[Any] = []
        self.url = ""

    def behave(self, *behaviours: Behaviour) -> None:
        self.behaviours = list(behaviours)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(request.headers)
        behaviour = self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]
        return await behaviour(request, body)

    async def models(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"object": "list", "data": [{"id": "first-model"}, {"id": "other"}]})


@asynccontextmanager
async def served() -> AsyncIterator[ModelEndpoint]:
    endpoint = ModelEndpoint()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", endpoint.chat)
    app.router.add_get("/v1/models", endpoint.models)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    endpoint.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield endpoint
    finally:
        await runner.cleanup()
