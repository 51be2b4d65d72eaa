"""The agent's session with bzzzd: attached under its key, following its offers, with a grant that stays fresh."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final

import structlog

from bzzzd.agent.signer import Signer
from bzzzd.errors import BzzzError
from bzzzd.rpc.client import AsyncClient, State, Subscription
from bzzzd.rpc.follower import Items
from bzzzd.rpc.wire import API, MIN_API
from bzzzd.runtime.services import Health

_AGAIN_S: Final = 1.0
_GRANT_AGAIN_S: Final = 60.0
_CLIENT: Final = "bzzz-agent"

Offered = Callable[[Iterable[Mapping[str, Any]]], None]
Background = Callable[[str, Coroutine[Any, Any, None]], object]

log = structlog.get_logger()


class DaemonLink:
    """The service that keeps the session; ``call`` is what the rest of the agent uses.

    ``serve`` says, before the start, what to ask tasks for and who is told of offers: as they come,
    and after a reconnect also those that were made meanwhile.
    The agent starts without bzzzd, says so in its health, and attaches as soon as it can.
    ``background(name, work)`` runs a task whose death is noticed.
    """

    name = "bzzzd"
    depends: tuple[str, ...] = ()

    def __init__(self, socket: str, signer: Signer, *, background: Background) -> None:
        self._signer = signer
        self._capabilities: tuple[str, ...] = ()
        self._slots = 0
        self._offered: Offered = lambda items: None
        self._background = background
        self._client = AsyncClient(socket, _CLIENT, sign=self._sign, on_state=self._on_state)
        self._offers: Subscription | None = None
        self._granted = asyncio.Event()
        self._said = ""

    def serve(self, capabilities: Sequence[str], slots: int, offered: Offered) -> None:
        """Ask for at most ``slots`` tasks of ``capabilities`` at a time; ``offered`` is told of each."""
        self._capabilities, self._slots, self._offered = tuple(capabilities), slots, offered

    def _sign(self, nonce: bytes, mesh_id: str) -> dict[str, Any]:
        return self._signer.attach(nonce, mesh_id, self._capabilities, self._slots)

    async def call(self, method: str, params: Mapping[str, Any], *, timeout: float | None = None) -> Any:
        return await self._client.call(method, params, timeout=timeout)

    def subscribe(self, stream: str, *, filter: Mapping[str, Any] | None = None) -> Subscription:
        """Read another stream; it goes on after every reconnect."""
        return self._client.subscribe(stream, filter=filter)

    async def start(self) -> None:
        self._client.start()
        self._background("offers", self._follow())
        self._background("grant", self._keep_granted())

    async def stop(self) -> None:
        await self._client.close()

    async def ready(self, timeout: float) -> None:
        """Wait until the session is attached; raises the reason of the last failure."""
        await self._client.ready(timeout)

    def health(self) -> Health:
        state = self._client.state
        if not state.connected:
            return Health(ok=False, detail=state.error.message if state.error else "not connected")
        return Health(detail=f"attached as {self._signer.id} ({self._signer.role})")

    def _on_state(self, state: State) -> None:
        if state.attached is not None:
            self._attached(state.attached)
            return
        why = state.error.message if state.error else "not connected"
        if why != self._said:
            self._said = why
            log.info("not attached to bzzzd", why=state.error or why)

    def _attached(self, answer: Mapping[str, Any]) -> None:
        self._said = ""
        self._signer.attached(answer)
        self._granted.set()
        log.info(
            "attached", agent=self._signer.id, role=self._signer.role, capabilities=list(self._signer.capabilities)
        )

    async def _follow(self) -> None:
        """Read the stream of offers for ever; one that bzzzd ends is begun again."""
        while True:
            self._offers = self._client.subscribe("offers")
            try:
                async for event in self._offers:
                    items = event.items if isinstance(event, Items) else event.state or ()
                    self._offered(items)
            except BzzzError as error:
                log.warning("offers ended", why=error)
                await asyncio.sleep(_AGAIN_S)
            finally:
                self._offers.close()

    async def _keep_granted(self) -> None:
        """Attach again when half of the grant's time is over; bzzzd then gives a fresh one."""
        while True:
            await self._granted.wait()
            left = self._signer.renew_in_s()
            self._granted.clear()
            if left is None:
                continue
            try:
                async with asyncio.timeout(max(left, _GRANT_AGAIN_S)):
                    await self._granted.wait()
                continue
            except TimeoutError:
                pass
            try:
                await self._attach_again()
            except BzzzError as error:
                log.warning("the grant was not renewed", why=error)
                self._granted.set()

    async def _attach_again(self) -> None:
        greeting = {"api": API, "min_api": MIN_API, "client": _CLIENT}
        hello = await self._client.call("hello", greeting, effects=False)
        params = self._sign(hello["nonce"], hello["mesh_id"])
        self._attached(await self._client.call("session.attach", params, effects=False))
        # The new attach has a new stream of offers.
        if self._offers is not None:
            self._offers.close()
