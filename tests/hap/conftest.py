"""Options and fixtures of the portal's tests."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from .nodes import one_node
from .portals import Home, Terminal


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--renew-goldens", action="store_true", help="write tests/hap/goldens anew from what the views show now"
    )


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Home]:
    """A real bzzzd, and the home of the person who may do everything on it."""
    async with one_node(tmp_path) as home:
        yield home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
async def open_terminal(home: Home) -> AsyncIterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_(width: int = 80, height: int = 24, **environ: str) -> Terminal:
        opened.append(Terminal(home, width, height, **environ))
        return opened[-1]

    yield open_
    for terminal in opened:
        terminal.close()
