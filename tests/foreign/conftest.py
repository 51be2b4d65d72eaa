"""Meshes of ours with peers of other libp2p implementations in them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import hypothesis  # noqa: F401  before a mesh freezes the collector, which hypothesis asks at its import
import pytest

from tests.foreign.kit import Absent, go_daemon, js_peer
from tests.mesh.kit import Child, Town

T = TypeVar("T")


def had(fetch: Callable[[], T]) -> T:
    """What ``fetch`` gives; where it cannot be had the tests are skipped, but not in CI, which must have it."""
    try:
        return fetch()
    except Absent as why:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(why))


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    town = Town()
    yield town
    await asyncio.gather(*(node.mesh.stop() for node in town.nodes))


@pytest.fixture
def js() -> Iterator[Callable[[dict[str, Any]], Child]]:
    """Starts js-libp2p peers."""
    argv, peers = had(js_peer), []

    def start(setup: dict[str, Any]) -> Child:
        peers.append(Child(argv, setup))
        return peers[-1]

    yield start
    for peer in peers:
        peer.kill()


@pytest.fixture
def p2pd() -> Path:
    """The go-libp2p daemon."""
    return had(go_daemon)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.integration)
