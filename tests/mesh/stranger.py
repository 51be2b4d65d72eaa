"""A bare libp2p host that tries to get something out of a mesh node; run as a process of its own.

Standard input, first line: {address, peer_id, seed, chain, topic, key, protocols, rounds, patience_s}. It tries
every protocol before, during and after showing ``chain`` (hex; null: it never speaks the join protocol), or, with
``invitation`` (hex), after guessing at one (``silent``: it opens and says no more). It follows the topic with pubsub
of its own all the while, and prints one line of JSON with what it got.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import msgpack
import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.kad_dht.pb.kademlia_pb2 import Message
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.records.validator import NamespacedValidator, Validator
from libp2p.tools.anyio_service import background_trio_service
from libp2p.utils.varint import encode_varint_prefixed, read_varint_prefixed_bytes_limited
from multiaddr import Multiaddr

JOIN = "/bzzz/join/1"


class Anything(Validator):
    def validate(self, key: str, value: bytes) -> None: ...

    def select(self, key: str, values: list[bytes]) -> int:
        return 0


class Stranger:
    def __init__(self, setup: dict[str, Any]) -> None:
        self.setup = setup
        self.target = ID.from_base58(setup["peer_id"])
        seed = setup.get("seed")
        self.host = new_host(key_pair=create_new_key_pair(bytes.fromhex(seed) if seed else None))
        self.gossip: list[str] = []
        self.opened: list[str] = []
        self.listed: list[str] = []
        self.records: list[str] = []
        self.join_answers: list[str] = []
        self.connects = 0

    async def connect(self) -> None:
        with trio.move_on_after(3):
            try:
                await self.host.connect(PeerInfo(self.target, [Multiaddr(self.setup["address"])]))
                self.connects += 1
            except Exception:
                return

    async def join(self) -> None:
        if self.setup.get("invitation"):
            await self.guess()
            return
        chain = self.setup["chain"]
        if chain is None:
            return
        with trio.move_on_after(3):
            try:
                stream = await self.host.new_stream(self.target, [JOIN])
                body = msgpack.packb({"chain": [bytes.fromhex(raw) for raw in chain]})
                await stream.write(len(body).to_bytes(4, "big") + body)
                length = int.from_bytes(await stream.read(4), "big")
                answer = msgpack.unpackb(await stream.read(length))
                self.join_answers.append(answer.get("refused", "let in"))
                body = msgpack.packb({"ok": True})
                await stream.write(len(body).to_bytes(4, "big") + body)
            except Exception as error:
                self.join_answers.append(type(error).__name__)

    async def guess(self) -> None:
        """Open with an invitation's id, as one that has overheard it: a made-up proof, or none and silence."""
        with trio.move_on_after(3):
            try:
                stream = await self.host.new_stream(self.target, [JOIN])
                await self._say(stream, {"invitation": bytes.fromhex(self.setup["invitation"])})
                challenge = (await self._hear(stream)).get("challenge", b"")
                if self.setup.get("silent"):
                    await trio.sleep(2)
                    return
                word = {"challenge": challenge, "ask": b"give me all", "proof": b"p" * 32}
                await self._say(stream, word)
                self.join_answers.append(str((await self._hear(stream)).get("outcome", b"")[:1].hex()))
            except Exception as error:
                self.join_answers.append(type(error).__name__)

    async def _say(self, stream: Any, word: dict[str, Any]) -> None:
        body = msgpack.packb(word)
        await stream.write(len(body).to_bytes(4, "big") + body)

    async def _hear(self, stream: Any) -> dict[str, Any]:
        length = int.from_bytes(await stream.read(4), "big")
        return dict(msgpack.unpackb(await stream.read(length)))

    async def grab(self, when: str) -> None:
        """Try every protocol, ask what there is, and ask for the record."""
        async with trio.open_nursery() as nursery:
            for protocol in self.setup["protocols"]:
                nursery.start_soon(self._open, when, protocol)
            nursery.start_soon(self._list)
            nursery.start_soon(self._read_record)

    async def _open(self, when: str, protocol: str) -> None:
        with trio.move_on_after(3):
            try:
                await self.host.new_stream(self.target, [protocol])
                self.opened.append(f"{when} {protocol}")
            except Exception:
                return

    async def _list(self) -> None:
        with trio.move_on_after(3):
            try:
                self.listed += [line for line in await self.host.send_command(self.target, "ls") if line]
            except Exception:
                return

    async def _read_record(self) -> None:
        with trio.move_on_after(3):
            try:
                stream = await self.host.new_stream(self.target, ["/ipfs/kad/1.0.0"])
                question = Message(type=Message.MessageType.GET_VALUE, key=self.setup["key"].encode())
                await stream.write(encode_varint_prefixed(question.SerializeToString()))
                answer = Message.FromString(await read_varint_prefixed_bytes_limited(stream, 1 << 20))
                self.records.append(answer.record.value.hex())
            except Exception:
                return

    async def listen_to_gossip(self, pubsub: Pubsub) -> None:
        subscription = await pubsub.subscribe(self.setup["topic"])
        while True:
            message = await subscription.get()
            if message.from_id != self.host.get_id().to_bytes():
                self.gossip.append(message.data.hex())

    async def run(self) -> None:
        gossip = GossipSub(["/meshsub/1.1.0", "/meshsub/1.0.0"], 8, 6, 12, heartbeat_interval=1)
        pubsub = Pubsub(self.host, gossip)
        rule = NamespacedValidator({"bzzz": Anything()}, strict_validation=True)
        dht = KadDHT(self.host, DHTMode.SERVER, validator=rule, validator_changed=True)
        async with (
            self.host.run(listen_addrs=[Multiaddr("/ip4/127.0.0.1/tcp/0")]),
            background_trio_service(pubsub),
            background_trio_service(gossip),
            background_trio_service(dht),
            trio.open_nursery() as nursery,
        ):
            await pubsub.wait_until_ready()
            nursery.start_soon(self.listen_to_gossip, pubsub)
            with trio.move_on_after(self.setup["patience_s"]):
                for _ in range(self.setup["rounds"]):
                    await self.connect()
                    await pubsub.publish(self.setup["topic"], b"from a stranger")
                    await self.grab("before")
                    async with trio.open_nursery() as trying:
                        trying.start_soon(self.join)
                        trying.start_soon(self.grab, "during")
                    await pubsub.ensure_peer_stream(self.target, timeout=0.5)
                    await self.grab("after")
                    with trio.move_on_after(1):
                        await dht.put_value(self.setup["key"], b"forged")
                        self.records.append((await dht.get_value("/bzzz/other") or b"").hex())
                    await trio.sleep(0.3)
            report = {
                "gossip": self.gossip,
                "opened": self.opened,
                "listed": sorted(set(self.listed)),
                "records": [record for record in self.records if record],
                "joins": self.join_answers,
                "connects": self.connects,
                "learned": [str(address) for address in self._learned()],
            }
            print(json.dumps(report), flush=True)
            os._exit(0)  # a bare host takes long to close; whoever reads this line has all that it wants

    def _learned(self) -> list[Multiaddr]:
        """Addresses of the node that it did not know before."""
        store = self.host.get_peerstore()
        known = store.addrs(self.target) if store.has_peer(self.target) else []
        return [address for address in known if str(address) != self.setup["address"]]


def main() -> None:
    setup = json.loads(sys.stdin.readline())
    trio.run(Stranger(setup).run)


if __name__ == "__main__":
    main()
