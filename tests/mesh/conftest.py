"""Meshes and child processes that are ended after each test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import hypothesis  # noqa: F401  before a mesh freezes the collector, which hypothesis asks at its import
import pytest

from tests.mesh.kit import Child, Town


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    town = Town()
    yield town
    await asyncio.gather(*(node.mesh.stop() for node in town.nodes))


@pytest.fixture
def child() -> Iterator[Callable[[str, dict[str, Any]], Child]]:
    children: list[Child] = []

    def start(script: str, setup: dict[str, Any]) -> Child:
        children.append(Child(script, setup))
        return children[-1]

    yield start
    for one in children:
        one.kill()
