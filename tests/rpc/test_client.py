"""The asyncio client comes back by itself, attaches again, reads on, and says honestly what it does not know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bzzzd.errors import (
    BzzzError,
    Conflict,
    NotAttached,
    NotFound,
    NotReady,
    Overloaded,
    TooLarge,
    UnknownMethod,
    UnknownOutcome,
    Unreachable,
)
from bzzzd.rpc.client import AsyncClient, Backoff, State
from bzzzd.rpc.follower import Items, Snapshot

from .harness import Bench, eventually


def test_the_back_off_doubles_up_to_its_limit_with_jitter() -> None:
    backoff = Backoff(0.1, 2.0)
    assert [backoff.wait(tries, lambda: 0.0) for tries in (0, 1, 2, 5, 1000)] == [0.1, 0.2, 0.4, 2.0, 2.0]
    assert backoff.wait(1, lambda: 1.0) == pytest.approx(0.1)


async def test_an_error_is_the_servers_own(client: AsyncClient) -> None:
    with pytest.raises(Conflict, match="somebody was faster") as caught:
        await client.call("fail")
    assert caught.value.data == {"who": "them"}


async def test_without_a_server_nothing_is_sent_and_the_reason_is_said(make_bench: Callable[..., Bench]) -> None:
    client = make_bench().client()
    client.start()
    with pytest.raises(Unreachable, match=r"there is no socket at .*bzzzd.sock; start it with"):
        await client.ready(0.05)
    with pytest.raises(Unreachable, match="add was not sent: bzzzd is not running"):
        await client.call("add", {"left": 1})
    with pytest.raises(Unreachable):
        client.notify("add", {"left": 1})
    await client.close()


async def test_a_call_may_wait_for_the_connection(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    client = bench.client()
    client.start()
    calling = asyncio.create_task(client.call("add", {"left": 1}, wait=5.0))
    await asyncio.sleep(0)
    await bench.serve()
    assert await calling == {"sum": 1}
    await client.close()


async def test_no_answer_in_time_is_unknown_for_commands_and_unreachable_for_reads(
    client: AsyncClient, bench: Bench
) -> None:
    with pytest.raises(UnknownOutcome, match=r"slow.write within 0.02 s"):
        await client.call("slow.write", timeout=0.02)
    with pytest.raises(Unreachable, match=r"slow.read within 0.02 s"):
        await client.call("slow.read", timeout=0.02, effects=False)
    bench.gate.set()  # the late answers are dropped
    assert await client.call("add", {"left": 1}) == {"sum": 1}
    assert not client._link._pending  # type: ignore[union-attr]


async def test_a_connection_lost_in_the_middle_is_an_unknown_outcome(client: AsyncClient, bench: Bench) -> None:
    command = asyncio.create_task(client.call("slow.write"))
    read = asyncio.create_task(client.call("slow.read", effects=False))
    await eventually(lambda: bench.done)
    bench.server.sessions[0].close()
    with pytest.raises(UnknownOutcome):
        await command
    with pytest.raises(Unreachable):
        await read


async def test_it_survives_a_restart_of_the_server(make_bench: Callable[..., Bench]) -> None:
    first = make_bench()
    await first.serve()
    states: list[State] = []
    signed: list[tuple[bytes, str]] = []

    async def sign(nonce: bytes, mesh_id: str) -> dict[str, Any]:
        signed.append((nonce, mesh_id))
        return {"kind": "agent"}

    client = first.client(sign=sign, on_state=states.append)
    async with client:
        assert await client.call("members.only") == {}
        assert client.state.attached == {"caller": {"kind": "agent"}}
        assert client.state.hello is not None
        assert client.state.hello.build == "test"
        reader = client.subscribe("numbers")
        assert isinstance(await anext(reader), Snapshot)
        first.stream.append(1)
        assert await anext(reader) == Items([1], ("one", 1))
        await first.server.close()
        await eventually(lambda: not client.state.connected)
        second = make_bench()
        for number in (1, 2, 3):
            second.stream.append(number)
        await second.serve()
        assert await anext(reader) == Items([2, 3], ("one", 3))
        assert await client.call("members.only", wait=5.0) == {}
        second.stream.append(4)
        assert await anext(reader) == Items([4], ("one", 4))
    assert [state.connected for state in states if state.connected or state is states[-1]] == [True, True, False]
    assert len({nonce for nonce, _ in signed}) == 2
    assert {mesh for _, mesh in signed} == {"m1"}


async def test_a_new_life_of_the_stream_gives_a_snapshot_that_says_so(make_bench: Callable[..., Bench]) -> None:
    first = make_bench()
    await first.serve()
    async with first.client() as client:
        reader = client.subscribe("numbers")
        await anext(reader)
        await first.server.close()
        second = make_bench()
        second.stream.incarnation = "reborn"
        await second.serve()
        assert await anext(reader) == Snapshot(None, True, ("reborn", 0))


async def test_a_reader_that_is_slow_loses_nothing_that_the_server_still_has(client: AsyncClient, bench: Bench) -> None:
    reader = client.subscribe("numbers", keep=2)
    await anext(reader)
    for number in range(8):
        bench.stream.append(number)
        await client.call("add", {"left": 1})
    found: list[int] = []
    while len(found) < 8:
        event = await anext(reader)
        assert isinstance(event, Items)
        found += event.items
    assert found == list(range(8))


async def test_a_reader_that_is_much_too_slow_is_told(client: AsyncClient, bench: Bench) -> None:
    reader = client.subscribe("numbers", keep=2)
    await anext(reader)
    for number in range(30):
        bench.stream.append(number)
        await client.call("add", {"left": 1})
    events = [await anext(reader) for _ in range(3)]
    assert events[-1] == Snapshot(None, True, ("one", 30))
    assert reader.cursor == ("one", 30)
    held = [item for event in events if isinstance(event, Items) for item in event.items]
    assert held == [0, 1]


async def test_a_subscription_that_is_refused_says_so_to_its_reader(client: AsyncClient) -> None:
    with pytest.raises(NotFound, match="did you mean numbers"):
        await anext(client.subscribe("number"))
    with pytest.raises(NotAttached):
        await anext(client.subscribe("secrets"))


async def test_a_closed_subscription_ends_its_reader(client: AsyncClient, bench: Bench) -> None:
    reader = client.subscribe("numbers")
    seen = []

    async def read() -> None:
        async for event in reader:
            seen.append(event)

    reading = asyncio.create_task(read())
    await eventually(lambda: seen)
    reader.close()
    await reading
    await eventually(lambda: len(bench.server.sessions[0].subscriptions) == 0)


async def test_methods_are_offered_and_faults_in_them_stay_ours(client: AsyncClient, bench: Bench) -> None:
    (session,) = bench.server.sessions

    async def refuse(params: Any) -> Any:
        raise NotFound("nothing here")

    noted: list[Any] = []
    client.offer("broken", lambda params: 1 / 0)
    client.offer("refuse", refuse)
    client.offer("note", noted.append)
    client.offer("strange", lambda params: object())
    with pytest.raises(BzzzError, match="test failed in broken"):
        await session.request("broken")
    with pytest.raises(BzzzError, match="test failed in strange"):
        await session.request("strange")
    with pytest.raises(NotFound, match="nothing here"):
        await session.request("refuse")
    with pytest.raises(UnknownMethod, match="test offers no method absent"):
        await session.request("absent")
    assert session.notify("note", {"x": 1})
    await eventually(lambda: noted == [{"x": 1}])
    client.notify("slow.write")
    await eventually(lambda: bench.done)


async def test_while_the_daemon_starts_an_attaching_client_waits(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.registry.starting = True
    hello = {"mesh_id": None, "phase": "mesh"}
    bench.server = type(bench.server)(
        type(bench.registry)(starting=True), hello=lambda: hello, guest=lambda peer: object()  # type: ignore[arg-type,return-value]
    )  # fmt: skip
    await bench.serve()
    client = bench.client(sign=lambda nonce, mesh_id: {"kind": "agent"})
    client.start()
    with pytest.raises(NotReady, match="phase mesh"):
        await client.ready(0.1)
    hello["mesh_id"] = "m1"
    with pytest.raises(NotReady, match=r"does not serve 'session.attach' yet"):
        await client.ready(0.2)
    await client.close()


async def test_a_signer_that_fails_is_reported_and_tried_again(bench: Bench) -> None:
    tries = []

    def sign(nonce: bytes, mesh_id: str) -> dict[str, Any]:
        tries.append(nonce)
        if len(tries) < 3:
            raise OSError("the key is on a disk that is gone")
        return {"kind": "person"}

    states: list[State] = []

    def on_state(state: State) -> None:
        states.append(state)
        raise RuntimeError("a listener that fails")

    async with bench.client(sign=sign, on_state=on_state) as client:
        assert await client.call("people.only") == {}
    assert len(set(tries)) == 3
    assert states[0].error is not None
    assert "the key is on a disk that is gone" in states[0].error.message


async def test_the_reason_for_which_the_server_closes_is_passed_on(bench: Bench, client: AsyncClient) -> None:
    limit = bench.server.limits.max_guest_frame
    with pytest.raises((TooLarge, UnknownOutcome)):
        await client.call("add", {"left": bytes(limit + 1)})
    assert not client.state.connected
    assert await client.call("add", {"left": 1}, wait=5.0) == {"sum": 1}


async def test_requests_without_an_answer_are_bounded(bench: Bench) -> None:
    async with bench.client(max_pending=2) as client:
        waiting = [asyncio.create_task(client.call("slow.read")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="add was not sent"):
            await client.call("add", {"left": 1})
        bench.gate.set()
        assert await asyncio.gather(*waiting) == [{}, {}]
        assert await client.call("add", {"left": 1}) == {"sum": 1}


async def test_a_server_that_does_not_read_holds_the_client_back(bench: Bench, client: AsyncClient) -> None:
    connection = next(iter(bench.server._connections))
    transport = connection._transport
    assert transport is not None
    transport.pause_reading()
    big = {"data": bytes(400_000)}
    sent = [asyncio.create_task(client.call("who", big)) for _ in range(4)]
    await eventually(lambda: client._link is not None and client._link.jammed)
    with pytest.raises(Unreachable, match="add was not sent"):
        await client.call("add", {"left": 1}, timeout=0.05)
    transport.resume_reading()
    for call in sent:
        with pytest.raises(BzzzError, match="it takes none"):
            await call
    assert await client.call("add", {"left": 1}) == {"sum": 1}


async def test_no_request_overtakes_those_that_wait_for_the_server_to_read(client: AsyncClient) -> None:
    link = client._link
    assert link is not None
    sent: list[int] = []

    async def call(number: int) -> None:
        await client.call("add", {"left": number})
        sent.append(number)

    link.pause_writing()
    waiting = [asyncio.create_task(call(number)) for number in range(5)]
    await eventually(lambda: link._waiting == 5)
    link.resume_writing()
    await call(5)  # in the same turn of the loop: the others have not heard of it yet
    await asyncio.gather(*waiting)
    assert sent == [0, 1, 2, 3, 4, 5]
    assert not link.jammed


async def test_a_closed_client_says_so(bench: Bench) -> None:
    client = bench.client()
    async with client:
        pass
    with pytest.raises(Unreachable, match="was closed"):
        await client.call("add", {"left": 1})
