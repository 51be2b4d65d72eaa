"""One connection of the asyncio client: requests out, answers to those who wait, everything else to its owner."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import Any, cast

from bzzzd.errors import BzzzError, Overloaded, Unreachable, from_map
from bzzzd.rpc.client_core import ClientCore, cut_off, no_answer
from bzzzd.rpc.follower import Follower
from bzzzd.rpc.wire import RESPONSE

_FLUSH_AT = 65_536

# future, when it is too late, seconds allowed, method, whether it has effects, whom an answer to subscribe is for
_Waiting = tuple["asyncio.Future[Any]", float, float, str, bool, Follower | None]


class Link(asyncio.Protocol):
    """``on_frame`` gets what is no response; ``on_lost`` hears of the end, with the reason if bzzzd gave one.

    Everything written in one loop turn goes out in one write. Time-outs of all requests share one timer.
    """

    def __init__(
        self,
        core: ClientCore,
        *,
        max_pending: int,
        on_frame: Callable[[Link, list[Any]], None],
        on_lost: Callable[[Link], None],
    ) -> None:
        self.core = core
        self.closed = False
        self._paused = False
        self._loop = asyncio.get_running_loop()
        self._max_pending = max_pending
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._pending: dict[int, _Waiting] = {}
        self._out: list[bytes] = []
        self._scheduled = False
        self._transport: asyncio.Transport | None = None
        self._drained = asyncio.Event()
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._due = inf
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._drained.set()
        pending, self._pending = self._pending, {}
        for future, _, _, method, effects, _ in pending.values():
            if not future.done():
                future.set_exception(cut_off(method, self.core.refusal, effects=effects))
        self._on_lost(self)

    def pause_writing(self) -> None:
        self._paused = True
        self._drained.clear()

    def resume_writing(self) -> None:
        self._paused = False
        self._drained.set()

    def data_received(self, data: bytes) -> None:
        pending = self._pending
        try:
            for frame in self.core.receive(data):
                if frame[0] != RESPONSE:
                    self._on_frame(self, frame)
                    continue
                waiting = pending.pop(frame[1], None)
                if waiting is None:  # the answer came too late
                    continue
                future = waiting[0]
                if frame[2] is not None:
                    if not future.done():
                        future.set_exception(from_map(frame[2]))
                    continue
                if waiting[5] is not None:
                    # At once, not when the waiting task runs: items may follow in these same bytes.
                    self.core.opened(waiting[5], frame[3])
                if not future.done():
                    future.set_result(frame[3])
        except BzzzError as error:
            self.core.refusal = error
            self.close()
        # After the tasks that these answers wake, so that what they ask next goes out in the same turn of the loop:
        # scheduled by their requests it would take another turn, which is another system call.
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    @property
    def jammed(self) -> bool:
        """Whether a request has to wait in ``writable`` first: bzzzd does not read, or others wait already."""
        return self._paused or self._waiting > 0

    async def writable(self, method: str, timeout: float) -> None:
        """Wait while bzzzd does not read, behind those that wait already; raises ``Unreachable`` (nothing was sent)."""
        self._waiting += 1
        try:
            async with asyncio.timeout(timeout), self._turn:
                await self._drained.wait()
        except TimeoutError:
            raise Unreachable(f"bzzzd takes no requests; {method} was not sent; look at: bzzz health") from None
        finally:
            self._waiting -= 1

    def request(
        self, method: str, params: Any, timeout: float, *, effects: bool = True, follower: Follower | None = None
    ) -> asyncio.Future[Any]:
        """Send a request; the future has its result, bzzzd's error, or that of a lost answer.

        Raises ``Overloaded`` or ``Unreachable`` at once when nothing was sent.
        """
        if self.closed:
            raise self.core.refusal or Unreachable(f"bzzzd is not connected; {method} was not sent")
        pending = self._pending
        if len(pending) >= self._max_pending:
            raise Overloaded(f"{len(pending)} requests have no answer yet; {method} was not sent", method=method)
        id, frame = self.core.request(method, params)
        loop = self._loop
        future = loop.create_future()
        due = loop.time() + timeout
        pending[id] = (future, due, timeout, method, effects, follower)
        if due < self._due:
            self._watch(due)
        self._out.append(frame)
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._flush)
        return future

    def send(self, frame: bytes) -> None:
        """Send a frame that waits for nothing."""
        if frame and not self.closed:
            self._out.append(frame)
            if not self._scheduled:
                self._scheduled = True
                self._loop.call_soon(self._flush)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            if self._transport is not None:
                self._flush()
                self._transport.close()

    def abort(self) -> None:
        """Close without sending what is still to be sent."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        self._scheduled = False
        out = self._out
        if out and self._transport is not None:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))
        out.clear()

    def _watch(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = self._loop.call_at(due, self._expire)

    def _expire(self) -> None:
        self._timer, self._due = None, inf
        now = self._loop.time()
        late = [id for id, waiting in self._pending.items() if waiting[1] <= now]
        for id in late:
            future, _, seconds, method, effects, _ = self._pending.pop(id)
            if not future.done():
                future.set_exception(no_answer(method, seconds, effects=effects))
        if self._pending:
            self._watch(min(waiting[1] for waiting in self._pending.values()))
