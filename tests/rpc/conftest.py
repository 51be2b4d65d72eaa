"""Fixtures: a server under test, a client of it, and a raw socket to it; on both event loops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from bzzzd.rpc.client import AsyncClient
from bzzzd.rpc.limits import Limits
from tests.loops import OurLoop

from .harness import QUICK, Bench, Raw


def pytest_asyncio_loop_factories(config: Any, item: Any) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test of this folder on the loop that we run on, and on the plain one."""
    return {"uvloop": OurLoop, "asyncio": asyncio.new_event_loop}


@pytest.fixture
async def make_bench(tmp_path: Path) -> AsyncIterator[Callable[..., Bench]]:
    """Makes servers, and closes them however the test ends."""
    made: list[Bench] = []

    def make(limits: Limits = QUICK) -> Bench:
        made.append(Bench(tmp_path / "bzzzd.sock", limits))
        return made[-1]

    yield make
    for bench in made:
        await bench.close()


@pytest.fixture
async def bench(make_bench: Callable[..., Bench]) -> Bench:
    found = make_bench()
    await found.serve()
    return found


@pytest.fixture
async def client(bench: Bench) -> AsyncIterator[AsyncClient]:
    async with bench.client() as found:
        yield found


@pytest.fixture
async def raw(bench: Bench) -> Raw:
    return await bench.raw()
