"""What a client of any quality gets from the server, over real sockets; the server is never harmed."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgpack
import pytest

from bzzzd.errors import ClientTooNew, ClientTooOld, InvalidParams, NotAllowed, NotAttached, UnknownMethod
from bzzzd.rpc.access import guest
from bzzzd.rpc.client import AsyncClient
from bzzzd.rpc.wire import API

from .harness import QUICK, Bench, Raw, eventually


async def still_serves(bench: Bench) -> None:
    async with bench.client() as client:
        assert await client.call("add", {"left": 1, "right": 2}) == {"sum": 3}


async def test_a_method_is_answered_and_the_caller_is_who_the_kernel_says(client: AsyncClient) -> None:
    assert await client.call("add", {"left": 2, "right": 3}) == {"sum": 5}
    assert await client.call("who") == {"uid": os.getuid(), "pid": os.getpid(), "kind": "guest"}


async def test_an_unknown_method_names_the_nearest(client: AsyncClient) -> None:
    with pytest.raises(UnknownMethod, match=r"did you mean slow.read"):
        await client.call("slow.raed")
    assert await client.call("add", {"left": 1}) == {"sum": 1}


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"left": "1"}, "Expected `int`, got `str`"),
        ({}, "missing required field `left`"),
        ({"left": 1, "rihgt": 2}, "did you mean right"),
        ([1], "Expected `object`, got `array`"),
        (None, "missing required field"),
    ],
)
async def test_wrong_parameters_are_named(raw: Raw, params: Any, words: str) -> None:
    error = (await raw.ask("add", params))[2]
    assert error["code"] == "INVALID_PARAMS"
    assert error["message"].startswith("add: ")
    assert words in error["message"]
    assert (await raw.ask("add", {"left": 1}))[3] == {"sum": 1}


async def test_parameters_are_one_map(raw: Raw) -> None:
    await raw.frame([0, 9, "add", [{"left": 1}, {"right": 2}]])
    assert (await raw.next())[2]["message"] == "add: parameters are one map, not 2 values"
    await raw.frame([0, 10, "who", []])
    assert (await raw.next())[3]["kind"] == "guest"


async def test_extension_types_and_wild_nesting_in_parameters_are_refused(raw: Raw) -> None:
    assert (await raw.ask("add", {"left": msgpack.Timestamp(1)}))[2]["code"] == "INVALID_PARAMS"
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    assert (await raw.ask("add", {"left": deep}))[2]["code"] == "INVALID_PARAMS"


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xc1\xc1\xc1",
        msgpack.packb([0, 1, "add"]),
        msgpack.packb([3, 1, "add", []]),
        msgpack.packb([0, -1, "add", []]),
        msgpack.packb([0, 2**32, "add", []]),
        msgpack.packb([0, 1, b"add", []]),
        msgpack.packb([0, 1, "add", {}]),
        msgpack.packb([2, "add"]),
        b"\x91" * 90_000,
        b"\x94\x00\x01\xa3\xff\xfe\xfd\x90",
    ],
)
@pytest.mark.parametrize("hello", [True, False])
async def test_garbage_gets_an_error_and_a_closed_connection(bench: Bench, data: bytes, hello: bool) -> None:
    raw = await bench.raw(hello=hello)
    await raw.send(data)
    kind, method, [error] = await raw.next()
    assert (kind, method, error["code"]) == (2, "error", "MALFORMED_FRAME")
    assert await raw.next() is None
    assert bench.server.counters.malformed == 1
    await still_serves(bench)


async def test_requests_before_the_garbage_are_answered(raw: Raw) -> None:
    await raw.send(msgpack.packb([0, 1, "add", [{"left": 1}]]) + b"\xc1")
    assert await raw.next() == [1, 1, None, {"sum": 1}]
    assert (await raw.next())[2][0]["code"] == "MALFORMED_FRAME"
    assert await raw.next() is None


async def test_an_oversized_frame_gets_an_error_and_a_closed_connection(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(replace(QUICK, max_guest_frame=1000, max_frame=5000))
    await bench.serve()
    raw = await bench.raw()
    await raw.frame([0, 1, "add", [{"left": bytes(900)}]])
    assert (await raw.next())[2]["code"] == "INVALID_PARAMS"
    assert (await raw.ask("become", {"kind": "agent"}))[2] is None
    await raw.frame([0, 1, "add", [{"left": bytes(4900)}]])
    assert (await raw.next())[2]["code"] == "INVALID_PARAMS"
    await raw.frame([0, 1, "add", [{"left": bytes(5000)}]])
    _, _, [error] = await raw.next()
    assert (error["code"], error["data"]["limit"]) == ("TOO_LARGE", 5000)
    assert await raw.next() is None
    await still_serves(bench)


async def test_a_guest_may_send_less_than_a_member(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(replace(QUICK, max_guest_frame=1000, max_frame=5000))
    await bench.serve()
    raw = await bench.raw()
    await raw.frame([0, 1, "add", [{"left": bytes(1000)}]])
    assert (await raw.next())[2][0]["code"] == "TOO_LARGE"
    assert await raw.next() is None


async def test_half_a_frame_and_then_silence_is_cut_off(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(replace(QUICK, frame_s=0.05))
    await bench.serve()
    raw = await bench.raw()
    await raw.send(msgpack.packb([0, 1, "add", [{"left": 1}]])[:-3])
    _, _, [error] = await raw.next()
    assert error["code"] == "MALFORMED_FRAME"
    assert "within 0.05 s" in error["message"]
    assert await raw.next() is None
    await still_serves(bench)


async def test_a_frame_that_trickles_in_is_answered(raw: Raw) -> None:
    for byte in msgpack.packb([0, 1, "add", [{"left": 1, "right": 1}]]):
        await raw.send(bytes([byte]))
    assert await raw.next() == [1, 1, None, {"sum": 2}]


async def test_a_connection_without_hello_is_cut_off(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(replace(QUICK, hello_s=0.05))
    await bench.serve()
    raw = await bench.raw(hello=False)
    assert "no hello came" in (await raw.next())[2][0]["message"]
    assert await raw.next() is None


async def test_before_hello_only_hello(bench: Bench) -> None:
    raw = await bench.raw(hello=False)
    for method in ("add", "no.such", "subscribe"):
        error = (await raw.ask(method))[2]
        assert error["code"] == "NOT_ALLOWED"
        assert "first request of a connection is hello" in error["message"]
    answer = (await raw.ask("hello", {"api": 1, "min_api": 1, "client": "x"}))[3]
    assert (answer["api"], answer["min_api"], answer["build"], answer["phase"]) == (1, 1, "test", "monitoring")
    assert {"core", "slow", "session"} <= set(answer["extensions"])
    assert len(answer["nonce"]) == 32
    assert (await raw.ask("add", {"left": 1}))[3] == {"sum": 1}


async def test_the_two_version_errors(raw: Raw) -> None:
    old = (await raw.ask("hello", {"api": API - 1, "min_api": 0, "client": "antique"}))[2]
    new = (await raw.ask("hello", {"api": API + 2, "min_api": API + 1, "client": "novel"}))[2]
    assert (old["code"], new["code"]) == (ClientTooOld.code, ClientTooNew.code)
    assert "upgrade the client" in old["message"]
    assert "upgrade bzzzd" in new["message"]
    assert (await raw.ask("hello", {"api": API + 5, "min_api": API, "client": "both"}))[2] is None


async def test_every_hello_gives_a_nonce_that_is_good_once(raw: Raw, bench: Bench) -> None:
    hello = {"api": 1, "min_api": 1, "client": "x"}
    first, second = [(await raw.ask("hello", hello))[3]["nonce"] for _ in range(2)]
    assert first != second
    (session,) = bench.server.sessions
    assert session.take_nonce() == second
    with pytest.raises(NotAllowed, match="say hello again"):
        session.take_nonce()


async def test_a_caller_without_the_right_is_told_what_mends_it(client: AsyncClient) -> None:
    with pytest.raises(NotAttached, match="sudo bzzz mesh admin add USER"):
        await client.call("members.only")
    await client.call("become", {"kind": "agent"})
    assert await client.call("members.only") == {}
    with pytest.raises(NotAllowed, match="x is an agent with role worker"):
        await client.call("people.only")
    with pytest.raises(NotAllowed, match="bzzz mesh policy apply"):
        await client.call("echo.able")
    await client.call("become", {"kind": "admin", "capabilities": ["echo"]})
    assert await client.call("people.only") == {}
    assert await client.call("echo.able") == {}


async def test_a_right_that_is_given_up_is_gone(client: AsyncClient, bench: Bench) -> None:
    await client.call("become", {"kind": "person"})
    assert await client.call("people.only") == {}
    bench.server.sessions[0].become(None)
    with pytest.raises(NotAttached):
        await client.call("people.only")


async def test_errors_of_handlers_arrive_as_they_are_and_crashes_without_details(raw: Raw, bench: Bench) -> None:
    assert (await raw.ask("fail"))[2] == {
        "code": "CONFLICT",
        "message": "somebody was faster",
        "data": {"who": "them"},
    }
    for method in ("crash", "unsayable"):
        error = (await raw.ask(method))[2]
        assert error["code"] == "FAILED"
        assert "secret" not in error["message"]
    assert bench.server.counters.handler_failures == 2
    assert (await raw.ask("add", {"left": 1}))[3] == {"sum": 1}


async def test_a_plain_function_may_give_something_to_await(client: AsyncClient) -> None:
    assert await client.call("later") == {"late": True}


async def test_many_requests_in_one_write_are_answered_in_one_piece(raw: Raw) -> None:
    await raw.send(b"".join(msgpack.packb([0, number, "add", [{"left": number}]]) for number in range(500)))
    assert [await raw.next() for _ in range(500)] == [[1, number, None, {"sum": number}] for number in range(500)]


async def test_a_client_with_many_requests_lets_the_others_have_their_turn(bench: Bench, client: AsyncClient) -> None:
    answered: list[int] = []

    def work(call: Any, params: Any) -> dict[str, Any]:
        answered.append(call.session.id)
        time.sleep(0.0002)
        return {}

    bench.registry.add("work", guest(), None, work)
    await client.call("work")
    greedy = await bench.raw()
    await greedy.send(b"".join(msgpack.packb([0, number, "work", []]) for number in range(2000)))
    await eventually(lambda: len(answered) > 1)
    await client.call("work")
    mine = answered[0]
    assert answered.count(mine) == 2
    assert answered[1:].index(mine) < 1000
    assert [(await greedy.next())[1] for _ in range(2000)] == list(range(2000))


async def test_any_msgpack_rpc_shape_is_understood(raw: Raw) -> None:
    # array 32, integers in their widest form, str 32, map 32: legal, if long-winded.
    wide = b"\xdd\0\0\0\4" + b"\xd3\0\0\0\0\0\0\0\0" + b"\xcf\0\0\0\0\0\0\0\7" + b"\xdb\0\0\0\3add"
    await raw.send(wide + b"\xdd\0\0\0\1" + b"\xdf\0\0\0\1" + b"\xd9\4left" + b"\xd2\0\0\0\2")
    assert await raw.next() == [1, 7, None, {"sum": 2}]


async def test_a_notification_is_done_without_an_answer(raw: Raw, bench: Bench) -> None:
    bench.gate.set()
    await raw.frame([2, "slow.write", []])
    await raw.frame([2, "no.such", []])
    await raw.frame([2, "add", [{"left": "x"}]])
    assert (await raw.ask("add", {"left": 1}))[3] == {"sum": 1}
    await eventually(lambda: bench.done == ["write began", "written"])
    assert bench.server.counters.errors == 2


async def test_an_answer_to_nothing_is_dropped(raw: Raw) -> None:
    await raw.frame([1, 77, None, {"x": 1}])
    assert (await raw.ask("add", {"left": 1}))[3] == {"sum": 1}


async def test_too_many_requests_in_work_are_refused(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(replace(QUICK, max_in_flight=3))
    await bench.serve()
    raw = await bench.raw()
    for number in range(5):
        await raw.frame([0, number, "slow.read", []])
    refused = [await raw.next(), await raw.next()]
    assert [(id, error["code"]) for _, id, error, _ in refused] == [(3, "OVERLOADED"), (4, "OVERLOADED")]
    bench.gate.set()
    assert sorted([(await raw.next())[1] for _ in range(3)]) == [0, 1, 2]


async def test_requests_that_are_answered_are_in_work_no_longer(make_bench: Callable[..., Bench]) -> None:
    """Their tasks have ended, and nobody has noticed yet, when the client's next requests are there already."""
    bench = make_bench(replace(QUICK, max_in_flight=3))
    await bench.serve()
    raw = await bench.raw()
    for number in range(3):
        await raw.frame([0, number, "slow.read", []])
    (connection,) = bench.server._connections
    await eventually(lambda: len(connection.tasks) == 3)
    bench.gate.set()
    await asyncio.sleep(0)
    assert [task.done() for task in connection.tasks] == [True, True, True]
    connection.data_received(msgpack.packb([0, 9, "add", [{"left": 1}]]))
    told = {id: (error, value) for _, id, error, value in [await raw.next() for _ in range(4)]}
    assert told[9] == (None, {"sum": 1})


