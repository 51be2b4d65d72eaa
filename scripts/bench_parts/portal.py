"""The portal in a real terminal device: its start, its keys, its idle work, beside a bare interpreter and a bare echo.

A key's time is from the write into the terminal's end to the read that has the chosen row's mark in its new place.
The echo is a program that only reads a byte and writes it back through the same device: what the kernel and this
measurement take themselves.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Row = dict[str, Any]

DESK = Path(__file__).with_name("_portal_desk.py")
MARK = "▌".encode()
LIMIT_S = 30.0
TASKS = 200
ECHO = "import os,tty; tty.setraw(0)\nwhile data := os.read(0, 64): os.write(1, data)"


class Terminal:
    """A program in a terminal device of its own."""

    def __init__(self, command: list[str], size: tuple[int, int], **environ: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", **environ},
        )  # fmt: skip
        os.close(slave)

    def until(self, wanted: bytes, limit: float = LIMIT_S) -> float:
        """Seconds on the clock when these bytes have come."""
        held, end = b"", time.perf_counter() + limit
        while (left := end - time.perf_counter()) > 0:
            if select.select([self.master], [], [], left)[0]:
                held = held[-64:] + os.read(self.master, 65536)
                if wanted in held:
                    return time.perf_counter()
        raise RuntimeError(f"{wanted!r} did not come within {limit:g} s")

    def drain(self, quiet: float = 0.05, limit: float = LIMIT_S) -> int:
        """Read until nothing comes for so long; gives how many bytes came."""
        count, end = 0, time.perf_counter() + limit
        while time.perf_counter() < end and select.select([self.master], [], [], quiet)[0]:
            count += len(os.read(self.master, 65536))
        return count

    def read_for(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            if select.select([self.master], [], [], left)[0]:
                os.read(self.master, 65536)

    def key(self, key: bytes, wanted: bytes) -> float:
        """Milliseconds from a key to what it changes on the screen."""
        began = time.perf_counter()
        os.write(self.master, key)
        return 1000 * (self.until(wanted) - began)

    def kernel(self, name: str) -> float:
        """``RssAnon`` in MiB, or ``cpu`` in seconds of all threads."""
        folder = Path(f"/proc/{self.process.pid}")
        if name == "cpu":
            return sum(int((task / "schedstat").read_text().split()[0]) for task in (folder / "task").iterdir()) / 1e9
        line = next(line for line in (folder / "status").read_text().splitlines() if line.startswith(f"{name}:"))
        return int(line.split()[1]) / 1024

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            end = time.perf_counter() + 10
            while self.process.poll() is None and time.perf_counter() < end:
                self.drain(0.02, 0.2)
        except OSError:  # its end is closed already
            pass
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)


@contextmanager
def desk(folder: Path, rate: int) -> Iterator[Path]:
    """A daemon whose tasks change ``rate`` times a second."""
    socket = folder / "bzzzd.sock"
    process = subprocess.Popen(
        [sys.executable, str(DESK), str(socket), str(TASKS), str(rate)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("the daemon of the measurement did not start")
        yield socket
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
        socket.unlink(missing_ok=True)


@contextmanager
def shown(command: list[str], size: tuple[int, int] = (80, 24)) -> Iterator[Terminal]:
    terminal = Terminal(command, size)
    try:
        yield terminal
    finally:
        terminal.close()


def _portal(folder: Path) -> list[str]:
    config = folder / "hap.yaml"
    given = {
        "binary_type": "hap", "agent": {"id": "lena"}, "ai": {}, "security": {},
        "network": {"socket": str(folder / "bzzzd.sock")}, "storage": {"state_dir": str(folder / "state")},
    }  # fmt: skip
    config.write_text(json.dumps(given))
    return [sys.executable, "-m", "bzzzd.hap.main", "--config", str(config)]


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def _start(folder: Path, times: int) -> list[Row]:
    """First paint with the daemon up and down; the bare interpreter takes turns with them."""
    command = _portal(folder)
    taken: dict[str, list[float]] = {"up": [], "down": [], "bare": []}

    def first_paint(name: str) -> None:
        with shown(command) as terminal:
            taken[name].append(terminal.until(b"Inbox") - terminal.began)
            terminal.drain(0.3, 2)

    def bare() -> None:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True, timeout=LIMIT_S)
        taken["bare"].append(time.perf_counter() - began)

    def rounds(name: str) -> None:
        for _ in range(times + 1):
            first_paint(name)
            bare()
        del taken[name][0]  # it fills the caches, and leaves what was seen to the others

    with desk(folder, 0):
        rounds("up")
    rounds("down")
    base = statistics.median(taken["bare"])
    return [
        _row(f"first paint, daemon {name}", 0.20, statistics.median(taken[name]), "s", base, under=False)
        for name in ("up", "down")
    ]


def _on_tasks(terminal: Terminal) -> None:
    """Wait until the portal is attached and has drawn everything: a key's frame is then the only one with the mark."""
    terminal.until(b"lena")
    terminal.read_for(2.0)


