"""Copies of the ledger for a standby: entries go there in order, and nothing is acknowledged before they are there.

    nobody ──a member is connected──► catching up ──holds everything──► in step
       ▲                                  │                                │
       └──────────── it fails, leaves, or takes longer than ``SLOW_S`` ────┘

While a standby is in step, every transaction waits for it; a standby that fails is dropped, which is
told, and the ledger goes on alone. Entries travel in batches: what is committed while one is on its
way is the next.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from bzzzd.daemon.ledger import wire
from bzzzd.errors import BzzzError
from bzzzd.slurp import replica
from bzzzd.slurp.ledger import Status
from bzzzd.storage.versions.adopt import Carried

SLOW_S: Final = 3.0
_CATCH_UP_S: Final = 30.0
_LOOK_S: Final = 5.0
_REST_S: Final = 5.0
_ROWS: Final = 256
_COPIED: Final = msgspec.msgpack.Decoder(wire.Copied)


class Candidate(NamedTuple):
    """A node that may hold the copy."""

    peer_id: str
    id: str


class Source(Protocol):
    """The ledger that is copied."""

    async def status(self) -> Status: ...


class Replicator:
    """``ask(peer id, question, seconds)`` asks a node; ``candidates()`` are those to choose from, the best first.

    ``read(after, limit, bytes)`` gives the ledger's term and entries of it, ``carry(id)`` a version that one names.
    ``tell(kind, detail)`` is for those who watch.
    """

    def __init__(
        self,
        ask: Callable[[str, bytes, float], Awaitable[bytes]],
        candidates: Callable[[], Sequence[Candidate]],
        read: Callable[[int, int, int], Awaitable[tuple[int, list[replica.Row]]]],
        carry: Callable[[str], Awaitable[Carried]],
        tell: Callable[[str, str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._candidates = candidates
        self._read = read
        self._carry = carry
        self._tell = tell
        self._made = 0
        self._held = 0
        self._waiting: dict[asyncio.Future[None], int] = {}
        self._news = asyncio.Event()
        self._feeding = False
        self._failed: dict[str, float] = {}
        self.standby = ""
        self.peer_id = ""
        """The standby's, empty without one; ``incarnation`` is that of the ledger it copies."""
        self.incarnation = ""
        self.reason = "no other node is connected"

    def upto(self) -> int | None:
        """The last entry that may be shown: what the standby in step does not hold may not."""
        return self._held if self.standby else None

    async def durable(self, number: int | None) -> None:
        """Return once the standby in step holds entry ``number`` (None: all that were made), or there is none."""
        if number is not None and number > self._made:
            self._made = number
        if self._feeding:
            self._news.set()
        wanted = self._made if number is None else number
        if not self.standby or self._held >= wanted:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[future] = wanted
        try:
            await future
        finally:
            self._waiting.pop(future, None)

    def kick(self) -> None:
        """A node has come: it may be a standby."""
        self._failed.clear()
        self._news.set()

    async def run(self, ledger: Source, acting: Callable[[], bool]) -> None:
        """Keep a standby for ``ledger`` while ``acting()``; returns when that has ended."""
        try:
            await self._keep(ledger, acting)
        finally:
            # Also when this task is ended, or fails: whoever waits for a copy must not wait for ever.
            self._drop("this node is not the coordinator any more")

    async def _keep(self, ledger: Source, acting: Callable[[], bool]) -> None:
        while acting():
            now = self._clock()
            self._failed = {peer_id: at for peer_id, at in self._failed.items() if now - at < _REST_S}
            chosen = next((one for one in self._candidates() if one.peer_id not in self._failed), None)
            if chosen is None:
                await self._wait(1.0)
                continue
            self._feeding = True
            try:
                await self._feed(chosen, ledger, acting)
            except BzzzError as error:
                self._failed[chosen.peer_id] = self._clock()
                self._drop(f"{chosen.id} holds no copy: {error.message}")
            else:
                if acting():
                    self._drop(f"the ledger was replaced as a whole, and {chosen.id} is given it anew")
            finally:
                self._feeding = False

    def _drop(self, reason: str) -> None:
        """Go on alone, and let everybody go who waits."""
        was, self.standby, self.peer_id, self.reason = self.standby, "", "", reason
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        if was:
            self._tell("standby_lost", f"the ledger is on this node alone: {reason}")

    async def _feed(self, chosen: Candidate, ledger: Source, acting: Callable[[], bool]) -> None:
        status = await ledger.status()
        held = await self._send(chosen, wire.Copy(status.incarnation, status.term, 0, False, ()), _CATCH_UP_S)
        fresh = held.incarnation != status.incarnation or held.number > status.head
        self._held = 0 if fresh else held.number
        self._made = max(self._made if not fresh else 0, status.head)
        while acting():
            self._news.clear()
            term, rows = await self._read(self._held, _ROWS, wire.BATCH_BYTES // 4)
            if term != status.term:
                return  # restored or promoted: another ledger, whose entries are none of this copy
            if not rows and not fresh and not self.standby:
                self.standby, self.peer_id, self.reason = chosen.id, chosen.peer_id, ""
                self.incarnation = status.incarnation
                self._tell("replicated", f"{chosen.id} holds a copy of the ledger, and everything new at once")
                continue
            if not rows and not fresh and await self._wait(_LOOK_S):
                continue
            rows, versions = await self._with_versions(rows)
            limit = SLOW_S if self.standby else _CATCH_UP_S
            copy = wire.Copy(status.incarnation, status.term, self._held, fresh, tuple(rows), versions)
            held = await self._send(chosen, copy, limit)
            if held.incarnation != status.incarnation:
                return
            fresh, self._held = False, held.number
            for future, number in list(self._waiting.items()):
                if number <= self._held and not future.done():
                    future.set_result(None)

    async def _wait(self, seconds: float) -> bool:
        """Whether something was made, or somebody came, within the time."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        return True

    async def _with_versions(self, rows: list[replica.Row]) -> tuple[list[replica.Row], tuple[Carried, ...]]:
        """The entries with the versions that they name, as many as one question may hold."""
        wanted = [(at, id) for at, row in enumerate(rows) for id in replica.names(row)]
        found: list[Carried | BaseException] = await asyncio.gather(
            *(self._carry(id) for _, id in wanted), return_exceptions=True
        )
        carried: dict[str, Carried] = {}
        size = 0
        for (at, id), one in zip(wanted, found, strict=True):
            if isinstance(one, BzzzError):
                continue  # its nodes hold it, or nobody does: an entry does not wait for content
            if isinstance(one, BaseException):
                raise one
            size += one.weight
            if size > wire.BATCH_BYTES and at > 0:
                return rows[:at], tuple(v for i, v in carried.items() if i in _names(rows[:at]))
            carried[id] = one
        return rows, tuple(carried.values())

    async def _send(self, chosen: Candidate, copy: wire.Copy, seconds: float) -> wire.Copied:
        return wire.answer(await self._ask(chosen.peer_id, wire.encode(copy), seconds), _COPIED)


def _names(rows: Sequence[replica.Row]) -> frozenset[str]:
    return frozenset(id for row in rows for id in replica.names(row))
