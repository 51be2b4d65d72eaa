import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from bzzzd.agent.providers.base import Prompt, Usage
from bzzzd.agent.providers.chat import Chat, Endpoint, Patience
from bzzzd.errors import ModelFailed
from tests.agent.model_endpoint import DONE, KEY, USAGE, ModelEndpoint, chunk, good, stream

PROMPT = Prompt(system="s", user="u", max_tokens=50, grammar='root ::= "x"')


@pytest.fixture
async def chat() -> AsyncIterator[Chat]:
    made = Chat(Patience(idle_s=1.0, total_s=5.0, retries=2), jitter=lambda low, high: 0.0)
    yield made
    await made.close()


def at(endpoint: ModelEndpoint, **more: Any) -> Endpoint:
    return Endpoint(endpoint.url, more.pop("model", "test-model"), **more)


async def failure(chat: Chat, endpoint: Endpoint) -> ModelFailed:
    with pytest.raises(ModelFailed) as caught:
        await chat.complete(endpoint, PROMPT, lambda text: None)
    return caught.value


async def test_an_answer_is_streamed_with_its_usage(chat: Chat, endpoint: ModelEndpoint) -> None:
    heard: list[str] = []
    answer = await chat.complete(at(endpoint, key=KEY), PROMPT, heard.append)
    assert (answer.text, answer.model, answer.usage, answer.cut) == ("Hello there.", "test-model", Usage(11, 3), False)
    assert heard == ["Hello ", "there."]
    assert endpoint.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert [message["role"] for message in endpoint.bodies[0]["messages"]] == ["system", "user"]


async def test_extensions_go_only_where_they_are_known(chat: Chat, endpoint: ModelEndpoint) -> None:
    await chat.complete(at(endpoint), PROMPT, lambda text: None)
    await chat.complete(at(endpoint, grammars=True), PROMPT, lambda text: None)
    assert "grammar" not in endpoint.bodies[0]
    assert endpoint.bodies[1]["grammar"] == PROMPT.grammar


async def test_without_a_name_the_first_model_is_asked(chat: Chat, endpoint: ModelEndpoint) -> None:
    await chat.complete(at(endpoint, model=""), PROMPT, lambda text: None)
    assert endpoint.bodies[0]["model"] == "first-model"


async def test_an_endpoint_that_does_not_stream_is_understood(chat: Chat, endpoint: ModelEndpoint) -> None:
    async def whole(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"choices": [{"message": {"content": "All at once."}, "finish_reason": "stop"}]})

    endpoint.behave(whole)
    assert (await chat.complete(at(endpoint), PROMPT, lambda text: None)).text == "All at once."


async def test_an_endpoint_that_is_down_is_tried_again_and_named(chat: Chat) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = await failure(chat, Endpoint(f"http://127.0.0.1:{taken.getsockname()[1]}/v1", "m"))
    assert error.data["reason"] == "unreachable"
    assert "cannot be reached" in error.message


async def test_a_passing_fault_is_repeated(chat: Chat, endpoint: ModelEndpoint) -> None:
    async def overloaded(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"error": {"message": "busy"}}, status=503)

    endpoint.behave(overloaded, overloaded, good)
    assert (await chat.complete(at(endpoint), PROMPT, lambda text: None)).text == "Hello there."
    endpoint.behave(overloaded)
    error = await failure(chat, at(endpoint))
    assert (error.data["reason"], "HTTP 503: busy" in error.message) == ("http_503", True)
    assert len(endpoint.bodies) == 3 + 3


async def test_an_endpoint_may_say_how_long_to_wait(endpoint: ModelEndpoint) -> None:
    async def later(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.Response(status=429, headers={"Retry-After": "0.3"})

    endpoint.behave(later, good)
    chat = Chat(Patience(idle_s=2.0, total_s=5.0, retries=1), jitter=lambda low, high: 60.0)
    started = time.monotonic()
    await chat.complete(at(endpoint), PROMPT, lambda text: None)
    assert 0.3 <= time.monotonic() - started < 30
    await chat.close()


async def test_a_refused_key_is_not_repeated_nor_shown(chat: Chat, endpoint: ModelEndpoint) -> None:
    async def refuse(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"error": {"message": f"bad key {KEY}"}}, status=401)

    endpoint.behave(refuse)
    error = await failure(chat, at(endpoint, key=KEY))
    assert error.data["reason"] == "http_401"
    assert KEY not in error.message
    assert KEY not in repr(at(endpoint, key=KEY))
    assert len(endpoint.bodies) == 1


