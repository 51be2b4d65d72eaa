"""Steps on a screen: what is happening now, for how long, and how it ended. Standard library only."""

from __future__ import annotations

import os
import sys
import threading
import time
from types import TracebackType
from typing import TextIO

FIRST_SIGN_S = 1.0
HEARTBEAT_S = 10.0
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class Step:
    """One step. ``note`` says how far it is; a step over a second shows its time while it runs.

    On a terminal the line is rewritten; elsewhere it is printed when the step ends, and for a long step after
    a second and then every ten, so that a log shows that something is still happening.
    """

    def __init__(self, out: TextIO, title: str, *, live: bool) -> None:
        self._out = out
        self._title = title
        self._live = live
        self._note = ""
        self._began = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)
        self.took_s = 0.0

    def note(self, text: str) -> None:
        """How far the step is; kept on the line when the step ends."""
        self._note = text

    def __enter__(self) -> Step:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.took_s = time.monotonic() - self._began
        self._over.set()
        self._thread.join()
        mark = "✓" if kind is None else "✗"
        self._write(f"{mark} {self._line()}", end="\n")

    def _line(self) -> str:
        seconds = time.monotonic() - self._began
        return f"{self._title:<42} {seconds:6.1f} s" + (f"  {self._note}" if self._note else "")

    def _show(self) -> None:
        frame, wait = 0, 0.1 if self._live else FIRST_SIGN_S
        while not self._over.wait(wait):
            if self._live:
                self._write(f"{_FRAMES[frame % len(_FRAMES)]} {self._line()}")
                frame += 1
            else:
                self._write(f"… {self._line()}", end="\n")
                wait = HEARTBEAT_S

    def _write(self, text: str, end: str = "") -> None:
        if self._live:
            width = _columns(self._out)
            text = f"\r\x1b[K{text[: width - 1]}"
        print(text, end=end, file=self._out, flush=True)


class Steps:
    """Shows steps on ``out``, one after the other."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self.live = out.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def step(self, title: str) -> Step:
        return Step(self._out, title, live=self.live)

    def say(self, text: str = "") -> None:
        print(text, file=self._out, flush=True)

    def heading(self, text: str) -> None:
        self.say(f"\x1b[1m{text}\x1b[0m" if self.live else text)


def _columns(out: TextIO) -> int:
    try:
        return os.get_terminal_size(out.fileno()).columns or 80
    except OSError:
        return 80
