"""Every view of the portal with a real node, in a real terminal: what was written elsewhere is found and read there."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from .nodes import one_node
from .portals import Home, Terminal, piped

pytestmark = pytest.mark.integration

NOW = "They hold the queues.\nNothing is missing."
ADDRESS = "ucxl://lena:admin@mail:t-9/*^/notes/backups"


async def _bzzz(home: Home, *words: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bzzzd.cli.main", *words, "--socket", str(home.socket), "--json",
        env=home.environ(BZZZ_CONFIG_PATH=str(home.config)), stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), errors.decode()


async def bzzz(home: Home, *words: str) -> str:
    """A command of the same person, as soon as the node is ready; gives what it printed."""
    async with asyncio.timeout(90):
        while "NOT_READY" in (answer := await _bzzz(home, *words))[2]:
            pass
    assert answer[0] == 0, answer[2]
    return answer[1]


async def test_every_view_shows_what_a_real_node_has(node: Home) -> None:
    await bzzz(node, "context", "put", ADDRESS, "--body", "They hold the queues.\nThe keys are missing.")
    await bzzz(node, "context", "put", ADDRESS, "--body", NOW)
    task = json.loads(await bzzz(node, "task", "submit", "Check the backups"))["task"]["id"]
    await bzzz(node, "hmmm", "post", task, "I read the notes first.", "--kind", "proposal", "--refs", ADDRESS)
    terminal = Terminal(node, 110, 32)
    try:
        await terminal.shows("● lena", 40)
        terminal.type("4")
        await terminal.shows(r"▸ lena / admin +3 places")
        terminal.type("/backups\r")
        await terminal.shows(r"1 found")
        await terminal.shows(r"mail / t-9 / notes / backups +2 +lena")
        terminal.type("\r")
        await terminal.shows("Nothing is missing.")
        terminal.type("[")
        await terminal.shows("The keys are missing.")
        terminal.type("]=")
        await terminal.shows(r"2 - The keys are missing\..*2 \+ Nothing is missing\.")
        terminal.type("v")
        await terminal.shows(r"●    2 .*lena .*latest, at 1")
        terminal.type("p")
        await terminal.shows(r"holders +node-1")
        terminal.type("w")
        await terminal.shows("Save to: t-9-notes-backups-v2[.]txt")
        terminal.type(f"\x15{node.folder}\r")
        await terminal.shows("saved 41 B as")
        assert (node.folder / "t-9-notes-backups-v2.txt").read_text() == NOW
        terminal.type("3")
        await terminal.shows("● open +.*lena.*Check the backups|I read the notes first")
        terminal.type("\r")
        await terminal.shows(r"▌proposal · lena \(person admin\)")
        terminal.type("o")
        await terminal.shows("Nothing is missing.")
        terminal.type("\x1b")
        await terminal.shows("I read the notes first.")
        version = json.loads(await bzzz(node, "context", "history", ADDRESS))["versions"][0]["version_id"]
        await bzzz(node, "hmmm", "post", task, "Which notes?", "--kind", "question", "--refs", version)
        await terminal.shows("Which notes[?]")
        terminal.type("o")
        await terminal.shows("The keys are missing.")
        terminal.type("\x1b")
        await terminal.shows("Which notes[?]")
        terminal.type("a")
        await terminal.shows(r"\[answer\]")
        terminal.type("\tThe ones of today.\x13")
        await terminal.shows("└ answer · lena")
        await terminal.shows("The ones of today[.]")
        terminal.type("t")
        await terminal.shows("Check the backups")
        terminal.type("s")
        await terminal.shows("Which notes[?]")
        terminal.type("8")
        await terminal.shows("threads +(question )? *lena: question")
        terminal.type("9")
        await terminal.shows("info +.*")
        await terminal.shows("of [0-9]+ +")
        terminal.type("5")
        await terminal.shows("No agent is attached")
        terminal.type("6")
        await terminal.shows("alone in its mesh")
        terminal.type("7")
        await terminal.shows("● ready +ledger")
        terminal.type("1")
        await terminal.shows("Inbox")
        terminal.type("q")
        assert await terminal.ends() == 0
    finally:
        terminal.close()


async def test_what_was_read_is_readable_in_the_next_portal_without_the_daemon(tmp_path: Path) -> None:
    async with one_node(tmp_path) as home:
        await bzzz(home, "context", "put", ADDRESS, "--body", NOW)
        task = json.loads(await bzzz(home, "task", "submit", "Check the backups"))["task"]["id"]
        await bzzz(home, "hmmm", "post", task, "I read the notes first.", "--kind", "proposal", "--refs", ADDRESS)
        lines = f"context\nreference {ADDRESS}\nthreads\nopen {task}\ntasks\nopen {task}\nbrief\nlogs\n"
        _, out, errors = await piped(home, "--plain", lines=lines)
        assert "Nothing is missing." in out, errors
    lines = f"reference {ADDRESS}\nthreads\nopen {task}\nlogs\n"
    _, out, errors = await piped(home, "--plain", lines=lines)
    assert "offline: " in out, errors
    assert "version 1 of 1, by lena:\nThey hold the queues.\nNothing is missing." in out
    assert "proposal by lena" in out
    assert "I read the notes first." in out
    assert "info: " in out


async def test_the_same_is_told_in_words(node: Home) -> None:
    await bzzz(node, "context", "put", ADDRESS, "--body", "They hold the queues.")
    _, out, errors = await piped(node, "--plain", lines="context\n1\nprovenance\nlogs\nevents\nthreads\n")
    assert "1. lena / admin / mail / t-9 / notes / backups: 1 version, newest by lena" in out, errors
    assert "version 1 of 1, by lena:\nThey hold the queues." in out
    assert "holders: node-1 (1" in out
    assert "info: " in out
    assert "threads: none" in out
