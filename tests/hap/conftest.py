"""Options and fixtures of the portal's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .nodes import one_node
from .portals import Home


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--renew-goldens", action="store_true", help="write tests/hap/goldens anew from what the views show now"
    )


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Home]:
    """A real bzzzd, and the home of the person who may do everything on it."""
    async with one_node(tmp_path) as home:
        yield home
