from __future__ import annotations

import asyncio
import re
import socket
import stat
from collections.abc import AsyncIterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from bzzzd.errors import Conflict
from bzzzd.hap.feeds.feed import TaskChanged
from bzzzd.hap.messages import Act, Came, Offline, Order, Submit
from bzzzd.hap.values.asked import Reception
from bzzzd.hap.web.guard import HEADERS
from bzzzd.hap.web.server import MAX_CONNECTIONS
from bzzzd.hap.web.sessions import IDLE_S, Sessions

from ..builders import NOW, TASKS
from ..desk import until
from .portal import CONTENT, Browser, Portal, serving


@pytest.fixture
async def portal(tmp_path: Path) -> AsyncIterator[Portal]:
    async with serving(tmp_path) as found:
        yield found


@pytest.fixture
async def browser(portal: Portal) -> AsyncIterator[Browser]:
    async with Browser(portal) as found:
        await found.enter()
        yield found


async def test_the_url_lies_in_the_state_folder_for_the_person_alone_until_the_portal_ends(tmp_path: Path) -> None:
    async with serving(tmp_path) as portal:
        file = portal.web.url_file
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text() == f"{portal.web.url}\n"
        assert portal.web.url.startswith(f"{portal.origin}/#enter=")
    assert not file.exists()


async def test_a_word_is_used_once_and_the_next_url_lets_another_browser_in(portal: Portal) -> None:
    word = portal.word
    async with Browser(portal) as first, Browser(portal) as second:
        await first.enter()
        status, answer, _ = await second.call("/api/enter", {"word": word})
        assert (status, answer["code"]) == (403, "NOT_ALLOWED")
        await second.enter()
        assert (await first.act("refresh"))[0] == (await second.act("refresh"))[0] == 200


async def test_the_cookie_is_out_of_the_page_s_reach_and_alone_opens_nothing(portal: Portal) -> None:
    async with Browser(portal) as browser:
        _, _, answer = await browser.call("/api/enter", {"word": portal.word})
        (cookie,) = answer.headers.getall("Set-Cookie")
        assert cookie.startswith(f"bzzz_portal_{portal.port}=")
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
        assert (await browser.act("refresh"))[0] == 401
        browser.key = "x" * 43
        assert (await browser.act("refresh"))[0] == 401
        async with browser.events() as events:
            assert events.answer.status == 401


async def test_without_a_cookie_the_key_opens_nothing(portal: Portal, browser: Browser) -> None:
    async with Browser(portal) as other:
        other.key = browser.key
        assert (await other.act("refresh"))[0] == 401


async def test_tries_with_wrong_words_are_bounded(portal: Portal) -> None:
    async with Browser(portal) as browser:
        found = [(await browser.call("/api/enter", {"word": "x"}))[0] for _ in range(12)]
    assert set(found) == {403, 429}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": None},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_call_that_another_page_makes_is_refused(browser: Browser, headers: dict[str, str | None]) -> None:
    for path, body in (("/api/act", {"action": "refresh", "id": "1"}), ("/api/enter", {"word": browser.portal.word})):
        status, answer, _ = await browser.call(path, body, headers=headers)
        assert (status, answer["code"]) == (403, "NOT_ALLOWED")
    assert browser.portal.effects == []


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8090", "localhost.evil.example", ""])
async def test_a_name_that_is_not_this_machine_s_is_refused(browser: Browser, host: str) -> None:
    for path in ("/", "/api/events", "/assets/main.js"):
        status, _, _ = await browser.call(path, method="GET", headers={"Host": host, "Origin": None})
        assert status in (400, 421)


async def test_a_configured_name_is_answered(tmp_path: Path) -> None:
    async with serving(tmp_path, web_names=["portal.example"]) as portal, Browser(portal) as browser:
        status, _, _ = await browser.call("/", method="GET", headers={"Host": "portal.example", "Origin": None})
        assert status == 200


