"""The mesh for the rest of a process: asyncio methods in front of the libp2p node in its trio thread.

Importing this module is cheap. libp2p is imported by ``start``, in the thread, while the loop goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, ParamSpec

from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import (
    BadInput,
    InvalidEnvelope,
    MalformedFrame,
    NotFound,
    NotReady,
    P2PInitFailed,
    TooLarge,
    Unavailable,
)
from bzzzd.mesh.bridge import Bridge, Main
from bzzzd.mesh.conduct import Offence
from bzzzd.mesh.describe import describe, leaf
from bzzzd.mesh.judging import Judging, is_sender_s
from bzzzd.mesh.names import check_protocol, check_topic
from bzzzd.mesh.peer_id import key_of, peer_id_of
from bzzzd.mesh.settling import Settling
from bzzzd.mesh.values import (
    MAX_MESSAGE_BYTES,
    Admit,
    Briefing,
    Counters,
    JoinTry,
    MeshEvent,
    MeshSettings,
    MessageHandler,
    PeerInfo,
    RecordRule,
    Renewal,
    RequestHandler,
)

if TYPE_CHECKING:
    from bzzzd.mesh.node import Node

P = ParamSpec("P")
_STUCK_S: Final = 20.0


class Mesh(Judging):
    """One node of a mesh. Made and used on one asyncio loop.

    ``seed`` is the node's Ed25519 seed (32 bytes), ``own_chain`` its grants, leaf first. ``admit(chain)``
    decides who is let in: it runs in another thread, so it must be pure, and it raises to refuse.
    ``records`` are the DHT's namespaces, ``briefing`` what peers tell each other while they join. ``on_event``
    is called on the loop; a death of the node reaches it as ``failed``.
    """

    def __init__(
        self,
        settings: MeshSettings,
        seed: bytes,
        own_chain: Sequence[bytes],
        admit: Admit,
        on_event: Callable[[MeshEvent], None],
        records: Mapping[str, RecordRule] | None = None,
        briefing: Briefing | None = None,
        renewal: Renewal | None = None,
    ) -> None:
        self._settings = settings
        self._seed = seed
        self._own_chain = tuple(own_chain)
        self._admit = admit
        self._on_event = on_event
        self._records = dict(records or {})
        self._briefing = briefing or Briefing()
        self._renewal = renewal
        self._tally = Counters()
        self._topics: dict[str, list[MessageHandler]] = {}
        self._handlers: dict[str, RequestHandler] = {}
        self._passed_on: set[str] = set()
        self._welcome: Callable[[JoinTry], Awaitable[bytes]] | None = None
        self._peers: tuple[PeerInfo, ...] = ()
        self._bridge: Bridge | None = None
        self._node: Node | None = None
        self._ready: asyncio.Future[None] | None = None
        self._settling = Settling(self._offer_and_follow)
        self._stopping = False
        self.peer_id = peer_id_of(SigningKey.from_seed(seed).public)
        self.addresses: tuple[str, ...] = ()

    async def start(self) -> None:
        """Start the node; returns once it listens and accepts peers.

        Raises ``P2PInitFailed`` with what to do. The phases reached come as events.
        """
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        self._bridge = Bridge(loop, on_death=self._died)
        self._event("phase", "importing")
        self._bridge.start(self._load)
        try:
            async with asyncio.timeout(self._settings.start_timeout_s):
                await asyncio.shield(self._ready)
        except TimeoutError:
            await self.stop()
            raise P2PInitFailed(
                f"the mesh did not start within {self._settings.start_timeout_s:g} s; the machine may be overloaded"
            ) from None
        except asyncio.CancelledError:
            await self.stop()
            raise

    async def open(self) -> None:
        """Let members in and dial them, now that all is served that they will ask for: the end of ``held``."""
        await self._settling.said()
        await self._call("open")

    def _load(self) -> Main:
        from bzzzd.mesh import library

        library.load(self._settings.version)
        from bzzzd.mesh.node import Node
        from bzzzd.mesh.wiring import Wiring

        wiring = Wiring(
            settings=self._settings,
            seed=self._seed,
            own_chain=self._own_chain,
            admit=self._admit,
            rules=self._records,
            tally=self._tally,
            on_event=self._on_event,
            on_ready=self._listening,
            on_peers=self._peers_changed,
            deliver=self._deliver,
            answer=self._answer,
            decide=self._decide,
            briefing=self._briefing,
            renewal=self._renewal,
            topics=tuple(self._topics),
            protocols=frozenset(self._handlers),
        )

        async def main(bridge: Bridge) -> None:
            await Node(bridge, wiring).run()

        return main

    async def stop(self) -> None:
        """Stop the node; returns when its thread has ended, or after the limit (then said by an event)."""
        self._stopping = True
        if self._bridge is None:
            return
        self._settling.stop()
        if not await self._bridge.stop(self._settings.stop_timeout_s):
            limit = self._settings.stop_timeout_s
            self._event("failed", f"the mesh thread did not end within {limit:g} s and was left behind")

    @property
    def alive(self) -> bool:
        """Whether the node runs: its thread lives and its upkeep has been seen lately."""
        return self._node is not None and self._bridge is not None and self._bridge.alive and self.failure is None

    @property
    def failure(self) -> str | None:
        """Why the node does not run, when it should."""
        bridge = self._bridge
        if bridge is None or self._stopping:
            return None
        if bridge.failure is not None:
            return describe(bridge.failure)
        if self._node is not None and not bridge.alive:
            return "the mesh thread has ended"
        silent = time.monotonic() - bridge.beat
        if self._node is not None and silent > _STUCK_S:
            return f"the mesh thread has not been heard of for {silent:.0f} s"
        return None

    def _listening(self, node: Node, addresses: tuple[str, ...]) -> None:
        self._node = node
        self.addresses = addresses
        self._settle()
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    def _died(self, failure: BaseException | None) -> None:
        if self._stopping:
            self._event("phase", "stopped")
            return
        why = describe(failure) if failure is not None else "it returned without being asked to"
        if self._ready is not None and not self._ready.done():
            error = failure if isinstance(failure, P2PInitFailed) else P2PInitFailed(f"the mesh did not start: {why}")
            self._ready.set_exception(leaf(failure) or error)
        self._peers = ()
        self._event("failed", f"the mesh has stopped: {why}")

    def _event(self, kind: Any, detail: str) -> None:
        self._on_event(MeshEvent(kind=kind, at=time.time(), detail=detail))

    async def _call(self, name: str, *args: Any) -> Any:
        if self._bridge is None or self._node is None:
            raise Unavailable("the mesh has not started")
        return await self._bridge.call(getattr(self._node, name), *args)

    @property
    def max_message_bytes(self) -> int:
        """The largest message that ``publish`` takes, in bytes."""
        return min(self._settings.max_message_bytes, MAX_MESSAGE_BYTES)

    async def publish(self, topic: str, data: bytes) -> None:
        """Queue ``data`` for all members that follow ``topic``, not for ourselves; waits for room. ``TooLarge``."""
        check_topic(topic)
        if len(data) > self.max_message_bytes:
            raise TooLarge(
                f"a mesh message of {len(data)} bytes is over the limit of {self.max_message_bytes}; "
                "store it as content and send its reference",
                size=len(data),
                limit=self.max_message_bytes,
            )
        await self._call("publish", topic, data)

    def subscribe(self, topic: str, handler: MessageHandler) -> None:
        """Have ``handler(topic, peer_id, data)`` called on the loop for each message that a member published.

        Messages of one peer come in its order unless the network reordered them; each comes once.
        """
        check_topic(topic)
        self._topics.setdefault(topic, []).append(handler)
        self._settle()

    def unsubscribe(self, topic: str, handler: MessageHandler) -> None:
        """End what ``subscribe`` began."""
        handlers = self._topics.get(topic, [])
        if handler in handlers:
            handlers.remove(handler)
        if not handlers:
            self._topics.pop(topic, None)
        self._settle()

    def hold(self, size: int) -> None:
        """A handler goes on working on ``size`` bytes of messages: peers wait when that comes to too many."""
        if self._bridge is not None:
            self._bridge.hold(size)

    def release(self, size: int) -> None:
        """The end of a ``hold``."""
        if self._bridge is not None:
            self._bridge.release(size)

    async def holding(self, size: int, work: Callable[P, Awaitable[object]], *args: P.args, **kwargs: P.kwargs) -> None:
        """``hold`` while ``work(…)`` goes on: however much a member sends, no more of it waits here."""
        self.hold(size)
        try:
            await work(*args, **kwargs)
        finally:
            self.release(size)

    async def followers(self, topic: str) -> list[str]:
        """Peer ids of the connected members that follow ``topic``."""
        return list(await self._call("followers", topic))

    def _deliver(self, topic: str, peer_id: str, data: bytes) -> None:
        for handler in tuple(self._topics.get(topic, ())):
            handler(topic, peer_id, data)

    async def dht_put(self, key: str, value: bytes) -> None:
        """Store a record (``/NAMESPACE/…``) here and at the closest members; raises what its rule raises."""
        await self._call("dht_put", key, value)

    async def dht_get(self, key: str) -> bytes | None:
        """The best valid record that this node and the closest members hold."""
        value: bytes | None = await self._call("dht_get", key)
        return value

    async def request(self, peer_id: str, protocol: str, data: bytes, timeout: float = 10.0) -> bytes:
        """The answer of a connected member on ``protocol``, within ``timeout`` seconds.

        Raises the handler's error; ``Unavailable`` when nothing was sent, ``UnknownOutcome`` when it was
        and no answer came, ``NotFound`` when the member does not serve the protocol, ``TooLarge``.
        """
        check_protocol(protocol)
        key_of(peer_id)
        limit = self._settings.max_request_bytes
        if len(data) > limit:
            raise TooLarge(f"a request of {len(data)} bytes is over the limit of {limit}", size=len(data), limit=limit)
        answer: bytes = await self._call("request", peer_id, protocol, data, timeout)
        return answer

    def handle(self, protocol: str, handler: RequestHandler, *, passes_on: bool = False) -> None:
        """Serve ``protocol`` to members by ``await handler(peer_id, data)``, on the loop.

        A request that it calls invalid counts against the member, unless it ``passes_on`` what others judge.
        """
        check_protocol(protocol)
        if protocol in self._handlers:
            raise BadInput(f"{protocol} has a handler already")
        self._handlers[protocol] = handler
        if passes_on:
            self._passed_on.add(protocol)
        self._settle()

    async def _answer(self, protocol: str, peer_id: str, data: bytes) -> bytes:
        handler = self._handlers.get(protocol)
        if handler is None:
            raise NotFound(f"this node does not serve {protocol}")
        try:
            return await handler(peer_id, data)
        except (InvalidEnvelope, MalformedFrame) as error:
            if protocol not in self._passed_on and is_sender_s(error):
                self.blame(peer_id)
            raise

    def welcome(self, decide: Callable[[JoinTry], Awaitable[bytes]]) -> None:
        """Have ``decide`` answer strangers that come with an invitation; it raises to refuse."""
        self._welcome = decide

    async def _decide(self, tried: JoinTry) -> bytes:
        if self._welcome is None:
            raise NotReady("the inviter is still starting; try again in a moment")
        return await self._welcome(tried)

    async def visit(
        self, peer_id: str, addresses: Sequence[str], invitation: bytes, ask: bytes,
        prove: Callable[[bytes], bytes], timeout: float = 15.0,
    ) -> bytes:  # fmt: skip
        """Ask an inviter, who need not be a member here, to be let in; its answer, or its refusal raised.

        ``prove(challenge)`` runs in the mesh's thread. ``Unavailable`` when no address leads to ``peer_id``.
        """
        key_of(peer_id)
        return bytes(await self._call("visit", peer_id, tuple(addresses), invitation, ask, prove, timeout))

    def peers(self) -> list[PeerInfo]:
        """Members, and static peers that are being looked for; from memory, at most two seconds old."""
        return list(self._peers)

    def _peers_changed(self, peers: tuple[PeerInfo, ...]) -> None:
        self._peers = peers

    async def know(self, peer_id: str, addresses: Sequence[str], how: str) -> None:
        """Tell where a peer is, and how that was found out; a missing one is dialled at once.

        ``addresses`` replace what the same ``how`` said before; none of them takes it back.
        """
        key_of(peer_id)
        await self._call("know", peer_id, tuple(addresses), how)

    async def listen_on(self, addresses: Sequence[str]) -> tuple[str, ...]:
        """Listen on exactly these multiaddrs, as far as they can be had; gives where it listens now."""
        self.addresses = tuple(await self._call("listen_on", tuple(addresses)))
        return self.addresses

    async def dial_back(self, address: str, timeout: float) -> str:
        """Whether anybody answers at a multiaddr: why not, or nothing when somebody does."""
        why: str = await self._call("dial_back", address, timeout)
        return why

    @property
    def counters(self) -> Counters:
        """What was counted since the start."""
        return replace(self._tally)

    async def show(self, chain: Sequence[bytes]) -> None:
        """Join with this chain, a newer one for this node's key, from now on; who is joined stays so."""
        self._own_chain = tuple(chain)
        await self._call("show", self._own_chain)

    def blame(self, peer_id: str, what: Offence = "invalid") -> None:
        if self._bridge is not None and self._node is not None:
            self._bridge.tell(self._node.blame, peer_id, what)

    @property
    def load(self) -> dict[str, int]:
        """How many connections, strangers, streams and contacts there are now; empty before the start."""
        return self._node.load if self._node is not None else {}

    async def recheck(self) -> None:
        """Check every member's grants again; those that are no longer accepted are cut off."""
        await self._call("recheck")

    def _settle(self) -> None:
        if self._bridge is not None and self._node is not None and not self._stopping:
            self._settling.changed()

    async def _offer_and_follow(self) -> None:
        await self._call("offer", frozenset(self._handlers))
        await self._call("follow", tuple(self._topics))
