"""The journal: one SQLite connection in one thread, which commits the writes of many callers together.

Callers hand over functions of the connection. Up to ``BATCH`` writes share one transaction, each in
a savepoint of its own, and one ``fsync`` makes all of them durable::

    loop ──one SimpleQueue item per turn──▶ thread: reads │ BEGIN (SAVEPOINT write RELEASE)* COMMIT
      ◀──one call_soon_threadsafe per group──┘

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
from enum import Enum, auto
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, NamedTuple, TypeVar

from msgspec import Struct

from bzzzd.errors import BzzzError, NotReady, Overloaded, StorageFailed
from bzzzd.storage.database import Opened, Schema, open_database, quick_check, write_backup
from bzzzd.storage.faults import from_sqlite, is_fatal

__all__ = ["Figures", "Journal", "Schema"]

BATCH: Final = 512
MAX_PENDING: Final = 32_768

T = TypeVar("T")


class _Kind(Enum):
    READ = auto()
    WRITE = auto()
    ALONE = auto()  # outside of any transaction: VACUUM cannot run inside one


class _Operation(NamedTuple):
    kind: _Kind
    work: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]


class _Answer(NamedTuple):
    future: asyncio.Future[Any]
    value: Any
    error: Exception | None


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
        self._queue: SimpleQueue[list[_Operation] | None] = SimpleQueue()
        self._turn: list[_Operation] = []
        self._opened: asyncio.Future[Opened] = self._loop.create_future()
        self._pending = self._writes = self._commits = 0
        self._closing = False
        self._at_hand: Sequence[_Operation] = ()  # the thread's batch; ``_end`` reads it when the thread is done
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
        """Run ``work`` in a savepoint of a group commit; await the result to know that it is durable.

        Writes run in the order of these calls. An exception of ``work`` undoes its own statements
        alone and is raised here. ``work`` runs in the journal's thread: it touches nothing but the
        connection and its own values, and leaves BEGIN, COMMIT and ROLLBACK to the journal.
        A caller that is cancelled before its turn is passed over.

        Raises ``DiskFull`` or ``StorageFailed`` when the group could not be made durable (nothing
        of it is kept), and ``Overloaded`` at once when ``max_pending`` operations wait already.
        """
        return self._submit(_Kind.WRITE, work)

    def read(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Run ``work`` on the committed state, without waiting for a commit; a write in it is refused."""
        return self._submit(_Kind.READ, work)

    def check(self) -> asyncio.Future[list[str]]:
        """What SQLite finds wrong in the file; empty when it is sound. Blocks the journal meanwhile."""
        return self._submit(_Kind.READ, quick_check)

    def backup(self, target: Path) -> asyncio.Future[int]:
        """Write a whole copy to the new file ``target``; gives its bytes. Blocks the journal meanwhile."""
        return self._submit(_Kind.ALONE, lambda connection: write_backup(connection, target))

    async def close(self) -> None:
        """Make everything that was handed over durable and end the thread. Later calls get ``NotReady``."""
        if not self._closing:
            self._closing = True
            self._hand_over()
            self._queue.put(None)
        await asyncio.wait([self.ended])

    def _submit(self, kind: _Kind, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
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
            self._turn.append(_Operation(kind, work, future))
        return future

    def _hand_over(self) -> None:
        for start in range(0, len(self._turn), self._batch):
            self._queue.put(self._turn[start : start + self._batch])
        self._turn = []

    def _deliver(self, answers: list[_Answer]) -> None:
        self._pending -= len(answers)
        for future, value, error in answers:
            if future.done():
                continue  # its caller was cancelled and wants nothing
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)

    def _deliver_group(self, answers: list[_Answer], fault: BzzzError | None) -> None:
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
        turn = self._queue.get()
        while turn is not None:
            batch, turn = self._gather(turn)
            self._at_hand = [*batch, *(turn or ())]
            wanted = [operation for operation in batch if not operation.future.done()]
            if len(wanted) < len(batch):
                self._call(self._skip, len(batch) - len(wanted))
            damage = self._work(connection, wanted)
            if damage is not None:
                return damage
            self._at_hand = ()
            if turn is not None and not turn:
                turn = self._queue.get()
        return None

    def _gather(self, turn: list[_Operation]) -> tuple[list[_Operation], list[_Operation] | None]:
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

    def _work(self, connection: sqlite3.Connection, batch: list[_Operation]) -> BzzzError | None:
        """Serve one batch; gives the damage that ends the thread, and with it what is left of the batch."""
        reads = [operation for operation in batch if operation.kind is _Kind.READ]
        writes = [operation for operation in batch if operation.kind is _Kind.WRITE]
        if reads:
            answers = self._look(connection, reads)
            self._call(self._deliver, answers)
            if (damage := _fault_in(answers, is_fatal)) is not None:
                return damage
        if writes and (damage := self._group(connection, writes)) is not None:
            return damage
        for operation in batch:
            if operation.kind is _Kind.ALONE:
                self._call(self._deliver, [self._attempt(connection, operation)])
        return None

    def _look(self, connection: sqlite3.Connection, reads: list[_Operation]) -> list[_Answer]:
        """Answer reads in a transaction that is never committed, so nothing that one writes is kept or seen."""
        # `PRAGMA query_only` would refuse it as well, but it makes SQLite compile all its statements again.
        answers: list[_Answer] = []
        connection.execute("BEGIN")
        for operation in reads:
            before = connection.total_changes
            answer = self._attempt(connection, operation)
            if connection.total_changes != before:
                fault = StorageFailed(f"a read of {self.path} wrote to it; nothing of that was kept")
                answer = _Answer(operation.future, None, fault)
                connection.execute("ROLLBACK")
                connection.execute("BEGIN")
            answers.append(answer)
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return answers

    def _attempt(self, connection: sqlite3.Connection, operation: _Operation) -> _Answer:
        try:
            return _Answer(operation.future, operation.work(connection), None)
        except Exception as error:
            return _Answer(operation.future, None, self._explain(error))

    def _group(self, connection: sqlite3.Connection, writes: list[_Operation]) -> BzzzError | None:
        execute = connection.execute
        answers: list[_Answer] = []
        try:
            execute("BEGIN IMMEDIATE")
            for operation in writes:
                execute("SAVEPOINT one")
                answer = self._attempt(connection, operation)
                if answer.error is not None:
                    if not connection.in_transaction:  # SQLite undid all of it, as it may on a full disk
                        raise answer.error.__cause__ or answer.error
                    execute("ROLLBACK TO one")
                execute("RELEASE one")
                answers.append(answer)
            if (damage := _fault_in(answers, is_fatal)) is not None:
                raise damage.__cause__ or damage
            execute("COMMIT")
        except Exception as error:
            if connection.in_transaction:
                execute("ROLLBACK")
            return self._lose(writes, answers, error)
        fault = _fault_in(answers, lambda cause: isinstance(cause, sqlite3.Error))
        self._call(self._deliver_group, answers, fault)
        return None

    def _lose(self, writes: list[_Operation], answers: list[_Answer], error: Exception) -> BzzzError | None:
        """Tell every caller of a group that was rolled back; each gets an exception object of its own."""
        own = {id(answer.future): answer.error for answer in answers if answer.error is not None}
        lost = [
            _Answer(operation.future, None, own.get(id(operation.future)) or self._fault_of(error))
            for operation in writes
        ]
        fault = self._fault_of(error)
        self._call(self._deliver_group, lost, fault)
        return fault if is_fatal(error) else None

    def _fault_of(self, error: Exception) -> BzzzError:
        fault = from_sqlite(error, self.path) if isinstance(error, sqlite3.Error) else None
        fault = fault or StorageFailed(
            f"a group of writes to {self.path} was undone: {error}; nothing was half-written", cause=repr(error)
        )
        fault.__cause__ = error
        return fault

    def _explain(self, error: Exception) -> Exception:
        if isinstance(error, StopIteration):  # a future cannot carry it
            return RuntimeError(f"the operation raised {error!r}")
        if isinstance(error, sqlite3.Error):
            fault = from_sqlite(error, self.path)
            if fault is not None:
                fault.__cause__ = error
                return fault
        return error


def _fault_in(answers: Sequence[_Answer], wanted: Callable[[BaseException], bool]) -> BzzzError | None:
    """The first of our own errors among the answers whose cause is ``wanted``."""
    for answer in answers:
        error = answer.error
        if isinstance(error, BzzzError) and error.__cause__ is not None and wanted(error.__cause__):
            return error
    return None
