import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bzzzd.runtime import http_pages
from bzzzd.runtime.http_pages import HEAD_BYTES, Page, Pages
from bzzzd.runtime.ports import listen
from tests.loops import OurLoop


def _broken() -> Page:
    raise LookupError("no such service")


class Site:
    def __init__(self) -> None:
        self.errors: list[str] = []
        self.pages = Pages(
            {"/alive": lambda: Page(b"alive\n"), "/broken": _broken},
            knows=lambda host: host == "here",
            on_error=lambda path, error: self.errors.append(f"{path}: {error}"),
        )
        self.listener = listen("127.0.0.1", 0)
        self.port = self.listener.getsockname()[1]

    async def talk(self, data: bytes, *, end: bool = False) -> bytes:
        """Send ``data`` and read until the other side closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        if end:
            writer.write_eof()
        try:
            return await asyncio.wait_for(reader.read(), 5)
        finally:
            writer.close()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    await made.pages.serve(made.listener)
    yield made
    made.pages.close()


async def test_a_page_is_answered_and_the_connection_closed(site: Site) -> None:
    head, _, body = (await site.talk(b"GET /alive HTTP/1.1\r\nHost: here\r\n\r\n")).partition(b"\r\n\r\n")
    assert body == b"alive\n"
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 200 OK",
        b"Content-Type: text/plain; charset=utf-8",
        b"Content-Length: 6",
        b"Cache-Control: no-store",
        b"X-Content-Type-Options: nosniff",
        b"Connection: close",
    ]


async def test_a_request_may_come_in_pieces(site: Site) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    for piece in (b"GET /al", b"ive?x=1 HTTP/1.1\r\nHo", b"st: here\r\n\r", b"\n"):
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    assert (await reader.read()).endswith(b"alive\n")
    writer.close()


async def test_head_gets_the_same_without_the_body(site: Site) -> None:
    answer = await site.talk(b"HEAD /alive HTTP/1.1\r\nHost: here\r\n\r\n")
    assert b"Content-Length: 6\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET /nothing HTTP/1.1\r\nHost: here", 404),
        (b"POST /alive HTTP/1.1\r\nHost: here", 405),
        (b"GET /alive HTTP/1.1\r\nHost: elsewhere", 421),
        (b"GET /alive HTTP/1.1", 400),
        (b"GET /alive HTTP/1.1\r\nHost: here\r\nHost: here", 400),
        (b"GET /alive HTTP/1.1\r\nHost : here", 400),
        (b"GET http://here/alive HTTP/1.1\r\nHost: here", 404),
        (b"GET /alive HTTP/2.0\r\nHost: here", 505),
        (b"GET /alive HTTP/1.0", 200),
        (b"\x16\x03\x01\x02\x00", 400),
    ],
)
async def test_each_request_gets_its_status(site: Site, request_head: bytes, status: int) -> None:
    assert (await site.talk(request_head + b"\r\n\r\n")).startswith(f"HTTP/1.1 {status} ".encode())


async def test_a_page_that_fails_is_reported_and_the_port_goes_on(site: Site) -> None:
    assert b" 500 " in await site.talk(b"GET /broken HTTP/1.1\r\nHost: here\r\n\r\n")
    assert site.errors == ["/broken: no such service"]
    assert b" 200 " in await site.talk(b"GET /alive HTTP/1.1\r\nHost: here\r\n\r\n")


async def test_a_head_without_end_is_cut(site: Site) -> None:
    assert b" 431 " in await site.talk(b"GET /alive HTTP/1.1\r\nX: " + b"a" * (HEAD_BYTES + 10))


async def test_half_a_request_then_silence_is_cut_after_its_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_pages, "HEAD_LIMIT_S", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"GET /al")
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_a_client_that_leaves_early_harms_nothing(site: Site) -> None:
    assert await site.talk(b"GET /al", end=True) == b""
    assert b" 200 " in await site.talk(b"GET /alive HTTP/1.1\r\nHost: here\r\n\r\n")


async def test_too_many_connections_are_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_pages, "MAX_CONNECTIONS", 2)
    held = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(2)]
    assert b" 503 " in await site.talk(b"")
    for _, writer in held:
        writer.close()
        await writer.wait_closed()
    assert b" 200 " in await site.talk(b"GET /alive HTTP/1.1\r\nHost: here\r\n\r\n")


async def test_closing_frees_the_port_and_cuts_what_is_open(site: Site) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    await site.talk(b"GET /alive HTTP/1.1\r\nHost: here\r\n\r\n")
    site.pages.close()
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    with listen("127.0.0.1", site.port):
        pass


def test_it_works_on_uvloop() -> None:
    async def main() -> bytes:
        site = Site()
        await site.pages.serve(site.listener)
        try:
            return await site.talk(b"GET /alive HTTP/1.1\r\nHost: here\r\n\r\n")
        finally:
            site.pages.close()

    with asyncio.Runner(loop_factory=OurLoop) as runner:
        assert runner.run(main()).endswith(b"alive\n")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet="GET /x:HTP1.0\r\n hosta", max_size=80).map(str.encode))
def test_any_bytes_get_an_answer_or_a_closed_connection(head: bytes) -> None:
    async def main() -> bytes:
        site = Site()
        await site.pages.serve(site.listener)
        try:
            return await site.talk(head + b"\r\n\r\n", end=True)
        finally:
            site.pages.close()

    answer = asyncio.run(main())
    assert answer == b"" or answer.startswith(b"HTTP/1.1 ")
