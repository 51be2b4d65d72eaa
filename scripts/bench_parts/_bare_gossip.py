"""The baseline of the message figures: py-libp2p's own gossip between two processes, set as BZZZ sets it.

The same transport (TCP, Noise, Yamux), the same degree and heartbeat, signatures on, the library's guards against
strangers off, and queues so large that nothing is dropped: with its own sizes 10 of a burst of 500 arrive.

    _bare_gossip.py listen PORT SEED                      prints "ready", then a line for each measurement
    _bare_gossip.py speak PORT SEED PACED RATE BURST      publishes, and prints one line of JSON
"""

from __future__ import annotations

import json
import logging
import struct
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median
from typing import Any

import trio

from bzzzd.mesh import library

library.load("bench")

import libp2p.pubsub.pubsub as pubsub_module  # noqa: E402
import libp2p.pubsub.rpc_queue as queue_module  # noqa: E402
from libp2p import new_host  # noqa: E402
from libp2p.crypto.ed25519 import create_new_key_pair  # noqa: E402
from libp2p.crypto.x25519 import create_new_key_pair as new_noise_key  # noqa: E402
from libp2p.peer.id import ID  # noqa: E402
from libp2p.peer.peerinfo import info_from_p2p_addr  # noqa: E402
from libp2p.pubsub.gossipsub import PROTOCOL_ID, PROTOCOL_ID_V11, GossipSub  # noqa: E402
from libp2p.pubsub.pubsub import Pubsub  # noqa: E402
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE  # noqa: E402
from libp2p.security.noise.transport import Transport as Noise  # noqa: E402
from libp2p.tools.anyio_service import background_trio_service  # noqa: E402
from multiaddr import Multiaddr  # noqa: E402

TOPIC, ECHO = "bench", "back"
SIZE = 1024
LARGE = 100_000


@asynccontextmanager
async def node(seed: bytes, port: int) -> AsyncIterator[tuple[Any, Pubsub]]:
    """A host on the port, with gossip running before anybody connects."""
    logging.getLogger("libp2p").setLevel(logging.CRITICAL)
    pubsub_module.SUBSCRIPTION_CHANNEL_SIZE = LARGE
    queue_module.OutBoundQueueSize = LARGE
    queue_module.PriorityQueue.__init__.__defaults__ = (LARGE,)
    queue_module.RpcQueue.__init__.__defaults__ = (LARGE, *queue_module.RpcQueue.__init__.__defaults__[1:])
    keys = create_new_key_pair(seed)
    host = new_host(
        key_pair=keys, muxer_preference="YAMUX", sec_opt={NOISE: Noise(keys, noise_privkey=new_noise_key().private_key)}
    )
    router = GossipSub(
        protocols=[PROTOCOL_ID_V11, PROTOCOL_ID], degree=8, degree_low=6, degree_high=12, heartbeat_interval=1,
        do_px=False, adaptive_gossip_enabled=False, spam_protection_enabled=False, eclipse_protection_enabled=False,
    )  # fmt: skip
    router.scorer = None
    pubsub = Pubsub(host, router, strict_signing=True)
    async with host.run(listen_addrs=[]), background_trio_service(router), background_trio_service(pubsub):
        await pubsub.wait_until_ready()
        await host.get_network().listen(Multiaddr(f"/ip4/127.0.0.1/tcp/{port}"))
        yield host, pubsub


async def listen(port: int, seed: bytes) -> None:
    """Answer each message that asks for it with its own time stamp's age; count the rest."""
    async with node(seed, port) as (_, pubsub):
        heard = await pubsub.subscribe(TOPIC)
        print("ready", flush=True)
        ages: list[float] = []
        while True:
            data = (await heard.get()).data
            sent, kind = struct.unpack_from("<dB", data)
            ages.append(time.monotonic() - sent)
            if kind:
                await pubsub.publish(ECHO, json.dumps({"ages": ages, "now": time.monotonic()}).encode())
                ages = []


def message(last: bool) -> bytes:
    return struct.pack("<dB", time.monotonic(), last).ljust(SIZE, b"x")


async def speak(port: int, seed: bytes, paced: int, rate: float, burst: int) -> dict[str, Any]:
    """Warm up, then ``paced`` messages at ``rate`` a second, then ``burst`` as fast as they are taken."""
    async with node(seed, 0) as (host, pubsub):
        answers = await pubsub.subscribe(ECHO)
        other = ID.from_pubkey(create_new_key_pair(bytes([1]) * 32).public_key)
        await host.connect(info_from_p2p_addr(Multiaddr(f"/ip4/127.0.0.1/tcp/{port}/p2p/{other}")))
        while other not in pubsub.peer_topics.get(TOPIC, ()) or other not in pubsub.peers:  # noqa: ASYNC110
            await trio.sleep(0.05)
        await trio.sleep(2.5)  # grafted: two heartbeats

        async def told() -> dict[str, Any]:
            return dict(json.loads((await answers.get()).data))

        for number in range(50):
            await pubsub.publish(TOPIC, message(number == 49))
        await told()
        due = time.monotonic()
        for number in range(paced):
            await trio.sleep(max(0.0, due - time.monotonic()))
            due += 1 / rate
            await pubsub.publish(TOPIC, message(number == paced - 1))
        ages = (await told())["ages"]
        began = time.monotonic()
        for number in range(burst):
            await pubsub.publish(TOPIC, message(number == burst - 1))
        ended = await told()
        took = ended["now"] - began
        return {"p50_ms": median(ages) * 1e3, "paced": len(ages), "rate": len(ended["ages"]) / took,
                "burst": len(ended["ages"])}  # fmt: skip


def main(arguments: list[str]) -> None:
    match arguments:
        case ["listen", port]:
            trio.run(listen, int(port), bytes([1]) * 32)
        case ["speak", port, paced, rate, burst]:
            found = trio.run(speak, int(port), bytes([2]) * 32, int(paced), float(rate), int(burst))
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
