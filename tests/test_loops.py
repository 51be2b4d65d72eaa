import asyncio
from pathlib import Path

import pytest

from tests.loops import OurLoop


def test_a_loop_that_is_closed_with_a_server_open_ends_and_names_it(tmp_path: Path) -> None:
    loop = OurLoop()
    kept = loop.run_until_complete(loop.create_unix_server(asyncio.Protocol, tmp_path / "s"))
    with pytest.raises(AssertionError, match="UnixServer"):
        loop.close()
    assert loop.is_closed()
    del kept