async def test_a_refusal_that_is_no_text_is_a_refusal_all_the_same(chat: Chat, endpoint: ModelEndpoint) -> None:
    async def refuse(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.Response(status=401, body=b'{"error": "cl\xe9"}', content_type="application/json")

    endpoint.behave(refuse)
    assert (await failure(chat, at(endpoint))).data["reason"] == "http_401"


async def test_a_silent_endpoint_is_given_up(endpoint: ModelEndpoint) -> None:
    async def silent(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return await stream(request, *[b": still here\n\n"] * 50, wait=0.1)

    endpoint.behave(silent)
    chat = Chat(Patience(idle_s=0.5, total_s=30.0, retries=0))
    started = time.monotonic()
    error = await failure(chat, at(endpoint))
    assert (error.data["reason"], "silent for 0.5 s" in error.message) == ("too_slow", True)
    assert time.monotonic() - started < 20
    await chat.close()


async def test_a_slow_answer_ends_at_the_total_time(endpoint: ModelEndpoint) -> None:
    async def drip(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return await stream(request, *[chunk("drip ")] * 50, wait=0.1)

    endpoint.behave(drip)
    chat = Chat(Patience(idle_s=5.0, total_s=0.6, retries=2))
    error = await failure(chat, at(endpoint))
    assert "not done after 0.6 s" in error.message
    await chat.close()


async def test_a_cut_stream_is_a_failure_and_not_repeated(chat: Chat, endpoint: ModelEndpoint) -> None:
    async def cut(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        response = await stream(request, chunk("Half an ans"))
        assert request.transport is not None
        request.transport.close()
        return response

    async def ends_early(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return await stream(request, chunk("Half an ans"))

    for behaviour in (cut, ends_early):
        endpoint.bodies.clear()
        endpoint.behave(behaviour)
        error = await failure(chat, at(endpoint))
        assert error.data["reason"] == "cut_stream"
        assert len(endpoint.bodies) == 1


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ([b"data: <html>\n\n"], "nonsense"),
        ([b"<html>busy</html>"], "cut_stream"),
        ([b"data: " + b"x" * 2_000_000], "too_large"),
        ([chunk("word " * 100)] * 100, "too_large"),
        ([chunk(finish="stop"), DONE], "empty"),
        ([b'data: {"error": {"message": "boom"}}\n\n'], "endpoint_error"),
    ],
)
async def test_a_bad_stream_has_its_reason(
    chat: Chat, endpoint: ModelEndpoint, pieces: list[bytes], reason: str
) -> None:
    async def bad(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return await stream(request, *pieces)

    endpoint.behave(bad)
    assert (await failure(chat, at(endpoint))).data["reason"] == reason


async def test_a_redirect_is_not_followed_with_the_key(chat: Chat, endpoint: ModelEndpoint) -> None:
    async def elsewhere(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect(f"{endpoint.url}/chat/completions")

    endpoint.behave(elsewhere, good)
    assert (await failure(chat, at(endpoint, key=KEY))).data["reason"] == "http_307"
    assert len(endpoint.bodies) == 1


async def test_nothing_compressed_is_asked_for(chat: Chat, endpoint: ModelEndpoint) -> None:
    await chat.complete(at(endpoint), PROMPT, lambda text: None)
    assert endpoint.headers[0]["Accept-Encoding"] == "identity"


async def test_cancelling_ends_the_request(chat: Chat, endpoint: ModelEndpoint) -> None:
    gone, begun = asyncio.Event(), asyncio.Event()

    async def hold(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        response = await stream(request, chunk("a"))
        begun.set()
        try:
            while True:
                await response.write(b": ping\n\n")
                await asyncio.sleep(0.02)
        except (ConnectionResetError, asyncio.CancelledError):
            gone.set()
            raise

    endpoint.behave(hold)
    call = asyncio.create_task(chat.complete(at(endpoint), PROMPT, lambda text: None))
    await asyncio.wait_for(begun.wait(), 5)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(gone.wait(), 5)


async def test_usage_is_optional(chat: Chat, endpoint: ModelEndpoint) -> None:
    async def terse(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return await stream(request, chunk("Yes."), chunk(finish="stop"))

    endpoint.behave(terse)
    assert (await chat.complete(at(endpoint), PROMPT, lambda text: None)).usage == Usage(None, None)
    assert json.loads(USAGE[6:])["usage"]["completion_tokens"] == 3
