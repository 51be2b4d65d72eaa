"""The client of long-lived processes: one connection to bzzzd that comes back by itself.

    connecting ──hello, attach, subscriptions resumed──▶ connected ──lost──▶ waiting (jittered back-off) ─▶ connecting

``close`` ends it from every state.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from bzzzd.errors import BzzzError, NotReady, Unavailable, Unreachable
from bzzzd.rpc.client_core import ClientCore, Hello, cannot_connect
from bzzzd.rpc.follower import Cursor, Event, Follower
from bzzzd.rpc.link import Link
from bzzzd.rpc.wire import MAX_FRAME, REQUEST

_LOG: Final = logging.getLogger(__name__)

Signer = Callable[[bytes, str], Mapping[str, Any] | Awaitable[Mapping[str, Any]]]
"""``sign(nonce, mesh_id)`` gives the parameters of ``session.attach``; it holds the key, we do not."""

Offered = Callable[[Any], Any]
"""``handler(params)`` gives the result of a request that bzzzd makes of us, or something to await for it."""


@dataclass(frozen=True, slots=True)
class State:
    """``error`` is why there is no connection now; ``attached`` is bzzzd's answer to ``session.attach``."""

    connected: bool
    error: BzzzError | None = None
    hello: Hello | None = None
    attached: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits between tries, in seconds: doubling from ``first`` to ``most``, each cut by up to half at random."""

    first: float = 0.05
    most: float = 5.0

    def wait(self, tries: int, chance: Callable[[], float] = random.random) -> float:
        """How long to wait after ``tries`` failures in a row."""
        return min(self.most, self.first * 2.0 ** min(tries, 30)) * (1 - chance() / 2)


class Subscription:
    """Events of a stream across reconnects: ``async for event in subscription``.

    Begins with a ``Snapshot`` (or goes on from the cursor given), then ``Items``; another ``Snapshot`` follows
    whenever items were lost, and says so in ``missed``. Held items are bounded; a slow reader delays nobody else.
    """

    def __init__(self, client: AsyncClient, follower: Follower) -> None:
        self._client = client
        self._follower = follower
        self._arrived = asyncio.Event()

    @property
    def cursor(self) -> Cursor | None:
        """Where it would go on, after everything that arrived."""
        return self._follower.cursor

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        follower = self._follower
        while True:
            event = follower.take()
            if event is not None:
                return event
            if follower.ended:
                raise StopAsyncIteration
            self._arrived.clear()
            if not (follower.wanted and await self._client.resume(follower)):
                await self._arrived.wait()

    def wake(self) -> None:
        self._arrived.set()

    def close(self) -> None:
        """End it; a task that reads it stops."""
        self._client.end(self._follower)
        self.wake()


class AsyncClient:
    """Call ``start``, then ``call`` and ``subscribe``; or use it with ``async with``, which waits for the connection.

    ``on_state`` hears of every change. ``timeout`` is in seconds and for each answer. Without ``sign`` the session
    stays a guest.
    """

    def __init__(
        self,
        path: str,
        name: str,
        *,
        sign: Signer | None = None,
        on_state: Callable[[State], None] | None = None,
        timeout: float = 30.0,
        backoff: Backoff | None = None,
        max_pending: int = 4096,
        limit: int = MAX_FRAME,
    ) -> None:
        self._path = str(path)
        self._name = name
        self._sign = sign
        self._on_state = on_state
        self._timeout = timeout
        self._backoff = backoff or Backoff()
        self._max_pending = max_pending
        self._limit = limit
        self._link: Link | None = None
        self._lost = asyncio.Event()
        self._changed = asyncio.Event()
        self._offered: dict[str, Offered] = {}
        self._subscriptions: dict[Follower, Subscription] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._runner: asyncio.Task[None] | None = None
        self.state = State(connected=False, error=Unreachable("not connected yet"))

    async def __aenter__(self) -> AsyncClient:
        self.start()
        try:
            await self.ready(self._timeout)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    def start(self) -> None:
        """Connect, and stay connected, in the background."""
        if self._runner is None:
            self._runner = asyncio.get_running_loop().create_task(self._run(), name=f"rpc client {self._name}")

    async def ready(self, timeout: float) -> State:
        """Wait until there is a connection; raises the reason of the last failure after ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout):
                while not self.state.connected:
                    await self._changed.wait()
        except TimeoutError:
            raise self.state.error or Unreachable("bzzzd is not connected") from None
        return self.state

    async def close(self) -> None:
        """End the connection, the subscriptions and whatever still answers bzzzd."""
        tasks = [task for task in (self._runner, *self._work) if task is not None]
        for task in tasks:
            task.cancel()
        link, self._link = self._link, None
        if link is not None:
            link.close()
        for subscription in tuple(self._subscriptions.values()):
            subscription.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._set(State(connected=False, error=Unreachable("this client was closed")))

    async def call(
        self,
        method: str,
        params: Any = None,
        *,
        timeout: float | None = None,
        effects: bool = True,
        wait: float = 0.0,
    ) -> Any:
        """Give the result, or raise the error that bzzzd answered.

        Raises ``Unreachable`` when nothing was sent: there is no connection, even after ``wait`` seconds. When it was
        sent and no answer came within ``timeout``: ``UnknownOutcome``, or ``Unreachable`` when ``effects`` is false
        (the call changes nothing, so that nothing can be unknown).
        """
        link = self._link
        if link is None:
            link = await self._connected(method, wait)
        limit = self._timeout if timeout is None else timeout
        if link.jammed:
            await link.writable(method, limit)
        return await link.request(method, params, limit, effects=effects)

    def notify(self, method: str, params: Any = None) -> None:
        """Call without an answer; raises ``Unreachable`` when there is no connection."""
        if self._link is None:
            raise self.state.error or Unreachable("bzzzd is not connected")
        self._link.send(self._link.core.notification(method, params))

    def offer(self, method: str, handler: Offered) -> None:
        """Let bzzzd call ``method`` of ours, as a request or as a notification."""
        self._offered[method] = handler

    def subscribe(
        self,
        stream: str,
        *,
        filter: Mapping[str, Any] | None = None,
        cursor: Cursor | None = None,
        keep: int = 1024,
    ) -> Subscription:
        """Read a stream; it begins with the first ``async for``, and goes on after every reconnect."""
        follower = Follower(stream, filter=filter, cursor=cursor, keep=keep)
        found = self._subscriptions[follower] = Subscription(self, follower)
        return found

    async def resume(self, follower: Follower) -> bool:
        """Subscribe ``follower`` where it left off; ``False`` when there is no connection to do it on now."""
        link = self._link
        if link is None:
            return False
        try:
            await link.request("subscribe", follower.params(), self._timeout, effects=False, follower=follower)
        except (Unavailable, Unreachable) as error:
            _LOG.info("cannot subscribe to %s yet: %s", follower.stream, error.message)
            await asyncio.sleep(self._backoff.wait(3))
        except BzzzError as error:
            follower.fail(error)
        return True

    def end(self, follower: Follower) -> None:
        """Forget a subscription."""
        self._subscriptions.pop(follower, None)
        if follower.id is not None and self._link is not None:
            self._link.send(self._link.core.end(follower.id))
        follower.end()

    # The life of the connection.

    async def _run(self) -> None:
        tries = 0
        while True:
            try:
                await self._open()
            except BzzzError as error:
                tries += 1
                self._set(State(connected=False, error=error))
            except Exception as error:  # of the signer, which is not ours: say it, and go on trying
                tries += 1
                _LOG.error("cannot connect to bzzzd", exc_info=error)
                self._set(State(connected=False, error=Unreachable(f"cannot attach to bzzzd: {error}")))
            else:
                tries = 0
                await self._lost.wait()
            await asyncio.sleep(self._backoff.wait(tries))

    async def _open(self) -> None:
        self._lost.clear()
        loop = asyncio.get_running_loop()
        core = ClientCore(self._name, limit=self._limit, pack=msgspec.msgpack.Encoder().encode)

        def make() -> Link:
            return Link(core, max_pending=self._max_pending, on_frame=self._frame, on_lost=self._gone)

        try:
            async with asyncio.timeout(self._timeout):
                _, link = await loop.create_unix_connection(make, self._path)
        except TimeoutError:
            raise Unreachable(f"bzzzd did not accept a connection within {self._timeout:g} s") from None
        except OSError as error:
            raise cannot_connect(self._path, error) from error
        try:
            hello = core.greeted(await link.request("hello", core.hello_params(), self._timeout, effects=False))
            attached = await self._attach(link, hello)
            if link.closed:
                raise core.refusal or Unreachable("bzzzd closed the connection right after the greeting")
        except BaseException:
            link.abort()
            raise
        self._link = link
        # Wakes the readers of subscriptions, each of which goes on from its cursor.
        self._set(State(connected=True, hello=hello, attached=attached))

    async def _attach(self, link: Link, hello: Hello) -> Mapping[str, Any] | None:
        if self._sign is None:
            return None
        if not hello.mesh_id:
            raise NotReady(f"bzzzd is starting (phase {hello.phase or 'unknown'}) and has no mesh yet")
        params = self._sign(hello.nonce, hello.mesh_id)
        if inspect.isawaitable(params):
            params = await params
        answer: Mapping[str, Any] = await link.request("session.attach", params, self._timeout, effects=False)
        return answer

    async def _connected(self, method: str, wait: float) -> Link:
        if wait > 0 and not self.state.connected:
            await self.ready(wait)
        if self._link is None:
            error = self.state.error or Unreachable("bzzzd is not connected")
            raise Unreachable(f"{method} was not sent: {error.message}", method=method)
        return self._link

    def _set(self, state: State) -> None:
        self.state = state
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        for subscription in self._subscriptions.values():
            subscription.wake()
        if self._on_state is not None:
            try:
                self._on_state(state)
            except Exception as error:  # must not end the task that keeps the connection
                _LOG.error("on_state failed", exc_info=error)

    # What the connection brings.

    def _gone(self, link: Link) -> None:
        link.core.lost()
        if self._link is link:
            self._link = None
            reason = link.core.refusal or Unreachable("the connection to bzzzd was lost; connecting again")
            self._set(State(connected=False, error=reason))
        self._lost.set()

    def _frame(self, link: Link, frame: list[Any]) -> None:
        if frame[0] == REQUEST:
            _, id, method, params = frame
            self._offered_call(link, id, method, params)
            return
        _, method, params = frame
        follower, reply = link.core.notified(method, params)
        link.send(reply)
        if follower is not None:
            self._wake(follower)
        elif method in self._offered:
            self._offered_call(link, None, method, params)

    def _wake(self, follower: Follower) -> None:
        found = self._subscriptions.get(follower)
        if found is not None:
            found.wake()

    def _offered_call(self, link: Link, id: int | None, method: str, params: list[Any]) -> None:
        handler = self._offered.get(method)
        if handler is None:
            if id is not None:
                link.send(link.core.not_offered(id, method))
            return
        task = asyncio.get_running_loop().create_task(self._serve(link, id, method, handler, params))
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _serve(self, link: Link, id: int | None, method: str, handler: Offered, params: list[Any]) -> None:
        answer = link.core.answer
        try:
            result = handler(params[0] if params else {})
            if inspect.isawaitable(result):
                result = await result
            reply = answer(id or 0, result)
        except BzzzError as error:
            reply = answer(id or 0, error)
        except Exception as error:
            _LOG.error("%s, called by bzzzd, failed", method, exc_info=error)
            reply = answer(id or 0, BzzzError(f"{self._name} failed in {method}; its log has the reason"))
        if id is not None:
            link.send(reply)
