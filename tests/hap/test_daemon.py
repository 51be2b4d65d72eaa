"""The portal with the real daemon: one node, one person, in a terminal and as JSON lines."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .desk import until
from .portals import Home, Terminal, piped

pytestmark = pytest.mark.integration


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Home]:
    home = Home(tmp_path)
    config = {
        "binary_type": "daemon", "agent": {"id": "node-1"}, "ai": {},
        "network": {"socket": str(home.socket), "listen": [f"/ip4/127.0.0.1/tcp/{_free_port()}"]},
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


async def test_a_task_written_in_the_window_is_read_canceled_and_retried(node: Home) -> None:
    terminal = Terminal(node, 100, 30)
    try:
        await terminal.shows("● lena · admin", 40)
        terminal.type("n")
        await terminal.shows("New task")
        terminal.type("Check the mail")
        terminal.type("\t")
        terminal.type("All of it.")
        terminal.type("\x13")
        await terminal.shows("○ submitted +- +.*Check the mail")
        terminal.type("\r")
        await terminal.shows("All of it.")
        terminal.type("t")
        await terminal.shows("submitted +by person:lena")
        terminal.type("c")
        terminal.type("7")
        await terminal.shows("● ready +ledger")
        terminal.type("q")
        assert await terminal.ends() == 0
        await terminal.is_restored()
    finally:
        terminal.close()
    lines = '{"action": "filter", "text": "canceled"}\n'
    _, out, _ = await piped(node, "--headless", lines=lines)
    tasks = [line["task"] for line in map(json.loads, out.splitlines()) if line["type"] == "task"]
    assert [(task["title"], task["state"]) for task in tasks[-1:]] == [("Check the mail", "canceled")]
    retry = json.dumps({"action": "retry", "task": tasks[-1]["id"], "now": True})
    _, out, _ = await piped(node, "--headless", lines=retry + "\n")
    outcome = [line for line in map(json.loads, out.splitlines()) if line["type"] == "outcome"]
    assert outcome[0]["ok"] is True
    assert outcome[0]["task"] != tasks[-1]["id"]
