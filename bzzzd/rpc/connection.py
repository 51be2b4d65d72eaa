"""One accepted connection: bytes in, methods called, replies out; the request path of the server.

What a client can cost is bounded here: bytes of a frame and the time it takes to arrive, requests in work, and
replies that it does not read (its own requests are then left in the kernel until it does).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import partial
from typing import Any, Final, Protocol, cast

import msgspec

from bzzzd.errors import (
    UNREADABLE,
    BadInput,
    BzzzError,
    InvalidParams,
    MalformedFrame,
    Overloaded,
    TooLarge,
    Unavailable,
)
from bzzzd.rpc.access import Caller
from bzzzd.rpc.frames import Frame, Request, Response, carried, decode, encode, encode_error, fault
from bzzzd.rpc.limits import Counters, Limits
from bzzzd.rpc.registry import Method, Registry, params_fault
from bzzzd.rpc.session import PeerCred, Session
from bzzzd.rpc.wire import NOTIFICATION, RESPONSE, Splitter, StreamBroken

_LOG: Final = logging.getLogger(__name__)
_PEERCRED: Final = struct.Struct("iII")
_FLUSH_AT: Final = 65_536
_TURN: Final = 64
"""Requests of one client answered before the others get their turn."""
_EMPTY_MAP: Final = b"\x80"


class Host(Protocol):
    """The server, as its connections see it."""

    @property
    def registry(self) -> Registry: ...
    @property
    def limits(self) -> Limits: ...
    @property
    def counters(self) -> Counters: ...
    def guest(self, peer: PeerCred) -> Caller: ...
    def admit(self, connection: Connection, peer: PeerCred) -> int:
        """A number for the new session; raises ``Overloaded`` or ``NotReady``."""

    def opened(self, session: Session) -> None: ...
    def lost(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    """Implements ``session.Link`` for its session, and ``asyncio.Protocol`` for the loop."""

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop) -> None:
        self._host = host
        self._loop = loop
        self._limits = host.limits
        self._counters = host.counters
        self._splitter = Splitter(self._limits.max_guest_frame, self._limits.max_frame)
        self._out: list[bytes] = []
        self._out_size = 0
        self._flush_scheduled = False
        self._backlog: list[bytes] = []
        self._paused = False
        self._listening = True
        self._frame_timer: asyncio.TimerHandle | None = None
        self._hello_timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self.tasks: dict[asyncio.Task[None], bool] = {}
        """Work for this client; the value says that it only reads."""
        self.closed = False
        self.session: Session | None = None

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = made = cast(asyncio.Transport, transport)
        made.set_write_buffer_limits(high=self._limits.high_water)
        sock: socket.socket = made.get_extra_info("socket")
        peer = PeerCred(*_PEERCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEERCRED.size)))
        try:
            number = self._host.admit(self, peer)
        except Unavailable as error:
            self._counters.connections_refused += 1
            self.close_with(error)
            return
        host = self._host
        self.session = Session(number, peer, host.guest(peer), self, host.registry, self._limits, self._counters)
        self._hello_timer = self._loop.call_later(self._limits.hello_s, self._no_hello)
        host.opened(self.session)

    def data_received(self, data: bytes) -> None:
        if self.closed:
            return
        try:
            frames = self._splitter.feed(data)
        except StreamBroken as broken:
            self._answer(broken.frames)
            self._counters.malformed += 1
            self.close_with(broken.error)
            return
        if frames:
            if self._frame_timer is not None:
                self._stop_frame_timer()
            self._serve(frames)
        if self._splitter.partial:
            self._time_frame()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._guarded(self._resume)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._transport = None
        self._backlog.clear()
        self._out.clear()
        self._stop_frame_timer()
        if self._hello_timer is not None:
            self._hello_timer.cancel()
        # Only what changes nothing may be broken off half-way; the host waits for the rest.
        for task, reads in tuple(self.tasks.items()):
            if reads:
                task.cancel()
        if self.session is not None:
            self.session.ended()
        self._host.lost(self)

    # The request path.

    def _serve(self, frames: list[bytes]) -> None:
        """Answer ``frames``; of many, the first few now and the others after everybody else had a turn."""
        if len(frames) <= _TURN:
            self._answer(frames)
            return
        self._answer(frames[:_TURN])
        if not self.closed:
            self._stop_listening(frames[_TURN:])
            if not self._paused:
                self.soon(self._resume)

    def _answer(self, frames: list[bytes]) -> None:
        session = self.session
        assert session is not None
        routes, out, tasks = session.routes, self._out, self.tasks
        self._counters.frames += len(frames)
        size = 0
        waiting = iter(frames)
        for frame in waiting:
            try:
                message = decode(frame)
            except UNREADABLE as error:
                self._counters.malformed += 1
                self.close_with(fault(error))
                return
            if type(message) is not Request:
                self._other(session, message)
                continue
            name, args = message.method, message.params
            try:
                method = routes.get(name) or session.route(name)
                if tasks and self._full():
                    raise self._overloaded(name)
                try:
                    params = method.decode(args[0] if len(args) == 1 else _only(method, args))
                except UNREADABLE as error:
                    raise params_fault(method, error) from None
                value = method.handler(session.current, params)
                if method.is_async or (value.__class__ is not dict and hasattr(value, "__await__")):
                    self._begin(method, message.id, value)
                    continue
                reply = encode((RESPONSE, message.id, None, value))
            except Exception as error:
                reply = encode_error(message.id, self._explain(name, error))
            size += len(reply)
            if size < _FLUSH_AT:
                out.append(reply)
            else:
                out.append(self._fitting(name, message.id, reply))
                size = 0
                self._flush()
                if self._paused:
                    break
            if self.closed:
                return
        if out:
            self._flush()
        if self._paused:
            self._stop_listening(waiting)

    def _other(self, session: Session, message: Frame) -> None:
        """A notification, which is a call without an answer, or the answer to a request of ours."""
        if isinstance(message, Response):
            session.answered(message)
            return
        name = message.method
        try:
            method = session.route(name)
            if self._full():
                raise self._overloaded(name)
            try:
                params = method.decode(_only(method, message.params))
            except UNREADABLE as error:
                raise params_fault(method, error) from None
            value = method.handler(session.current, params)
            if method.is_async or hasattr(value, "__await__"):
                self._begin(method, None, value)
        except Exception as error:
            self._explain(name, error)

    def _begin(self, method: Method, id: int | None, value: Awaitable[Any]) -> None:
        task = self._loop.create_task(self._work(method.name, id, value))
        self.tasks[task] = method.reads
        task.add_done_callback(partial(self._ended, value))

    async def _work(self, name: str, id: int | None, value: Awaitable[Any]) -> None:
        try:
            result = await value
            reply = b"" if id is None else encode((RESPONSE, id, None, result))
        except Exception as error:
            found = self._explain(name, error)
            reply = b"" if id is None else encode_error(id, found)
        if id is not None:
            self.send(reply if len(reply) < _FLUSH_AT else self._fitting(name, id, reply))

    def _ended(self, value: Any, task: asyncio.Task[None]) -> None:
        del self.tasks[task]
        if task.cancelled() and hasattr(value, "close"):
            value.close()  # a coroutine whose task was cancelled before it began

    def _fitting(self, name: str, id: int, reply: bytes) -> bytes:
        """``reply``, or an error in its place when it is larger than a frame may be."""
        limit = self._limits.max_frame
        if len(reply) <= limit:
            return reply
        text = f"the answer of {name} has {len(reply)} bytes, over the limit of {limit}; ask for less"
        return encode_error(id, TooLarge(text, size=len(reply), limit=limit))

    def _explain(self, name: str, error: Exception) -> BzzzError:
        """The error that the caller gets; what nobody expected is logged here and not shown."""
        self._counters.errors += 1
        if isinstance(error, BzzzError):
            return error
        self._counters.handler_failures += 1
        _LOG.error("method %s failed", name[:64], exc_info=error)
        return BzzzError(f"an unexpected fault in {name[:64]}; the log of bzzzd has it: bzzz logs", method=name[:64])

    def _full(self) -> bool:
        """Whether no request more may be in work. One that is answered is noted as ended a turn after its answer."""
        most = self._limits.max_in_flight
        return len(self.tasks) >= most and sum(not task.done() for task in self.tasks) >= most

    def _overloaded(self, name: str) -> Overloaded:
        self._counters.overloaded += 1
        return Overloaded(
            f"{self._limits.max_in_flight} requests of this client are in work, the most there can be; "
            "wait for one to end",
            method=name[:64],
        )

    # Writing.

    @property
    def writable(self) -> bool:
        return not self._paused and not self.closed

    def send(self, frame: bytes) -> None:
        """Write ``frame`` together with everything else of this loop turn."""
        if self.closed:
            return
        self._out.append(frame)
        self._out_size += len(frame)
        if self._out_size >= _FLUSH_AT:
            self._flush()
        elif not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush_turn)

    def _flush_turn(self) -> None:
        self._flush_scheduled = False
        self._flush()

    def _flush(self) -> None:
        out = self._out
        if not out or self._transport is None:
            return
        self._transport.write(out[0] if len(out) == 1 else b"".join(out))
        out.clear()
        self._out_size = 0
        if self._paused and self._transport.get_write_buffer_size() > self._limits.max_unsent:
            self._counters.cut_off += 1
            self._abort()

    def _stop_listening(self, waiting: Iterable[bytes]) -> None:
        """Keep ``waiting`` for ``_resume``, and leave further requests in the kernel until then."""
        self._backlog.extend(waiting)
        self._listening = False
        if self._transport is not None:
            self._transport.pause_reading()
        self._stop_frame_timer()  # it is not the client that is silent while we do not listen

    def _resume(self) -> None:
        backlog, self._backlog = self._backlog, []
        if backlog:
            self._serve(backlog)
        if self.writable and self.session is not None:
            self.session.subscriptions.pump()
            self._flush()
        if self.writable and not self._backlog and self._transport is not None:
            self._listening = True
            self._transport.resume_reading()
            if self._splitter.partial:
                self._time_frame()

    # What the session uses.

    def soon(self, act: Callable[[], None]) -> None:
        self._loop.call_soon(self._guarded, act)

    def _guarded(self, act: Callable[[], None]) -> None:
        if self.closed:
            return
        try:
            act()
        except Exception as error:
            self.close_with(self._explain("a stream", error))
        self._flush()  # what a stream has waited for already shall not wait for another turn

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Work for this client that is no request; it ends with the connection."""
        task = self._loop.create_task(self._alone(work))
        self.tasks[task] = True
        task.add_done_callback(partial(self._ended, work))

    async def _alone(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            self.close_with(self._explain("a stream", error))

    def greeted(self) -> None:
        """``hello`` came in time."""
        if self._hello_timer is not None:
            self._hello_timer.cancel()
            self._hello_timer = None

    def set_frame_limit(self, size: int) -> None:
        self._splitter.limit = size

    # Ending.

    def _time_frame(self) -> None:
        if self._frame_timer is None and self._listening and not self.closed:
            self._frame_timer = self._loop.call_later(self._limits.frame_s, self._frame_late)

    def _stop_frame_timer(self) -> None:
        if self._frame_timer is not None:
            self._frame_timer.cancel()
            self._frame_timer = None

    def _frame_late(self) -> None:
        self._frame_timer = None
        self._counters.timed_out += 1
        text = f"{self._splitter.partial} bytes of a frame came, but not its end within {self._limits.frame_s:g} s"
        self.close_with(MalformedFrame(f"{text}; the connection is closed"))

    def _no_hello(self) -> None:
        self._hello_timer = None
        self._counters.timed_out += 1
        self.close_with(BadInput(f"no hello came within {self._limits.hello_s:g} s; the connection is closed"))

    def close_with(self, error: BzzzError) -> None:
        """Tell the client why (a notification ``error``), then close."""
        if not self.closed:
            self._out.append(encode((NOTIFICATION, "error", (carried(error),))))
            self.close()

    def close(self) -> None:
        """Close once what was written is sent, or ``close_s`` later."""
        if self.closed:
            return
        self._flush()
        self.closed = True
        if self._transport is not None:
            self._transport.close()
            self._loop.call_later(self._limits.close_s, self._abort)

    def _abort(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.abort()


def _only(method: Method, params: tuple[msgspec.Raw, ...]) -> Any:
    """The one map of ``params``; none stands for an empty one."""
    if len(params) > 1:
        raise InvalidParams(f"{method.name}: parameters are one map, not {len(params)} values", method=method.name)
    return params[0] if params else _EMPTY_MAP
