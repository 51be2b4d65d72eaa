"""The blocking client of the command line, against a server in another thread."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from bzzzd.errors import (
    BzzzError,
    ClientTooOld,
    Conflict,
    InvalidParams,
    NotReady,
    TooLarge,
    UnknownOutcome,
    Unreachable,
)
from bzzzd.rpc.blocking import BlockingClient
from bzzzd.rpc.follower import Items, Snapshot

from .harness import QUICK, Bench


class Elsewhere:
    """A server on a loop of its own, in a thread."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.bench.gate = asyncio.Event()
        await self.bench.serve()
        self._ready.set()
        await self._stop.wait()
        await self.bench.close()

    def __enter__(self) -> Elsewhere:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def do(self, act: Callable[[], Any]) -> Any:
        """Run ``act`` on the server's loop."""

        async def run() -> Any:
            return act()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Elsewhere]:
    with Elsewhere(Bench(tmp_path / "bzzzd.sock", QUICK)) as found:
        yield found


@pytest.fixture
def client(server: Elsewhere) -> Iterator[BlockingClient]:
    with BlockingClient(str(server.bench.path), timeout=10.0) as found:
        yield found


def test_it_calls_and_raises_the_servers_errors(client: BlockingClient) -> None:
    hello = client.hello()
    assert hello["phase"] == "monitoring"
    assert client.hello()["nonce"] != hello["nonce"]
    assert client.call("add", {"left": 1, "right": 2}) == {"sum": 3}
    with pytest.raises(Conflict, match="somebody was faster"):
        client.call("fail")
    with pytest.raises(InvalidParams):
        client.call("add", {"left": "x"})


def test_it_attaches_with_what_the_signer_gives(client: BlockingClient) -> None:
    seen = []

    def sign(nonce: bytes, mesh_id: str) -> dict[str, Any]:
        seen.append((len(nonce), mesh_id))
        return {"kind": "person"}

    assert client.attach(sign) == {"caller": {"kind": "person"}}
    assert seen == [(32, "m1")]
    assert client.call("people.only") == {}


def test_without_a_daemon_it_says_how_to_start_it(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="there is no socket at") as caught:
        BlockingClient(str(tmp_path / "none")).hello()
    assert caught.value.exit_status == 5
    stale = tmp_path / "stale"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(stale))
    with pytest.raises(Unreachable, match="nobody listens at"):
        BlockingClient(str(stale)).call("status")


def test_no_answer_in_time_is_unknown_for_commands_and_unreachable_for_reads(
    client: BlockingClient, server: Elsewhere
) -> None:
    with pytest.raises(UnknownOutcome, match=r"within 0.05 s") as caught:
        client.call("slow.write", timeout=0.05)
    assert caught.value.exit_status == 6
    with pytest.raises(Unreachable, match=r"within 0.05 s"):
        client.call("slow.read", timeout=0.05, effects=False)
    server.do(server.bench.gate.set)
    assert client.call("add", {"left": 1}) == {"sum": 1}


def test_a_daemon_that_goes_away_leaves_a_command_unknown(client: BlockingClient, server: Elsewhere) -> None:
    client.hello()

    def cut() -> None:
        until = time.monotonic() + 10
        while not server.bench.done and time.monotonic() < until:
            time.sleep(0.005)
        server.do(lambda: server.bench.server.sessions[0].close())

    cutting = threading.Thread(target=cut)
    cutting.start()
    with pytest.raises(UnknownOutcome, match="went away"):
        client.call("slow.write")
    cutting.join()
    with pytest.raises(Unreachable, match="is closed"):
        client.call("add", {"left": 1})


def test_the_reason_for_which_the_server_closes_is_passed_on(client: BlockingClient, server: Elsewhere) -> None:
    with pytest.raises(TooLarge):
        client.call("add", {"left": bytes(server.bench.server.limits.max_guest_frame + 1)})


def test_a_request_of_the_server_is_declined_and_the_call_goes_on(client: BlockingClient) -> None:
    with pytest.raises(Exception, match="offers no method offered"):
        client.call("ask.back")


def test_items_come_and_calls_can_be_made_between_them(client: BlockingClient, server: Elsewhere) -> None:
    stream = server.bench.stream
    server.do(lambda: stream.append("early"))
    events = client.events("numbers", cursor=("one", 0))
    assert next(events) == Items(["early"], ("one", 1))
    server.do(lambda: [stream.append(1), stream.append(2)])
    assert client.call("add", {"left": 1}) == {"sum": 1}
    assert next(events).items == [1, 2]  # type: ignore[union-attr]
    events.close()  # type: ignore[attr-defined]
    assert client.call("add", {"left": 1}) == {"sum": 1}
    assert server.do(lambda: len(server.bench.server.sessions[0].subscriptions)) == 0


def test_items_end_with_their_time(client: BlockingClient, server: Elsewhere) -> None:
    assert list(client.items("numbers", until=time.monotonic() + 0.05)) == []
    assert next(client.events("numbers")) == Snapshot(None, False, ("one", 0))
    assert client.call("add", {"left": 1}) == {"sum": 1}


def test_items_end_with_an_error_when_the_daemon_goes_away(client: BlockingClient, server: Elsewhere) -> None:
    items = client.events("numbers")
    next(items)
    server.do(lambda: server.bench.server.sessions[0].close())
    with pytest.raises(Unreachable, match="went away"):
        next(items)


def answering(path: Path, *replies: bytes) -> threading.Thread:
    """Something on a socket that sends ``replies``, one for each read."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        with listener, listener.accept()[0] as sock:
            for reply in replies:
                sock.recv(65536)
                sock.sendall(reply)
            sock.recv(65536)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_a_version_that_does_not_fit_is_its_own_error(tmp_path: Path) -> None:
    error = {"code": "CLIENT_TOO_OLD", "message": "upgrade the client", "data": {}}
    thread = answering(tmp_path / "s", msgpack.packb([1, 1, error, None]))
    with BlockingClient(str(tmp_path / "s")) as client, pytest.raises(ClientTooOld, match="upgrade the client"):
        client.hello()
    thread.join()


@pytest.mark.parametrize(
    "reply", [msgpack.packb([1, 1, None, {"hi": 1}]), b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xc1"]
)
def test_something_else_on_the_socket_is_recognised(tmp_path: Path, reply: bytes) -> None:
    thread = answering(tmp_path / "s", reply)
    with (
        BlockingClient(str(tmp_path / "s")) as client,
        pytest.raises(BzzzError, match=r"not bzzzd|not MessagePack|frame"),
    ):
        client.hello()
    thread.join()


def test_attaching_to_a_daemon_without_a_mesh_waits_for_the_person(tmp_path: Path) -> None:
    thread = answering(tmp_path / "s", msgpack.packb([1, 1, None, {"nonce": b"n", "mesh_id": None}]))
    with BlockingClient(str(tmp_path / "s")) as client, pytest.raises(NotReady, match="still starting"):
        client.attach(lambda nonce, mesh_id: {})
    thread.join()


def test_it_imports_nothing_heavy() -> None:
    program = "import sys, bzzzd.rpc.blocking; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.split()
    heavy = {"asyncio", "uvloop", "msgspec", "dataclasses", "inspect", "logging", "cryptography", "structlog"}
    assert not heavy & set(loaded)
