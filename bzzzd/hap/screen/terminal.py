"""The terminal itself: its modes, its size, reading and writing it, and giving it back as it was.

Known traps of blessed 1.52, all kept in this file: it asks the terminal questions and waits for answers
(it is told to give up after 0.1 s, and built so that it asks none); with ``NO_COLOR`` it switches cursor
movement off (the variable is taken away, ``themes.py`` does without colour); ``TERM=dumb`` becomes full
styling (``usable`` says no); under tmux its mode switches do nothing (ours are written unconditionally);
its own key reading is quadratic for long pastes (``read`` takes what there is, with a cap).
"""

from __future__ import annotations

import contextlib
import curses
import os
import select
import termios
import time
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bzzzd.hap.screen.keys import Namer

READ_BYTES = 65_536
# Other screen, no automatic wrapping, no cursor, pasted text in brackets.
_ENTER = "\x1b[?1049h\x1b[?7l\x1b[?25l\x1b[?2004h\x1b[0m\x1b[2J"
# Presses and the wheel, in SGR form (xterm's ctlseqs). Switched on without asking: tmux answers no question.
_MOUSE_ON, _MOUSE_OFF = "\x1b[?1000h\x1b[?1006h", "\x1b[?1006l\x1b[?1000l"
# Explicit direction (ECMA-48 BDSM): a terminal that knows it orders no text by itself, so that a line in a
# right-to-left script cannot change places with its neighbours. See text.py for the terminals that do not.
_EXPLICIT, _IMPLICIT = "\x1b[8l", "\x1b[8h"
_LEAVE = "\x1b[?2004l\x1b[0m\x1b[?7h\x1b[?25h\x1b[2J\x1b[H\x1b[?1049l"


def usable(environ: Mapping[str, str], stdin: int, stdout: int) -> bool:
    """Whether a window can be drawn: two ends of a terminal that can move its cursor."""
    return os.isatty(stdin) and os.isatty(stdout) and environ.get("TERM", "dumb") not in ("", "dumb", "unknown")


def colours(environ: Mapping[str, str], fd: int) -> int:
    """How many colours the terminal shows; 8 when nobody knows it."""
    if environ.get("COLORTERM") in ("truecolor", "24bit"):
        return 1 << 24
    try:
        curses.setupterm(environ.get("TERM"), fd)
    except curses.error:
        return 8
    return max(0, curses.tigetnum("colors"))


def ascii_only(environ: Mapping[str, str]) -> bool:
    """Whether signs must be ASCII: the console's small font, or a locale that names another character set."""
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    charset = locale.partition(".")[2].partition("@")[0].lower().replace("-", "")
    # Without any locale nobody has said anything; the ones that say ASCII are meant so.
    return environ.get("TERM") == "linux" or locale in ("C", "POSIX") or charset not in ("", "utf8")


def blessed_namer(environ: MutableMapping[str, str]) -> Namer:
    """Names of escape sequences from blessed's tables for this terminal.

    ``environ`` is this process's own, changed before blessed is imported: it reads it while it is imported and built.
    """
    environ["BLESSED_QUERY_TIMEOUT_SECONDS"] = "0.1"
    environ.pop("NO_COLOR", None)
    from blessed import Terminal
    from blessed.keyboard import get_keyboard_codes, get_keyboard_sequences, resolve_sequence

    # A stream other than standard output has no keyboard for blessed, so it asks the terminal nothing.
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123  blessed wants a stream
        tables = Terminal(stream=nowhere, force_styling=True)
        sequences = get_keyboard_sequences(tables)
    codes = get_keyboard_codes()

    def name(sequence: str) -> str:
        return str(resolve_sequence(sequence, sequences, codes, final=True).name or "")

    return name


class Window:
    """The terminal while the portal has it. A context: whatever happens inside, it is given back.

    Writing never waits: what the terminal does not take is kept (``busy``) and goes on with ``flush``.
    """

    def __init__(self, stdin: int, stdout: int) -> None:
        self.stdin = stdin
        self._own = self._open(stdout)
        self.fd = stdout if self._own is None else self._own
        self._saved: list[Any] | None = None
        self._backlog = b""
        self._mouse = False
        self._taken = False

    @staticmethod
    def _open(stdout: int) -> int | None:
        # An open file of our own: writing without waiting must not be switched on for the shell's, too.
        try:
            return os.open(os.ttyname(stdout), os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            return None

    def __enter__(self) -> Window:
        self.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back()
        if self._own is not None:
            os.close(self._own)
            self.fd, self._own = -1, None

    def take(self) -> None:
        """Switch the terminal to single keys and the other screen."""
        saved = termios.tcgetattr(self.stdin)
        if self._saved is None:
            self._saved = saved  # before anything is changed: a signal may end us at any line
        raw: list[Any] = [part[:] if isinstance(part, list) else part for part in saved]
        raw[0] &= ~(termios.BRKINT | termios.ICRNL | termios.INLCR | termios.IGNCR | termios.ISTRIP | termios.IXON)
        raw[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN)
        raw[6][termios.VMIN], raw[6][termios.VTIME] = 0, 0
        termios.tcsetattr(self.stdin, termios.TCSANOW, raw)
        self.write(_ENTER + _EXPLICIT + (_MOUSE_ON if self._mouse else ""))
        self._taken = True

    def mouse(self, on: bool) -> None:
        """Take the mouse, or leave it to the terminal, where it selects text."""
        if on != self._mouse:
            self._mouse = on
            if self._taken:
                self.write(_MOUSE_ON if on else _MOUSE_OFF)

    def give_back(self) -> None:
        """Leave the terminal as it was found; twice does no harm, and a terminal that is gone none either."""
        saved, self._saved = self._saved, None
        self._taken = False
        if saved is None:
            return
        with contextlib.suppress(OSError):
            # What is half-written must end first, or the terminal reads our goodbye as part of it. A
            # terminal that takes nothing any more is not waited for.
            self.write(_MOUSE_OFF + _IMPLICIT + _LEAVE)
            deadline = time.monotonic() + 0.5
            while self.busy and (left := deadline - time.monotonic()) > 0 and select.select([], [self.fd], [], left)[1]:
                self.flush()
        self._backlog = b""
        with contextlib.suppress(termios.error):
            termios.tcsetattr(self.stdin, termios.TCSANOW, saved)

    def size(self) -> tuple[int, int]:
        """Columns and rows, at least 1 each."""
        try:
            columns, rows = os.get_terminal_size(self.fd)
        except OSError:
            return 80, 24
        return (max(1, columns), max(1, rows)) if columns or rows else (80, 24)

    def read(self) -> bytes:
        """What has been typed or pasted, up to ``READ_BYTES``; empty when the terminal is gone."""
        try:
            return os.read(self.stdin, READ_BYTES)
        except OSError:
            return b""

    @property
    def busy(self) -> bool:
        return bool(self._backlog)

    def write(self, text: str) -> None:
        self._backlog += text.encode("utf-8", "replace")
        self.flush()

    def flush(self) -> None:
        """Write as much of the backlog as the terminal takes now; ``OSError`` when it is gone."""
        while self._backlog:
            try:
                done = os.write(self.fd, self._backlog)
            except BlockingIOError:
                return
            except InterruptedError:
                continue
            self._backlog = self._backlog[done:]
