"""The portal with the real daemon: one node, one person, in a terminal and as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from .portals import Home, Terminal, piped

Open = Callable[..., Terminal]

pytestmark = pytest.mark.integration


async def test_a_task_written_in_the_window_is_read_canceled_and_retried(node: Home, open_terminal: Open) -> None:
    terminal = open_terminal(100, 30)
    await terminal.shows("● lena · admin", 40)
    await terminal.walk(
        ("n", "New task"),
        ("Check the mail\tAll of it.\x13", "○ submitted +- +.*Check the mail"),
        ("\r", "All of it."),
        ("t", "submitted +by person:lena"),
        ("c7", "● ready +ledger"),
    )
    terminal.type("q")
    assert await terminal.ends() == 0
    await terminal.is_restored()
    lines = '{"action": "filter", "text": "canceled"}\n'
    _, out, _ = await piped(node, "--headless", lines=lines)
    tasks = [line["task"] for line in map(json.loads, out.splitlines()) if line["type"] == "task"]
    assert [(task["title"], task["state"]) for task in tasks[-1:]] == [("Check the mail", "canceled")]
    retry = json.dumps({"action": "retry", "task": tasks[-1]["id"], "now": True})
    _, out, _ = await piped(node, "--headless", lines=retry + "\n")
    outcome = [line for line in map(json.loads, out.splitlines()) if line["type"] == "outcome"]
    assert outcome[0]["ok"] is True
    assert outcome[0]["task"] != tasks[-1]["id"]
