"""The terminal as a surface: keys in, frames out, signals, suspend and resume.

What a person does is drawn at once; what the mesh does, twenty times a second at most. While the terminal has
not taken the last frame, no other is made: a slow line skips frames instead of falling behind.

While the person's own editor has the terminal, nothing is read from it and nothing drawn; the mesh goes on.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from bzzzd.hap.core import Core
from bzzzd.hap.messages import Act, Message, Resized, Told
from bzzzd.hap.screen import clipboard
from bzzzd.hap.screen.editor import edit
from bzzzd.hap.screen.keys import ESCAPE_S, Decoder, Event
from bzzzd.hap.screen.painter import Painter
from bzzzd.hap.screen.terminal import Window
from bzzzd.hap.themes import BUILT_IN, Theme, theme
from bzzzd.hap.values.model import Model
from bzzzd.hap.view import view

FRAME_S = 0.05
_LEAVING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_SIGNALS = (*_LEAVING, signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT)


class TerminalSurface:
    """Draws ``core``'s model in ``window``; a context that holds the loop's readers and signal handlers.

    ``themes`` are those that the model may name.
    """

    def __init__(
        self, window: Window, painter: Painter, decoder: Decoder, core: Core, themes: Mapping[str, Theme] = BUILT_IN
    ) -> None:
        self._window = window
        self._painter = painter
        self._decoder = decoder
        self._core = core
        self._loop = asyncio.get_running_loop()
        self._themes = themes
        self._theme = core.model.theme
        self._editing: asyncio.Task[None] | None = None
        self._reading = False
        self._stale = False
        self._writing = False
        self._frame: asyncio.TimerHandle | None = None
        self._escape: asyncio.TimerHandle | None = None
        self._painted = 0.0

    def __enter__(self) -> TerminalSurface:
        self._loop.add_reader(self._window.stdin, self._readable)
        for number in _LEAVING:
            self._loop.add_signal_handler(number, self._told_to_leave, number)
        self._loop.add_signal_handler(signal.SIGWINCH, self._resized)
        self._loop.add_signal_handler(signal.SIGTSTP, self._stopped)
        self._loop.add_signal_handler(signal.SIGCONT, self._resumed)
        self._resized()  # the window may have changed while nobody listened
        self._go_on_writing()  # the first frame, written before there was a loop, may be longer than the terminal took
        return self

    def __exit__(self, *_: object) -> None:
        if self._editing is not None:
            self._editing.cancel()
        self._loop.remove_reader(self._window.stdin)
        if self._writing:
            self._writing = False
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

    def _take(self, events: list[Event]) -> None:
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

    def _told_to_leave(self, number: int) -> None:
        if number != signal.SIGINT or self._editing is None:  # Ctrl-C in the editor is the editor's
            self._leave()

    def _resized(self) -> None:
        width, height = self._window.size()
        if (width, height) != (self._core.model.width, self._core.model.height):
            self._core.send(Resized(width, height))

    # To the terminal

    def changed(self, old: Model, new: Model, message: Message) -> None:
        if new is old or self._reading:
            return
        if new.mouse_taken != old.mouse_taken:
            self._window.mouse(new.mouse_taken)
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
        if self._editing is not None:
            return
        if self._window.busy:
            self._stale = True
            return
        model = self._core.model
        if model.theme != self._theme:
            self._theme = model.theme
            self._painter.restyle(theme(model.theme, self._themes))
        self._painted = self._loop.time()
        self._write(self._painter.paint(view(model, model.width, model.height)))

    def _write(self, text: str) -> None:
        try:
            self._window.write(text)
        except OSError:  # the terminal is gone; what is typed is saved on the way out
            self._leave()
            self._core.ended.set()
            return
        self._go_on_writing()

    def _go_on_writing(self) -> None:
        """Where the terminal has not taken everything: write the rest when it takes more."""
        if self._window.busy and not self._writing:
            self._writing = True
            self._loop.add_writer(self._window.fd, self._writable)
            self._loop.call_later(FRAME_S, self._try_again)

    def _try_again(self) -> None:
        """A pseudo terminal does not always say that it takes more: a stalled frame looks by itself, too."""
        if self._writing and self._window.fd >= 0:
            self._writable()
            if self._writing:
                self._loop.call_later(FRAME_S, self._try_again)

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

    # Suspend and resume, the clipboard, the editor

    def suspend(self) -> None:
        """Give the terminal back and stop; goes on here when the shell continues us."""
        self._window.give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._resumed()

    def _stopped(self) -> None:
        if self._editing is None:
            self.suspend()
        else:
            os.kill(os.getpid(), signal.SIGSTOP)  # with the editor, which has the terminal

    def _resumed(self) -> None:
        """The shell may have changed the terminal meanwhile, and its size too."""
        if self._editing is not None:
            return
        self._window.take()
        self._painter.forget()
        self._resized()
        self._paint()

    def copy(self, text: str) -> None:
        """Put ``text`` into the terminal's clipboard, or tell why not."""
        if not clipboard.can_copy(os.environ):
            self._core.send(Told("this terminal has no clipboard to write to; the bare view lets you select", "warn"))
            return
        part, cut = clipboard.bounded(text)
        self._write(clipboard.sequence(part, os.environ))
        cut_off = f"; the rest of {len(text):,} was left out" if cut else ""
        self._core.send(Told(f"{len(part):,} characters sent to the terminal's clipboard{cut_off}", "ok"))

    def edit(self, path: Path, text: str) -> None:
        """Give the terminal to the person's own editor with ``text`` in ``path``."""
        if self._editing is None:
            self._loop.remove_reader(self._window.stdin)
            self._window.give_back()
            self._editing = self._loop.create_task(self._edit(path, text), name="editor")

    async def _edit(self, path: Path, text: str) -> None:
        result = await edit(path, text, os.environ)
        self._editing = None
        self._loop.add_reader(self._window.stdin, self._readable)
        self._resumed()
        self._core.send(result)
