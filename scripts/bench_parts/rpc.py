"""RPC calls a second: ours beside a bare uvloop + msgpack echo through the same client, and beside redis.

Server and client are processes of their own, pinned to one core together, so that the figure is the work done for a
call and not the time a second core takes to wake up. Rounds of both alternate; ratios are medians of rounds.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgpack
import uvloop
from msgspec import Struct

from bzzzd.identity.caller import Caller
from bzzzd.rpc.access import attached
from bzzzd.rpc.client import AsyncClient
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.server import RpcServer
from bzzzd.rpc.session import Call, PeerCred, Session

Row = dict[str, Any]

CONNECTIONS, IN_FLIGHT = 10, 16
MESSAGE = {"key": "ucxl://any:any@any:any/*^/", "n": 42}


class Echo(Struct, frozen=True, forbid_unknown_fields=True):
    """The validated parameters of the measured method."""

    key: str
    n: int
    flag: bool = False


# The two servers.


class BareEcho(asyncio.Protocol):
    """The least that can be done: decode, answer with the parameters, one write for each read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.unpacker = msgpack.Unpacker(max_buffer_size=1_048_576)
        self.pack = msgpack.Packer().pack

    def data_received(self, data: bytes) -> None:
        out = []
        self.unpacker.feed(data)
        for message in self.unpacker:
            out.append(self.pack((1, message[1], None, message[3][0])))
        if out:
            self.transport.write(b"".join(out))  # type: ignore[attr-defined]


class BareGreeting(BareEcho):
    """Answers ``hello`` as our client needs it, then hands over: the echo itself stays bare."""

    def data_received(self, data: bytes) -> None:
        self.unpacker.feed(data)
        for message in self.unpacker:
            self.transport.write(self.pack((1, message[1], None, {"nonce": b"", "api": 1})))  # type: ignore[attr-defined]
        echo = BareEcho()
        echo.connection_made(self.transport)  # type: ignore[arg-type]
        self.transport.set_protocol(echo)  # type: ignore[attr-defined]


async def serve_bare(path: str) -> None:
    server = await asyncio.get_running_loop().create_unix_server(BareGreeting, path)
    print("ready", flush=True)
    await server.serve_forever()


async def serve_ours(path: str) -> None:
    registry = Registry()

    def echo(call: Call, params: Echo) -> dict[str, Any]:
        return {"key": params.key, "n": params.n}

    registry.add("bench.echo", attached(), Echo, echo, reads=True)

    def guest(peer: PeerCred) -> Caller:
        return Caller(peer.uid, peer.gid, peer.pid)

    def attach(session: Session) -> None:
        peer = session.peer
        session.become(
            Caller(peer.uid, peer.gid, peer.pid, "agent", "bench", "tester", frozenset({"echo"}), b"\0" * 32)
        )

    server = RpcServer(registry, hello=dict, guest=guest, on_open=attach)
    await server.serve(Path(path))
    print("ready", flush=True)
    await asyncio.Event().wait()


# The client: one process that measures both servers in turn.