def _keys(terminal: Terminal, times: int) -> list[float]:
    found = []
    for number in range(times):
        found.append(terminal.key(b"jk"[number % 2 : number % 2 + 1], MARK))
        terminal.read_for(0.013 + 0.007 * (number % 5))
    return found


def _echo(times: int) -> float:
    with shown([sys.executable, "-c", ECHO]) as terminal:
        terminal.key(b"a", b"a")
        return _percentile([terminal.key(b"x", b"x") for _ in range(times)], 0.95)


def _running(folder: Path, rate: int, size: tuple[int, int], measure: Callable[[Terminal], None]) -> None:
    with desk(folder, rate), shown(_portal(folder), size) as terminal:
        _on_tasks(terminal)
        measure(terminal)


def run(quick: bool) -> list[Row]:
    """The rows of the table."""
    times, seconds = (60, 6.0) if quick else (300, 30.0)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="bzzz-bench-") as name:
        folder = Path(name)
        rows += _start(folder, 5 if quick else 15)
        echo = _echo(times)

        def quiet(terminal: Terminal) -> None:
            rows.append(_row("key to paint p95, idle", 3, _percentile(_keys(terminal, times), 0.95), "ms", echo))
            terminal.drain(0.2)
            counts = []
            for key in b"jjjjkkkk":
                os.write(terminal.master, bytes([key]))
                counts.append(terminal.drain(0.1))
            rows.append(_row("bytes written for one key in a list", 600, max(counts), "B"))
            terminal.read_for(2.0)
            rows.append(_row("idle", 0.1, _share(terminal, seconds), "% of a core"))

        def busy(terminal: Terminal) -> None:
            found = _percentile(_keys(terminal, times), 0.95)
            rows.append(_row("key to paint p95, 1,000 events/s", 8, found, "ms", echo))
            rows.append(_row("1,000 events/s", 8, _share(terminal, seconds), "% of a core"))
            rows.append(_row("memory (RssAnon) after 1,000 events/s", 45, terminal.kernel("RssAnon"), "MiB"))

        def large(terminal: Terminal) -> None:
            rows.append(_row("key to paint p95, 200 x 60", 10, _percentile(_keys(terminal, times), 0.95), "ms", echo))

        _running(folder, 0, (80, 24), quiet)
        _running(folder, 1000, (80, 24), busy)
        _running(folder, 0, (200, 60), large)
    return rows


def _share(terminal: Terminal, seconds: float) -> float:
    """Per cent of a core over so many seconds; what it draws meanwhile is read."""
    began, before = time.perf_counter(), terminal.kernel("cpu")
    terminal.read_for(seconds)
    return 100 * (terminal.kernel("cpu") - before) / (time.perf_counter() - began)


def _row(name: str, asked: float, measured: float, unit: str, base: float | None = None, *, under: bool = True) -> Row:
    fits = measured < asked if under else measured <= asked
    return {
        "name": name, "asked": f"{'under' if under else '≤'} {asked:g} {unit}", "measured": measured, "baseline": base,
        "ratio": measured / base if base else None, "unit": unit, "ok": fits,
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv), indent=1))
