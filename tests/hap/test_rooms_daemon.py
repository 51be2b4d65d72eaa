"""Every view of the portal with a real node, in a real terminal: what was written elsewhere is found and read there."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .nodes import one_node
from .portals import Home, Terminal, piped

Open = Callable[..., Terminal]

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


async def test_every_view_shows_what_a_real_node_has(node: Home, open_terminal: Open) -> None:
    await bzzz(node, "context", "put", ADDRESS, "--body", "They hold the queues.\nThe keys are missing.")
    await bzzz(node, "context", "put", ADDRESS, "--body", NOW)
    task = json.loads(await bzzz(node, "task", "submit", "Check the backups"))["task"]["id"]
    await bzzz(node, "hmmm", "post", task, "I read the notes first.", "--kind", "proposal", "--refs", ADDRESS)
    terminal = open_terminal(110, 32)
    await terminal.shows("● lena", 40)
    await terminal.walk(
        ("4", r"▸ lena / admin +3 places"),
        ("/backups\r", r"1 found"),
        ("", r"mail / t-9 / notes / backups +2 +lena"),
        ("\r", "Nothing is missing."),
        ("[", "The keys are missing."),
        ("]=", r"2 - The keys are missing\..*2 \+ Nothing is missing\."),
        ("v", r"●    2 .*lena .*latest, on 1 node"),
        ("p", r"holders +node-1"),
        ("w", "Save to: t-9-notes-backups-v2[.]txt"),
        (f"\x15{node.folder}\r", "saved 41 B as"),
    )
    assert (node.folder / "t-9-notes-backups-v2.txt").read_text() == NOW
    await terminal.walk(
        ("3", "● open +.*lena.*Check the backups|I read the notes first"),
        ("\r", r"▌proposal · lena \(person admin\)"),
        ("o", "Nothing is missing."),
        ("\x1b", "I read the notes first."),
    )
    version = json.loads(await bzzz(node, "context", "history", ADDRESS))["versions"][0]["version_id"]
    await bzzz(node, "hmmm", "post", task, "Which notes?", "--kind", "question", "--refs", version)
    await terminal.walk(
        ("", "Which notes[?]"),
        ("o", "The keys are missing."),
        ("\x1b", "Which notes[?]"),
        ("a", r"\[answer\]"),
        ("\tThe ones of today.\x13", "└ answer · lena"),
        ("", "The ones of today[.]"),
        ("t", "Check the backups"),
        ("s", "Which notes[?]"),
        ("8", "threads +(question )? *lena: question"),
        ("9", "info +.*"),
        ("", "of [0-9]+ +"),
        ("5", "No agent is attached"),
        ("6", "alone in its mesh"),
        ("7", "● ready +ledger"),
        ("1", "Inbox"),
    )
    terminal.type("q")
    assert await terminal.ends() == 0


async def test_a_summary_closes_a_thread_and_is_kept_as_context(node: Home, open_terminal: Open) -> None:
    begun = json.loads(await bzzz(node, "hmmm", "post", "new", "Shall we?", "--subject", "The store"))
    thread = begun["message"]["thread"]
    terminal = open_terminal(100, 30)
    await terminal.shows("● lena", 40)
    await terminal.walk(
        ("3", "open +question +lena.*The store"),
        ("\r", "Shall we[?]"),
        ("m", r"\[answer\]"),
        ("s", r"\[summary\]"),
        ("\tWe move it on Monday.\x13", "■ closed"),
        ("", f"ucxl://lena:admin@default:{thread}"),
        ("o", "version 1 of 1"),
        ("", "We move it on Monday."),
    )
    kept = await bzzz(node, "context", "get", f"ucxl://lena:admin@default:{thread}/*^/thread/summary")
    assert "We move it on Monday." in kept


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
