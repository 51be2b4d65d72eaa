"""A server with a few methods, clients of it, and a raw socket for what no client would send."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgpack
from msgspec import Struct

from bzzzd.errors import Conflict
from bzzzd.identity.caller import Caller
from bzzzd.rpc.access import attached, capability, guest, kinds
from bzzzd.rpc.client import AsyncClient, Backoff
from bzzzd.rpc.limits import Limits
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.server import RpcServer
from bzzzd.rpc.session import Call, PeerCred, Session
from bzzzd.rpc.streams import Stream, StreamTable

QUICK = Limits(hello_s=5.0, frame_s=5.0, close_s=0.5, call_s=2.0)


class Become(Struct, frozen=True, forbid_unknown_fields=True):
    kind: str
    capabilities: list[str] = []


class Add(Struct, frozen=True, forbid_unknown_fields=True):
    left: int
    right: int = 0


class Size(Struct, frozen=True, forbid_unknown_fields=True):
    size: int


def guest_of(peer: PeerCred) -> Caller:
    return Caller(peer.uid, peer.gid, peer.pid)


async def eventually(true: Callable[[], Any], limit: float = 10.0) -> None:
    """Wait for a condition."""
    until = time.monotonic() + limit
    while not true():
        assert time.monotonic() < until, "the condition did not come about"
        await asyncio.sleep(0.005)


class Bench:
    """One server under test and what its handlers saw."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self.registry = Registry()
        self.streams = StreamTable()
        self.stream = Stream("one", keep=8)
        self.streams.add("numbers", guest(), self.stream, "numbers")
        self.streams.add("secrets", attached(), Stream("two"), "for members")
        self.closed: list[Session] = []
        self.done: list[str] = []
        self.gate = asyncio.Event()
        self._raws: list[Raw] = []
        self._list_methods()
        self.server = RpcServer(
            self.registry,
            hello=lambda: {"build": "test", "node_id": "n1", "mesh_id": "m1", "phase": "monitoring"},
            guest=guest_of,
            streams=self.streams,
            limits=limits,
            on_close=self.closed.append,
        )

    def _list_methods(self) -> None:
        add = self.registry.add
        add("add", guest(), Add, lambda call, params: {"sum": params.left + params.right}, doc="Add.", reads=True)
        add("who", guest(), None, self.who, reads=True)
        add("become", guest(), Become, self.become)
        add("session.attach", guest(), Become, self.become)
        add("members.only", attached(), None, lambda call, params: {}, reads=True)
        add("people.only", kinds("person", "admin"), None, lambda call, params: {}, reads=True)
        add("echo.able", capability("echo"), None, lambda call, params: {}, reads=True)
        add("fail", guest(), None, self.fail)
        add("crash", guest(), None, self.crash)
        add("slow.read", guest(), None, self.slow_read, reads=True)
        add("slow.write", guest(), None, self.slow_write)
        add("blob", guest(), Size, lambda call, params: {"data": bytes(params.size)}, reads=True)
        add("later", guest(), None, self.later, reads=True)
        add("unsayable", guest(), None, lambda call, params: {"it": object()})
        add("ask.back", guest(), None, self.ask_back)

    def who(self, call: Call, params: Any) -> dict[str, Any]:
        """Say who calls."""
        caller = call.caller
        return {"uid": caller.uid, "pid": caller.pid, "kind": caller.kind}

    def become(self, call: Call, params: Become) -> dict[str, Any]:
        peer = call.session.peer
        call.session.become(
            Caller(peer.uid, peer.gid, peer.pid, params.kind, "x", "worker", frozenset(params.capabilities))  # type: ignore[arg-type]
        )
        return {"caller": {"kind": params.kind}}

    def fail(self, call: Call, params: Any) -> Any:
        raise Conflict("somebody was faster", who="them")

    def crash(self, call: Call, params: Any) -> Any:
        raise ZeroDivisionError("a secret detail")

    async def slow_read(self, call: Call, params: Any) -> dict[str, Any]:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.done.append("read cancelled")
            raise
        return {}

    async def slow_write(self, call: Call, params: Any) -> dict[str, Any]:
        self.done.append("write began")
        await self.gate.wait()
        self.done.append("written")
        return {}

    def later(self, call: Call, params: Any) -> Awaitable[dict[str, Any]]:
        async def answer() -> dict[str, Any]:
            await asyncio.sleep(0)
            return {"late": True}

        return answer()

    async def ask_back(self, call: Call, params: Any) -> Any:
        return await call.session.request("offered", {"from": "server"}, timeout=1.0)

    async def serve(self) -> None:
        await self.server.serve(self.path)

    def client(self, **options: Any) -> AsyncClient:
        return AsyncClient(
            str(self.path), "test", **{"timeout": 5.0, "backoff": Backoff(0.005, 0.05), **options}
        )  # fmt: skip

    async def raw(self, *, hello: bool = True) -> Raw:
        """A connected bare socket; it is closed with the bench at the latest."""
        self._raws.append(Raw(self.path))
        return await self._raws[-1].connect(hello=hello)

    async def close(self) -> None:
        for raw in self._raws:
            raw.close()
        self.gate.set()
        await self.server.close(2.0)


class Raw:
    """A bare socket that speaks whatever it is told to."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.setblocking(False)
        self._path = str(path)
        self._unpacker = msgpack.Unpacker()
        self._loop = asyncio.get_running_loop()
        self._id = 0

    async def connect(self, *, hello: bool = True) -> Raw:
        await self._loop.sock_connect(self.sock, self._path)
        if hello:
            answer = await self.ask("hello", {"api": 1, "min_api": 1, "client": "raw"})
            assert answer[2] is None
        return self

    async def send(self, data: bytes) -> None:
        await asyncio.wait_for(self._loop.sock_sendall(self.sock, data), 10)

    async def frame(self, value: Any) -> None:
        await self.send(msgpack.packb(value))

    async def next(self) -> Any:
        """The next frame, or ``None`` at the end of the connection."""
        while True:
            for value in self._unpacker:
                return value
            try:
                data = await asyncio.wait_for(self._loop.sock_recv(self.sock, 65536), 10)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self._unpacker.feed(data)

    async def ask(self, method: str, params: Any = None) -> Any:
        self._id += 1
        await self.frame([0, self._id, method, [] if params is None else [params]])
        return await self.next()

    def close(self) -> None:
        self.sock.close()
