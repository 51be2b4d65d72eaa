"""What goes wrong around a person, each an ordinary case: the screen stays whole and nothing typed is lost."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import resource
import signal
import sys
import termios
import time
from collections.abc import Callable

import pytest

from bzzzd.hap.files.state import StateFolder

from .desk import Desk, serving, until
from .portals import PROGRAM, Home, Terminal, piped

Open = Callable[..., Terminal]

CONTROLS = "".join(map(chr, [*range(0x01, 0x20), *range(0x7F, 0xA0)]))
DIRECTIONS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
ALEF = "\u05d0\u05d1\u05d2"


async def _left(terminal: Terminal) -> None:
    """The portal ends as asked, and the terminal is as it was found."""
    terminal.type("\x03")
    assert await terminal.ends() == 0
    await terminal.is_restored()


def _titles(home: Home) -> list[str]:
    """The drafts that are on the disk, by their titles."""
    kept = (StateFolder(home.state)._kept(path) for path in (home.state / "portal/drafts").glob("*.json"))
    return sorted(draft.title for drafts in kept for draft in drafts)


async def test_a_message_with_every_control_and_direction_character_changes_nothing_but_its_own_words(
    home: Home, open_terminal: Open
) -> None:
    desk = Desk()
    nasty = f"start{CONTROLS}{DIRECTIONS}\x1b[2J\x1b]0;owned\x07\x1b[31mred {ALEF} 100 end"
    desk.task("t-1", title=nasty)
    desk.briefs["t-1"] = {"title": nasty, "body": "\n".join(nasty for _ in range(3))}
    async with serving(desk, home.socket):
        terminal = open_terminal()
        await terminal.shows(r"red .* 100 end")
        assert "Inbox" in terminal.lines[0]
        assert "1 submitted" in terminal.lines[-1]
        terminal.type("\r")
        await terminal.shows("Brief")
        await terminal.shows(r"start.*red")
        assert b"\x1b[31m" not in terminal.raw
        assert b"owned" not in terminal.raw
        shown = terminal.raw.decode("utf-8", "replace")
        assert not [sign for sign in DIRECTIONS if sign in shown and sign != "\u200e"]
        assert f"{ALEF}\u200e 100" in shown
        await _left(terminal)


async def test_a_terminal_is_told_to_order_nothing_by_itself_and_that_is_taken_back(open_terminal: Open) -> None:
    terminal = open_terminal()
    await terminal.shows("offline")
    assert b"\x1b[8l" in terminal.raw
    await _left(terminal)
    assert terminal.raw.rindex(b"\x1b[8h") > terminal.raw.rindex(b"\x1b[8l")


async def test_a_message_of_500_kB_is_read_scrolled_and_left(home: Home, open_terminal: Open) -> None:
    desk = Desk()
    desk.task("t-1", title="Read all of it " * 40_000)
    desk.briefs["t-1"] = {"title": "long", "body": "a line of many words that go on and on\n" * 12_500 + "the very end"}
    async with serving(desk, home.socket):
        terminal = open_terminal()
        await terminal.shows("Read all of it")
        terminal.type("\r")
        await terminal.shows("a line of many words")
        terminal.type("G")
        await terminal.shows("the very end", 30)
        began = time.monotonic()
        terminal.type("k")
        await until(lambda: "the very end" not in terminal.text)
        assert time.monotonic() - began < 5
        assert terminal.memory_kb() < 80_000
        await _left(terminal)


async def test_10_000_events_a_second_leave_keys_quick_and_the_newest_shown(home: Home, open_terminal: Open) -> None:
    desk = Desk()
    for number in range(100):
        desk.task(f"t-{number:03}", title=f"Task number {number}", created=1.0 + number)
    async with serving(desk, home.socket):
        terminal = open_terminal()
        await terminal.shows("Task number 99")
        ending = False
        sent = 0

        async def flood() -> None:
            nonlocal sent
            loop = asyncio.get_running_loop()
            began = loop.time()
            while not ending:
                for _ in range(min(400, int((loop.time() - began) * 10_000) - sent)):
                    progress = {"done": sent, "total": 1_000_000, "note": f"step {sent}"}
                    desk.task(f"t-{sent % 100:03}", state="working", agent="worker-1", progress=progress)
                    sent += 1
                await asyncio.sleep(0.005)

        flooding = asyncio.create_task(flood())
        try:
            await until(lambda: sent > 10_000, 60)
            terminal.type("?")
            await terminal.shows("open the chosen row", 10)
            terminal.type("q")
            await until(lambda: "open the chosen row" not in terminal.text, 10)
            assert "Inbox" in terminal.lines[0]
        finally:
            ending = True
            await flooding
        desk.task("t-099", title="The last word")
        await terminal.shows("The last word", 30)
        assert terminal.memory_kb() < 80_000
        await _left(terminal)


async def test_a_full_disk_while_a_draft_is_saved_is_told_and_nothing_typed_is_lost(
    home: Home, open_terminal: Open
) -> None:
    terminal = open_terminal()
    await terminal.shows("offline")
    terminal.type("n")
    await terminal.shows("New task")
    resource.prlimit(terminal.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    terminal.type("A thought")
    await terminal.shows("(not saved|memory only).*no space left")
    terminal.type(" that goes on")
    await terminal.shows("A thought that goes on")
    resource.prlimit(terminal.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    terminal.type("!")
    await terminal.shows("kept as you type")
    await until(lambda: _titles(home) == ["A thought that goes on!"])
    await _left(terminal)


async def test_what_was_typed_survives_a_kill(home: Home, open_terminal: Open) -> None:
    terminal = open_terminal()
    await terminal.shows("offline")
    terminal.type("n")
    await terminal.shows("New task")
    terminal.type("Typed before the end")
    kept = home.state / "portal/drafts/0.json"
    await until(lambda: _titles(home) == ["Typed before the end"])
    terminal.process.kill()
    assert await terminal.ends() == -signal.SIGKILL
    assert kept.stat().st_mode & 0o777 == 0o600
    again = open_terminal()
    await again.shows("offline")
    again.type("n")
    await again.shows("Typed before the end")


async def test_a_daemon_killed_while_an_order_is_under_way_gets_it_once(home: Home, open_terminal: Open) -> None:
    desk = Desk()
    desk.swallow = 1
    async with serving(desk, home.socket):
        terminal = open_terminal()
        await terminal.shows("● lena")
        terminal.type("n")
        await terminal.shows("New task")
        terminal.type("Ask it once\x13")
        await until(lambda: len(desk.commands) == 1)
    await terminal.shows("▲ offline")
    async with serving(desk, home.socket):
        await terminal.shows("○ submitted.*Ask it once", 30)
        assert len(desk.commands) == 2
        assert len(set(desk.commands)) == 1
        assert len(desk.tasks) == 1
        await _left(terminal)


async def test_two_portals_at_once_keep_a_draft_each(home: Home, open_terminal: Open) -> None:
    one, two = open_terminal(), open_terminal()
    for terminal, words in ((one, "From the first"), (two, "From the second")):
        await terminal.shows("offline")
        terminal.type("n")
        await terminal.shows("New task")
        terminal.type(words)
        await terminal.shows(words)
    for terminal in (one, two):
        await _left(terminal)
    kept = _titles(home)
    assert kept == ["From the first", "From the second"]


@pytest.mark.parametrize("ahead", [3600.0, -3600.0])
async def test_a_clock_that_is_an_hour_off_shows_ages_that_can_be(
    home: Home, open_terminal: Open, ahead: float
) -> None:
    desk = Desk()
    desk.task("t-1", title="From another clock", created=time.time() + ahead)
    desk.task("t-2", title="From this one")
    async with serving(desk, home.socket):
        terminal = open_terminal()
        await terminal.shows(rf"{'now' if ahead > 0 else '1h'} +From another clock")
        await terminal.shows(r"(now|\d+s) +From this one")
        terminal.type("\r")
        await terminal.shows("Brief")
        await _left(terminal)


@pytest.mark.parametrize("locale", ["C", "de_DE.ISO-8859-1"])
async def test_without_UTF_8_every_byte_is_ASCII_and_still_tells_everything(
    home: Home, open_terminal: Open, locale: str
) -> None:
    desk = Desk()
    desk.task("t-1", title="Crème 漢字", state="completed")
    async with serving(desk, home.socket):
        terminal = open_terminal(LC_ALL=locale)
        await terminal.shows(r"completed.*Cr\?me \?\?\?\?")
        terminal.type("?")
        await terminal.shows("open the chosen row")
        assert terminal.raw.isascii()
        await _left(terminal)


@pytest.mark.parametrize("term", ["linux", "xterm", "screen", "tmux-256color", "vt100", "no-such-terminal"])
async def test_any_terminal_that_moves_its_cursor_gets_a_whole_window(
    home: Home, open_terminal: Open, term: str
) -> None:
    home.remember()
    terminal = open_terminal(TERM=term)
    await terminal.shows("Delete the old backups")
    terminal.type("?")
    await terminal.shows("open the chosen row")
    terminal.type("q")
    await _left(terminal)


async def test_a_dumb_terminal_gets_lines(home: Home, open_terminal: Open) -> None:
    terminal = open_terminal(TERM="dumb")
    await terminal.shows("BZZZ portal, plain mode")
    assert b"\x1b" not in terminal.raw
    terminal.type("quit\n")
    assert await terminal.ends() == 0


async def test_a_pipe_gets_lines(home: Home) -> None:
    status, out, errors = await piped(home, lines="tasks\nquit\n")
    assert (status, errors) == (0, "")
    assert "BZZZ portal, plain mode" in out
    assert "\x1b" not in out


async def test_whoever_reads_slowly_through_a_pipe_that_does_not_wait_gets_every_line(home: Home) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, "--config", str(home.config), "--plain", stdin=asyncio.subprocess.PIPE, stdout=writing,
        env=home.environ(),
    )  # fmt: skip
    os.close(writing)
    assert process.stdin is not None
    process.stdin.write(b"help\n" * 100)
    process.stdin.close()
    held = [0]

    def full() -> bool:
        held.append(int.from_bytes(fcntl.ioctl(reading, termios.FIONREAD, bytes(4)), sys.byteorder))
        return held[-1] == held[-2] > 32_768

    await until(full)
    with os.fdopen(reading, "rb") as out:
        told = await asyncio.wait_for(asyncio.to_thread(out.read), 30)
    assert await asyncio.wait_for(process.wait(), 10) == 0
    assert told.count(b"open that row of the list") == 100


async def test_a_terminal_that_goes_away_ends_the_portal_and_keeps_the_draft(home: Home, open_terminal: Open) -> None:
    terminal = open_terminal()
    await terminal.shows("offline")
    terminal.type("n")
    await terminal.shows("New task")
    terminal.type("Cut off")
    await terminal.shows("Cut off")
    with contextlib.suppress(OSError):
        terminal.process.send_signal(signal.SIGHUP)
    assert await terminal.ends() == 0
    assert StateFolder(home.state).take_drafts()[0].title == "Cut off"


async def test_a_slow_line_skips_frames_and_shows_the_newest_when_it_goes_on(home: Home, open_terminal: Open) -> None:
    desk = Desk()
    async with serving(desk, home.socket):
        terminal = open_terminal()
        await terminal.shows("● lena")
        terminal.pause()
        for number in range(400):
            desk.task(f"t-{number % 20}", title=f"Round {number} " + "x" * 50)
            if number % 20 == 0:
                await asyncio.sleep(0.03)
        terminal.raw = b""
        terminal.go_on()
        await terminal.shows("Round 399 ", 30)
        assert len(terminal.raw) < 200_000
        await _left(terminal)


@pytest.mark.parametrize("ending", ["q", "\x03", "TERM", "HUP", "INT", "crash"])
async def test_the_terminal_is_restored_at_every_exit(home: Home, open_terminal: Open, ending: str) -> None:
    terminal = open_terminal()
    await terminal.shows("offline")
    if ending in ("TERM", "HUP", "INT"):
        terminal.process.send_signal(getattr(signal, f"SIG{ending}"))
    elif ending == "crash":
        # The folder of the state becomes a file: what cannot be saved must not keep the terminal.
        home.state.rename(home.folder / "gone")
        home.state.write_text("")
        terminal.type("q")
    else:
        terminal.type(ending)
    assert await terminal.ends() == 0
    await terminal.is_restored()