@pytest.mark.parametrize("path", ["/", "/assets/main.js", "/api/events", "/nothing", "/assets/..%2fapi.py"])
async def test_every_answer_carries_the_policy(portal: Portal, path: str) -> None:
    async with Browser(portal) as browser:
        _, _, answer = await browser.call(path, method="GET", headers={"Origin": None})
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for name in HEADERS:
        assert name in answer.headers
    assert "Server" not in answer.headers


async def test_assets_are_sent_once_and_then_confirmed(portal: Portal) -> None:
    async with Browser(portal) as browser:
        status, text, answer = await browser.call("/assets/main.js", method="GET", headers={"Origin": None})
        assert (status, answer.content_type) == (200, "text/javascript")
        assert text
        tag = {"If-None-Match": answer.headers["ETag"], "Origin": None}
        assert (await browser.call("/assets/main.js", method="GET", headers=tag))[0] == 304
        for missing in ("/assets/index.html", "/assets/..%2f__init__.py", "/assets/", "/favicon.ico"):
            assert (await browser.call(missing, method="GET", headers={"Origin": None}))[0] == 404


async def test_the_stream_begins_with_everything_and_goes_on_with_what_changes(
    portal: Portal, browser: Browser
) -> None:
    async with browser.events() as events:
        assert events.answer.content_type == "text/event-stream"
        lines = await events.whole()
        kinds = [line["type"] for line in lines]
        assert kinds.count("task") == len(TASKS)
        assert {"link", "me", "status", "agents", "peers", "health"} <= set(kinds)
        portal.core.send(Offline("bzzzd is away"))
        name, line = await events.next()
        assert (name, line["type"], line["state"]) == ("message", "link", "offline")


async def test_a_browser_that_was_away_reads_on_where_it_was(portal: Portal, browser: Browser) -> None:
    async with browser.events() as events:
        await events.whole()
        portal.core.send(Offline("first"))
        await events.next()
        place = events.place
    portal.core.send(Offline("second"), Offline("third"))
    async with browser.events(place) as events:
        assert [(await events.next())[1]["why"] for _ in range(2)] == ["second", "third"]
    async with browser.events("another.7") as events:
        link = next(line for line in await events.whole() if line["type"] == "link")
        assert link["why"] == "third"


async def test_what_the_ring_has_lost_is_told_as_a_whole(portal: Portal, browser: Browser) -> None:
    async with browser.events() as events:
        await events.whole()
        place = events.place
    for number in range(5000):
        portal.core.send(Offline(str(number)))
    async with browser.events(place) as events:
        link = next(line for line in await events.whole() if line["type"] == "link")
        assert link["why"] == "4999"


async def test_a_thousand_changes_reach_a_reader_in_order(portal: Portal, browser: Browser) -> None:
    async with browser.events() as events:
        await events.whole()
        for number in range(1000):
            row = type(TASKS[0])(id=f"t-{number}", created=NOW + number, title="x" * 100)
            portal.core.send(Came("tasks", (TaskChanged(row),), number))
        found = []
        while len(found) < 1000:
            _, line = await events.next()
            found += [line["task"]["id"]] if line["type"] == "task" else []
    assert found == [f"t-{number}" for number in range(1000)]


async def test_an_action_is_performed_once_however_often_it_is_sent(portal: Portal, browser: Browser) -> None:
    first = await browser.act("submit", "a", title="Check it", body="all of it")
    again = await browser.act("submit", "a", title="Check it", body="all of it")
    assert first == again
    assert first[0] == 200
    (submit,) = portal.effects
    assert isinstance(submit, Submit)
    assert (submit.task.title, submit.task.body) == ("Check it", "all of it")
    assert first[1]["commands"] == [submit.id]


async def test_a_cancel_waits_and_is_taken_back(portal: Portal, browser: Browser) -> None:
    _, answer = await browser.act("cancel", "a", task="t-0005")
    assert len(answer["pending"]) == 1
    _, answer = await browser.act("undo", "b")
    assert answer["pending"] == []
    await browser.act("cancel", "c", task="t-0005", now=True)
    assert [effect.task for effect in portal.effects if isinstance(effect, Order)] == ["t-0005"]


