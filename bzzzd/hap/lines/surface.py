"""Lines as a surface, for ``--plain`` and ``--headless``: one line in, its answers out, then the next line."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from bzzzd import __version__
from bzzzd.errors import BadInput, BzzzError
from bzzzd.hap.core import Core
from bzzzd.hap.lines import headless, plain
from bzzzd.hap.link.session import Session
from bzzzd.hap.messages import Act, Edited, Message, Told
from bzzzd.hap.text import ascii_only
from bzzzd.hap.values.model import LISTS, Model
from bzzzd.hap.writing.composing import PLACE

MAX_LINE = 1_048_576
SETTLE_S = 5.0
ANSWER_S = 15.0
_LISTING = frozenset({*LISTS, "filter", "look", "group", "level", "narrow"})
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Speaker(Protocol):
    """One of the two languages: what to say of a change, and what a line means."""

    def greeting(self, model: Model) -> bytes: ...
    def changes(self, old: Model, new: Model, message: Message) -> bytes: ...
    def hear(self, line: bytes, core: Core) -> bytes: ...
    def afterwards(self, core: Core) -> bytes: ...
    def ending(self, core: Core) -> None: ...


class Plain:
    """Words for people: numbered lists, commands by name, questions for a new task."""

    def __init__(self, *, ascii_terminal: bool) -> None:
        self._ascii = ascii_terminal
        self._asking: plain.Asking | None = None
        self._given: Mapping[str, str] = {}
        self._place: Mapping[str, str] = {}
        self._listing = False

    def _encode(self, lines: list[str]) -> bytes:
        text = "".join(f"{line}\n" for line in lines)
        return (ascii_only(text) if self._ascii else text).encode("utf-8", "replace")

    def greeting(self, model: Model) -> bytes:
        seen = plain.listing(model) if model.link.seen else []
        return self._encode([plain.GREETING, *seen])

    def changes(self, old: Model, new: Model, message: Message) -> bytes:
        return self._encode(plain.changes(old, new, message))

    def hear(self, line: bytes, core: Core) -> bytes:
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if self._asking is not None:
            return self._answer(text, core)
        if not text.strip():
            return b""
        try:
            act = plain.command(text, core.model)
        except BadInput as error:
            return self._encode([f"error: {error.message}"])
        if act.action == "help":
            return self._encode(plain.help_lines(core.model))
        if act.action in plain.WRITING:
            return self._ask(core, act)
        core.send(act)
        self._listing = act.action in _LISTING
        return b""

    def afterwards(self, core: Core) -> bytes:
        """The list that was asked for, once the answers are there that fill it."""
        due, self._listing = self._listing, False
        return self._encode(plain.listing(core.model)) if due else b""

    def _ask(self, core: Core, act: Act) -> bytes:
        try:
            form, sheet, place = plain.wanted(act, core.model)
        except BadInput as error:
            return self._encode([f"error: {error.message}"])
        said = {name: str(text) for name, text in act.args.items() if name not in PLACE}
        kept = plain.kept(core.model, form, place)
        if kept is not None and said:
            return self._encode([f"error: a draft is kept, {kept.title!r}; type it alone to go on with it"])
        self._place, self._given = {"form": form, **place}, said
        self._asking, question = plain.asking(form, sheet, {**(kept.values if kept else {}), **said})
        going_on = [] if kept is None else [f"going on with the draft that is kept, {kept.title!r}"]
        if self._asking is None:
            self._send(core)
            return self._encode(going_on)
        return self._encode([*going_on, question])

    def _answer(self, text: str, core: Core) -> bytes:
        assert self._asking is not None
        self._asking, question, self._given = plain.hear(self._asking, text)
        if self._asking is None:
            return self._send(core)
        return self._encode([question] if question else [])

    def _send(self, core: Core) -> bytes:
        core.send(Act("new", {**self._place, **self._given}), Act("submit"))
        return b""

    def ending(self, core: Core) -> None:
        """Keep what was typed of something that was not sent."""
        if self._asking is not None:
            core.send(Act("new", {**self._place, **self._given}))


class Headless:
    """JSON lines for programs; see ``headless.py``."""

    def greeting(self, model: Model) -> bytes:
        hello = headless.encode({"type": "hello", "schema": headless.SCHEMA, "version": __version__})
        return hello + b"".join(map(headless.encode, headless.first(model)))

    def changes(self, old: Model, new: Model, message: Message) -> bytes:
        return b"".join(map(headless.encode, headless.lines(old, new, message)))

    def hear(self, line: bytes, core: Core) -> bytes:
        if not line.strip():
            return b""
        try:
            act, re = headless.read(line, core.model)
        except BzzzError as error:
            told = {"type": "error", "re": error.data.get("re"), "code": error.code, "message": error.message}
            return headless.encode(told)
        before = core.model
        core.send(act)
        return headless.encode(headless.begun(before, core.model, act, re))

    def afterwards(self, core: Core) -> bytes:
        """Every change was told when it came."""
        return b""

    def ending(self, core: Core) -> None:
        """A program's lines are whole; nothing is half-typed."""


