"""Fixtures: a server under test, a client of it, and a raw socket to it; on both event loops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from bzzzd.rpc.client import AsyncClient

from .harness import QUICK, Bench, Raw


def pytest_asyncio_loop_factories(config: Any, item: Any) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test of this folder on the loop that we run on, and on the plain one."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture
def make_bench(tmp_path: Path) -> Callable[..., Bench]:
    return lambda limits=QUICK: Bench(tmp_path / "bzzzd.sock", limits)


@pytest.fixture
async def bench(make_bench: Callable[..., Bench]) -> AsyncIterator[Bench]:
    found = make_bench()
    await found.serve()
    yield found
    found.gate.set()
    await found.server.close(2.0)


@pytest.fixture
async def client(bench: Bench) -> AsyncIterator[AsyncClient]:
    async with bench.client() as found:
        yield found


@pytest.fixture
async def raw(bench: Bench) -> AsyncIterator[Raw]:
    found = await Raw(bench.path).connect()
    yield found
    found.close()