async def test_connections_over_the_limit_are_told_so(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(replace(QUICK, max_connections=5, max_connections_per_uid=2))
    await bench.serve()
    taken = [await bench.raw() for _ in range(2)]
    late = await bench.raw(hello=False)
    assert (await late.next())[2][0]["code"] == "OVERLOADED"
    assert await late.next() is None
    taken[0].close()
    await eventually(lambda: len(bench.server.sessions) == 1)
    await bench.raw()


async def test_a_disconnect_cancels_reads_and_lets_commands_finish(bench: Bench) -> None:
    raw = await bench.raw()
    await raw.frame([0, 1, "slow.read", []])
    await raw.frame([0, 2, "slow.write", []])
    await eventually(lambda: bench.done == ["write began"])
    raw.close()
    await eventually(lambda: "read cancelled" in bench.done)
    assert len(bench.closed) == 1
    bench.gate.set()
    await eventually(lambda: bench.done[-1] == "written")


async def test_closing_waits_for_commands(bench: Bench, raw: Raw) -> None:
    await raw.frame([0, 1, "slow.write", []])
    await eventually(lambda: bench.done == ["write began"])
    closing = asyncio.create_task(bench.server.close(5.0))
    await eventually(lambda: not bench.path.exists())
    bench.gate.set()
    assert await raw.next() == [1, 1, None, {}]
    assert await raw.next() is None
    await closing
    assert bench.done == ["write began", "written"]


async def test_goodbye_is_answered_and_then_the_connection_ends(raw: Raw) -> None:
    assert (await raw.ask("session.goodbye"))[3] == {}
    assert await raw.next() is None


async def test_a_client_that_does_not_read_is_not_read_and_costs_little(bench: Bench) -> None:
    raw = await bench.raw()
    request = msgpack.packb([0, 1, "blob", [{"size": 100_000}]])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sending = asyncio.create_task(raw.send(request * 100_000))  # ten thousand million bytes of answers
    (session,) = bench.server.sessions
    await eventually(lambda: not session._link.writable)
    await still_serves(bench)
    assert not sending.done()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 60_000, "KiB"
    assert bench.server.counters.frames < 20_000
    for _ in range(50):
        assert len((await raw.next())[3]["data"]) == 100_000
    assert not session.closed
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)


