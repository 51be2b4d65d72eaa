"""The owner of background tasks: every asyncio task has a name, an owner, and somebody who hears of its death."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

Death = Callable[[str, BaseException | None], None]


class TaskOwner:
    """Keeps tasks alive, names them, and reports those that end.

    A bare ``asyncio.create_task`` loses twice: the loop holds tasks weakly, so one may vanish, and an exception
    inside is seen by nobody until the garbage collector prints it. Here the owner holds the task, and
    ``on_death(name, exception)`` is called once, on the loop, for each that ends by itself: with the exception,
    or with ``None`` when a task that should run for ever returned. A task stopped by its owner is no death.

    For a group that lives and dies inside one block, ``asyncio.TaskGroup`` is enough.
    """

    def __init__(self, on_death: Death) -> None:
        self._on_death = on_death
        self._tasks: dict[asyncio.Task[Any], bool] = {}
        self._stopping = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tasks that run."""
        return tuple(sorted(task.get_name() for task in self._tasks))

    def spawn(self, name: str, work: Coroutine[Any, Any, Any], *, ends: bool = False) -> asyncio.Task[Any]:
        """Run ``work`` as a task. ``ends`` says that returning is its purpose; only an exception is then a death.

        Raises ``RuntimeError`` after ``stop``, so that nothing starts behind the back of a process that ends.
        """
        if self._stopping:
            work.close()
            raise RuntimeError(f"{name} cannot start: its owner has stopped")
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks[task] = ends
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        ends = self._tasks.pop(task)
        if task.cancelled():
            if not self._stopping and not task.cancelling():
                self._on_death(task.get_name(), asyncio.CancelledError())
            return
        error = task.exception()
        if error is not None or (not ends and not self._stopping):
            self._on_death(task.get_name(), error)

    async def stop(self, limit_s: float = 5.0) -> tuple[str, ...]:
        """Cancel every task and wait for their ends; give the names of those that did not end in ``limit_s``."""
        self._stopping = True
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if not tasks:
            return ()
        _, stuck = await asyncio.wait(tasks, timeout=limit_s)
        return tuple(sorted(task.get_name() for task in stuck))
