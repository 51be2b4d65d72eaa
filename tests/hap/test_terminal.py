from __future__ import annotations

import os
import pty
import select
import signal
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from bzzzd.hap.screen.terminal import Window, ascii_only, colours, usable

from .desk import Desk, serving, until
from .portals import Home, Terminal

Open = Callable[..., Terminal]


async def test_the_first_frame_is_what_was_seen_last_and_needs_no_daemon(home: Home, open_terminal: Open) -> None:
    home.remember()
    terminal = open_terminal()
    await terminal.shows("1 needs you")
    terminal.type("2")
    await terminal.shows("Summarise the opening")
    await terminal.shows(r"▲ offline.*seen up to #1042")
    terminal.type("q")
    assert await terminal.ends() == 0
    await terminal.is_restored()


async def test_live_tasks_keys_and_the_form(home: Home, open_terminal: Open) -> None:
    desk = Desk()
    async with serving(desk, home.socket):
        terminal = open_terminal()
        await terminal.shows("No tasks yet")
        desk.task("t-1", title="Read the log", state="working", agent="worker-1")
        await terminal.shows("● working +worker-1 +now +Read the log")
        terminal.type("n")
        await terminal.shows("New task")
        terminal.type("Check it")
        terminal.type("\t")
        terminal.type("all of it\rnow")
        await terminal.shows("now")
        terminal.type("\x13")
        await terminal.shows("○ submitted .* Check it")
        assert [brief["body"] for brief in desk.briefs.values()] == ["all of it\nnow"]
        terminal.type("c")
        await terminal.shows("cancel in")
        terminal.type("u")
        await terminal.shows("taken back")
        assert len(desk.commands) == 1


async def test_a_daemon_that_goes_and_comes_is_told_and_nothing_seen_is_lost(home: Home, open_terminal: Open) -> None:
    desk = Desk()
    async with serving(desk, home.socket):
        terminal = open_terminal()
        desk.task("t-1", title="Read the log")
        await terminal.shows("Read the log")
    await terminal.shows("▲ offline")
    assert "Read the log" in terminal.text
    async with serving(desk, home.socket):
        await terminal.shows("● lena")
        assert "offline" not in terminal.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
async def test_a_signal_gives_the_terminal_back_and_keeps_the_draft(
    home: Home, open_terminal: Open, number: signal.Signals
) -> None:
    terminal = open_terminal()
    await terminal.shows("offline")
    terminal.type("n")
    await terminal.shows("New task")
    terminal.type("Half a thought")
    await terminal.shows("Half a thought")
    terminal.process.send_signal(number)
    assert await terminal.ends() == 0
    await terminal.is_restored()
    again = open_terminal()
    await again.shows("offline")
    again.type("n")
    await again.shows("Half a thought")


async def test_a_signal_before_the_loop_runs_gives_the_terminal_back_too(home: Home, open_terminal: Open) -> None:
    terminal = open_terminal()
    await until(lambda: b"\x1b[?1049h" in terminal.raw)
    terminal.process.terminate()
    assert await terminal.ends() == 0
    await terminal.is_restored()


def test_an_exception_gives_the_terminal_back() -> None:
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    with pytest.raises(ZeroDivisionError), Window(slave, slave):
        assert termios.tcgetattr(slave) != before
        raise ZeroDivisionError
    assert termios.tcgetattr(slave) == before
    written = b""
    while b"\x1b[?1049l" not in written:
        assert select.select([master], [], [], 5)[0], written
        written += os.read(master, 65536)
    os.close(master)
    os.close(slave)


def test_a_terminal_that_takes_nothing_is_not_waited_for_and_never_blocks() -> None:
    master, slave = pty.openpty()
    with Window(slave, slave) as window:
        while not window.busy:
            window.write("x" * 4096)
        window.write("y")
    assert window.fd == -1
    os.close(master)
    os.close(slave)


async def test_suspending_gives_the_terminal_back_and_coming_back_draws_it_again(
    home: Home, open_terminal: Open
) -> None:
    terminal = open_terminal()
    await terminal.shows("offline")
    terminal.type("\x1a")
    stopped = Path(f"/proc/{terminal.process.pid}/stat")
    await until(lambda: stopped.read_text().rpartition(")")[2].split()[0] == "T")
    await terminal.is_restored()
    terminal.raw = b""
    terminal.process.send_signal(signal.SIGCONT)
    await until(lambda: b"\x1b[?1049h" in terminal.raw and b"Tasks" in terminal.raw)
    terminal.type("?")
    await terminal.shows("open the chosen row")


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 2), (5, 3), (300, 80)])
async def test_a_window_of_any_size_works_and_can_be_left(open_terminal: Open, width: int, height: int) -> None:
    terminal = open_terminal(width, height)
    await until(lambda: b"\x1b[2J" in terminal.raw)
    for key in ("n", "x", "\x1b[Z", "\x13"):
        terminal.type(key)
    terminal.type("\x03")
    assert await terminal.ends() == 0


