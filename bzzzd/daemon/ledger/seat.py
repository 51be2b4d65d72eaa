"""The ledger for everybody on this node: the one kept here while this node is the coordinator, else the far one."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from bzzzd.slurp.commands import Author, Command
from bzzzd.slurp.ledger import (
    Along,
    Backup,
    EventPage,
    Expired,
    Ledger,
    Outcome,
    PromptPage,
    Status,
    Step,
    TaskPage,
)
from bzzzd.slurp.prompt import Prompt, PromptState
from bzzzd.slurp.task import State, Task


class Seat(Ledger):
    """``acting`` says which; ``Keeper`` changes it. A call costs nothing but the choice."""

    def __init__(self, here: Ledger, far: Ledger) -> None:
        self.here = here
        self.far = far
        self.acting = False

    @property
    def _now(self) -> Ledger:
        return self.here if self.acting else self.far

    async def start(self) -> Expired:
        return await self._now.start()

    def execute(
        self, author: Author, command: Command, raw: bytes, along: Along | None = None
    ) -> Coroutine[Any, Any, Outcome]:
        return self._now.execute(author, command, raw, along)

    async def expire(self) -> Expired:
        return await self._now.expire()

    async def prune(self) -> int:
        return await self._now.prune()

    async def show(self, task_id: str) -> Task:
        return await self._now.show(task_id)

    async def list_tasks(
        self, *, state: State | None = None, project: str | None = None, limit: int = 100, after: str | None = None
    ) -> TaskPage:
        return await self._now.list_tasks(state=state, project=project, limit=limit, after=after)

    async def dead_letters(self, *, limit: int = 100, after: str | None = None) -> TaskPage:
        return await self._now.dead_letters(limit=limit, after=after)

    async def open_needs(self) -> list[tuple[str, str]]:
        return await self._now.open_needs()

    async def open_tasks(self, role: str, capability: str, limit: int) -> list[Task]:
        return await self._now.open_tasks(role, capability, limit)

    async def trace(self, task_id: str, *, limit: int = 1000, after: int = 0) -> list[Step]:
        return await self._now.trace(task_id, limit=limit, after=after)

    async def retries(self, task_id: str) -> list[str]:
        return await self._now.retries(task_id)

    async def prompt(self, prompt_id: str) -> Prompt:
        return await self._now.prompt(prompt_id)

    async def list_prompts(
        self,
        *,
        live: bool = False,
        state: PromptState | None = None,
        task: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> PromptPage:
        return await self._now.list_prompts(live=live, state=state, task=task, limit=limit, after=after)

    async def events(self, since: int, limit: int = 500) -> EventPage:
        return await self._now.events(since, limit)

    async def status(self) -> Status:
        return await self._now.status()

    async def backup(self, target: Path) -> None:
        await self._now.backup(target)

    async def restore(self, checked: Backup) -> Status:
        return await self._now.restore(checked)

    async def promote(self) -> Status:
        return await self._now.promote()
