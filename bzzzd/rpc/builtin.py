"""The methods that every server has: greeting, leaving, subscribing.

How a session proves who it is belongs to the daemon, which lists ``session.attach`` itself and uses
``Session.take_nonce`` and ``Session.become``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, field

from bzzzd.errors import ClientTooNew, ClientTooOld
from bzzzd.rpc.access import allowed, greeting, guest
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.session import Bind, Call
from bzzzd.rpc.streams import StreamTable
from bzzzd.rpc.subscriptions import Opened
from bzzzd.rpc.wire import API, MIN_API


class Hello(Struct, frozen=True, forbid_unknown_fields=True):
    """``api`` is what the client speaks, ``min_api`` the oldest it can make do with, ``client`` its name."""

    api: int
    min_api: int
    client: str


class Subscribe(Struct, frozen=True, forbid_unknown_fields=True):
    """``cursor`` is [incarnation, number] of the last item seen; ``filter`` is for the stream to read."""

    stream: str
    cursor: tuple[str, int] | None = None
    filter: dict[str, Any] = field(default_factory=dict)


class Unsubscribe(Struct, frozen=True, forbid_unknown_fields=True):
    subscription: int


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
    """``hello()`` gives what the daemon adds to the greeting: build, node_id, mesh_id, phase.

    ``bind(salt)`` makes the nonce of a session, so that it can say where it was made.
    """

    def __init__(
        self,
        registry: Registry,
        streams: StreamTable,
        hello: Callable[[], Mapping[str, Any]],
        bind: Bind | None = None,
    ) -> None:
        self._registry = registry
        self._streams = streams
        self._hello = hello
        self._bind = bind

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

    def hello(self, call: Call, params: Hello) -> dict[str, Any]:
        """Compare versions, say who is here, and give a nonce to sign; may be said again for a fresh nonce."""
        compare(params)
        return {
            **self._hello(),
            "api": API,
            "min_api": MIN_API,
            "extensions": self._registry.extensions,
            "nonce": call.session.greet(params.client[:128], self._bind),
        }

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
