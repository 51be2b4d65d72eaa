"""The operations of one batch on the journal's connection: reads that change nothing, writes committed together.

Runs in the journal's thread and knows nothing of it: operations in, answers out.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from enum import Enum, auto
from pathlib import Path
from typing import Any, NamedTuple

from bzzzd.errors import BzzzError, StorageFailed
from bzzzd.storage.faults import from_os, from_sqlite, is_fatal


class Kind(Enum):
    READ = auto()
    WRITE = auto()
    SOFT = auto()  # a write that a crash of the machine may undo: no fsync of its own
    SYNC = auto()  # everything written before is durable then
    ALONE = auto()  # outside of any transaction: VACUUM cannot run inside one


class Operation(NamedTuple):
    kind: Kind
    work: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]


class Answer(NamedTuple):
    future: asyncio.Future[Any]
    value: Any
    error: Exception | None


class Group(NamedTuple):
    """What became of a group of writes: ``fault`` is the disk's, ``damage`` one after which nobody may go on."""

    answers: list[Answer]
    fault: BzzzError | None = None
    damage: BzzzError | None = None


class Transactions:
    """Does operations on the connection to ``path``."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def attempt(self, operation: Operation) -> Answer:
        try:
            return Answer(operation.future, operation.work(self._connection), None)
        except Exception as error:
            return Answer(operation.future, None, self._explain(error))

    def read(self, reads: Sequence[Operation]) -> list[Answer]:
        """Answer reads in a transaction that is never committed, so nothing that one writes is kept or seen."""
        # `PRAGMA query_only` would refuse it as well, but it makes SQLite compile all its statements again.
        connection, answers = self._connection, list[Answer]()
        connection.execute("BEGIN")
        for operation in reads:
            before = connection.total_changes
            answer = self.attempt(operation)
            if connection.total_changes != before:
                fault = StorageFailed(f"a read of {self._path} wrote to it; nothing of that was kept")
                answer = Answer(operation.future, None, fault)
                connection.execute("ROLLBACK")
                connection.execute("BEGIN")
            answers.append(answer)
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return answers

    def write(self, writes: Sequence[Operation]) -> Group:
        """Commit writes together; each that fails is undone alone. A group of soft writes alone is not synced.

        A savepoint copies every page that is changed in it: one around each write was measured to cost
        a fifth. So there is none at first, and when a write fails after it has changed something, the
        group is undone and run again with them.
        """
        execute, answers = self._connection.execute, list[Answer]()
        soft = all(operation.kind is Kind.SOFT for operation in writes)
        try:
            if soft:
                execute("PRAGMA synchronous=NORMAL")
            execute("BEGIN IMMEDIATE")
            if not self._all(writes, answers):
                execute("ROLLBACK")
                answers.clear()
                execute("BEGIN IMMEDIATE")
                self._each(writes, answers)
            if (damage := fault_in(answers, is_fatal)) is not None:
                raise damage.__cause__ or damage
            execute("COMMIT")
        except Exception as error:
            if self._connection.in_transaction:
                execute("ROLLBACK")
            return self._lost(writes, answers, error)
        finally:
            if soft:
                execute("PRAGMA synchronous=FULL")
        return Group(answers, fault_in(answers, lambda cause: isinstance(cause, sqlite3.Error)))

    def sync(self, waiting: Sequence[Operation]) -> Group:
        """Make what was written softly durable: the log's file is synced as a commit would do it."""
        try:
            log = os.open(f"{self._path}-wal", os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fdatasync(log)
            finally:
                os.close(log)
        except OSError as error:
            # Nobody knows what a failed sync has left on the disk: the journal must not build on it.
            damage = from_os(error, self._path, "sync the journal")
            lost = [Answer(operation.future, None, from_os(error, self._path, "sync")) for operation in waiting]
            return Group(lost, damage, damage)
        return Group([Answer(operation.future, None, None) for operation in waiting])

    def _all(self, writes: Sequence[Operation], answers: list[Answer]) -> bool:
        """Run the writes of a group; ``False`` as soon as one has failed after it had changed something."""
        connection = self._connection
        for operation in writes:
            before = connection.total_changes
            answer = self.attempt(operation)
            self._check_open(answer)
            if answer.error is not None and connection.total_changes != before:
                return False
            answers.append(answer)
        return True

    def _each(self, writes: Sequence[Operation], answers: list[Answer]) -> None:
        """Run the writes of a group, undoing each that fails by itself."""
        execute = self._connection.execute
        for operation in writes:
            execute("SAVEPOINT one")
            answer = self.attempt(operation)
            self._check_open(answer)
            if answer.error is not None:
                execute("ROLLBACK TO one")
            execute("RELEASE one")
            answers.append(answer)

    def _check_open(self, answer: Answer) -> None:
        """Raise when the transaction is over: SQLite undid it, as it may on a full disk, or the write ended it."""
        if not self._connection.in_transaction:
            error = answer.error or StorageFailed("a write ended the transaction, which belongs to the journal")
            raise error.__cause__ or error

    def _lost(self, writes: Sequence[Operation], answers: list[Answer], error: Exception) -> Group:
        """Every caller of a group that was rolled back gets an exception object of its own."""
        own = {id(answer.future): answer.error for answer in answers if answer.error is not None}
        lost = [
            Answer(operation.future, None, own.get(id(operation.future)) or self._fault_of(error))
            for operation in writes
        ]
        fault = self._fault_of(error)
        return Group(lost, fault, fault if is_fatal(error) else None)

    def _fault_of(self, error: Exception) -> BzzzError:
        fault = from_sqlite(error, self._path) if isinstance(error, sqlite3.Error) else None
        fault = fault or StorageFailed(
            f"a group of writes to {self._path} was undone: {error}; nothing was half-written", cause=repr(error)
        )
        fault.__cause__ = error
        return fault

    def _explain(self, error: Exception) -> Exception:
        if isinstance(error, StopIteration):  # a future cannot carry it
            return RuntimeError(f"the operation raised {error!r}")
        if isinstance(error, sqlite3.Error):
            fault = from_sqlite(error, self._path)
            if fault is not None:
                fault.__cause__ = error
                return fault
        return error


def fault_in(answers: Sequence[Answer], wanted: Callable[[BaseException], bool]) -> BzzzError | None:
    """The first of our own errors among the answers whose cause is ``wanted``."""
    for answer in answers:
        error = answer.error
        if isinstance(error, BzzzError) and error.__cause__ is not None and wanted(error.__cause__):
            return error
    return None
