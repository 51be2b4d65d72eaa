"""Tells the node what it follows and serves: the whole of it each time, and one word after the other.

trio runs tasks that are started together in no order. With two words under way the earlier could be heard
last and take back what the later had said: a protocol that was offered a moment ago would not be served,
and nothing would ever say it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from bzzzd.errors import Overloaded, Unavailable

_BUSY_S: Final = 0.1


class Settling:
    """``tell()`` says how things are now; it is awaited again when they have ``changed()`` meanwhile."""

    def __init__(self, tell: Callable[[], Awaitable[None]]) -> None:
        self._tell = tell
        self._unsaid = False
        self._task: asyncio.Task[None] | None = None

    def changed(self) -> None:
        """Something is followed or served from now on, or no longer. Called on the loop."""
        self._unsaid = True
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="mesh-settle")

    async def said(self) -> None:
        """Wait until the node has been told how things are now."""
        while self._task is not None:
            await asyncio.wait([self._task])

    def stop(self) -> None:
        """Say no more."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            while self._unsaid:
                self._unsaid = False
                try:
                    await self._tell()
                except Overloaded:
                    self._unsaid = True
                    await asyncio.sleep(_BUSY_S)
        except Unavailable:  # the node is gone; its death is reported on its own
            return
        finally:
            self._task = None
