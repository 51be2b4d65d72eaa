"""The portal with the real daemon: one node, one person, in a terminal and as JSON lines."""

from __future__ import annotations

import json

import pytest

from .portals import Home, Terminal, piped

pytestmark = pytest.mark.integration


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
