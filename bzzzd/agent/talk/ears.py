"""The agent's ears: which threads somebody has spoken on, and a wake-up for whoever waits for a word."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final

import structlog

from bzzzd.errors import BzzzError
from bzzzd.rpc.client import Subscription
from bzzzd.rpc.follower import Items

_THREADS: Final = 8192
_AGAIN_S: Final = 5.0
_AGAIN_MOST_S: Final = 300.0

log = structlog.get_logger()


class Ears:
    """``subscribe()`` begins the stream of messages; one for all tasks of the agent."""

    def __init__(self, subscribe: Callable[[], Subscription]) -> None:
        self._subscribe = subscribe
        self._threads: OrderedDict[str, None] = OrderedDict()
        self._waiting: dict[str, asyncio.Event] = {}

    def spoken(self, thread: str) -> bool:
        """Whether anybody is known to have said something there."""
        return thread in self._threads

    def heard(self, threads: Iterable[str]) -> None:
        """Something was said on these."""
        for thread in threads:
            self._threads[thread] = None
            self._threads.move_to_end(thread)
            waiting = self._waiting.get(thread)
            if waiting is not None:
                waiting.set()
        while len(self._threads) > _THREADS:
            self._threads.popitem(last=False)

    async def wait(self, thread: str, seconds: float) -> None:
        """Until something new is said on ``thread``, for ``seconds`` at most. One waits for a thread at a time."""
        waiting = self._waiting.setdefault(thread, asyncio.Event())
        try:
            async with asyncio.timeout(max(seconds, 0.0)):
                await waiting.wait()
        except TimeoutError:
            pass
        waiting.clear()

    def leave(self, thread: str) -> None:
        """Nobody waits for this thread any more."""
        self._waiting.pop(thread, None)

    async def follow(self) -> None:
        """Read the stream for ever; where it cannot be had, it is tried again now and then."""
        pause = _AGAIN_S
        while True:
            stream = self._subscribe()
            try:
                async for event in stream:
                    pause = _AGAIN_S
                    self.heard(_threads_of(event))
            except BzzzError as error:
                log.info("threads are not heard", why=error.message)
            finally:
                stream.close()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _AGAIN_MOST_S)


def _threads_of(event: Any) -> list[str]:
    """The ids of threads that an event of the stream is about; a snapshot names many."""
    if isinstance(event, Items):
        return [str(item["thread"]["id"]) for item in event.items]
    return [str(row["id"]) for row in (event.state or {}).get("threads", ())]
