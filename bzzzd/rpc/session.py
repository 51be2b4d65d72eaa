"""One client's session: who it is, what it may call, and the way to call it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from bzzzd.errors import UNREADABLE, BadInput, NotAllowed, Overloaded, UnknownOutcome, Unreachable, from_map
from bzzzd.rpc.access import Caller, allowed
from bzzzd.rpc.frames import Response, encode
from bzzzd.rpc.limits import Counters, Limits
from bzzzd.rpc.registry import Method, Registry
from bzzzd.rpc.subscriptions import Subscriptions
from bzzzd.rpc.wire import MAX_ID, NOTIFICATION, REQUEST

NONCE_BYTES = 32
Bind = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class PeerCred:
    """SO_PEERCRED of a connection: what the kernel says of the process at the other end, when it connected."""

    pid: int
    uid: int
    gid: int


class Link(Protocol):
    """The connection below a session."""

    @property
    def writable(self) -> bool:
        """Whether the client reads what it is sent."""

    @property
    def closed(self) -> bool: ...
    def send(self, frame: bytes) -> None: ...
    def soon(self, act: Callable[[], None]) -> None: ...
    def spawn(self, work: Coroutine[Any, Any, None]) -> None: ...
    def greeted(self) -> None: ...
    def set_frame_limit(self, size: int) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Call:
    """What a handler learns about its caller: one value for all calls of a session under one identity."""

    caller: Any
    session: Session


class Session:
    """From accept to disconnect. ``caller`` begins as a guest; ``become`` replaces it as a whole, never in part."""

    def __init__(
        self, id: int, peer: PeerCred, guest: Caller, link: Link, registry: Registry, limits: Limits, counters: Counters
    ) -> None:
        self.id = id
        self.peer = peer
        self.client = ""
        self.greeted = False
        self.current = Call(guest, self)
        self.routes: dict[str, Method] = {}
        self.subscriptions = Subscriptions(link, limits.max_subscriptions, counters)
        self._guest = guest
        self._link = link
        self._registry = registry
        self._limits = limits
        self._counters = counters
        self.salt = b""
        self._nonce: bytes | None = None
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._last_id = 0

    @property
    def caller(self) -> Any:
        return self.current.caller

    @property
    def attached(self) -> bool:
        return self.current.caller is not self._guest

    @property
    def closed(self) -> bool:
        return self._link.closed

    def become(self, caller: Caller | None) -> None:
        """From the next request on, this session is ``caller``; ``None`` makes it a guest again.

        Subscriptions that were opened with the rights of another identity end.
        """
        before = self.current.caller
        if before is not self._guest and before != caller:
            self.subscriptions.close()
        self.current = Call(caller or self._guest, self)
        self.routes.clear()
        self._link.set_frame_limit(self._limits.max_frame if caller else self._limits.max_guest_frame)

    def greet(self, client: str, bind: Bind | None = None) -> bytes:
        """``hello`` was said: open the other methods, and give the nonce to sign for ``session.attach``.

        The nonce is random; with ``bind`` it is what that makes of a random ``salt``, which whoever shows
        the signed nonce to others shows with it.
        """
        self.greeted = True
        self._link.greeted()
        self.client = client
        salt = secrets.token_bytes(NONCE_BYTES)
        self._nonce = salt if bind is None else bind(salt)
        self.salt = salt
        return self._nonce

    def take_nonce(self) -> bytes:
        """The nonce of the last ``hello``, once; every try to attach needs a new one."""
        nonce, self._nonce = self._nonce, None
        if nonce is None:
            raise NotAllowed("the nonce of this connection is used up; say hello again and sign the new one")
        return nonce

    def route(self, name: str) -> Method:
        """The method ``name``, if this caller may call it.

        The answer is kept in ``routes`` until the caller changes: rule and caller are both frozen, so the decision
        cannot change between two calls. Raises ``UnknownMethod``, ``NotReady`` or ``NotAllowed``.
        """
        if not self.greeted and not (name in self._registry and self._registry.find(name).access.greeting):
            raise NotAllowed("the first request of a connection is hello {api, min_api, client}", method=name[:64])
        method = self._registry.find(name)
        refusal = allowed(method.access, self.current.caller, name)
        if refusal is not None:
            self._counters.denied += 1
            raise refusal
        self.routes[name] = method
        return method

    async def request(self, method: str, params: Any = None, *, timeout: float | None = None) -> Any:
        """Call a method that the client offers, and give its result.

        Raises ``Unreachable`` (not sent), ``UnknownOutcome`` (no answer within ``timeout`` seconds, or the client
        went away), ``Overloaded`` (too many of ours are unanswered), or the client's own error.
        """
        if self._link.closed:
            raise Unreachable(f"{self.client or 'the client'} has disconnected; {method} was not sent")
        if len(self._asked) >= self._limits.max_calls:
            raise Overloaded(f"{self.client} has {len(self._asked)} unanswered requests; {method} was not sent")
        limit = self._limits.call_s if timeout is None else timeout
        id = self._last_id = self._last_id % MAX_ID + 1
        answer = self._asked[id] = asyncio.get_running_loop().create_future()
        try:
            self._link.send(encode((REQUEST, id, method, ({} if params is None else params,))))
            async with asyncio.timeout(limit):
                return await answer
        except TimeoutError:
            raise UnknownOutcome(f"{self.client} did not answer {method} within {limit:g} s", method=method) from None
        finally:
            self._asked.pop(id, None)

    def answered(self, response: Response) -> None:
        """The client answered a request of ours; an answer to none that waits (it came too late) is dropped."""
        answer = self._asked.get(response.id)
        if answer is None or answer.done():
            return
        try:
            error = msgspec.msgpack.decode(response.error)
            result = msgspec.msgpack.decode(response.result) if error is None else None
        except UNREADABLE:
            answer.set_exception(BadInput(f"{self.client} answered with a value that cannot be read"))
            return
        if error is None:
            answer.set_result(result)
        else:
            answer.set_exception(from_map(error))

    def notify(self, method: str, params: Any) -> bool:
        """Send a notification; ``False`` (and nothing is sent) when the client is gone or does not read.

        For what must not be lost, use a stream.
        """
        if self._link.closed or not self._link.writable:
            return False
        self._link.send(encode((NOTIFICATION, method, (params,))))
        return True

    def close(self) -> None:
        """End the connection once what was written is sent."""
        self._link.close()

    def close_soon(self) -> None:
        """``close`` in the next loop turn, after the answer to the request that asks for it."""
        self._link.soon(self._link.close)

    def ended(self) -> None:
        """The connection is gone: nobody will answer."""
        self.subscriptions.close()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(UnknownOutcome(f"{self.client or 'the client'} went away without an answer"))
        self._asked.clear()