@pytest.mark.parametrize(
    "action", ["quit", "leave", "suspend", "redraw", "palette", "delete-word", "new", "theme", "editor", "form-enter"]
)
async def test_what_belongs_to_a_window_is_not_done_for_a_browser(
    portal: Portal, browser: Browser, action: str
) -> None:
    model = portal.core.model
    status, answer = await browser.act(action)
    assert (status, answer["code"]) == (400, "BAD_INPUT")
    assert portal.core.model == model
    assert not portal.core.ended.is_set()


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"action": "refresh"}', b'{"action": "refresh", "id": 1}', b'{"id": "1"}', b"\xff\xfe",
             b'{"id": "\xff"}', b'{"action": "refresh", "id": "1", "more": "x"}', b"[" * 100_000]
)  # fmt: skip
async def test_a_body_of_no_use_is_refused(browser: Browser, body: bytes) -> None:
    status, answer, _ = await browser.call("/api/act", body)
    assert (status, answer["code"]) == (400, "BAD_INPUT")


async def test_too_large_a_body_is_refused(browser: Browser) -> None:
    status, _, _ = await browser.call("/api/act", b"x" * 600_000)
    assert status == 413
    assert (await browser.act("refresh"))[0] == 200


async def test_too_many_requests_are_refused_and_the_next_ones_answered(browser: Browser) -> None:
    found = [(await browser.act("refresh", str(number)))[0] for number in range(100)]
    assert set(found) == {200, 429}
    async with asyncio.timeout(10):
        for number in range(1000):
            if (await browser.act("refresh", f"again {number}"))[0] == 200:
                break


async def test_content_is_saved_by_a_ticket_that_is_good_once_and_for_its_session(
    portal: Portal, browser: Browser
) -> None:
    address = "ucxl://worker-1:worker@default:t-1/*~2/re%20port.txt".replace("%20", "_")
    status, ticket, _ = await browser.call("/api/save", {"address": address})
    assert (status, ticket["name"]) == (200, "default-t-1-re_port-v2.txt")
    async with Browser(portal) as other:
        await other.enter()
        assert (await other.call(ticket["path"], method="GET"))[0] == 404
    assert (await browser.call(ticket["path"], method="GET"))[0] == 404  # it was used up by the stranger
    _, ticket, _ = await browser.call("/api/save", {"address": address})
    async with browser.http.get(portal.origin + ticket["path"]) as answer:
        assert await answer.read() == CONTENT
        assert answer.headers["Content-Disposition"] == 'attachment; filename="default-t-1-re_port-v2.txt"'
        assert (answer.content_type, answer.content_length) == ("application/octet-stream", len(CONTENT))
    assert (await browser.call(ticket["path"], method="GET"))[0] == 404


async def test_what_cannot_be_saved_is_told(portal: Portal, browser: Browser) -> None:
    for address in ("nowhere", "ucxl://a:b@c:d/*^/" + "x" * 5000):
        assert (await browser.call("/api/save", {"address": address}))[0] == 400
    _, ticket, _ = await browser.call("/api/save", {"address": "ucxl://a:b@c:d/*^/missing"})
    status, answer, _ = await browser.call(ticket["path"], method="GET")
    assert (status, answer["code"]) == (404, "NOT_FOUND")


async def test_signing_out_ends_the_streams_of_the_session_alone(portal: Portal, browser: Browser) -> None:
    async with Browser(portal) as other:
        await other.enter()
        async with browser.events() as mine, other.events() as theirs:
            await mine.whole()
            await theirs.whole()
            assert (await browser.call("/api/leave", {}))[0] == 200
            with pytest.raises(EOFError):
                await mine.next()
            portal.core.send(Offline("still told"))
            assert (await theirs.next())[1]["why"] == "still told"
        assert (await browser.act("refresh"))[0] == 401


