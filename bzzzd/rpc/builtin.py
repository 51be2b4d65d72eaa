"""The methods that every server has: greeting, proving who one is, leaving, and subscribing."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec import Struct, field

from bzzzd.errors import ClientTooNew, ClientTooOld
from bzzzd.rpc.access import Caller, allowed, attached, greeting, guest
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.session import Call, Session
from bzzzd.rpc.streams import StreamTable
from bzzzd.rpc.subscriptions import Opened
from bzzzd.rpc.wire import API, MIN_API


class Hello(Struct, frozen=True, forbid_unknown_fields=True):
    """``api`` is what the client speaks, ``min_api`` the oldest it can make do with, ``client`` its name."""

    api: int
    min_api: int
    client: str


class Attach(Struct, frozen=True, forbid_unknown_fields=True):
    """``envelope`` signs this connection's nonce; ``chain`` is the grant chain, leaf first, if one is held."""

    envelope: bytes
    chain: tuple[bytes, ...] = ()
    record: bytes | None = None


class Subscribe(Struct, frozen=True, forbid_unknown_fields=True):
    """``cursor`` is [incarnation, number] of the last item seen; ``filter`` is for the stream to read."""

    stream: str
    cursor: tuple[str, int] | None = None
    filter: dict[str, Any] = field(default_factory=dict)


class Unsubscribe(Struct, frozen=True, forbid_unknown_fields=True):
    subscription: int


Attached = tuple[Caller, Mapping[str, Any]]
Attacher = Callable[[Session, bytes, Attach], Attached | Awaitable[Attached]]
"""``attach(session, nonce, params)`` gives who the session is from now on, and the result for the client."""


def compare(hello: Hello) -> None:
    """Raises ``ClientTooOld`` or ``ClientTooNew`` when the two ranges of API versions do not meet."""
    data = {"api": API, "min_api": MIN_API}
    if hello.api < MIN_API:
        raise ClientTooOld(
            f"{hello.client[:64]} speaks API {hello.api} and this bzzzd needs at least {MIN_API}; upgrade the client",
            **data,
        )
    if hello.min_api > API:
        raise ClientTooNew(
            f"{hello.client[:64]} needs API {hello.min_api} and this bzzzd speaks {API}; upgrade bzzzd and restart it",
            **data,
        )


class Builtin:
    """``hello()`` gives what the daemon adds to the greeting: build, node_id, mesh_id, phase."""

    def __init__(
        self,
        registry: Registry,
        streams: StreamTable,
        hello: Callable[[], Mapping[str, Any]],
        attach: Attacher | None,
        left: Callable[[Session, Caller], None],
    ) -> None:
        self._registry = registry
        self._streams = streams
        self._hello = hello
        self._attach = attach
        self._left = left

    def register(self) -> None:
        """List the methods in the registry."""
        add = self._registry.add
        add(
            "hello", greeting(), Hello, self.hello,
            result="{api, min_api, extensions: [..], build, node_id, mesh_id, phase, nonce}",
        )  # fmt: skip
        add("subscribe", guest(), Subscribe, self.subscribe, result="{subscription, cursor, reset, snapshot?}")
        add("unsubscribe", guest(), Unsubscribe, self.unsubscribe)
        add("session.goodbye", guest(), None, self.goodbye)
        if self._attach is not None:
            add("session.attach", guest(), Attach, self.attach, result="{caller, chain, policy}")
            add("session.detach", attached(), None, self.detach)

    def hello(self, call: Call, params: Hello) -> dict[str, Any]:
        """Compare versions, say who is here, and give a nonce to sign; may be said again for a fresh nonce."""
        compare(params)
        return {
            **self._hello(),
            "api": API,
            "min_api": MIN_API,
            "extensions": self._registry.extensions,
            "nonce": call.session.greet(params.client[:128]),
        }

    async def attach(self, call: Call, params: Attach) -> Mapping[str, Any]:
        """Prove an identity: the session acts as the grant's subject from then on."""
        session = call.session
        assert self._attach is not None
        found = self._attach(session, session.take_nonce(), params)
        caller, result = await found if inspect.isawaitable(found) else found
        before, was = session.caller, session.attached
        session.become(caller)
        if was and (before.kind, before.id) != (caller.kind, caller.id):
            session.subscriptions.close()  # they were opened with somebody else's rights
            self._left(session, before)
        return result

    def detach(self, call: Call, params: Any) -> dict[str, Any]:
        """Be a guest again; subscriptions end, because they were opened with the rights that are given up."""
        call.session.subscriptions.close()
        call.session.become(None)
        self._left(call.session, call.caller)
        return {}

    def goodbye(self, call: Call, params: Any) -> dict[str, Any]:
        """Leave in order: the connection is closed after the answer."""
        call.session.close_soon()
        return {}

    async def subscribe(self, call: Call, params: Subscribe) -> Opened:
        """Read a stream from a cursor on, or from now on with a snapshot of the state before."""
        kind = self._streams.find(params.stream)
        refusal = allowed(kind.access, call.caller, f"the stream {params.stream[:64]}")
        if refusal is not None:
            raise refusal
        feed = kind.open(call, params.stream, params.filter)
        return await call.session.subscriptions.subscribe(feed, params.cursor)

    def unsubscribe(self, call: Call, params: Unsubscribe) -> dict[str, Any]:
        """End a subscription."""
        call.session.subscriptions.unsubscribe(params.subscription)
        return {}
