"""Attacks one node on loopback; a process of its own. Bounded in count and time, and it stops by itself.

Standard input: one line of JSON {attack, host, port, count, ...}. It prints one line of JSON with what it saw.

- ``half-open``: connections that say nothing, all held until the node ends them or ``hold_s`` is over.
- ``garbage``: connections that say nonsense, in several forms.
- ``strangers``: peers with proper keys and a full Noise handshake, without a grant, that talk junk on a stream.
- ``forger``: a member (``seed``, ``chain``) that gossips forged, garbled and replayed messages on ``topic``.
  With ``poison`` (pairs of a topic and bytes in hex) it gossips those, well signed, in turn.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import sys
import time
from typing import Any

import msgpack
import trio

CHATTER = "/bzzz/join/1"
WIDTH = 64
LIMIT_S = 10.0
PATIENCE_S = 0.2
MOST_CUTS = 5


async def half_open(setup: dict[str, Any]) -> dict[str, Any]:
    opened = ended = 0

    async def one() -> None:
        nonlocal opened, ended
        with contextlib.suppress(OSError):
            stream = await trio.open_tcp_stream(setup["host"], setup["port"])
            async with stream:
                opened += 1
                with contextlib.suppress(trio.BrokenResourceError):
                    while await stream.receive_some():
                        pass
                ended += 1

    with trio.move_on_after(setup["hold_s"]):
        async with trio.open_nursery() as nursery:
            for _ in range(setup["count"]):
                nursery.start_soon(one)
    return {"opened": opened, "ended_by_node": ended}


def nonsense(number: int, chance: random.Random) -> bytes:
    """What a connection says: other protocols, noise, broken, endless and oversized beginnings of ours."""
    hello = b"\x13/multistream/1.0.0\n"
    forms = (
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(200),
        chance.randbytes(chance.randrange(1, 4096)),
        hello + b"\xff\xff\xff\xff\x0f" + chance.randbytes(500),
        hello + b"\x07/noise\n" + chance.randbytes(2000),
        hello + b"\x07/noise\n" + b"\xff\xff" + b"\0" * 65_535,
        b"\0" * 64,
        hello * 200,
    )
    return forms[number % len(forms)]


async def garbage(setup: dict[str, Any]) -> dict[str, Any]:
    chance = random.Random(83)
    numbers = iter(range(setup["count"]))
    said = ended = 0

    async def one(number: int) -> bool:
        """Whether the node ended it before patience did."""
        nonlocal said
        try:
            async with await trio.open_tcp_stream(setup["host"], setup["port"]) as stream:
                said += 1
                with trio.move_on_after(PATIENCE_S):
                    await stream.send_all(nonsense(number, chance))
                    while await stream.receive_some():
                        pass
                    return True
        except (OSError, trio.BrokenResourceError):
            return True
        return False

    async def worker() -> None:
        nonlocal ended
        for number in numbers:
            with trio.move_on_after(LIMIT_S):
                ended += await one(number)

    async with trio.open_nursery() as nursery:
        for _ in range(WIDTH):
            nursery.start_soon(worker)
    return {"said": said, "ended_by_node": ended}


async def strangers(setup: dict[str, Any]) -> dict[str, Any]:
    from libp2p import new_host
    from libp2p.crypto.ed25519 import create_new_key_pair
    from libp2p.peer.id import ID
    from libp2p.peer.peerinfo import PeerInfo
    from multiaddr import Multiaddr

    target = ID.from_base58(setup["peer_id"])
    address = Multiaddr(f"/ip4/{setup['host']}/tcp/{setup['port']}")
    numbers = iter(range(setup["count"]))
    shaken = let_in = 0

    async def junk(host: Any, number: int) -> None:
        nonlocal let_in
        stream = await host.new_stream(target, [CHATTER])
        if number % 3 == 0:
            await stream.write(os.urandom(2000))
        elif number % 3 == 1:
            await stream.write((2**31).to_bytes(4, "big") + os.urandom(1000))
        else:
            body = msgpack.packb({"chain": [os.urandom(300)]})
            await stream.write(len(body).to_bytes(4, "big") + body)
        answer = await stream.read(4096)
        let_in += b"chain" in answer

    async def worker() -> None:
        nonlocal shaken
        for number in numbers:
            host = new_host(key_pair=create_new_key_pair())
            with trio.move_on_after(LIMIT_S):
                async with host.run(listen_addrs=[]):
                    try:
                        await host.connect(PeerInfo(target, [address]))
                        shaken += 1
                        await junk(host, number)
                    except Exception:  # refused, cut off or reset: what a stranger is to expect
                        continue

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(worker)
    return {"handshakes": shaken, "let_in": let_in}


class Forger:
    """A member that misbehaves in gossip."""

    def __init__(self, setup: dict[str, Any]) -> None:
        from libp2p import new_host
        from libp2p.crypto.ed25519 import create_new_key_pair
        from libp2p.peer.id import ID

        self.setup = setup
        self.host = new_host(key_pair=create_new_key_pair(bytes.fromhex(setup["seed"])))
        self.target = ID.from_base58(setup["peer_id"])
        self.heard: list[Any] = []
        self.something_heard = trio.Event()
        self.sent = 0
        self.joins = 0
        self.cuts = 0

    async def run(self) -> dict[str, Any]:
        from libp2p.pubsub.gossipsub import GossipSub
        from libp2p.pubsub.pubsub import Pubsub
        from libp2p.tools.anyio_service import background_trio_service

        gossip = GossipSub(["/meshsub/1.1.0"], 8, 6, 12, heartbeat_interval=1)
        pubsub = Pubsub(self.host, gossip)
        async with (
            self.host.run(listen_addrs=[]),
            background_trio_service(pubsub),
            background_trio_service(gossip),
            trio.open_nursery() as nursery,
        ):
            await pubsub.wait_until_ready()
            nursery.start_soon(self._listen, pubsub)
            with trio.move_on_after(self.setup["limit_s"]):
                while self.sent < self.setup["count"] and self.cuts < MOST_CUTS:
                    try:
                        await self._misbehave(pubsub)
                    except Exception:  # cut off, or not let in again
                        self.cuts += 1
                        await trio.sleep(0.5)
                with trio.move_on_after(LIMIT_S):
                    while self.host.get_network().get_connections(self.target):  # noqa: ASYNC110  libp2p tells nobody
                        await trio.sleep(0.1)
            connected = bool(self.host.get_network().get_connections(self.target))
            nursery.cancel_scope.cancel()
        return {
            "sent": self.sent, "joins": self.joins, "cuts": self.cuts, "heard": len(self.heard),
            "still_connected": connected,
        }  # fmt: skip

    async def _listen(self, pubsub: Any) -> None:
        subscription = await pubsub.subscribe(self.setup["topic"])
        while True:
            message = await subscription.get()
            if len(self.heard) < 100:
                self.heard.append(message)
                self.something_heard.set()

    async def _join(self) -> None:
        from libp2p.peer.peerinfo import PeerInfo
        from multiaddr import Multiaddr

        address = Multiaddr(f"/ip4/{self.setup['host']}/tcp/{self.setup['port']}")
        await self.host.connect(PeerInfo(self.target, [address]))
        stream = await self.host.new_stream(self.target, [CHATTER])
        chain = [bytes.fromhex(raw) for raw in self.setup["chain"]]
        for word in ({"chain": chain}, {"ok": True}):
            body = msgpack.packb(word)
            await stream.write(len(body).to_bytes(4, "big") + body)
            if "chain" in word:
                size = int.from_bytes(await stream.read(4), "big")
                answer = msgpack.unpackb(await stream.read(size))
                if answer.get("refused"):
                    raise RuntimeError(answer["refused"])
        self.joins += 1

    async def _misbehave(self, pubsub: Any) -> None:
        from libp2p.pubsub.pb import rpc_pb2
        from libp2p.utils.varint import encode_varint_prefixed

        with trio.fail_after(LIMIT_S):
            await self._join()
            stream = await self.host.new_stream(self.target, ["/meshsub/1.1.0"])
            await self.something_heard.wait()
        while self.sent < self.setup["count"]:
            batch = rpc_pb2.RPC(publish=[self._message(pubsub, self.sent + n) for n in range(20)])
            with trio.fail_after(LIMIT_S):
                await stream.write(encode_varint_prefixed(batch.SerializeToString()))
            self.sent += 20

    def _message(self, pubsub: Any, number: int) -> Any:
        """A forged, garbled or replayed message, in turn."""
        from libp2p.pubsub.pb import rpc_pb2

        poison = self.setup.get("poison")
        if poison:
            topic, data = poison[number % len(poison)]
            return self._own(topic, bytes.fromhex(data), number)
        honest = self.heard[number % len(self.heard)]
        if number % 4 == 0:  # an honest message once more, as it was
            return honest
        if number % 4 == 1:  # a forged one in an honest member's name
            forged = rpc_pb2.Message()
            forged.CopyFrom(honest)
            forged.seqno = os.urandom(8)
            forged.data = os.urandom(1000)
            return forged
        # Its own signature around garbage, or around what an honest node had sent.
        return self._own(self.setup["topic"], os.urandom(1000) if number % 4 == 2 else honest.data, number)

    def _own(self, topic: str, data: bytes, number: int) -> Any:
        from libp2p.pubsub.pb import rpc_pb2
        from libp2p.pubsub.validators import PUBSUB_SIGNING_PREFIX

        own = rpc_pb2.Message(
            from_id=self.host.get_id().to_bytes(),
            data=data,
            topicIDs=[topic],
            seqno=(time.time_ns() + number).to_bytes(8, "big"),
        )
        own.signature = self.host.get_private_key().sign(PUBSUB_SIGNING_PREFIX.encode() + own.SerializeToString())
        return own


async def main() -> None:
    setup = json.loads(sys.stdin.readline())
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if setup["host"] != "127.0.0.1":
        raise SystemExit("only nodes of the tests' own on loopback are attacked")
    attacks = {"half-open": half_open, "garbage": garbage, "strangers": strangers}
    report = await (Forger(setup).run() if setup["attack"] == "forger" else attacks[setup["attack"]](setup))
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    trio.run(main)