class LineSurface:
    """Runs until asked to leave, or until the input ends unless it is a ``service``.

    ``source`` and ``out`` are file descriptors.
    """

    def __init__(self, core: Core, session: Session, speaker: Speaker, source: int, out: int, *, service: bool) -> None:
        self._core = core
        self._session = session
        self._speaker = speaker
        self._source = source
        self._out = out
        self._service = service
        self._loop = asyncio.get_running_loop()

    def _say(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._out, data) :]
            except BlockingIOError:  # whoever gave us this output set it not to wait, and reads slowly
                select.select([], [self._out], [])
            except OSError:  # nobody reads any more
                self._core.ended.set()
                return

    def changed(self, old: Model, new: Model, message: Message) -> None:
        if new is not old:
            self._say(self._speaker.changes(old, new, message))

    def redraw(self) -> None:
        """Lines that were said stay said."""

    def suspend(self) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    def copy(self, text: str) -> None:
        """Lines can be selected as they are; a program has the text already."""
        self._core.send(Told("lines have no clipboard: the text is in the output", "warn"))

    def edit(self, path: Path, text: str) -> None:
        """Input and output are whoever's runs this; they are not an editor's to take."""
        self._core.send(Edited(None, "an editor needs the portal in a terminal"))

    async def run(self) -> None:
        """Answer each line in turn, once it is known whether the daemon is there."""
        for number in _SIGNALS:
            self._loop.add_signal_handler(number, self._core.send, Act("leave"))
        self._say(self._speaker.greeting(self._core.model))
        conversation = self._loop.create_task(self._converse())
        ended = self._loop.create_task(self._core.ended.wait())
        try:
            await asyncio.wait((conversation, ended), return_when=asyncio.FIRST_COMPLETED)
            if conversation.done():
                await conversation
        finally:
            conversation.cancel()
            ended.cancel()
            await asyncio.gather(conversation, ended, return_exceptions=True)
            for number in _SIGNALS:
                self._loop.remove_signal_handler(number)

    async def _converse(self) -> None:
        lines: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=64)
        threading.Thread(target=self._read, args=(lines,), name="input", daemon=True).start()
        try:
            async with asyncio.timeout(SETTLE_S):
                await self._core.settled.wait()
        except TimeoutError:
            pass  # the daemon neither answers nor refuses: the lines are heard, and told so
        await self._session.idle(SETTLE_S)
        while (line := await lines.get()) is not None:
            self._say(self._speaker.hear(line, self._core))
            await self._session.idle(ANSWER_S)
            self._say(self._speaker.afterwards(self._core))
        self._speaker.ending(self._core)
        if not self._service:
            self._core.send(Act("leave"))
        await self._core.ended.wait()

    def _read(self, lines: asyncio.Queue[bytes | None]) -> None:
        """In a thread of its own, because the input may be a file as well as a pipe; it waits while lines are unheard.

        Reads the descriptor itself: a thread that waits inside ``sys.stdin`` would hold its lock at exit.
        """
        held = b""
        while True:
            try:
                data = os.read(self._source, 65_536)
            except OSError:
                data = b""
            *whole, held = (held + data).split(b"\n")
            if len(held) > MAX_LINE:
                whole, held = [*whole, held], b""
            if not data and held:
                whole = [*whole, held]
            try:
                for line in (*whole, *(() if data else (None,))):
                    asyncio.run_coroutine_threadsafe(lines.put(line), self._loop).result()
            except (RuntimeError, asyncio.CancelledError):  # the loop has ended
                return
            if not data:
                return
