"""Messages under churn: nodes that talk all the time while one after the other is killed and comes back."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import BzzzError
from bzzzd.rpc.client import AsyncClient
from bzzzd.rpc.follower import Items
from tests.integration.conftest import Node, NodeMaker, wait_for

TOPIC = "churn"
SETTLE_S = 60.0


def mesh_of(make: NodeMaker, count: int, authority: SigningKey | None = None) -> list[Node]:
    """That many nodes of one mesh, each with the earlier ones as static peers, all connected to all."""
    authority = authority or SigningKey.generate()
    nodes = [make(f"n{number + 1}") for number in range(count)]
    for number, node in enumerate(nodes):
        node.write_daemon(network={"static_peers": [other.address for other in nodes[:number]]})
        node.join(authority)
        node.start(ready=False)
    for node in nodes:
        node.wait_ready()
    wait_for("all to meet all", lambda: all(peers_of(node) == count - 1 for node in nodes), 60.0)
    return nodes


def peers_of(node: Node) -> int:
    with node.guest() as guest:
        return sum(row["connected"] for row in guest.call("peers", effects=False)["peers"])


class Talker:
    """One node's client: it publishes and hears, and goes on by itself when its node comes back."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.session = node.agent(f"talker-{node.folder.name}")
        self.client = AsyncClient(str(node.socket), "test", sign=self.session.sign, timeout=30.0)
        self.said: list[str] = []
        self.answered: set[str] = set()
        self.heard: list[tuple[str, str]] = []
        self.missed = 0
        self.begun = asyncio.Event()

    @property
    def name(self) -> str:
        return self.node.folder.name

    async def listen(self) -> None:
        async for event in self.client.subscribe(f"topic:{TOPIC}", keep=100_000):
            if isinstance(event, Items):
                self.heard += [(item["node"], item["payload"]) for item in event.items]
            else:
                self.missed += self.begun.is_set() and event.missed
                self.begun.set()

    async def talk(self, rate: float, until: float) -> None:
        """Say something ``rate`` times a second; what got no answer may have been said or not."""
        while time.monotonic() < until:
            await asyncio.sleep(1 / rate)
            text = f"{self.name} {len(self.said)}"
            self.said.append(text)
            try:
                await self.client.call("publish", self.session.message(TOPIC, text), timeout=30.0)
            except BzzzError:
                continue
            self.answered.add(text)

    def faults(self, talkers: Sequence[Talker]) -> list[str]:
        """What is wrong with what it has heard; empty when everything came once and in order."""
        counts = Counter(self.heard)
        found = [f"{what} came {count} times" for what, count in counts.items() if count > 1]
        if self.missed:
            found.append(f"{self.missed} snapshots had to stand in for items")
        for one in talkers:
            came = [text for node, text in self.heard if node == one.name]
            lost = one.answered - set(came)
            if lost:
                found.append(f"{len(lost)} of {one.name} were lost, {sorted(lost)[:3]}")
            order = [int(text.split()[1]) for text in came]
            if order != sorted(order):
                found.append(f"those of {one.name} came out of order")
        return found


async def churn(
    nodes: Sequence[Node], *, seconds: float, rate: float, kill_every: float, away: float
) -> dict[str, Any]:
    """Let all nodes say ``rate`` messages a second together; gives what was said and what was wrong at the end."""
    talkers = [Talker(node) for node in nodes]
    async with AsyncExitStack() as clients, asyncio.TaskGroup() as group:
        for talker in talkers:
            talker.client.start()
            clients.push_async_callback(talker.client.close)
        listeners = [group.create_task(talker.listen()) for talker in talkers]
        # Everybody follows before the first word: a snapshot would hold what came before one did.
        async with asyncio.timeout(60):
            for talker in talkers:
                await talker.begun.wait()
        await asyncio.sleep(2.0)
        began = time.monotonic()
        speaking = [group.create_task(talker.talk(rate / len(talkers), began + seconds)) for talker in talkers]
        kills = 0
        while time.monotonic() + kill_every < began + seconds:
            await asyncio.sleep(kill_every - away)
            victim = nodes[kills % len(nodes)]
            assert victim.daemon is not None
            await asyncio.to_thread(victim.daemon.kill)
            await asyncio.sleep(away)
            victim.start(ready=False)
            kills += 1
        await asyncio.gather(*speaking)
        until = time.monotonic() + SETTLE_S
        while any(talker.faults(talkers) for talker in talkers) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.25)
        settled = time.monotonic() - (until - SETTLE_S)
        for listener in listeners:
            listener.cancel()
    return {
        "said": sum(len(talker.said) for talker in talkers),
        "answered": sum(len(talker.answered) for talker in talkers),
        "heard": [len(talker.heard) for talker in talkers],
        "kills": kills,
        "settled_s": settled,
        "faults": {talker.name: found for talker in talkers if (found := talker.faults(talkers))},
    }
