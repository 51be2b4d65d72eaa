"""Carries answers: signed, put on disk, sent until the ledger gives its receipt.

sign ──► outbox (synced) ──told "sent"──► call ──receipt or refusal──► told, out of the outbox
▲           │ no answer, bzzzd away, not ready or its disk full
├──AGAIN_S──┤    and whenever the connection comes back
└──FAULT_S──┘ a fault in bzzzd that nobody expected

What the ledger said is told first: a portal that is killed in between asks again, and the person misses no refusal.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, Literal

from bzzzd.errors import BzzzError, NotAttached, StorageFailed, Unavailable, UnknownOutcome, Unreachable, unexpected
from bzzzd.hap.feeds.fields import mapping
from bzzzd.hap.feeds.prompts import one_prompt
from bzzzd.hap.files.outbox import Letter, Outbox
from bzzzd.hap.messages import Answered, Message, Refused
from bzzzd.hap.text import clean
from bzzzd.hap.values.asked import Reception
from bzzzd.hap.values.things import Fault
from bzzzd.rpc.client import AsyncClient

AGAIN_S: Final = 5.0
FAULT_S: Final = 30.0
_CALL_S: Final = 10.0


class Carrier:
    """``client`` gives the connection of now, or ``None``; ``send`` takes messages for the model."""

    def __init__(
        self, outbox: Outbox, client: Callable[[], AsyncClient | None], send: Callable[[Message], None]
    ) -> None:
        self._outbox = outbox
        self._client = client
        self._send = send
        self._going: set[str] = set()
        self._mine: set[str] = set()  # on disk by this portal, and not judged yet
        self._again: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._spawned: set[asyncio.Task[None]] = set()

    async def answer(self, letter: Letter) -> None:
        """A new answer: on disk first, then told, then sent."""
        try:
            await asyncio.to_thread(self._outbox.put, letter)
        except BzzzError as error:
            self._send(Refused(("reply", letter.id), Fault(error.code, clean(error.message, 800))))
            return
        self._mine.add(letter.id)
        self._send(Answered(("kept", letter.id, letter.prompt), None))
        await self._carry(letter)

    async def told(self) -> list[Letter]:
        """What waits, whoever put it there, as the model is told.

        An earlier portal may have been killed, and another one may have had the ledger's word on an answer of this.
        """
        mine = self._mine - self._going
        letters = await asyncio.to_thread(self._outbox.letters)
        gone = mine - {letter.id for letter in letters}
        self._mine -= gone
        receptions = tuple(
            Reception(letter.prompt, letter.id, clean(letter.choice, 64), "kept", letter.at) for letter in letters
        )
        self._send(Answered(("outbox", *sorted(gone)), receptions))
        return letters

    async def all(self, mesh: str) -> None:
        """Everything that waits for this mesh: at the start, and whenever the connection is back."""
        for letter in await self.told():
            if letter.mesh == mesh:
                await self._carry(letter)

    def close(self) -> None:
        if self._again is not None:
            self._again.cancel()

    async def _carry(self, letter: Letter) -> None:
        """Send one; it stays in the outbox unless the ledger has spoken."""
        client = self._client()
        if client is None or not client.state.connected or client.state.attached is None or letter.id in self._going:
            return
        self._going.add(letter.id)
        try:
            reception = await self._judged(client, letter)
            if reception is not None:
                self._mine.discard(letter.id)
                self._send(Answered(("reply", letter.id), reception))
                await asyncio.to_thread(self._outbox.remove, letter.id)
        finally:
            self._going.discard(letter.id)

    async def _judged(self, client: AsyncClient, letter: Letter) -> Reception | None:
        """The ledger's word on it, or ``None`` when it has to be asked again."""
        try:
            value = await client.call(letter.method, letter.params, timeout=_CALL_S)
        except (Unreachable, UnknownOutcome, Unavailable, NotAttached, StorageFailed):  # it was not judged
            self._later(letter.mesh, AGAIN_S)
            return None
        except BzzzError as error:
            if unexpected(error):
                self._later(letter.mesh, FAULT_S)
                return None
            return _reception(letter, "refused", clean(f"{error.message} ({error.code})", 800))
        if mapping(mapping(value).get("receipt")).get("state") == "waiting":
            # Safe with the node, but the ledger has not judged it: it is asked for again.
            self._send(Answered(("reply", letter.id), _reception(letter, "held")))
            self._later(letter.mesh, AGAIN_S)
            return None
        if (prompt := one_prompt(value)).id:
            self._send(Answered(("prompts",), (prompt,)))
        return _reception(letter, "done")

    def _later(self, mesh: str, seconds: float) -> None:
        if self._again is not None:
            if self._again.when() <= self._loop.time() + seconds:
                return
            self._again.cancel()
        self._again = self._loop.call_later(seconds, self._once_more, mesh)

    def _once_more(self, mesh: str) -> None:
        self._again = None
        task = self._loop.create_task(self.all(mesh))
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)


def _reception(letter: Letter, state: Literal["held", "done", "refused"], why: str = "") -> Reception:
    return Reception(letter.prompt, letter.id, letter.choice, state, time.time(), why=why)
