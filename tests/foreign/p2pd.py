"""Drives the go-libp2p daemon over its control socket, which speaks length-prefixed protobuf.

Source: go-libp2p-daemon, specs/CONTROL.md and pb/p2pd.proto. A stream that is opened continues on the control
connection itself, so the join protocol is spoken here for the daemon, which knows nothing of it.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack
from multiaddr import Multiaddr

from bzzzd.crypto.keys import SigningKey
from bzzzd.mesh.peer_id import key_of

LIMIT_S = 20.0
JOIN = "/bzzz/join/1"
IDENTIFY, CONNECT, STREAM_OPEN, DHT, LIST_PEERS, PUBSUB = 0, 1, 2, 4, 5, 8
PUBLISH, SUBSCRIBE = 2, 3
_ED25519 = 1
_ID_PREFIX = bytes.fromhex("002408011220")

Fields = dict[int, list[Any]]


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def pack(fields: dict[int, Any]) -> bytes:
    """A protobuf message from field numbers to numbers, texts, bytes or lists of these."""
    out = b""
    for number, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, int):
                out += varint(number << 3) + varint(one)
            else:
                body = one.encode() if isinstance(one, str) else one
                out += varint(number << 3 | 2) + varint(len(body)) + body
    return out


def unpack(data: bytes) -> Fields:
    """Field numbers to lists of numbers or bytes."""
    fields: Fields = {}
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = number()
        if tag & 7 == 0:
            fields.setdefault(tag >> 3, []).append(number())
        else:
            size = number()
            fields.setdefault(tag >> 3, []).append(data[at : at + size])
            at += size
    return fields


def raw_id(peer_id: str) -> bytes:
    return _ID_PREFIX + key_of(peer_id)


class Stream:
    """A control connection, or the libp2p stream that it has become."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def say(self, body: bytes) -> None:
        self._writer.write(varint(len(body)) + body)
        await self._writer.drain()

    async def hear(self) -> Fields:
        size = shift = 0
        while True:
            byte = (await self._reader.readexactly(1))[0]
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return unpack(await self._reader.readexactly(size))

    async def say_frame(self, word: dict[str, Any]) -> None:
        body = msgpack.packb(word)
        self._writer.write(len(body).to_bytes(4, "big") + body)
        await self._writer.drain()

    async def hear_frame(self) -> dict[str, Any]:
        size = int.from_bytes(await self._reader.readexactly(4), "big")
        word: dict[str, Any] = msgpack.unpackb(await self._reader.readexactly(size))
        return word

    async def echoes(self, data: bytes) -> bool:
        """Whether the other side gives back what it is sent."""
        self._writer.write(data)
        async with asyncio.timeout(LIMIT_S):
            return await self._reader.readexactly(len(data)) == data

    async def close(self) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


class Refused(Exception):
    """The daemon answered with an error."""


class Daemon:
    """One ``p2pd``, listening on loopback; its peer id is of ``key``."""

    def __init__(self, program: Path, folder: Path, key: SigningKey) -> None:
        self._socket = folder / "control"
        identity = folder / "identity"
        identity.write_bytes(pack({1: _ED25519, 2: key.seed + key.public}))
        self._log = (folder / "p2pd.log").open("wb")
        self.process = subprocess.Popen(
            [str(program), "-listen", f"/unix{self._socket}", "-id", str(identity), "-q", "-pubsub",
             "-hostAddrs", "/ip4/127.0.0.1/tcp/0", "-relay=0", "-relayService=0", "-tls=0", "-quic=0"],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
            env={"HOME": str(folder), "PATH": os.environ["PATH"], "GOLOG_LOG_LEVEL": "error"},
        )  # fmt: skip
        self.messages: list[tuple[bytes, bytes]] = []
        self._streams: list[Stream] = []
        self._listening: list[asyncio.Task[None]] = []

    async def stop(self) -> None:
        """End it, with every stream and task that was opened."""
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
        for stream in self._streams:
            await stream.close()
        self.process.kill()
        self.process.wait(10)
        self._log.close()

    async def up(self) -> bool:
        """Whether it answers."""
        try:
            return bool(await self.addresses())
        except OSError:
            return False

    async def ask(self, **fields: Any) -> tuple[Stream, Fields]:
        """Send one request on a connection of its own; ``kind`` is its type, the others are named by number."""
        kind = fields.pop("kind")
        stream = Stream(*await asyncio.open_unix_connection(str(self._socket)))
        self._streams.append(stream)
        async with asyncio.timeout(LIMIT_S):
            await stream.say(pack({1: kind, **{int(name[1:]): value for name, value in fields.items()}}))
            answer = await stream.hear()
        if answer[1] != [0]:
            await stream.close()
            raise Refused(unpack(answer[2][0])[1][0].decode())
        return stream, answer

    async def _ask(self, **fields: Any) -> Fields:
        stream, answer = await self.ask(**fields)
        await stream.close()
        return answer

    async def connect(self, address: str, peer_id: str) -> None:
        place = Multiaddr(address.split("/p2p/")[0]).to_bytes()
        await self._ask(kind=CONNECT, f2=pack({1: raw_id(peer_id), 2: place}))

    async def peers(self) -> list[bytes]:
        """The ids of connected peers, as bytes."""
        found = await self._ask(kind=LIST_PEERS)
        return [unpack(peer)[1][0] for peer in found.get(6, [])]

    async def addresses(self) -> list[str]:
        found = unpack((await self._ask(kind=IDENTIFY))[4][0])
        return [str(Multiaddr(raw)) for raw in found[2]]

    async def open(self, peer_id: str, protocol: str) -> Stream:
        stream, _ = await self.ask(kind=STREAM_OPEN, f3=pack({1: raw_id(peer_id), 2: protocol}))
        return stream

    async def join(self, peer_id: str, chain: list[bytes]) -> dict[str, Any]:
        """Show a chain of grants over the join protocol; gives the other side's answer."""
        stream = await self.open(peer_id, JOIN)
        try:
            async with asyncio.timeout(LIMIT_S):
                await stream.say_frame({"chain": chain})
                answer = await stream.hear_frame()
                if not answer.get("refused"):
                    await stream.say_frame({"ok": True})
            return answer
        finally:
            await stream.close()

    async def publish(self, topic: str, data: bytes) -> None:
        await self._ask(kind=PUBSUB, f8=pack({1: PUBLISH, 2: topic, 3: data}))

    async def subscribe(self, topic: str) -> None:
        """Collect a topic's messages in ``messages``, as (author's peer id, data)."""
        stream, _ = await self.ask(kind=PUBSUB, f8=pack({1: SUBSCRIBE, 2: topic}))

        async def listen() -> None:
            while True:
                message = await stream.hear()
                self.messages.append((message[1][0], message[2][0]))

        self._listening.append(asyncio.get_running_loop().create_task(listen()))


StartDaemon = Callable[[SigningKey], Daemon]
