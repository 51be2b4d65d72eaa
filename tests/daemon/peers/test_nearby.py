"""Multicast is a help: whatever its library raises, the node goes on and says so."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from bzzzd.daemon.peers import nearby
from bzzzd.daemon.peers.nearby import Nearby


class Broken:
    """A library that fails in kinds of its own; ``stopped`` counts how often it was taken down."""

    stopped = 0

    def __init__(self, *_: Any) -> None:
        return

    async def start(self, addresses: Any) -> bool:
        raise RuntimeError("the event loop was blocked")

    async def stop(self) -> None:
        Broken.stopped += 1
        raise RuntimeError("nobody can be told goodbye")


@pytest.mark.parametrize("again", [1, 2])
async def test_a_library_that_fails_leaves_the_node_alone(monkeypatch: pytest.MonkeyPatch, again: int) -> None:
    monkeypatch.setattr(nearby, "Mdns", Broken)
    monkeypatch.setattr(Broken, "stopped", 0)
    mesh: Any = SimpleNamespace(addresses=("/ip4/192.0.2.7/tcp/8075",), peer_id="p")
    tasks: list[asyncio.Task[None]] = []

    def spawn(service: str, name: str, work: Any, *, ends: bool) -> None:
        tasks.append(asyncio.get_running_loop().create_task(work))

    found = Nearby(mesh, "m", spawn)
    await found.start()
    for _ in range(again - 1):
        found.moved(mesh.addresses)
    await asyncio.gather(*tasks)
    health = found.health()
    assert health.ok
    assert health.degraded
    assert "the event loop was blocked" in health.detail
    assert Broken.stopped == again
    await found.stop()
