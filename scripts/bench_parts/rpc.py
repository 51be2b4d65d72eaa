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
from contextlib import contextmanager
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

    @registry.method("bench.echo", access=attached(), params=Echo, reads=True)
    def echo(call: Call, params: Echo) -> dict[str, Any]:
        return {"key": params.key, "n": params.n}

    def guest(peer: PeerCred) -> Caller:
        return Caller(peer.uid, peer.gid, peer.pid)

    def attach(session: Session) -> None:
        peer = session.peer
        session.become(Caller(peer.uid, peer.gid, peer.pid, "agent", "bench", "tester", frozenset({"echo"}), b"\0" * 32))

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


# The bench.


def run(quick: bool = False) -> list[Row]:
    """Rows for ``scripts/bench``."""
    core = max(os.sched_getaffinity(0))
    rounds, calls = (7, 2_000) if quick else (21, 5_000)
    with tempfile.TemporaryDirectory(prefix="bzzz-rpc-") as folder:
        bare, ours = f"{folder}/bare", f"{folder}/ours"
        with _started(core, "bare", bare), _started(core, "ours", ours):
            done = subprocess.run(
                [sys.executable, __file__, "measure", bare, ours, str(rounds), str(calls)],
                stdout=subprocess.PIPE, text=True, check=True, preexec_fn=_pinned(core),
            )  # fmt: skip
            found = json.loads(done.stdout.splitlines()[-1])
        redis = _redis(folder, core, quick)
    asked = {"alone": ("one at a time", 0.8, 1.3), "together": (f"{CONNECTIONS} × {IN_FLIGHT} in flight", 0.7, 3.0)}
    rows = []
    for name, (words, share, times) in asked.items():
        rate = statistics.median(pair[0] for pair in found[name])
        base = statistics.median(pair[1] for pair in found[name])
        ratio = statistics.median(pair[0] / pair[1] for pair in found[name])
        rows.append(_row(f"RPC {words}", f"≥ {share} × bare echo", rate, base, ratio, share))
        if name in redis:
            command, speed = redis[name]
            rows.append(_row(f"RPC {words}", f"≥ {times:g} × {command}", rate, speed, rate / speed, times))
    return rows


def _row(name: str, asked: str, measured: float, baseline: float, ratio: float, least: float) -> Row:
    return {
        "name": name, "asked": asked, "measured": round(measured), "baseline": round(baseline),
        "ratio": round(ratio, 3), "unit": "calls/s", "ok": ratio >= least,
    }  # fmt: skip


def _pinned(core: int) -> Callable[[], None]:
    return lambda: os.sched_setaffinity(0, {core})


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


def _redis(folder: str, core: int, quick: bool) -> dict[str, tuple[str, float]]:
    """GET through redis-benchmark on the same core; nothing where redis is not installed."""
    if not shutil.which("redis-server") or not shutil.which("redis-benchmark"):
        return {}
    path = f"{folder}/redis"
    options = ["--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no", "--dir", folder]
    with subprocess.Popen(
        ["redis-server", *options], stdout=subprocess.DEVNULL, preexec_fn=_pinned(core)
    ) as process:  # fmt: skip
        try:
            until = time.monotonic() + 10
            while not Path(path).exists():
                if time.monotonic() > until:
                    raise RuntimeError("redis-server did not start")
                time.sleep(0.02)
            times = 5 if quick else 9
            return {
                "alone": _redis_rate(path, core, 1, 20_000, times),
                "together": _redis_rate(path, core, CONNECTIONS * IN_FLIGHT, 40_000, times),
            }
        finally:
            process.terminate()


def _redis_rate(path: str, core: int, clients: int, calls: int, times: int) -> tuple[str, float]:
    words = f"redis-benchmark -t get -c {clients}"
    command = [*words.split(), "-s", path, "-n", str(calls), "--csv"]
    rates = []
    for _ in range(times):
        out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, preexec_fn=_pinned(core)).stdout
        found = re.search(r'"GET","([0-9.]+)"', out)
        if found is None:
            raise RuntimeError(f"{words} gave no figure: {out[:200]}")
        rates.append(float(found[1]))
    return words, statistics.median(rates)


def main(arguments: list[str]) -> None:
    match arguments:
        case ["bare", path]:
            uvloop.run(serve_bare(path))
        case ["ours", path]:
            uvloop.run(serve_ours(path))
        case ["measure", bare, ours, rounds, calls]:
            uvloop.run(measure(bare, ours, int(rounds), int(calls)))
        case _:
            print(json.dumps(run("--quick" in arguments), indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1:])
