from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import struct
import termios
from collections.abc import Iterator
from pathlib import Path

import pyte
import pytest
from msgspec.structs import replace

from bzzzd.hap.core import Core
from bzzzd.hap.feeds import tasks as task_feed
from bzzzd.hap.files.state import StateFolder
from bzzzd.hap.messages import Ask, Attach, Came, Order, Submit
from bzzzd.hap.screen.keys import Decoder
from bzzzd.hap.screen.painter import Painter
from bzzzd.hap.screen.surface import TerminalSurface
from bzzzd.hap.screen.terminal import Window
from bzzzd.hap.themes import theme

from .builders import NOW, TASKS, online
from .desk import until


class Nobody:
    def perform(self, effect: Ask | Attach | Submit | Order) -> None:
        """There is no daemon here."""


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    os.set_blocking(master, False)
    yield master, slave
    os.close(master)
    os.close(slave)


def _round(number: int) -> Came:
    """Every task with another title: all rows of the list change."""
    items = tuple(
        task_feed.TaskChanged(replace(task, title=f"Round {number} " + "x" * 60, updated=NOW + number))
        for task in TASKS
    )
    return Came("tasks", items, number)


def _take(master: int) -> bytes:
    found = b""
    while True:
        try:
            found += os.read(master, 65536)
        except BlockingIOError:
            return found


async def test_while_a_line_is_stalled_no_frames_are_made_and_then_the_newest_is(
    ends: tuple[int, int], tmp_path: Path
) -> None:
    master, slave = ends
    core = Core(online(), StateFolder(tmp_path), lambda: NOW)
    with Window(slave, slave) as window:
        surface = TerminalSurface(window, Painter(theme("dark")), Decoder(lambda _: "", 100), core)
        core.connect(surface, Nobody())
        with surface:
            surface.redraw()
            rounds = 0
            while not window.busy:  # until the line takes no more
                rounds += 1
                core.send(_round(rounds))
                surface.redraw()
            for more in range(1, 2000):
                core.send(_round(rounds + more))
            written = 0
            screen = pyte.Screen(80, 24)
            stream = pyte.ByteStream(screen)

            def newest() -> bool:
                nonlocal written
                data = _take(master)
                written += len(data)
                stream.feed(data)
                return f"Round {rounds + 1999} " in screen.display[2]

            await until(newest)
            # What the line held, and one more frame; two thousand would be over two megabytes.
            assert written < 100_000
    await core.close()


async def test_events_are_drawn_twenty_times_a_second_and_keys_at_once(ends: tuple[int, int], tmp_path: Path) -> None:
    master, slave = ends
    core = Core(online(), StateFolder(tmp_path), lambda: NOW)
    with Window(slave, slave) as window:
        surface = TerminalSurface(window, Painter(theme("dark")), Decoder(lambda _: "", 100), core)
        core.connect(surface, Nobody())
        with surface:
            surface.redraw()
            _take(master)
            core.send(_round(1))
            core.send(_round(2))
            assert _take(master) == b""
            os.write(master, b"j")
            loop = asyncio.get_running_loop()
            began = loop.time()
            found = b""

            def arrived() -> bool:
                nonlocal found
                found += _take(master)
                return bool(found)

            await until(arrived)
            assert b"Round 2" in found
            assert b"Round 1" not in found
            assert loop.time() - began < 20
            assert core.model.lists["tasks"].chosen == "t-0004"
    await core.close()
