"""Signed commands on their way to the coordinator: those of one moment go together, a lost answer is asked for again.

A command keeps its id, and the ledger does it once, so sending a batch a second time doubles nothing.
A lone command never waits for others; while ``FLIGHT`` batches are on their way, what comes gathers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import msgspec

from bzzzd.daemon.ledger.wire import BATCH_BYTES, MOST_COMMANDS, Answered, Commands, Do, Done, answer, encode
from bzzzd.errors import BzzzError, Overloaded, Unavailable, UnknownOutcome, from_map

# Asks the coordinator: (question, seconds) -> answer. Raises ``Unavailable`` where nothing was sent.
Ask = Callable[[bytes, float], Awaitable[bytes]]
Spawn = Callable[[str, Coroutine[Any, Any, None]], object]

FLIGHT: Final = 4
MOST_WAITING: Final = 8192
_TRIES: Final = 3
_PAUSE_S: Final = 0.1
_ANSWERED: Final = msgspec.msgpack.Decoder(Answered)
_Place = tuple[Do, "asyncio.Future[Done]"]


class Courier:
    """``spawn(name, work)`` runs a batch; ``timeout_s`` is how long one answer may take."""

    def __init__(self, ask: Ask, spawn: Spawn, *, timeout_s: float = 5.0) -> None:
        self._ask = ask
        self._spawn = spawn
        self._timeout_s = timeout_s
        self._waiting: deque[_Place] = deque()
        self._flying = 0
        self._scheduled = False

    async def send(self, do: Do) -> Done:
        """What the ledger says to the command.

        Raises ``Unavailable`` when it was not sent, ``UnknownOutcome`` when no answer came, ``Overloaded``.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise Overloaded(f"{MOST_WAITING} commands wait for the coordinator already; try again in a moment")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Done] = loop.create_future()
        self._waiting.append((do, future))
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._go)
        return await future

    def _go(self) -> None:
        self._scheduled = False
        while self._waiting and self._flying < FLIGHT:
            self._flying += 1
            self._spawn("commands to the coordinator", self._fly(self._gather()))

    def _gather(self) -> list[_Place]:
        batch: list[_Place] = []
        size = 0
        while self._waiting and len(batch) < MOST_COMMANDS:
            size += self._waiting[0][0].weight
            if batch and size > BATCH_BYTES:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _fly(self, batch: list[_Place]) -> None:
        try:
            found = await self._answers(Commands(tuple(do for do, _ in batch)))
            for (_, future), done in zip(batch, found, strict=True):
                if not future.done():
                    future.set_result(done)
        except BzzzError as error:
            for _, future in batch:
                if not future.done():
                    # A new object for each caller: one that many raise collects all their tracebacks.
                    future.set_exception(from_map(error.to_map()))
        except asyncio.CancelledError:
            for _, future in batch:
                if not future.done():
                    future.set_exception(UnknownOutcome("bzzzd stopped before the coordinator had answered"))
            raise
        finally:
            self._flying -= 1
            self._go()

    async def _answers(self, commands: Commands) -> tuple[Done, ...]:
        raw, tries = encode(commands), 0
        sent = False
        while True:
            tries += 1
            try:
                found = answer(await self._ask(raw, self._timeout_s), _ANSWERED)
                if len(found) != len(commands.items):
                    raise UnknownOutcome("the coordinator answered other commands than those asked")
                return found
            except UnknownOutcome:
                sent = True
                if tries >= _TRIES:
                    raise
            except Unavailable as error:
                # Whatever happened to the first sending, this one told us nothing about it.
                if sent and tries >= _TRIES:
                    raise UnknownOutcome(error.message) from error
                if not sent:
                    raise
            await asyncio.sleep(_PAUSE_S * tries)
