"""A real bzzzd of one node, with a person's home beside it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.ports import free_port

from .desk import until
from .portals import Home


@asynccontextmanager
async def one_node(tmp_path: Path) -> AsyncIterator[Home]:
    """bzzzd in a folder, in development: the owner of its socket is its administrator."""
    home = Home(tmp_path)
    config = {
        "binary_type": "daemon", "agent": {"id": "node-1"}, "ai": {},
        "network": {"socket": str(home.socket), "listen": [f"/ip4/127.0.0.1/tcp/{free_port()}"]},
        "security": {"development": True}, "ports": {"http_port": 0, "health_port": 0},
        "storage": {"state_dir": str(tmp_path / "node")},
    }  # fmt: skip
    path = tmp_path / "bzzzd.yaml"
    path.write_text(json.dumps(config))
    with (tmp_path / "log").open("wb") as log:
        daemon = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bzzzd.daemon.main", "--config", str(path), stdout=log, stderr=log,
            env={**os.environ, "HOME": str(tmp_path)},
        )  # fmt: skip
    try:
        await until(lambda: home.socket.exists() or daemon.returncode is not None, 30)
        assert daemon.returncode is None, (tmp_path / "log").read_text()
        yield home
    finally:
        daemon.terminate()
        await daemon.wait()