async def test_the_frame_follows_the_window_s_size(home: Home, open_terminal: Open) -> None:
    home.remember()
    terminal = open_terminal()
    await terminal.shows("offline")
    terminal.type("2")
    terminal.resize(130, 30)
    await terminal.shows("│.*state +● working")
    assert len(terminal.lines) == 30


async def test_a_paste_of_5_MB_is_cut_told_and_leaves_the_portal_quick_and_small(
    home: Home, open_terminal: Open
) -> None:
    terminal = open_terminal()
    await terminal.shows("offline")
    terminal.type("n")
    await terminal.shows("New task")
    terminal.type("\t")
    before = terminal.memory_kb()
    await terminal.paste(b"\x1b[200~" + b"some pasted words\r" * (5_000_000 // 18) + b"\x1b[201~")
    await terminal.shows("the body holds 400,000 characters; the rest was left out", 60)
    terminal.type("\x7f\x7fZ")
    await terminal.shows("Z", 5)
    assert terminal.memory_kb() - before < 16_000


async def test_typing_in_one_endless_line_costs_no_memory_for_each_key(home: Home, open_terminal: Open) -> None:
    terminal = open_terminal()
    await terminal.shows("offline")
    terminal.type("n")
    await terminal.shows("New task")
    terminal.type("\t")
    await terminal.paste(b"\x1b[200~" + "wörter ".encode() * 60_000 + b"\x1b[201~")
    await terminal.shows("the rest was left out", 60)
    terminal.type("\x7f" * 60 + "!")
    await terminal.shows("!", 30)
    before = terminal.memory_kb()
    for key in "\x7f" * 40:
        terminal.type(key)
    terminal.type("?")
    await terminal.shows(r"\?", 30)
    assert terminal.memory_kb() - before < 8_000


async def test_monochrome_and_a_silent_terminal_are_no_trouble(home: Home, open_terminal: Open) -> None:
    terminal = open_terminal(NO_COLOR="1")
    await terminal.shows("offline")
    terminal.type("j")
    assert b";38;5;" not in terminal.raw
    # No question was asked of the terminal: no device attributes, no capabilities, no cursor position.
    assert not [query for query in (b"\x1b[c", b"\x1bP+q", b"\x1b[6n", b"\x1b[>") if query in terminal.raw]


async def test_two_portals_of_one_person_are_two_sessions(home: Home, open_terminal: Open) -> None:
    desk = Desk()
    desk.task("t-1", title="Seen by both")
    async with serving(desk, home.socket) as server:
        one, two = open_terminal(), open_terminal()
        await one.shows("● lena")
        await two.shows("● lena")
        assert len([session for session in server.sessions if session.attached]) == 2
        desk.task("t-1", state="completed")
        await one.shows("✓ completed")
        await two.shows("✓ completed")


def test_a_window_is_drawn_only_on_a_terminal_that_can_move_its_cursor() -> None:
    master, slave = pty.openpty()
    read, write = os.pipe()
    assert usable({"TERM": "xterm"}, slave, slave)
    assert not usable({"TERM": "dumb"}, slave, slave)
    assert not usable({}, slave, slave)
    assert not usable({"TERM": "xterm"}, read, slave)
    assert not usable({"TERM": "xterm"}, slave, write)
    for end in (master, slave, read, write):
        os.close(end)


def test_colours_and_signs_follow_what_the_terminal_says() -> None:
    assert colours({"TERM": "xterm", "COLORTERM": "truecolor"}, 1) == 1 << 24
    assert ascii_only({"TERM": "linux"})
    assert ascii_only({"TERM": "xterm", "LANG": "de_DE.ISO-8859-1"})
    assert not ascii_only({"TERM": "xterm", "LANG": "C.UTF-8"})
    assert not ascii_only({"TERM": "xterm"})


def test_reading_takes_no_more_than_its_cap() -> None:
    master, slave = pty.openpty()
    with Window(slave, slave) as window:
        os.write(master, b"x" * 2000)
        select.select([slave], [], [], 5)
        assert 0 < len(window.read()) <= 65_536
    os.close(master)
    os.close(slave)


async def test_a_first_frame_that_the_terminal_takes_in_pieces_is_followed_by_others(
    home: Home, open_terminal: Open
) -> None:
    home.remember()
    terminal = open_terminal(400, 250)  # more than a terminal holds unread
    terminal.pause()
    await until(lambda: select.select([terminal.master], [], [], 0)[0])
    terminal.go_on()
    await terminal.shows("offline")
    terminal.type("n")
    await terminal.shows("New task")
