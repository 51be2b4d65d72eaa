from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bzzzd.agent.handlers.base import Handler
from tests.agent.daemon import Daemon
from tests.agent.model_endpoint import ModelEndpoint, served
from tests.agent.rig import Make, Rig


@pytest.fixture
async def endpoint() -> AsyncIterator[ModelEndpoint]:
    async with served() as found:
        yield found


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    found = Daemon(tmp_path / "s.sock")
    await found.start()
    yield found
    await found.stop()


@pytest.fixture
async def make(daemon: Daemon) -> AsyncIterator[Make]:
    made: list[Rig] = []

    async def rig(handler: Handler, *, slots: int = 1, **more: Any) -> Rig:
        found = Rig(daemon, handler, slots=slots, **more)
        made.append(found)
        await found.start()
        return found

    yield rig
    for found in made:
        await found.stop()
