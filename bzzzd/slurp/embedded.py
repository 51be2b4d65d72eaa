"""The embedded engine: the ledger's functions behind the interface, run by a journal that is passed in."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeVar

from bzzzd.slurp import backup, promptrows, query, sqlite
from bzzzd.slurp.commands import Author, Command
from bzzzd.slurp.ledger import (
    Along,
    Backup,
    EventPage,
    Expired,
    Ledger,
    Outcome,
    PromptPage,
    Rules,
    Status,
    Step,
    TaskPage,
)
from bzzzd.slurp.prompt import Prompt, PromptState
from bzzzd.slurp.task import LedgerClock, State, Task

T = TypeVar("T")


class Journal(Protocol):
    """Runs functions over its one connection: a write is whole or undone, and durable when it returns."""

    incarnation: str

    def write(self, work: Callable[[sqlite3.Connection], T]) -> Awaitable[T]: ...

    def read(self, work: Callable[[sqlite3.Connection], T]) -> Awaitable[T]: ...


class EmbeddedLedger(Ledger):
    """The ledger in a journal that was opened with ``schema.SCHEMA``. ``clock`` is read when a call is made."""

    def __init__(self, journal: Journal, rules: Rules, clock: Callable[[], LedgerClock]) -> None:
        self._journal = journal
        self._rules = rules
        self._clock = clock

    async def start(self) -> Expired:
        clock, incarnation = self._clock(), self._journal.incarnation
        return await self._journal.write(lambda conn: sqlite.on_start(conn, clock, incarnation))

    async def execute(self, author: Author, command: Command, raw: bytes, along: Along | None = None) -> Outcome:
        rules, clock = self._rules, self._clock()

        def work(conn: sqlite3.Connection) -> Outcome:
            outcome = sqlite.execute(conn, rules, author, command, raw, clock)
            if along is not None and not outcome.repeated and not outcome.adopted:
                along(conn)
            return outcome

        return await self._journal.write(work)

    async def expire(self) -> Expired:
        rules, clock = self._rules, self._clock()
        return await self._journal.write(lambda conn: sqlite.expire(conn, rules, clock))

    async def prune(self) -> int:
        rules, clock = self._rules, self._clock()
        return await self._journal.write(lambda conn: sqlite.prune(conn, rules, clock))

    async def show(self, task_id: str) -> Task:
        return await self._journal.read(lambda conn: query.show(conn, task_id))

    async def list_tasks(
        self, *, state: State | None = None, project: str | None = None, limit: int = 100, after: str | None = None
    ) -> TaskPage:
        return await self._journal.read(
            lambda conn: query.list_tasks(conn, state=state, project=project, limit=limit, after=after)
        )

    async def dead_letters(self, *, limit: int = 100, after: str | None = None) -> TaskPage:
        return await self._journal.read(lambda conn: query.dead_letters(conn, limit=limit, after=after))

    async def open_needs(self) -> list[tuple[str, str]]:
        return await self._journal.read(query.open_needs)

    async def open_tasks(self, role: str, capability: str, limit: int) -> list[Task]:
        return await self._journal.read(lambda conn: query.open_tasks(conn, role, capability, limit))

    async def trace(self, task_id: str, *, limit: int = 1000, after: int = 0) -> list[Step]:
        return await self._journal.read(lambda conn: query.trace(conn, task_id, limit=limit, after=after))

    async def retries(self, task_id: str) -> list[str]:
        return await self._journal.read(lambda conn: query.retries(conn, task_id))

    async def prompt(self, prompt_id: str) -> Prompt:
        return await self._journal.read(lambda conn: promptrows.find(conn, prompt_id)[1])

    async def list_prompts(
        self,
        *,
        live: bool = False,
        state: PromptState | None = None,
        task: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> PromptPage:
        return await self._journal.read(
            lambda conn: query.list_prompts(conn, live=live, state=state, task=task, limit=limit, after=after)
        )

    async def events(self, since: int, limit: int = 500) -> EventPage:
        rules = self._rules
        return await self._journal.read(lambda conn: query.events(conn, rules, since, limit))

    async def status(self) -> Status:
        incarnation = self._journal.incarnation
        return await self._journal.read(lambda conn: query.status(conn, incarnation))

    async def backup(self, target: Path) -> None:
        await self._journal.read(lambda conn: backup.backup(conn, target))

    async def restore(self, checked: Backup) -> Status:
        clock, incarnation = self._clock(), self._journal.incarnation

        def work(conn: sqlite3.Connection) -> Status:
            backup.restore(conn, checked, clock, incarnation)
            return query.status(conn, incarnation)

        return await self._journal.write(work)

    async def promote(self) -> Status:
        clock, incarnation = self._clock(), self._journal.incarnation

        def work(conn: sqlite3.Connection) -> Status:
            sqlite.promote(conn, clock)
            return query.status(conn, incarnation)

        return await self._journal.write(work)
