"""The terminal as a surface: keys in, frames out, signals, suspend and resume.

What a person does is drawn at once; what the mesh does, twenty times a second at most. While the terminal has
not taken the last frame, no other is made: a slow line skips frames instead of falling behind.
"""

from __future__ import annotations

import asyncio
import os
import signal

from bzzzd.hap.core import Core
from bzzzd.hap.keys import ESCAPE_S, Decoder
from bzzzd.hap.messages import Act, Key, Message, Paste, Resized
from bzzzd.hap.model import Model
from bzzzd.hap.painter import Painter
from bzzzd.hap.terminal import Window
from bzzzd.hap.themes import theme
from bzzzd.hap.view import view

FRAME_S = 0.05
_LEAVING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_SIGNALS = (*_LEAVING, signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT)


class TerminalSurface:
    """Draws ``core``'s model in ``window``; a context that holds the loop's readers and signal handlers."""

    def __init__(self, window: Window, painter: Painter, decoder: Decoder, core: Core) -> None:
        self._window = window
        self._painter = painter
        self._decoder = decoder
        self._core = core
        self._loop = asyncio.get_running_loop()
        self._theme = core.model.theme
        self._reading = False
        self._stale = False
        self._writing = False
        self._frame: asyncio.TimerHandle | None = None
        self._escape: asyncio.TimerHandle | None = None
        self._painted = 0.0

    def __enter__(self) -> TerminalSurface:
        self._loop.add_reader(self._window.stdin, self._readable)
        for number in _LEAVING:
            self._loop.add_signal_handler(number, self._leave)
        self._loop.add_signal_handler(signal.SIGWINCH, self._resized)
        self._loop.add_signal_handler(signal.SIGTSTP, self.suspend)
        self._loop.add_signal_handler(signal.SIGCONT, self._resumed)
        self._resized()  # the window may have changed while nobody listened
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.remove_reader(self._window.stdin)
        if self._writing:
            self._loop.remove_writer(self._window.fd)
        for number in _SIGNALS:
            self._loop.remove_signal_handler(number)
        for timer in (self._frame, self._escape):
            if timer is not None:
                timer.cancel()

    # From the terminal

    def _readable(self) -> None:
        data = self._window.read()
        if not data:
            self._leave()  # hung up
            return
        if self._escape is not None:
            self._escape.cancel()
            self._escape = None
        self._take(self._decoder.feed(data))
        if self._decoder.waiting:
            self._escape = self._loop.call_later(ESCAPE_S, self._escaped)

    def _escaped(self) -> None:
        self._escape = None
        self._take(self._decoder.flush())

    def _take(self, events: list[Key | Paste]) -> None:
        """All keys of one read, then one frame."""
        self._reading = True
        try:
            self._core.send(*events)
        finally:
            self._reading = False
        if events:
            self._paint()

    def _leave(self) -> None:
        self._core.send(Act("leave"))

    def _resized(self) -> None:
        width, height = self._window.size()
        if (width, height) != (self._core.model.width, self._core.model.height):
            self._core.send(Resized(width, height))

    # To the terminal

    def changed(self, old: Model, new: Model, message: Message) -> None:
        if new is old or self._reading:
            return
        if isinstance(message, Act | Resized):
            self._paint()
        elif self._frame is None:
            wait = self._painted + FRAME_S - self._loop.time()
            self._frame = self._loop.call_later(max(0.0, wait), self._paint)

    def redraw(self) -> None:
        self._painter.forget()
        if not self._reading:
            self._paint()

    def _paint(self) -> None:
        if self._frame is not None:
            self._frame.cancel()
            self._frame = None
        if self._window.busy:
            self._stale = True
            return
        model = self._core.model
        if model.theme != self._theme:
            self._theme = model.theme
            self._painter.restyle(theme(model.theme))
        self._painted = self._loop.time()
        self._write(self._painter.paint(view(model, model.width, model.height)))

    def _write(self, text: str) -> None:
        try:
            self._window.write(text)
        except OSError:  # the terminal is gone; what is typed is saved on the way out
            self._leave()
            self._core.ended.set()
            return
        if self._window.busy and not self._writing:
            self._writing = True
            self._loop.add_writer(self._window.fd, self._writable)

    def _writable(self) -> None:
        try:
            self._window.flush()
        except OSError:
            self._leave()
            self._core.ended.set()
        if not self._window.busy or self._core.ended.is_set():
            self._writing = False
            self._loop.remove_writer(self._window.fd)
            if self._stale:
                self._stale = False
                self._paint()

    # Suspend and resume

    def suspend(self) -> None:
        """Give the terminal back and stop; goes on here when the shell continues us."""
        self._window.give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._resumed()

    def _resumed(self) -> None:
        """The shell may have changed the terminal meanwhile, and its size too."""
        self._window.take()
        self._painter.forget()
        self._resized()
        self._paint()
