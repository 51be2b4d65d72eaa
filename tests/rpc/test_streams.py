"""Subscriptions: resume, reset, behind, views; and a slow client costs its own items, never memory."""

from __future__ import annotations

import asyncio
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bzzzd.errors import NotFound
from bzzzd.rpc.access import attached, guest
from bzzzd.rpc.streams import Feed, Stream, StreamTable

from .harness import Bench, Raw, eventually


@given(st.integers(1, 10), st.integers(0, 40), st.integers(0, 45), st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_a_ring_gives_what_it_still_has_and_knows_what_it_lost(keep: int, items: int, at: int, count: int) -> None:
    stream = Stream("life", keep=keep, start=100)
    assert [stream.append(item) for item in range(items)] == list(range(101, 101 + items))
    number = 100 + at
    within = max(items - keep, 0) <= at <= items
    assert stream.reaches("life", number) is within
    assert not stream.reaches("other", number)
    if within:
        found = stream.after(number, count)
        assert [(entry.number, entry.value) for entry in found] == [(n + 101, n) for n in range(at, items)][:count]


def test_a_ring_is_bounded_in_bytes_and_keeps_the_newest() -> None:
    stream = Stream("life", keep=100, keep_bytes=1000)
    for _ in range(50):
        stream.append(bytes(98))
    assert len(stream) == 10
    stream.append(bytes(5000))
    assert len(stream) == 1
    assert not stream.reaches("life", 1)


def test_streams_are_found_by_name_and_by_family() -> None:
    table = StreamTable()
    table.add("tasks", guest(), Stream("a"))
    table.add("topic:", attached(), Stream("b"))
    assert table.find("tasks").title == "tasks"
    assert table.find("topic:x:y").title == "topic:NAME"
    with pytest.raises(NotFound, match="did you mean tasks"):
        table.find("task")
    with pytest.raises(NotFound, match="there are: tasks, topic:NAME"):
        table.find("zzzzzz")
    with pytest.raises(ValueError, match="twice"):
        table.add("tasks", guest(), Stream("a"))


async def items(raw: Raw) -> Any:
    kind, method, [told] = await raw.next()
    assert (kind, method) == (2, "stream.items")
    return told


async def test_items_of_one_turn_come_in_one_notification_after_the_answer(raw: Raw, bench: Bench) -> None:
    bench.stream.append("before")
    answer = (await raw.ask("subscribe", {"stream": "numbers"}))[3]
    assert answer == {"subscription": 1, "cursor": ["one", 1], "reset": False}
    for number in range(3):
        bench.stream.append(number)
    assert await items(raw) == {"subscription": 1, "cursor": ["one", 4], "items": [0, 1, 2]}
    bench.stream.append(3)
    assert (await items(raw))["items"] == [3]
    assert (await raw.ask("unsubscribe", {"subscription": 1}))[3] == {}
    bench.stream.append(4)
    assert (await raw.ask("unsubscribe", {"subscription": 1}))[2]["code"] == "NOT_FOUND"


async def test_a_cursor_within_reach_goes_on_without_a_gap(raw: Raw, bench: Bench) -> None:
    for number in range(1, 9):
        bench.stream.append(number)
    answer = (await raw.ask("subscribe", {"stream": "numbers", "cursor": ["one", 5]}))[3]
    assert answer == {"subscription": 1, "cursor": ["one", 5], "reset": False}
    assert await items(raw) == {"subscription": 1, "cursor": ["one", 8], "items": [6, 7, 8]}


@pytest.mark.parametrize("cursor", [["one", 1], ["one", 99], ["another life", 12], ["one", -1]])
async def test_a_cursor_out_of_reach_is_reset_to_a_snapshot(raw: Raw, bench: Bench, cursor: list[Any]) -> None:
    async def snapshot() -> dict[str, int]:
        await asyncio.sleep(0)
        return {"total": 12}

    feed = Feed(bench.stream, None, snapshot)
    bench.streams.add("counted", guest(), lambda call, name, filter: feed)
    for number in range(12):
        bench.stream.append(number)
    answer = (await raw.ask("subscribe", {"stream": "counted", "cursor": cursor}))[3]
    assert answer == {"subscription": 1, "cursor": ["one", 12], "reset": True, "snapshot": {"total": 12}}
    fresh = (await raw.ask("subscribe", {"stream": "counted"}))[3]
    assert fresh == {"subscription": 2, "cursor": ["one", 12], "reset": False, "snapshot": {"total": 12}}


async def test_an_item_that_comes_while_the_snapshot_is_made_is_not_lost(raw: Raw, bench: Bench) -> None:
    async def snapshot() -> str:
        bench.stream.append("meanwhile")
        await asyncio.sleep(0)
        return "state"

    bench.streams.add("racy", guest(), lambda call, name, filter: Feed(bench.stream, None, snapshot))
    answer = (await raw.ask("subscribe", {"stream": "racy"}))[3]
    assert (answer["snapshot"], answer["cursor"]) == ("state", ["one", 0])
    assert (await items(raw))["items"] == ["meanwhile"]


async def test_a_view_hides_and_rewrites_for_its_own_subscriber(raw: Raw, bench: Bench) -> None:
    def opened(call: Any, name: str, filter: dict[str, Any]) -> Feed:
        def view(item: int) -> Any:
            return None if item % filter["every"] else {"n": item, "kind": call.caller.kind} if item > 4 else item

        return Feed(bench.stream, view)

    bench.streams.add("seen", guest(), opened)
    await raw.ask("subscribe", {"stream": "seen", "filter": {"every": 2}})
    for number in range(7):
        bench.stream.append(number)
    assert (await items(raw))["items"] == [0, 2, 4, {"n": 6, "kind": "guest"}]


async def test_a_view_that_fails_ends_the_connection_and_nothing_else(raw: Raw, bench: Bench) -> None:
    def view(item: Any) -> Any:
        raise ZeroDivisionError

    bench.streams.add("broken", guest(), lambda call, name, filter: Feed(bench.stream, view))
    await raw.ask("subscribe", {"stream": "broken"})
    bench.stream.append(1)
    assert (await raw.next())[2][0]["code"] == "FAILED"
    assert await raw.next() is None
    async with bench.client() as client:
        assert await client.call("add", {"left": 1}) == {"sum": 1}


async def test_a_client_that_reads_slowly_falls_behind_and_starts_again(raw: Raw, bench: Bench) -> None:
    bench.streams.add("state", guest(), lambda call, name, filter: Feed(bench.stream, None, lambda: "now"))
    await raw.ask("subscribe", {"stream": "state"})
    (session,) = bench.server.sessions
    while session._link.writable:  # fill the pipe
        bench.stream.append(bytes(60_000))
        await asyncio.sleep(0)
    for number in range(50):
        bench.stream.append(number)
        await asyncio.sleep(0)
    last = 0
    while True:
        _, method, [told] = await raw.next()
        if method == "stream.behind":
            break
        last = told["cursor"][1]
    assert told == {"subscription": 1, "cursor": ["one", bench.stream.number], "reset": True, "snapshot": "now"}
    assert last < bench.stream.number - 8
    bench.stream.append("after")
    assert (await items(raw))["items"] == ["after"]
    assert bench.server.counters.stream_behind == 1


async def test_streams_have_rules_too(raw: Raw) -> None:
    error = (await raw.ask("subscribe", {"stream": "secrets"}))[2]
    assert error["code"] == "NOT_ATTACHED"
    assert error["message"].startswith("the stream secrets needs a grant")
    assert (await raw.ask("subscribe", {"stream": "nmbers"}))[2]["message"].endswith("did you mean numbers?")
    assert (await raw.ask("subscribe", {"stream": "numbers", "cursor": ["x"]}))[2]["code"] == "INVALID_PARAMS"


async def test_subscriptions_end_with_the_identity_that_opened_them(raw: Raw, bench: Bench) -> None:
    await raw.ask("subscribe", {"stream": "numbers"})
    await raw.ask("become", {"kind": "agent"})
    bench.stream.append(1)
    assert (await items(raw))["items"] == [1]  # a guest that becomes more keeps what it had
    await raw.ask("become", {"kind": "agent"})
    (session,) = bench.server.sessions
    assert len(session.subscriptions) == 1  # the same identity again
    await raw.ask("become", {"kind": "person"})
    assert len(session.subscriptions) == 0


async def test_subscriptions_are_bounded_and_leave_with_the_client(raw: Raw, bench: Bench) -> None:
    limit = bench.server.limits.max_subscriptions
    await raw.send(b"".join(msgpack.packb([0, n, "subscribe", [{"stream": "numbers"}]]) for n in range(limit + 1)))
    answers = [await raw.next() for _ in range(limit + 1)]
    assert [answer[2]["code"] for answer in answers if answer[2]] == ["OVERLOADED"]
    await eventually(lambda: len(bench.stream._waiting) == limit)
    raw.close()
    await eventually(lambda: not bench.stream._waiting)


def keeping(bench: Bench, first: int) -> None:
    """A stream ``kept`` whose items from ``first`` on are kept beyond its ring."""

    async def history(after: int, count: int) -> list[tuple[int, Any]] | None:
        await asyncio.sleep(0)
        if after + 1 < first:
            return None
        return [(number, f"old {number}") for number in range(after + 1, bench.stream.number + 1)][: min(count, 3)]

    feed = Feed(bench.stream, None, lambda: "now", history)
    bench.streams.add("kept", guest(), lambda call, name, filter: feed)
    for number in range(1, 21):
        bench.stream.append(number)


async def test_a_cursor_behind_the_ring_is_continued_from_what_is_kept(raw: Raw, bench: Bench) -> None:
    keeping(bench, first=1)
    answer = (await raw.ask("subscribe", {"stream": "kept", "cursor": ["one", 2]}))[3]
    assert answer == {"subscription": 1, "cursor": ["one", 2], "reset": False}
    seen: list[Any] = []
    while len(seen) < 18:
        told = await items(raw)
        seen += told["items"]
    assert told["cursor"] == ["one", 20]
    assert [int(str(item).removeprefix("old ")) for item in seen] == list(range(3, 21))
    bench.stream.append(21)
    assert (await items(raw))["items"] == [21]


async def test_a_cursor_behind_what_is_kept_is_told_so_and_gets_a_snapshot(raw: Raw, bench: Bench) -> None:
    keeping(bench, first=8)
    assert (await raw.ask("subscribe", {"stream": "kept", "cursor": ["one", 2]}))[3]["reset"] is False
    kind, method, [told] = await raw.next()
    assert (kind, method) == (2, "stream.behind")
    assert told == {"subscription": 1, "cursor": ["one", 20], "reset": True, "snapshot": "now", "trimmed": True}
    for cursor in (["other", 12], ["one", 99]):
        answer = (await raw.ask("subscribe", {"stream": "kept", "cursor": cursor}))[3]
        assert (answer["reset"], answer["snapshot"]) == (True, "now")
