"""The bridge between the asyncio loop and the trio thread: calls one way, results and messages the other.

    asyncio                                   trio thread
    call(fn, *args)  ── inbox, one wake-up a batch ──►  task in the nursery
    future / callback  ◄── outbox, one wake-up a batch ──  post(), results
    coroutine  ◄── ask(fn, *args) ──  a trio task that waits for it

Each direction is a deque and a flag, so a burst costs one wake-up and a lone item never waits for a
second one. Calls under way are bounded (``Overloaded`` beyond), and a trio task that produces messages
awaits ``room()`` first, so a slow loop slows the peers that send to it and nothing grows.

The trio thread is never joined from the loop. Whatever ends it (a bug, an exception group, a return)
is caught in the thread, fails every pending call, and reaches ``on_death`` on the loop, once.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from bzzzd.errors import Overloaded, Unavailable
from bzzzd.mesh.describe import describe

if TYPE_CHECKING:
    import trio

T = TypeVar("T")
Main = Callable[["Bridge"], Awaitable[None]]

_FLUSH_SLICE_S: Final = 0.005
_MAX_CALLS: Final = 1024
_MAX_QUEUED: Final = 1024
_MAX_QUEUED_BYTES: Final = 32 * 1024 * 1024


class _Call:
    """One call on its way: what to run in trio, and the future that waits for it on the loop."""

    __slots__ = ("args", "cancelled", "fn", "future", "scope")

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], future: asyncio.Future[Any]) -> None:
        self.fn = fn
        self.args = args
        self.future = future
        self.scope: trio.CancelScope | None = None
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True
        if self.scope is not None:
            self.scope.cancel()


class Bridge:
    """One trio thread and the two queues to it. Made and used on the asyncio loop, except where said."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        on_death: Callable[[BaseException | None], None],
        max_calls: int = _MAX_CALLS,
        max_queued: int = _MAX_QUEUED,
        max_queued_bytes: int = _MAX_QUEUED_BYTES,
    ) -> None:
        self._loop = loop
        self._on_death = on_death
        self._max_calls, self._max_queued, self._max_queued_bytes = max_calls, max_queued, max_queued_bytes
        self._inbox: deque[Callable[[], object]] = deque()
        self._inbox_awake = False
        self._outbox: deque[tuple[Callable[..., object], tuple[Any, ...], int]] = deque()
        self._outbox_awake = False
        # One thread writes each counter; their difference is what is queued.
        self._posted_bytes = self._taken_bytes = 0
        self._held_bytes = 0
        self._room_wanted = False
        self._room: trio.Event | None = None
        self._calls: set[_Call] = set()
        self._asks: set[asyncio.Task[None]] = set()
        self._token: trio.lowlevel.TrioToken | None = None
        self._scope: trio.CancelScope | None = None
        self._nursery: trio.Nursery | None = None
        self._thread: threading.Thread | None = None
        self._ended = asyncio.Event()
        self._stopping = False
        self.failure: BaseException | None = None
        self.beat = time.monotonic()

    # On the loop.

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and not self._ended.is_set()

    def start(self, load: Callable[[], Main]) -> None:
        """Start the thread: ``load`` (slow imports go there) gives the async main function that trio runs."""
        self._thread = threading.Thread(target=self._run_thread, args=(load,), name="mesh", daemon=True)
        self._thread.start()

    async def stop(self, limit_s: float) -> bool:
        """End the thread and wait for that; ``False`` when it did not end within ``limit_s`` seconds."""
        self._stopping = True
        if self._thread is None:
            return True
        self._cast(self._cancel)
        try:
            async with asyncio.timeout(limit_s):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True

    async def call(self, fn: Callable[..., Awaitable[T] | T], *args: Any) -> T:
        """Run ``await fn(*args)`` in the trio thread. Cancelling this await cancels that.

        When ``fn`` gives nothing to await it is done at once, without a task and a turn of the scheduler of its own.

        Raises what ``fn`` raises, ``Overloaded`` when too many calls are under way, and ``Unavailable``
        when the thread is not running or dies meanwhile.
        """
        if self._ended.is_set() or self._stopping or self._thread is None:
            raise Unavailable(f"the mesh is not running{self._because()}")
        if len(self._calls) >= self._max_calls:
            raise Overloaded(f"{self._max_calls} calls to the mesh are under way; try again shortly")
        call = _Call(fn, args, self._loop.create_future())
        self._calls.add(call)
        self._cast(lambda: self._spawn(call))
        try:
            return cast(T, await call.future)
        except asyncio.CancelledError:
            self._cast(call.cancel)
            raise
        finally:
            self._calls.discard(call)

    def tell(self, fn: Callable[..., object], *args: Any) -> None:
        """Have ``fn(*args)``, which raises nothing, run in the trio thread; without one, nothing happens."""
        if self.alive:
            self._cast(lambda: fn(*args))

    def _because(self) -> str:
        return f": {describe(self.failure)}" if self.failure is not None else ""

    def _cast(self, job: Callable[[], object]) -> None:
        """Have ``job`` run in the trio thread, between its tasks; at once when that has started."""
        self._inbox.append(job)
        if self._token is not None and not self._inbox_awake:
            self._inbox_awake = True
            self._wake(self._drain_inbox)

    def _wake(self, job: Callable[[], object]) -> None:
        import trio

        token = self._token  # the thread takes it away when it ends
        if token is None:
            return
        try:
            token.run_sync_soon(job)
        except trio.RunFinishedError:
            self._inbox_awake = False

    def _flush(self) -> None:
        """Run what the thread posted. The flag falls first, so that a later post wakes the loop again."""
        self._outbox_awake = False
        outbox, until = self._outbox, self._loop.time() + _FLUSH_SLICE_S
        while outbox:
            callback, args, size = outbox.popleft()
            self._taken_bytes += size
            try:
                callback(*args)
            except Exception as error:  # a callback's fault must not lose the items behind it
                self._loop.call_exception_handler({"message": "a mesh callback failed", "exception": error})
            if outbox and self._loop.time() > until:
                self._outbox_awake = True
                self._loop.call_soon(self._flush)
                break
        if self._room_wanted:
            self._room_wanted = False
            self._cast(self._give_room)

    def hold(self, size: int) -> None:
        """Count ``size`` bytes that were taken from the queue as still in it: a callback works on them."""
        self._held_bytes += size

    def release(self, size: int) -> None:
        """The end of a ``hold``: whoever waits for room may go on."""
        self._held_bytes -= size
        if self._room_wanted:
            self._room_wanted = False
            self._cast(self._give_room)

    def _finish(self, call: _Call, value: Any, error: BaseException | None) -> None:
        if call.future.done():
            return
        if error is None:
            call.future.set_result(value)
        else:
            call.future.set_exception(error)

    def _died(self, failure: BaseException | None) -> None:
        self.failure = failure
        self._ended.set()
        for call in list(self._calls):
            self._finish(call, None, Unavailable(f"the mesh has stopped{self._because()}"))
        for task in self._asks:
            task.cancel()
        self._on_death(failure)

    def _begin_ask(
        self, make: Callable[[], Coroutine[Any, Any, Any]], done: Callable[[Any, BaseException | None], None]
    ) -> asyncio.Task[None]:
        async def run() -> None:
            value: Any = None
            error: BaseException | None = None
            try:
                value = await make()
            except Exception as problem:
                error = problem
            except asyncio.CancelledError:
                error = Unavailable("the handler was stopped")
            self._cast(lambda: done(value, error))

        task = self._loop.create_task(run(), name="mesh-ask")
        self._asks.add(task)
        task.add_done_callback(self._asks.discard)
        return task

    # In the trio thread.

    def _run_thread(self, load: Callable[[], Main]) -> None:
        failure: BaseException | None = None
        try:
            main = load()
            import trio

            trio.run(self._main, main)
        except BaseException as error:  # the thread's boundary: nothing may end it unseen
            failure = error
        self._token = None
        try:
            self._loop.call_soon_threadsafe(self._flush)
            self._loop.call_soon_threadsafe(self._died, failure)
        except RuntimeError:  # the loop has closed: nobody is left who could be told
            self.failure = failure

    async def _main(self, main: Main) -> None:
        import trio

        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as self._scope:
                self._nursery = nursery
                self._token = trio.lowlevel.current_trio_token()
                self._drain_inbox()
                await main(self)
            nursery.cancel_scope.cancel()

    def _drain_inbox(self) -> None:
        self._inbox_awake = False
        while self._inbox:
            self._inbox.popleft()()

    def _cancel(self) -> None:
        if self._scope is not None:
            self._scope.cancel()

    def _spawn(self, call: _Call) -> None:
        if self._nursery is None or call.cancelled:
            return
        try:
            value: Any = call.fn(*call.args)
        except Exception as error:
            self.post(self._finish, call, None, error)
            return
        if isinstance(value, Coroutine):
            self._nursery.start_soon(self._serve, call, value)
        else:
            self.post(self._finish, call, value, None)

    async def _serve(self, call: _Call, work: Coroutine[Any, Any, Any]) -> None:
        import trio

        value: Any = None
        error: BaseException | None = None
        with trio.CancelScope() as call.scope:
            if call.cancelled:
                work.close()
                return
            try:
                value = await work
            except Exception as problem:
                error = problem
        if not call.cancelled:
            self.post(self._finish, call, value, error)

    def post(self, callback: Callable[..., object], *args: Any, size: int = 0) -> None:
        """Have ``callback(*args)`` run on the loop, in the order of posting. Called in the trio thread."""
        self._posted_bytes += size
        self._outbox.append((callback, args, size))
        if not self._outbox_awake:
            self._outbox_awake = True
            try:
                self._loop.call_soon_threadsafe(self._flush)
            except RuntimeError:  # the loop has closed without stopping us: end by ourselves
                self._cancel()

    def _full(self) -> bool:
        queued = self._posted_bytes - self._taken_bytes + self._held_bytes
        return len(self._outbox) >= self._max_queued or queued >= self._max_queued_bytes

    async def room(self) -> None:
        """Wait until the loop has taken enough of what was posted. Awaited in the trio thread."""
        import trio

        while self._full():
            if self._room is None:
                self._room = trio.Event()
            room = self._room
            self._room_wanted = True
            # The loop may have emptied the queue just before the flag rose, and then nobody would come.
            if not self._full():
                return
            await room.wait()

    def _give_room(self) -> None:
        if self._room is not None:
            self._room.set()
            self._room = None

    async def ask(self, fn: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Run ``await fn(*args)`` on the asyncio loop and wait for it, from a trio task.

        Cancelling the wait cancels the coroutine.
        """
        import trio

        answered = trio.Event()
        answer: list[tuple[Any, BaseException | None]] = []
        tasks: list[asyncio.Task[None]] = []

        def done(value: Any, error: BaseException | None) -> None:
            answer.append((value, error))
            answered.set()

        self.post(lambda: tasks.append(self._begin_ask(lambda: fn(*args), done)))
        try:
            await answered.wait()
        except trio.Cancelled:
            self.post(lambda: [task.cancel() for task in tasks])
            raise
        value, error = answer[0]
        if error is not None:
            raise error
        return cast(T, value)