async def test_pages_over_the_limit_are_told_so(
    portal: Portal, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bzzzd.hap.web.api.MAX_STREAMS", 1)
    async with browser.events() as events:
        await events.whole()
        async with browser.events() as more:
            assert more.answer.status == 503


async def test_a_page_that_is_open_stays_signed_in(portal: Portal, browser: Browser) -> None:
    (session,) = portal.web._sessions._sessions
    async with browser.events() as events:
        await events.whole()
        session.used -= IDLE_S + 1
        portal.core.send(Offline("gone"))
        await events.next()
        assert (await browser.act("refresh"))[0] == 200


async def test_a_download_that_stands_still_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bzzzd.hap.web.server.STOP_S", 0.1)
    asked = asyncio.Event()

    async def silent(method: str, params: Mapping[str, Any]) -> Any:
        asked.set()
        await asyncio.Event().wait()

    async with serving(tmp_path) as portal, Browser(portal) as browser:
        monkeypatch.setattr(portal, "call", silent)
        await browser.enter()
        _, ticket, _ = await browser.call("/api/save", {"address": "ucxl://lena:admin@default:t-1/*^/notes"})
        loading = asyncio.create_task(browser.call(ticket["path"], method="GET"))
        await asyncio.wait_for(asked.wait(), 5)
        await asyncio.wait_for(portal.web.stop(), 5)
        loading.cancel()


async def test_a_reader_that_goes_away_is_forgotten(portal: Portal, browser: Browser) -> None:
    async with browser.events() as events:
        await events.whole()
        assert portal.web.surface.readers == 1
    portal.core.send(Offline("gone"))
    await until(lambda: portal.web.surface.readers == 0)


async def test_a_reader_that_does_not_read_is_cut_off(
    portal: Portal, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bzzzd.hap.web.api.STUCK_S", 0.2)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        await asyncio.get_running_loop().sock_connect(deaf, ("127.0.0.1", portal.port))
        deaf.send(browser.request("/api/events").encode())
        await until(lambda: portal.web.surface.readers == 1)
        for number in range(2000):
            row = type(TASKS[0])(id=f"t-{number}", title="x" * 500, address="y" * 4000)
            portal.core.send(Came("tasks", (TaskChanged(row),), number))
            await asyncio.sleep(0)
        await until(lambda: portal.web.surface.readers == 0)


async def test_connections_over_the_limit_are_closed_at_once(portal: Portal, browser: Browser) -> None:
    opened = [await asyncio.open_connection("127.0.0.1", portal.port) for _ in range(MAX_CONNECTIONS + 8)]
    closed = [reader for reader, _ in opened if await _ends(reader)]
    assert len(closed) >= 8
    for _, writer in opened:
        writer.close()


async def _ends(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(1), 0.05) == b""
    except TimeoutError:
        return False


async def test_a_taken_port_is_refused_with_its_holder(portal: Portal, tmp_path: Path) -> None:
    other = Portal(tmp_path)
    other.web._port = portal.port
    with pytest.raises(Conflict, match=r"ports\.http_port"):
        await other.web.start()
    await other.core.close()


async def test_the_end_of_the_portal_ends_its_streams(tmp_path: Path) -> None:
    async with serving(tmp_path) as portal, Browser(portal) as browser:
        await browser.enter()
        async with browser.events() as events:
            await events.whole()
            running = asyncio.create_task(portal.web.run())
            portal.core.send(Act("leave"))
            await asyncio.wait_for(running, 5)
            stopping = asyncio.create_task(portal.web.stop())
            with pytest.raises(EOFError):
                await events.next()
            await asyncio.wait_for(stopping, 10)


def test_words_are_long_enough_not_to_be_guessed() -> None:
    assert len(Sessions(lambda: 0.0).word) >= 43


def test_the_page_has_words_for_whatever_became_of_an_answer() -> None:
    page = (files("bzzzd.hap.web") / "assets" / "prompt.js").read_text("utf-8")
    words = page.partition("const words = {")[2].partition("};")[0]
    assert set(re.findall(r"^ +(\w+): `", words, re.MULTILINE)) == set(get_args(get_type_hints(Reception)["state"]))
