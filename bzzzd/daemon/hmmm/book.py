"""The threads that this node holds: added to once for each message, read as state, forgotten by rule."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, NamedTuple

from bzzzd.errors import BzzzError
from bzzzd.hmmm.message import Message, read_message
from bzzzd.hmmm.thread import BOUNDS, EMPTY, Bounds, Said, Speaker, Thread, thread_of
from bzzzd.storage import threads
from bzzzd.storage.journal.journal import Journal
from bzzzd.storage.threads import MARK_BYTES, Head, Kept
from bzzzd.storage.versions.context import ContextStore
from bzzzd.storage.versions.rows import Pending

MOST_THREADS: Final = 10_000
# A thread without a word for so long is forgotten here; a month after it was closed by the same silence.
KEEP_S: Final = 60 * 86_400.0
_PRUNE_S: Final = 600.0
# Messages of threads that were read lately and stay in memory; each takes about a kilobyte.
_READ_KEPT: Final = 8192


class Talk(NamedTuple):
    """A thread's state with its messages by id: what was signed, and by whom."""

    thread: Thread
    kept: dict[str, tuple[Kept, Message]]


NO_TALK: Final = Talk(EMPTY, {})


def said_of(kept: Kept, message: Message) -> Said:
    """A message as the rules see it."""
    by = Speaker(kept.by_id, kept.by_kind, kept.by_role, kept.author)
    return Said(kept.id, message.kind, kept.at, by, message.reply_to, message.window_s)


class ThreadBook:
    """``clock`` gives Unix seconds. ``load`` comes first."""

    def __init__(
        self,
        journal: Journal,
        *,
        clock: Callable[[], float] = time.time,
        bounds: Bounds = BOUNDS,
        most: int = MOST_THREADS,
        keep_s: float = KEEP_S,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self.bounds = bounds
        self._most = most
        self._keep_s = keep_s
        self._heads: dict[str, Head] = {}
        self._floor = 0.0
        self._root = bytes(MARK_BYTES)
        self._read: OrderedDict[str, tuple[bytes, Talk]] = OrderedDict()
        self._read_kept = 0

    async def load(self) -> None:
        """What an earlier life has kept."""
        heads, self._floor = await self._journal.read(
            lambda connection: (threads.heads(connection), threads.floor(connection))
        )
        for head in heads:
            self._enter(head)
        await self.prune()

    def _enter(self, head: Head) -> None:
        before = self._heads.get(head.thread)
        if before is not None:
            self._root = threads.mixed(self._root, before.mark)
        self._heads[head.thread] = head
        self._root = threads.mixed(self._root, head.mark)

    def __len__(self) -> int:
        return len(self._heads)

    @property
    def root(self) -> bytes:
        """One word for everything that is here: equal at two nodes that hold the same."""
        return self._root

    @property
    def heads(self) -> Iterable[Head]:
        return self._heads.values()

    def head(self, thread: str) -> Head | None:
        return self._heads.get(thread)

    def latest(self) -> list[Head]:
        """Every thread, the one that was last spoken in first."""
        return sorted(self._heads.values(), key=lambda head: (head.last_at, head.thread), reverse=True)

    def takes(self, thread: str, last_at: float) -> bool:
        """Whether a thread whose last message is of ``last_at`` is kept here."""
        return thread in self._heads or last_at > max(self._floor, self._clock() - self._keep_s)

    async def talk(self, thread: str) -> Talk:
        """The state of a thread and its messages; an empty one where nothing is known."""
        head = self._heads.get(thread)
        if head is None:
            return NO_TALK if self.bounds == BOUNDS else Talk(thread_of((), self.bounds), {})
        held = self._read.get(thread)
        if held is not None and held[0] == head.mark:
            self._read.move_to_end(thread)
            return held[1]
        rows = await self._journal.read(partial(threads.read, thread=thread))
        kept = {row.id: (row, read_message(row.raw)) for row in rows}
        talk = Talk(thread_of((said_of(*one) for one in kept.values()), self.bounds), kept)
        mark = bytes(MARK_BYTES)
        for row in rows:
            mark = threads.mixed(mark, threads.mark_of(row.id))
        self._drop(thread)
        self._read[thread] = (mark, talk)
        self._read_kept += len(kept)
        while self._read_kept > _READ_KEPT and len(self._read) > 1:
            self._drop(next(iter(self._read)))
        return talk

    def _drop(self, thread: str) -> None:
        gone = self._read.pop(thread, None)
        if gone is not None:
            self._read_kept -= len(gone[1].kept)

    async def add(self, kept: Kept, text: Pending) -> bool:
        """Keep a checked message with its text; whether it was new. Durable when this returns."""

        def work(connection: sqlite3.Connection) -> Head | None:
            ContextStore.insert(connection, text)
            return threads.insert(connection, kept, self.bounds.messages)

        head = await self._journal.write(work)
        if head is None:
            return False
        self._enter(head)
        return True

    async def prune(self) -> None:
        """Forget what is too old, and what is too much."""
        while True:
            before = self._clock() - self._keep_s
            gone, self._floor = await self._journal.write(partial(threads.prune, before=before, most=self._most))
            if not gone:
                return
            for id in gone:
                head = self._heads.pop(id, None)
                self._drop(id)
                if head is not None:
                    self._root = threads.mixed(self._root, head.mark)

    async def keep_pruned(self) -> None:
        """``prune`` now and then, for as long as the node runs."""
        while True:
            await asyncio.sleep(_PRUNE_S)
            try:
                await self.prune()
            except BzzzError:
                continue  # a disk that is full says so itself
