"""The journal: one SQLite connection in one thread, which commits the writes of many callers together.

Callers hand over functions of the connection. Up to ``BATCH`` writes share one transaction, and one
``fsync`` makes all of them durable::

    loop ──one SimpleQueue item per turn──▶ thread: reads │ BEGIN write* COMMIT
      ◀──one call_soon_threadsafe per group──┘

A write that fails is undone alone (``transactions.py`` says how).

What one turn of the loop asks for goes over together at its end: handed over one by one, the thread
would wake for the first, commit it alone, and fight the loop for the interpreter's lock meanwhile
(measured: a quarter more CPU for each write).

A write's future is done when it is durable. A read sees every write acknowledged before it was
asked, and never one that could still be undone: the reads of a batch run before its transaction.
A disk that is full fails the writes at hand and nothing else; damage ends the thread, and the
owner learns it from ``ended`` and ``failure``.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Final, TypeVar

from msgspec import Struct

from bzzzd.errors import BzzzError, NotReady, Overloaded, StorageFailed
from bzzzd.storage.faults import is_fatal
from bzzzd.storage.journal.database import Opened, Schema, open_database, quick_check, write_backup
from bzzzd.storage.journal.transactions import Answer, Kind, Operation, Transactions, fault_in

__all__ = ["Figures", "Journal", "Schema"]

BATCH: Final = 512
MAX_PENDING: Final = 32_768

T = TypeVar("T")


def _shrink(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA shrink_memory")


def _nothing(connection: sqlite3.Connection) -> None:
    return None


class Figures(Struct, frozen=True):
    """Counters since the opening: operations waiting, writes made durable, commits that made them so."""

    pending: int
    writes: int
    commits: int


class Journal:
    """Made with ``await Journal.open(…)``; every method belongs to the loop that opened it."""

    def __init__(self, path: Path, *, batch: int, max_pending: int) -> None:
        self.path = path
        self.incarnation = ""
        self.boot = 0
        self._batch = batch
        self._max_pending = max_pending
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[list[Operation] | None] = SimpleQueue()
        self._turn: list[Operation] = []
        self._opened: asyncio.Future[Opened] = self._loop.create_future()
        self._pending = self._writes = self._commits = 0
        self._closing = False
        self._at_hand: Sequence[Operation] = ()  # the thread's batch; ``_end`` reads it when the thread is done
        self._fault: BzzzError | None = None
        self._failure: BzzzError | None = None
        self.ended: asyncio.Future[None] = self._loop.create_future()
        """Done when the thread has ended: without a result after ``close``, with ``failure`` otherwise."""

    @classmethod
    async def open(
        cls, path: Path, schemas: Sequence[Schema], *, batch: int = BATCH, max_pending: int = MAX_PENDING
    ) -> Journal:
        """Open or make the file at ``path`` and start the writer.

        Raises ``StorageFailed`` (damaged, read-only, of a newer version), ``DiskFull``,
        ``AlreadyRunning`` (another process has it open) or ``KeyExposed`` (a folder others can write).
        """
        journal = cls(path, batch=batch, max_pending=max_pending)
        threading.Thread(target=journal._run, args=(tuple(schemas),), name="journal", daemon=True).start()
        try:
            opened = await asyncio.shield(journal._opened)
        except asyncio.CancelledError:
            await journal.close()
            journal._opened.cancelled() or journal._opened.exception()
            raise
        journal.incarnation, journal.boot = opened.incarnation, opened.boot
        return journal

    # On the loop.

    @property
    def failure(self) -> BzzzError | None:
        """Why the thread ended by itself; ``None`` while it works and after an orderly ``close``."""
        return self._failure

    @property
    def fault(self) -> BzzzError | None:
        """Why the last group of writes failed (a full disk, say); ``None`` again once one succeeds."""
        return self._failure or self._fault

    @property
    def figures(self) -> Figures:
        return Figures(self._pending, self._writes, self._commits)

    def write(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Run ``work`` in a group commit; await the result to know that it is durable.

        Writes run in the order of these calls. An exception of ``work`` undoes its own statements
        alone and is raised here. ``work`` runs in the journal's thread, a second time when another
        write of its group had to be undone: it changes rows and nothing else (tables are made by the
        schemas), and leaves BEGIN, COMMIT and ROLLBACK to the journal.
        A caller that is cancelled before its turn is passed over.

        Raises ``DiskFull`` or ``StorageFailed`` when the group could not be made durable (nothing
        of it is kept), and ``Overloaded`` at once when ``max_pending`` operations wait already.
        """
        return self._submit(Kind.WRITE, work)

    def write_soft(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """As ``write``, for what can be had again: a crash of this process keeps it, one of the machine may not.

        It becomes durable with the next ``write`` or ``sync``. In the order of the calls with ``write``.
        """
        return self._submit(Kind.SOFT, work)

    def sync(self) -> asyncio.Future[None]:
        """Make every soft write that was asked for before durable."""
        return self._submit(Kind.SYNC, _nothing)

    def read(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Run ``work`` on the committed state, without waiting for a commit; a write in it is refused."""
        return self._submit(Kind.READ, work)

    def check(self) -> asyncio.Future[list[str]]:
        """What SQLite finds wrong in the file; empty when it is sound. Blocks the journal meanwhile."""
        return self._submit(Kind.READ, quick_check)

    def backup(self, target: Path) -> asyncio.Future[int]:
        """Write a whole copy to the new file ``target``; gives its bytes. Blocks the journal meanwhile."""
        return self._submit(Kind.ALONE, lambda connection: write_backup(connection, target))

    def shrink(self) -> asyncio.Future[None]:
        """Give the memory of cached pages back; they are read again when they are wanted."""
        return self._submit(Kind.ALONE, _shrink)

    async def close(self) -> None:
        """Make everything that was handed over durable and end the thread. Later calls get ``NotReady``."""
        if not self._closing:
            self._closing = True
            self._hand_over()
            self._queue.put(None)
        await asyncio.wait([self.ended])

    def _submit(self, kind: Kind, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self._loop.create_future()
        if self._failure is not None or self._closing:
            future.set_exception(self._refusal())
        elif self._pending >= self._max_pending:
            future.set_exception(
                Overloaded(
                    f"{self._pending} operations wait for the disk already; try again in a moment",
                    pending=self._pending,
                )
            )
        else:
            self._pending += 1
            if not self._turn:
                self._loop.call_soon(self._hand_over)
            self._turn.append(Operation(kind, work, future))
        return future

    def _hand_over(self) -> None:
        for start in range(0, len(self._turn), self._batch):
            self._queue.put(self._turn[start : start + self._batch])
        self._turn = []

    def _deliver(self, answers: list[Answer]) -> None:
        self._pending -= len(answers)
        for future, value, error in answers:
            if future.done():
                continue  # its caller was cancelled and wants nothing
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)

    def _deliver_group(self, answers: list[Answer], fault: BzzzError | None) -> None:
        if fault is None:
            self._commits += 1
            self._writes += sum(answer.error is None for answer in answers)
        self._fault = fault
        self._deliver(answers)

    def _end(self, failure: BzzzError | None) -> None:
        self._failure = failure
        self._hand_over()
        left = [*self._at_hand]
        while not self._queue.empty():
            left += self._queue.get_nowait() or ()
        for operation in left:
            if not operation.future.done():
                operation.future.set_exception(self._refusal())
        self._pending = 0
        if failure is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(failure)
            self.ended.exception()  # an owner that looks at `failure` instead is no fault worth a log line

    def _refusal(self) -> BzzzError:
        # A new object for each caller: an exception that many raise collects all their tracebacks.
        if self._failure is not None:
            return type(self._failure)(self._failure.message, **self._failure.data)
        return NotReady("the journal is closed or closing; bzzzd is stopping")

    # In the thread.

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        # A loop that is closed has no callers left to tell.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)

    def _run(self, schemas: tuple[Schema, ...]) -> None:
        try:
            opened = open_database(self.path, schemas)
        except BaseException as error:
            self._call(self._opened.set_exception, error)
            self._call(self._end, None)
            return
        failure: BzzzError | None = None
        try:
            self._call(self._opened.set_result, opened)
            failure = self._serve(opened.connection)
        except BaseException as error:
            failure = StorageFailed(f"the journal {self.path} stopped: {error!r}; start bzzzd again", cause=repr(error))
            failure.__cause__ = error
        finally:
            with contextlib.suppress(sqlite3.Error):
                opened.connection.close()
            self._call(self._end, failure)

    def _serve(self, connection: sqlite3.Connection) -> BzzzError | None:
        """Work until the closing mark (``None``) or damage, which is returned."""
        transactions = Transactions(connection, self.path)
        turn = self._queue.get()
        while turn is not None:
            batch, turn = self._gather(turn)
            self._at_hand = [*batch, *(turn or ())]
            wanted = [operation for operation in batch if not operation.future.done()]
            if len(wanted) < len(batch):
                self._call(self._skip, len(batch) - len(wanted))
            damage = self._work(transactions, wanted)
            if damage is not None:
                return damage
            self._at_hand = ()
            if turn is not None and not turn:
                turn = self._queue.get()
        return None

    def _gather(self, turn: list[Operation]) -> tuple[list[Operation], list[Operation] | None]:
        """The turns that fit into one batch, and the one that came next: empty, too large, or the closing mark."""
        batch = turn
        while not self._queue.empty():
            following = self._queue.get_nowait()
            if following is None or len(batch) + len(following) > self._batch:
                return batch, following
            batch = batch + following
        return batch, []

    def _skip(self, count: int) -> None:
        self._pending -= count

    def _work(self, transactions: Transactions, operations: list[Operation]) -> BzzzError | None:
        """Serve one batch; gives the damage that ends the thread, and with it what is left of the batch."""
        reads = [operation for operation in operations if operation.kind is Kind.READ]
        writes = [operation for operation in operations if operation.kind in (Kind.WRITE, Kind.SOFT)]
        syncs = [operation for operation in operations if operation.kind is Kind.SYNC]
        if reads:
            answers = transactions.read(reads)
            self._call(self._deliver, answers)
            if (damage := fault_in(answers, is_fatal)) is not None:
                return damage
        if writes:
            group = transactions.write(writes)
            self._call(self._deliver_group, group.answers, group.fault)
            if group.damage is not None:
                return group.damage
        if syncs:
            synced = transactions.sync(syncs)
            self._call(self._deliver, synced.answers)
            if synced.damage is not None:
                return synced.damage
        for operation in operations:
            if operation.kind is Kind.ALONE:
                self._call(self._deliver, [transactions.attempt(operation)])
        return None