async def test_a_client_that_reads_again_gets_everything_in_order(bench: Bench) -> None:
    raw = await bench.raw()
    requests = b"".join(msgpack.packb([0, number, "blob", [{"size": 30_000}]]) for number in range(300))
    sending = asyncio.create_task(raw.send(requests))
    await asyncio.sleep(0)
    assert [(await raw.next())[1] for _ in range(300)] == list(range(300))
    await sending


async def test_answers_that_nobody_reads_are_bounded_by_cutting_off(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(replace(QUICK, max_unsent=1_000_000, high_water=65_536))
    await bench.serve()
    await bench.raw()
    await still_serves(bench)
    session = next(found for found in bench.server.sessions if found.client == "raw")
    await eventually(lambda: not session.notify("noise", bytes(30_000)))
    assert not session.closed
    for _ in range(100):
        session._link.send(msgpack.packb([2, "noise", [bytes(30_000)]]))
    assert session.closed
    assert bench.server.counters.cut_off == 1


async def test_an_answer_over_the_frame_limit_becomes_an_error(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(replace(QUICK, max_frame=100_000))
    await bench.serve()
    raw = await bench.raw()
    assert (await raw.ask("blob", {"size": 100_000}))[2]["code"] == "TOO_LARGE"
    assert len((await raw.ask("blob", {"size": 90_000}))[3]["data"]) == 90_000


async def test_the_server_can_ask_the_client(client: AsyncClient) -> None:
    client.offer("offered", lambda params: {"got": params["from"]})
    assert await client.call("ask.back") == {"got": "server"}


async def test_a_client_that_does_not_answer_the_server_gives_an_unknown_outcome(raw: Raw, bench: Bench) -> None:
    await raw.frame([0, 1, "ask.back", []])
    kind, _, method, [params] = await raw.next()
    assert (kind, method, params) == (0, "offered", {"from": "server"})
    assert (await raw.next())[2]["code"] == "UNKNOWN_OUTCOME"
    await raw.frame([0, 2, "ask.back", []])
    asked = await raw.next()
    await raw.frame([1, asked[1], {"code": "NOT_FOUND", "message": "no", "data": {}}, None])
    assert (await raw.next())[2]["code"] == "NOT_FOUND"


async def test_asking_a_client_that_goes_away_ends_with_an_unknown_outcome(bench: Bench) -> None:
    raw = await bench.raw()
    (session,) = bench.server.sessions
    asking = asyncio.create_task(session.request("offered"))
    await raw.next()
    raw.close()
    with pytest.raises(Exception, match="went away without an answer"):
        await asking
    with pytest.raises(Exception, match="has disconnected"):
        await session.request("offered")
    assert not session.notify("x", {})


async def test_while_starting_an_unknown_method_is_not_ready_yet(bench: Bench, raw: Raw) -> None:
    bench.registry.starting = True
    assert (await raw.ask("task.submit", {}))[2]["code"] == "NOT_READY"
    bench.registry.starting = False
    assert (await raw.ask("task.submit", {}))[2]["code"] == "UNKNOWN_METHOD"


async def test_invalid_params_come_back_as_our_error_class(client: AsyncClient) -> None:
    with pytest.raises(InvalidParams):
        await client.call("add", {"left": None})