async def alone(client: AsyncClient, calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        await client.call("bench.echo", MESSAGE)
    return calls / (time.perf_counter() - began)


async def together(clients: list[AsyncClient], calls: int) -> float:
    each = calls // (CONNECTIONS * IN_FLIGHT)

    async def worker(client: AsyncClient) -> None:
        for _ in range(each):
            await client.call("bench.echo", MESSAGE)

    began = time.perf_counter()
    await asyncio.gather(*(worker(client) for client in clients for _ in range(IN_FLIGHT)))
    return each * CONNECTIONS * IN_FLIGHT / (time.perf_counter() - began)


async def measure(bare_path: str, our_path: str, rounds: int, calls: int) -> None:
    sides = {}
    for name, path in (("bare", bare_path), ("ours", our_path)):
        sides[name] = [AsyncClient(path, "bench") for _ in range(CONNECTIONS)]
        for client in sides[name]:
            client.start()
            await client.ready(10)
    found: dict[str, list[tuple[float, float]]] = {"alone": [], "together": []}
    for number in range(rounds + 1):
        order = ("bare", "ours") if number % 2 else ("ours", "bare")
        one = {name: await alone(sides[name][0], calls) for name in order}
        many = {name: await together(sides[name], calls * 4) for name in order}
        if number:  # the first round warms up
            found["alone"].append((one["ours"], one["bare"]))
            found["together"].append((many["ours"], many["bare"]))
    print(json.dumps(found))


async def measure_redis_client(path: str, calls: int) -> None:
    """The same shapes through redis-py: one blocking connection, and ten that each send sixteen at a time."""
    import redis
    import redis.asyncio

    one = redis.Redis(unix_socket_path=path)
    one.set("key", MESSAGE["key"])
    one.get("key")
    began = time.perf_counter()
    for _ in range(calls):
        one.get("key")
    rate = calls / (time.perf_counter() - began)
    many = [redis.asyncio.Redis(unix_socket_path=path) for _ in range(CONNECTIONS)]
    each = calls * 2 // (CONNECTIONS * IN_FLIGHT)

    async def worker(client: Any, times: int) -> None:
        for _ in range(times):
            batch = client.pipeline(transaction=False)
            for _ in range(IN_FLIGHT):
                batch.get("key")
            await batch.execute()

    await asyncio.gather(*(worker(client, 1) for client in many))
    began = time.perf_counter()
    await asyncio.gather(*(worker(client, each) for client in many))
    together_rate = each * CONNECTIONS * IN_FLIGHT / (time.perf_counter() - began)
    for client in many:
        await client.aclose()
    one.close()
    print(json.dumps({"alone": rate, "together": together_rate}))


# The bench.

Pairs = dict[str, list[tuple[float, float]]]
SHAPES = {"alone": "one at a time", "together": f"{CONNECTIONS} x {IN_FLIGHT} in flight"}
BARE = {"alone": 0.8, "together": 0.7}
REDIS = {"alone": 1.3, "together": 3.0}


def run(quick: bool = False) -> list[Row]:
    """Rows for ``scripts/bench``: each block of rounds of ours and the bare echo is followed by one of redis."""
    core = max(os.sched_getaffinity(0))
    blocks, rounds, calls = (3, 3, 2_000) if quick else (7, 5, 4_000)
    bare: Pairs = {shape: [] for shape in SHAPES}
    redis: dict[str, Pairs] = {}
    with tempfile.TemporaryDirectory(prefix="bzzz-rpc-") as folder, ExitStack() as running:
        paths = [f"{folder}/bare", f"{folder}/ours"]
        for kind, path in zip(("bare", "ours"), paths, strict=True):
            running.enter_context(_started(core, kind, path))
        has_redis = bool(shutil.which("redis-server") and shutil.which("redis-benchmark"))
        if has_redis:
            running.enter_context(_redis_started(core, folder))
        for _ in range(blocks):
            found = _child(core, "measure", *paths, str(rounds), str(calls))
            for shape, pairs in found.items():
                bare[shape] += [(ours, other) for ours, other in pairs]
            for client, rates in _redis_rates(core, f"{folder}/redis", calls).items() if has_redis else ():
                for shape, rate in rates.items():
                    ours = statistics.median(pair[0] for pair in found[shape])
                    redis.setdefault(client, {name: [] for name in SHAPES})[shape].append((ours, rate))
    rows = [_row(shape, f"≥ {BARE[shape]} x bare echo", bare[shape], BARE[shape]) for shape in SHAPES]
    for client, by_shape in redis.items():
        for shape in SHAPES:
            rows.append(_row(shape, f"≥ {REDIS[shape]:g} x redis ({client})", by_shape[shape], REDIS[shape]))
    return rows


def _row(shape: str, asked: str, pairs: list[tuple[float, float]], least: float) -> Row:
    ratio = statistics.median(ours / other for ours, other in pairs)
    return {
        "name": f"RPC {SHAPES[shape]}",
        "asked": asked,
        "measured": round(statistics.median(pair[0] for pair in pairs)),
        "baseline": round(statistics.median(pair[1] for pair in pairs)),
        "ratio": round(ratio, 3),
        "unit": "calls/s",
        "ok": ratio >= least,
    }


def _pinned(core: int) -> Callable[[], None]:
    return lambda: os.sched_setaffinity(0, {core})


def _child(core: int, *arguments: str) -> Any:
    """What this file prints when it is run with ``arguments`` on that core."""
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, preexec_fn=_pinned(core))
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def _started(core: int, kind: str, path: str) -> Iterator[None]:
    command = [sys.executable, __file__, kind, path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=_pinned(core)) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                raise RuntimeError(f"the {kind} server did not start")
            yield
        finally:
            process.terminate()


@contextmanager
def _redis_started(core: int, folder: str) -> Iterator[None]:
    path = f"{folder}/redis"
    command = ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", folder]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, preexec_fn=_pinned(core)) as process:
        try:
            until = time.monotonic() + 10
            while not Path(path).exists():
                if time.monotonic() > until:
                    raise RuntimeError("redis-server did not start")
                time.sleep(0.02)
            yield
        finally:
            process.terminate()


def _redis_rates(core: int, path: str, calls: int) -> dict[str, dict[str, float]]:
    """GET a second, by client: redis's own, written in C, and redis-py, which like ours is Python."""
    clients = {"alone": 1, "together": CONNECTIONS * IN_FLIGHT}
    found = {
        f"redis-benchmark -t get -c {clients['alone']}|{clients['together']}": {
            shape: _redis_benchmark(core, path, count, calls * 4) for shape, count in clients.items()
        }
    }
    if find_spec("redis"):
        found["redis-py, pipelined"] = _child(core, "redis-py", path, str(calls))
    return found


def _redis_benchmark(core: int, path: str, clients: int, calls: int) -> float:
    command = ["redis-benchmark", "-s", path, "-t", "get", "-c", str(clients), "-n", str(calls), "--csv"]
    out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, preexec_fn=_pinned(core)).stdout
    found = re.search(r'"GET","([0-9.]+)"', out)
    if found is None:
        raise RuntimeError(f"redis-benchmark gave no figure: {out[:200]}")
    return float(found[1])


def main(arguments: list[str]) -> None:
    match arguments:
        case ["bare", path]:
            uvloop.run(serve_bare(path))
        case ["ours", path]:
            uvloop.run(serve_ours(path))
        case ["redis-py", path, calls]:
            uvloop.run(measure_redis_client(path, int(calls)))
        case ["measure", bare, ours, rounds, calls]:
            uvloop.run(measure(bare, ours, int(rounds), int(calls)))
        case _:
            print(json.dumps(run("--quick" in arguments), indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1:])
