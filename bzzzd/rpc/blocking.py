"""A client over a blocking socket, for commands: starts in milliseconds, one request at a time."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from time import monotonic
from types import TracebackType
from typing import Any

from bzzzd.errors import NotReady, Unreachable, from_map
from bzzzd.rpc.client_core import ClientCore, cannot_connect, cut_off, no_answer
from bzzzd.rpc.follower import Cursor, Event, Follower, Items
from bzzzd.rpc.wire import MAX_FRAME, READ_SIZE, REQUEST, RESPONSE


class BlockingClient:
    """Connects at the first ``hello`` or ``call``. ``timeout`` is in seconds, for each answer.

    Not for several threads at once.
    """

    def __init__(self, path: str, timeout: float = 30.0, *, name: str = "bzzz", limit: int = MAX_FRAME) -> None:
        self._path = str(path)
        self._timeout = timeout
        self._core = ClientCore(name, limit=limit)
        self._sock: socket.socket | None = None
        self._frames: deque[list[Any]] = deque()
        self._greeting: dict[str, Any] | None = None

    def __enter__(self) -> BlockingClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def hello(self) -> dict[str, Any]:
        """Say hello, again if need be: every answer has a fresh nonce.

        Raises ``Unreachable``, or its kinds ``ClientTooOld`` and ``ClientTooNew``.
        """
        if self._sock is None:
            self._connect()
        answer = self._ask("hello", self._core.hello_params(), None, effects=False)
        self._core.greeted(answer)
        self._greeting = answer
        return dict(answer)

    def attach(self, sign: Callable[[bytes, str], Mapping[str, Any]]) -> Any:
        """Prove who this is: ``sign(nonce, mesh_id)`` gives the parameters of ``session.attach``."""
        hello = self._core.greeted(self.hello())
        if not hello.mesh_id:
            raise NotReady("bzzzd has no mesh yet: it is still starting; try again in a moment (bzzz status)")
        return self.call("session.attach", sign(hello.nonce, hello.mesh_id), effects=False)

    def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        effects: bool = True,
    ) -> Any:
        """Give the result, or raise the error that bzzzd answered.

        Without an answer in time: ``UnknownOutcome``, or ``Unreachable`` when ``effects`` is false (the call
        changes nothing, so that nothing can be unknown).
        """
        if self._greeting is None:
            self.hello()
        return self._ask(method, params, timeout, effects=effects)

    def events(
        self,
        stream: str,
        *,
        filter: Mapping[str, Any] | None = None,
        cursor: Cursor | None = None,
        until: float | None = None,
        keep: int = 4096,
    ) -> Iterator[Event]:
        """A stream's snapshot and items as they come, until the time ``until`` of ``time.monotonic`` (or for ever).

        Other calls may be made between two events. Raises ``Unreachable`` when bzzzd goes away.
        """
        if self._greeting is None:
            self.hello()
        follower = Follower(stream, filter=filter, cursor=cursor, keep=keep)
        try:
            while True:
                event = follower.take()
                if event is not None:
                    yield event
                elif follower.wanted:
                    self._ask("subscribe", follower.params(), None, effects=False, follower=follower)
                elif not self._wait(until):
                    return
        finally:
            if follower.id is not None:
                self._end(follower.id)

    def items(
        self,
        stream: str,
        *,
        filter: Mapping[str, Any] | None = None,
        cursor: Cursor | None = None,
        until: float | None = None,
    ) -> Iterator[Any]:
        """``events`` without snapshots: one item at a time."""
        for event in self.events(stream, filter=filter, cursor=cursor, until=until):
            if isinstance(event, Items):
                yield from event.items

    def _end(self, subscription: int) -> None:
        frame = self._core.end(subscription)
        if self._sock is not None:
            try:
                self._write(frame, monotonic() + self._timeout)
            except OSError:
                self.close()  # a connection that takes no more is of no use to the next call either

    def _connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(self._timeout)
            sock.connect(self._path)
        except OSError as error:
            sock.close()
            raise cannot_connect(self._path, error) from error
        self._sock = sock

    def _ask(
        self, method: str, params: Any, timeout: float | None, *, effects: bool, follower: Follower | None = None
    ) -> Any:
        seconds = self._timeout if timeout is None else timeout
        until = monotonic() + seconds
        id, frame = self._core.request(method, params)
        try:
            whole = self._write(frame, until)
        except TimeoutError as error:  # an unfinished frame is never acted upon
            self.close()
            raise Unreachable(f"bzzzd did not take {method} within {seconds:g} s; look at: bzzz health") from error
        while True:
            try:
                found = self._next(until)
            except TimeoutError as error:
                raise no_answer(method, seconds, effects=effects) from error
            if found is None:
                raise cut_off(method, self._core.refusal, effects=effects and whole)
            if found[0] == RESPONSE and found[1] == id:
                break
            self._other(found)
        if found[2] is not None:
            raise from_map(found[2])
        if follower is not None:
            self._core.opened(follower, found[3])
        return found[3]

    def _write(self, frame: bytes, until: float) -> bool:
        """Whether all of it was sent; bzzzd may have closed, and its reason can still be read."""
        sock = self._open()
        sock.settimeout(max(until - monotonic(), 0.001))
        try:
            sock.sendall(frame)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def _next(self, until: float | None) -> list[Any] | None:
        """The next frame; ``None`` at the end of the connection. Raises ``TimeoutError``."""
        sock = self._open()
        while not self._frames:
            if until is None:
                sock.settimeout(None)
            else:
                left = until - monotonic()
                if left <= 0:
                    raise TimeoutError
                sock.settimeout(left)
            try:
                data = sock.recv(READ_SIZE)
            except ConnectionResetError:
                data = b""
            if not data:
                self.close()
                self._core.lost()
                return None
            self._frames.extend(self._core.receive(data))
        return self._frames.popleft()

    def _wait(self, until: float | None) -> bool:
        """Take in one frame; ``False`` when the time is over."""
        try:
            found = self._next(until)
        except TimeoutError:
            return False
        if found is None:
            raise self._core.refusal or Unreachable("bzzzd went away; look at: bzzz status")
        self._other(found)
        return True

    def _other(self, frame: list[Any]) -> None:
        """What is not the awaited answer: stream items, a late answer, or a request, which nothing here serves."""
        if frame[0] == RESPONSE:
            return
        if frame[0] == REQUEST:
            reply = self._core.not_offered(frame[1], frame[2])
        else:
            _, reply = self._core.notified(frame[1], frame[2])
        if reply:
            self._write(reply, monotonic() + self._timeout)

    def _open(self) -> socket.socket:
        if self._sock is None:
            raise Unreachable(f"the connection to {self._path} is closed")
        return self._sock
