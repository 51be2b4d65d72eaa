"""The loop around ``update``: messages in, effects out, and a surface that shows what changed.

The only place where the portal's state is held. Terminal, ``--plain`` and ``--headless`` are surfaces.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from bzzzd.errors import BzzzError
from bzzzd.hap.files.quoting import read_texts
from bzzzd.hap.files.state import StateFolder, seen_of
from bzzzd.hap.messages import (
    Ask,
    Attach,
    Call,
    Copy,
    Edit,
    Effect,
    FilesRead,
    Later,
    Look,
    Message,
    Offline,
    Online,
    Open,
    Order,
    Post,
    Protect,
    Quit,
    ReadFiles,
    Redraw,
    SaveAnswer,
    SaveCache,
    SaveContent,
    Saved,
    SaveDrafts,
    SaveTheme,
    SendAnswer,
    Submit,
    Suspend,
    Tick,
    Unlock,
    Unsaved,
)
from bzzzd.hap.ticking import next_tick
from bzzzd.hap.update import update
from bzzzd.hap.values.model import Model

_TICK_S = 1.0


class Performer(Protocol):
    """Whoever carries effects to the daemon and sends messages back."""

    def perform(self, effect: Call) -> None: ...


class Surface(Protocol):
    """What a person or a program sees. Called in the loop, after each change."""

    def changed(self, old: Model, new: Model, message: Message) -> None: ...
    def redraw(self) -> None: ...
    def suspend(self) -> None: ...
    def copy(self, text: str) -> None: ...
    def edit(self, path: Path, text: str) -> None: ...


class Core:
    """Holds the model. ``send`` is the only way to change it; ``ended`` is set when the portal may leave."""

    def __init__(self, model: Model, state: StateFolder, clock: Callable[[], float]) -> None:
        self.model = model
        self.ended = asyncio.Event()
        self.settled = asyncio.Event()
        self._state = state
        self._clock = clock
        self._surface: Surface | None = None
        self._performer: Performer | None = None
        self._loop = asyncio.get_running_loop()
        self._tick: asyncio.TimerHandle | None = None
        self._files: asyncio.Queue[tuple[str, Callable[[], None]] | None] = asyncio.Queue()
        self._writing = self._loop.create_task(self._write_files())

    def connect(self, surface: Surface, performer: Performer) -> None:
        """Name the two ends; messages may be sent from now on."""
        self._surface, self._performer = surface, performer
        self._plan_tick()

    def send(self, *messages: Message) -> None:
        """Change the model by each message in turn, perform the effects, and show the result."""
        now = self._clock()
        if abs(now - self.model.now) >= _TICK_S:
            self._apply(Tick(now))
        for message in messages:
            self._apply(message)
        self._plan_tick()

    def _apply(self, message: Message) -> None:
        old = self.model
        self.model, effects = update(old, message)
        if isinstance(message, Online | Offline):
            self.settled.set()
        for effect in effects:
            self._perform(effect)
        if self._surface is not None:
            self._surface.changed(old, self.model, message)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case (
                Ask()
                | Attach()
                | Submit()
                | Post()
                | Order()
                | Open()
                | Look()
                | SendAnswer()
                | Unlock()
                | Protect()
                | SaveContent()
            ):
                if self._performer is not None:
                    self._performer.perform(effect)
            case Later(seconds=seconds, message=message):
                self._loop.call_later(seconds, self.send, message)
            case SaveDrafts(drafts=drafts):
                self._files.put_nowait(("draft", lambda: self._state.save_drafts(drafts)))
            case ReadFiles(paths=paths, then=then):
                self._files.put_nowait(("file", lambda: self._read(paths, then)))
            case SaveAnswer(prompt=prompt, texts=texts):
                self._files.put_nowait(("answer", lambda: self._state.save_answer(prompt, texts)))
            case SaveTheme(theme=theme):
                self._files.put_nowait(("theme", lambda: self._state.save_theme(theme)))
            case SaveCache():
                seen = seen_of(self.model)
                self._files.put_nowait(("seen", lambda: self._state.save_seen(seen)))
            case Redraw():
                if self._surface is not None:
                    self._surface.redraw()
            case Suspend():
                if self._surface is not None:
                    self._surface.suspend()
            case Copy(text=text):
                if self._surface is not None:
                    self._surface.copy(text)
            case Edit(text=text):
                if self._surface is not None:
                    self._surface.edit(self._state.editor_file(), text)
            case Quit():
                self.ended.set()

    def _plan_tick(self) -> None:
        """One timer for everything that changes by time alone; an idle portal wakes no more often than needed."""
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        wait = next_tick(self.model)
        if wait is not None and not self.ended.is_set():
            self._tick = self._loop.call_later(wait, self._ticked)

    def _ticked(self) -> None:
        self._tick = None
        self._apply(Tick(self._clock()))
        self._plan_tick()

    def _read(self, paths: tuple[str, ...], then: str) -> None:
        """In a thread: the files that a form names, as text."""
        texts, faults = read_texts(paths)
        self._loop.call_soon_threadsafe(self.send, FilesRead(texts, faults, then))

    async def _write_files(self) -> None:
        """Files are written in order and off the loop: a slow disk does not hold up a key."""
        while (job := await self._files.get()) is not None:
            what, write = job
            try:
                await asyncio.to_thread(write)
            except (BzzzError, OSError) as error:
                self.send(Unsaved(what, str(error)))
            else:
                if what == "draft" and self.model.unsaved:
                    self.send(Saved())

    async def close(self) -> None:
        """Write what is still to be written, and stop the timer."""
        if self._tick is not None:
            self._tick.cancel()
        self._files.put_nowait(None)
        await self._writing
        self._state.close()
