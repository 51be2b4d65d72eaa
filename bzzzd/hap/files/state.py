"""The portal's files in the person's state folder: what was seen last, the draft, the theme.

Everything is written whole or not at all, 0600 in 0700, because titles and drafts are readable in it.
A second portal of the same person has a draft of its own: each takes the first draft that no other holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from bzzzd.errors import UNREADABLE, BzzzError
from bzzzd.hap.files.scratch import left
from bzzzd.hap.text import clean_block
from bzzzd.hap.values.asked import Asked, Prompt, Reception
from bzzzd.hap.values.books import Book
from bzzzd.hap.values.chronicle import Event
from bzzzd.hap.values.lists import ordered
from bzzzd.hap.values.logbook import Line
from bzzzd.hap.values.model import Draft, Me, Model, Page
from bzzzd.hap.values.shelf import Entry
from bzzzd.hap.values.talk import Said, Thread
from bzzzd.hap.values.things import Agent, Health, Peer, Status, Task

EDITED = "body"
"""The field of a text that an editor left and no draft names."""
CACHED_TASKS = 200
CACHED_ENTRIES = 1000
CACHED_TEXT = 500_000
"""Code points of the texts of threads, and of those of the context."""
MAX_DRAFTS = 32
_LIMIT = 16_777_216
T = TypeVar("T")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


class Seen(Struct, frozen=True):
    """What one portal had on its screen, for the first frame of the next."""

    socket: str
    number: int
    at: float
    me: Me = Me()
    status: Status = Status()
    health: Health = Health()
    tasks: tuple[Task, ...] = ()
    agents: tuple[Agent, ...] = ()
    peers: tuple[Peer, ...] = ()
    prompts: tuple[Prompt, ...] = ()
    asked: tuple[Asked, ...] = ()
    receptions: tuple[Reception, ...] = ()
    read: dict[str, float] = {}
    threads: tuple[Thread, ...] = ()
    spoken: dict[str, tuple[Said, ...]] = {}
    entries: tuple[Entry, ...] = ()
    books: tuple[Book, ...] = ()
    events: tuple[Event, ...] = ()
    lines: tuple[Line, ...] = ()
    pages: tuple[Page, ...] = ()


def seen_of(model: Model) -> Seen:
    """The part of the model that is worth keeping; the newest tasks only."""
    return Seen(
        socket=model.link.socket,
        number=model.link.number,
        at=model.link.seen,
        me=model.me,
        status=model.status,
        health=model.health,
        tasks=tuple(model.tasks[id] for id in ordered(model.tasks, "")[:CACHED_TASKS]),
        agents=model.agents[:CACHED_TASKS],
        peers=model.peers[:CACHED_TASKS],
        prompts=tuple(sorted(model.prompts.values(), key=lambda row: -row.created)[:CACHED_TASKS]),
        asked=tuple(model.asked.values()),
        read=dict(model.read),
        receptions=tuple(one for one in model.receptions.values() if one.state != "waiting"),
        threads=tuple(model.talk.threads[id] for id in model.talk.order[:CACHED_TASKS]),
        spoken=dict(_newest(model.talk.spoken, lambda said: sum(len(one.text) for one in said))),
        entries=tuple(model.shelf.entries.values())[:CACHED_ENTRIES] if not model.shelf.pattern else (),
        books=tuple(book for _, book in _newest(model.shelf.books, lambda book: sum(map(len, book.texts.values())))),
        events=model.events[:CACHED_TASKS],
        lines=model.logbook.lines[-CACHED_TASKS:],
        pages=tuple(model.pages.values()),
    )


def _newest(kept: Mapping[str, T], size: Callable[[T], int]) -> list[tuple[str, T]]:
    """What was opened last, as long as its text is not too much; in the order in which it was opened."""
    found: list[tuple[str, T]] = []
    total = 0
    for id in reversed(tuple(kept)):
        total += size(kept[id])
        if found and total > CACHED_TEXT:
            break
        found.insert(0, (id, kept[id]))
    return found


class StateFolder:
    """The files below ``folder``. Reading never fails: what is missing or damaged counts as absent."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "portal"
        self._draft: Path | None = None
        self._lock: int | None = None

    def _read(self, path: Path) -> bytes:
        try:
            with path.open("rb") as file:
                return file.read(_LIMIT)
        except OSError:
            return b""

    def _write(self, path: Path, data: bytes) -> None:
        """Raises ``DiskFull`` or ``StorageFailed``."""
        # Imported late: it brings the signing library, for which the first frame does not wait.
        from bzzzd.crypto.keys import write_private

        write_private(path, data, replace=True)

    def seen(self, socket: str) -> Seen | None:
        """What was last seen through this socket."""
        try:
            found = msgspec.msgpack.decode(self._read(self._folder / "seen.msgpack"), type=Seen)
        except UNREADABLE:  # missing, damaged or of another version: the daemon tells it all again
            return None
        return found if found.socket == socket else None

    def save_seen(self, seen: Seen) -> None:
        self._write(self._folder / "seen.msgpack", msgspec.msgpack.encode(seen))

    def theme(self) -> str:
        """The theme that the person chose last, or nothing."""
        return self._read(self._folder / "theme")[:256].decode("utf-8", "replace").strip()

    def save_theme(self, name: str) -> None:
        self._write(self._folder / "theme", f"{name}\n".encode())

    def save_answer(self, prompt: str, texts: tuple[str, ...]) -> None:
        """Keep what is being written as an answer; nothing, when it was sent. Raises as ``save_draft``."""
        path = self._folder / "answers" / f"{prompt}.json"
        if not _NAME.match(prompt):
            return
        if not any(texts):
            path.unlink(missing_ok=True)
            return
        kept = sorted(path.parent.glob("*.json"), key=lambda one: one.stat().st_mtime)
        for old in kept[: max(0, len(kept) - MAX_DRAFTS + 1)]:
            if old != path:
                old.unlink(missing_ok=True)
        self._write(path, msgspec.json.encode(texts))

    def written(self) -> dict[str, tuple[str, ...]]:
        """Answers that were begun and not sent, by prompt."""
        found = {}
        for path in sorted((self._folder / "answers").glob("*.json"))[: MAX_DRAFTS * 2]:
            with contextlib.suppress(*UNREADABLE):
                found[path.stem] = msgspec.json.decode(self._read(path), type=tuple[str, ...])
        return found

    def take_drafts(self) -> tuple[Draft, ...]:
        """The first kept drafts that no other portal holds, or none in a place of its own."""
        folder = self._folder / "drafts"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            return ()  # saving will say why
        free: list[tuple[bool, int, Path]] = []
        for number in range(MAX_DRAFTS):
            path = folder / f"{number}.json"
            free.append((not path.exists(), number, path))
        for _, _, path in sorted(free):
            if self._hold(path):
                self._draft = path
                return self._edited(self._kept(path))
        return ()

    def _kept(self, path: Path) -> tuple[Draft, ...]:
        try:
            return msgspec.json.decode(self._read(path), type=tuple[Draft, ...])
        except UNREADABLE:
            return ()

    def _edited(self, drafts: tuple[Draft, ...]) -> tuple[Draft, ...]:
        """The drafts with what an editor had written when the portal was killed; under an id of its own then."""
        path = self.editor_file()
        text = left(path)
        draft = drafts[0] if drafts else Draft("")
        name = draft.editing or EDITED
        if text is None or text == draft.values.get(name, ""):
            return drafts
        values = {**draft.values, name: clean_block(text)}
        mended = replace(draft, id=f"{os.urandom(6).hex()}-0", values=values, tried=False, editing="")
        drafts = (mended, *drafts[1:])
        try:
            self.save_drafts(drafts)
        except BzzzError:
            return drafts  # the file stays, and is read again at the next start
        path.unlink(missing_ok=True)
        return drafts

    def editor_file(self) -> Path:
        """Where the draft's text goes for the person's own editor; beside the draft, and as closed."""
        stem = self._draft.stem if self._draft is not None else f"{os.getpid()}"
        return self._folder / "drafts" / f"{stem}.edit.md"

    def _hold(self, path: Path) -> bool:
        try:
            lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def save_drafts(self, drafts: tuple[Draft, ...]) -> None:
        """Raises ``DiskFull`` or ``StorageFailed``; the file is then the one before."""
        if self._draft is None:
            self.take_drafts()
        if self._draft is None:
            raise BzzzError(f"no place for a draft in {self._folder}: the folder is not writable, or has {MAX_DRAFTS}")
        if drafts:
            self._write(self._draft, msgspec.json.encode(drafts))
        else:
            self._draft.unlink(missing_ok=True)

    def close(self) -> None:
        """Let another portal have the draft."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
