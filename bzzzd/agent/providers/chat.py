"""One chat completion over HTTP: streamed, bounded, and repeated only before its first token."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bzzzd.agent.providers.base import Answer, OnText, Prompt
from bzzzd.agent.providers.reply import Reply
from bzzzd.agent.providers.sse import EventReader
from bzzzd.agent.text import words
from bzzzd.errors import UNREADABLE, ModelFailed

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

_CONNECT_S: Final = 5.0
_ERROR_BYTES: Final = 4096
_JSON_BYTES: Final = 4_194_304
_STREAM_BYTES: Final = 16_777_216
_WAIT_MOST_S: Final = 10.0
_WORTH_REPEATING: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is. ``url`` ends before ``/chat/completions``; ``grammars``: it knows llama.cpp's extensions."""

    url: str
    model: str
    key: str = field(default="", repr=False)
    grammars: bool = False

    @property
    def headers(self) -> dict[str, str]:
        # Nothing compressed: a small body could otherwise become a huge one.
        plain = {"Accept-Encoding": "identity"}
        return plain | {"Authorization": f"Bearer {self.key}"} if self.key else plain


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds without a token, seconds in all (repeats included), and how often a failed call is repeated."""

    idle_s: float = 30.0
    total_s: float = 300.0
    retries: int = 2


def _failed(message: str, reason: str, *, again: bool, wait_s: float = 0.0) -> ModelFailed:
    return ModelFailed(message, reason=reason, again=again, wait_s=wait_s)


def _request(endpoint: Endpoint, prompt: Prompt) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": endpoint.model,
        "messages": [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}],
        "max_tokens": prompt.max_tokens,
        "temperature": prompt.temperature,
        "top_p": prompt.top_p,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if endpoint.grammars:
        body["repeat_penalty"] = prompt.repeat_penalty
        if prompt.grammar:
            body["grammar"] = prompt.grammar
    return body


class Chat:
    """Asks endpoints; one HTTP session for all calls, made at the first one.

    A call that fails before its first token is repeated with a growing, jittered wait when another
    try may help (no connection, a time-out, HTTP 429 and 5xx). After the first token it never is:
    the caller has seen it.
    """

    def __init__(self, patience: Patience, *, jitter: Callable[[float, float], float] = random.uniform) -> None:
        self._patience = patience
        self._jitter = jitter
        self._session: ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _http(self) -> ClientSession:
        # aiohttp costs 8 MB and a fifth of a second: it is paid by the first call.
        from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

        if self._session is None:
            timeout = ClientTimeout(total=None, sock_connect=_CONNECT_S)
            # A connection each: the next call must not fail on one that the server is closing.
            connector = TCPConnector(force_close=True)
            self._session = ClientSession(
                connector=connector, timeout=timeout, cookie_jar=DummyCookieJar(), auto_decompress=False
            )
        return self._session

    async def complete(self, endpoint: Endpoint, prompt: Prompt, on_text: OnText) -> Answer:
        """Ask once. Raises ``ModelFailed``; ``data["reason"]`` is a stable word for what went wrong."""
        total = self._patience.total_s
        try:
            async with asyncio.timeout(total):
                return await self._repeat(endpoint, prompt, on_text)
        except TimeoutError as error:
            raise _failed(f"the model was not done after {total:g} s", "too_slow", again=False) from error

    async def _repeat(self, endpoint: Endpoint, prompt: Prompt, on_text: OnText) -> Answer:
        for attempt in range(self._patience.retries + 1):
            reply = Reply(endpoint.model, prompt.max_tokens)
            try:
                return await self._once(endpoint, prompt, reply, on_text)
            except ModelFailed as error:
                if reply.begun or not error.data.get("again") or attempt == self._patience.retries:
                    raise
                most = min(_WAIT_MOST_S, 0.5 * 2**attempt)
                wait = error.data["wait_s"] or self._jitter(most / 4, most)
            await asyncio.sleep(wait)
        raise AssertionError("unreachable")

    async def _once(self, endpoint: Endpoint, prompt: Prompt, reply: Reply, on_text: OnText) -> Answer:
        from aiohttp import ClientError

        started = time.monotonic()
        idle = self._patience.idle_s
        try:
            async with asyncio.timeout(idle) as patience:

                def heard() -> None:
                    patience.reschedule(asyncio.get_running_loop().time() + idle)

                if not endpoint.model:
                    endpoint = await self._with_model(endpoint)
                request = self._http().post(
                    f"{endpoint.url}/chat/completions", json=_request(endpoint, prompt), headers=endpoint.headers,
                    allow_redirects=False,
                )  # fmt: skip
                async with request as response:
                    await _refuse_bad_status(response, endpoint)
                    heard()
                    await _read(response, reply, on_text, heard)
        except (ClientError, OSError) as error:
            raise self._lost(endpoint, reply, error) from error
        return reply.finish(time.monotonic() - started)

    def _lost(self, endpoint: Endpoint, reply: Reply, error: Exception) -> ModelFailed:
        """What a failure of the connection means; aiohttp's own time-outs are failures to connect."""
        from aiohttp import ClientError

        if isinstance(error, TimeoutError) and not isinstance(error, ClientError):
            return _failed(f"the model was silent for {self._patience.idle_s:g} s", "too_slow", again=True)
        why = words(error) or type(error).__name__
        if reply.begun:
            return _failed(f"the model endpoint cut its stream: {why}", "cut_stream", again=False)
        return _failed(f"the model endpoint {endpoint.url} cannot be reached: {why}", "unreachable", again=True)

    async def _with_model(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint with the first model that it lists."""
        async with self._http().get(
            f"{endpoint.url}/models", headers=endpoint.headers, allow_redirects=False
        ) as response:
            await _refuse_bad_status(response, endpoint)
            raw = await _bounded(response, _JSON_BYTES)
        try:
            names = [str(model["id"]) for model in msgspec.json.decode(raw)["data"]]
            return Endpoint(endpoint.url, names[0], endpoint.key, endpoint.grammars)
        except (*UNREADABLE, LookupError, TypeError) as error:
            raise _failed(
                f"{endpoint.url}/models lists no model; name one under ai.model", "no_model", again=False
            ) from error


async def _read(response: ClientResponse, reply: Reply, on_text: OnText, heard: Callable[[], None]) -> None:
    """Read the answer to its end; only tokens count as signs of life, not keep-alives."""
    if response.content_type == "application/json":
        # An endpoint that does not stream: one whole completion.
        text = reply.feed(await _bounded(response, _JSON_BYTES))
        reply.ended = True
        on_text(text)
        return
    events, size = EventReader(), 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > _STREAM_BYTES:
            raise _failed(f"the model endpoint sent over {_STREAM_BYTES} bytes", "too_large", again=False)
        for data in events.feed(piece):
            signs = reply.signs
            text = reply.feed(data)
            if reply.signs > signs:
                heard()
            if text:
                on_text(text)
            if reply.ended:
                return


async def _refuse_bad_status(response: ClientResponse, endpoint: Endpoint) -> None:
    if response.status == 200:
        return
    raw = await response.content.read(_ERROR_BYTES)
    text = raw.decode("utf-8", "replace")
    try:
        body = msgspec.json.decode(raw)
        text = words(body.get("error", text)) if isinstance(body, dict) else text
    except UNREADABLE:
        pass
    said = words(text)
    if endpoint.key:
        said = said.replace(endpoint.key, "(key)")
    raise _failed(
        f"the model endpoint {endpoint.url} answered HTTP {response.status}: {said or 'nothing'}",
        f"http_{response.status}",
        again=response.status in _WORTH_REPEATING,
        wait_s=_retry_after(response.headers.get("Retry-After", "")),
    )


def _retry_after(text: str) -> float:
    """Seconds that an endpoint asks to be left alone, within bounds; 0 when it does not say."""
    try:
        seconds = float(text)
    except ValueError:
        return 0.0
    return min(max(seconds, 0.0), _WAIT_MOST_S) if math.isfinite(seconds) else 0.0


async def _bounded(response: ClientResponse, limit: int) -> bytes:
    raw = bytearray()
    async for piece in response.content.iter_any():
        raw += piece
        if len(raw) > limit:
            raise _failed(f"the model endpoint sent over {limit} bytes", "too_large", again=False)
    return bytes(raw)
