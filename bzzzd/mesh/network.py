"""The swarm: TCP with Noise and Yamux, bounded connections, and a waiting room for strangers.

The library's defaults are replaced where they would let strangers hurt a node: an inbound slot was held
until the process ended, a failed dial blocked the peer for a minute, background diallers chose peers by
themselves. Of several connections to a peer, both sides use the same one for their new streams. A dead peer is
noticed by the kernel (TCP keep-alive) within 10 s, at no cost to this process.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import trio
from libp2p.abc import IMuxedConn, INetConn
from libp2p.crypto.ed25519 import Ed25519PrivateKey
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.x25519 import create_new_key_pair as new_noise_key
from libp2p.io.abc import ReadWriteCloser
from libp2p.io.trio import TrioTCPStream
from libp2p.network.auto_connector import AutoConnector
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStore
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.transport.tcp.tcp import TCP
from libp2p.transport.upgrader import TransportUpgrader
from multiaddr import Multiaddr

from bzzzd.errors import P2PInitFailed
from bzzzd.mesh.frames import last_words
from bzzzd.mesh.library import resolver_optional
from bzzzd.mesh.meter import CURRENT, Meter, metered
from bzzzd.mesh.muxing import MemberMuxers
from bzzzd.mesh.redial import stays
from bzzzd.mesh.values import MeshSettings

_HANDSHAKE_S: Final = 5.0
_DIAL_S: Final = 5.0
_FAREWELL_S: Final = 1.0
_CONNECTIONS_PER_PEER: Final = 4
# A peer that vanished without a word is noticed within 10 s. A quiet connection is probed after 3 s and given up at
# 5 s. What is sent before that silences the probes (tcp(7)), and has 4.5 s of its own to be acknowledged.
_KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 3),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 4_500),
)

Settled = Callable[[ID], Awaitable[bool]]
Endpoint = tuple[socket.AddressFamily, str, int]


def endpoint_of(address: Multiaddr) -> Endpoint | None:
    """Family, host and port of a plain TCP address; ``None`` for any other."""
    names = [protocol.name for protocol in address.protocols()]
    if names not in (["ip4", "tcp"], ["ip6", "tcp"]):
        return None
    family = socket.AF_INET if names[0] == "ip4" else socket.AF_INET6
    return family, str(address.value_for_protocol(names[0])), int(str(address.value_for_protocol("tcp")))


def _notice_death(stream: object) -> None:
    if isinstance(stream, TrioTCPStream):
        for level, option, value in _KEEPALIVE:
            stream.stream.setsockopt(level, option, value)


def _born(connection: INetConn) -> float:
    return getattr(connection, "_created_at", 0.0)


async def connected(endpoint: Endpoint) -> trio.socket.SocketType:
    """A socket connected to an endpoint, or ``OSError``."""
    family, host, port = endpoint
    plug = trio.socket.socket(family, socket.SOCK_STREAM)
    try:
        await plug.connect((host, port))
    except BaseException:
        plug.close()
        raise
    return plug


async def endpoints_of(address: Multiaddr) -> list[Endpoint]:
    """Where an address leads: itself, or what its name resolves to. ``OSError`` when that cannot be found out."""
    plain = endpoint_of(address)
    if plain is not None:
        return [plain]
    kind = address.protocols()[0].name
    family = {"dns4": socket.AF_INET, "dns6": socket.AF_INET6}.get(kind, socket.AF_UNSPEC)
    port = int(str(address.value_for_protocol("tcp")))
    rows = await trio.socket.getaddrinfo(str(address.value_for_protocol(kind)), port, family, socket.SOCK_STREAM)
    return [(row[0], str(row[4][0]), port) for row in rows]


async def why_unreachable(address: str, timeout_s: float) -> str:
    """Why nobody can be reached at a multiaddr; empty when somebody answers there."""
    try:
        with trio.fail_after(timeout_s):
            endpoint = endpoint_of(Multiaddr(address))
            if endpoint is None:
                return "not a TCP address"
            (await connected(endpoint)).close()
    except trio.TooSlowError:
        return f"no answer within {timeout_s:g} s"
    except OSError as error:
        return error.strerror or str(error)
    except Exception as error:  # multiaddr raises a dozen kinds
        return f"not an address ({type(error).__name__})"
    return ""


class NoAutoConnector(AutoConnector):
    """Diallers of our own decide whom to dial; this one stays quiet and remembers nobody."""

    async def maybe_connect(self) -> None: ...
    async def run_background_task(self, nursery: trio.Nursery) -> None: ...
    def record_disconnect(self, peer_id: ID) -> None: ...


class WaitingRoom:
    """Inbound connections that nobody has vouched for yet. When it is full, the oldest goes.

    Refusing the newest instead would let a flood of silent connections keep honest peers out.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._waiting: dict[trio.CancelScope, None] = {}
        self.evicted = 0

    def enter(self, deadline_s: float) -> trio.CancelScope:
        if len(self._waiting) >= self._size:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            oldest.cancel()
            self.evicted += 1
        scope = trio.CancelScope(deadline=trio.current_time() + deadline_s)
        self._waiting[scope] = None
        return scope

    def leave(self, scope: trio.CancelScope) -> None:
        self._waiting.pop(scope, None)

    def __len__(self) -> int:
        return len(self._waiting)


class MemberSwarm(Swarm):
    """A swarm whose inbound connections must lead to a member in time, or end."""

    settled: Settled
    waiting: WaitingRoom
    join_timeout_s: float
    meters: dict[IMuxedConn, Meter]
    dialled: set[trio.socket.SocketType]

    def _init_connection_management(self) -> None:
        super()._init_connection_management()
        self.auto_connector = NoAutoConnector(self)

    async def run(self) -> None:
        """As the library's; no socket that was dialled here outlives it.

        The library's last round over the connections is cancelled at its first wait, and misses those that it has
        dropped from its books and not closed yet. What came in is closed by its listener.
        """
        try:
            await super().run()
        finally:
            for plug in self.dialled:
                plug.close()
            self.dialled.clear()

    async def close_peer(self, peer_id: ID) -> None:
        """Close the connections that there are to a peer now.

        The library then drops from its books also those that were made meanwhile; nobody would ever close them.
        """
        for connection in self.get_connections(peer_id):
            await self._close_connection_async(connection)

    async def end(self, connection: INetConn) -> None:
        """Close a connection, within seconds and also when the task was cancelled.

        The library's way waits for a peer that does not read, and is not taken up again where it was cut short: such
        a connection would be its peer's for ever. Here it is out of the books all the same.
        """
        with last_words(_FAREWELL_S) as politely:
            await connection.close()
        if politely.cancelled_caught:
            muxed: Any = connection.muxed_conn
            with last_words(_FAREWELL_S), suppress(Exception):  # what is broken already is closed enough
                await muxed.secured_conn.close()
            self.remove_conn(connection)  # type: ignore[arg-type]
            with last_words(_FAREWELL_S):
                await self.notify_disconnected(connection)

    async def reach(self, endpoint: Endpoint, peer_id: ID | None) -> INetConn:
        """Connect to a peer at one endpoint, once. ``OSError`` when nobody answers there; libp2p's errors otherwise.

        The library's own way costs 2 ms for a port where nobody listens, and absent peers are tried often.
        """
        return await self.speak(await connected(endpoint), peer_id)

    async def speak(self, plug: trio.socket.SocketType, peer_id: ID | None) -> INetConn:
        """Make a connection of a connected socket, which it owns from now on.

        Without ``peer_id`` whoever answers there is taken as the peer that it proves to be.
        """
        self.dialled = {other for other in self.dialled if other.fileno() >= 0} | {plug}
        try:
            stream = TrioTCPStream(trio.SocketStream(plug))
            _notice_death(stream)
            raw = metered(stream, initiator=True)
            if peer_id is not None:
                return await self.upgrade_outbound_raw_conn(raw, peer_id)
            anybody: Any = None
            secured = await self.upgrader.security_multistream.secure_outbound(raw, anybody)
            muxed = await self.upgrader.upgrade_connection(secured, secured.get_remote_peer())
            return await self.add_conn(muxed, direction="outbound")
        except BaseException:
            plug.close()
            raise

    async def add_conn(self, muxed_conn: IMuxedConn, direction: str = "unknown") -> SwarmConn:
        meter = CURRENT.get()
        if meter is not None:
            self.meters[muxed_conn] = meter
        try:
            return await super().add_conn(muxed_conn, direction)
        except BaseException:
            self.meters.pop(muxed_conn, None)
            raise

    def forget_meters(self) -> None:
        """Drop the meters of connections that have ended."""
        for muxed in [muxed for muxed in self.meters if muxed.is_closed]:
            del self.meters[muxed]

    def open_to(self, peer_id: ID) -> list[INetConn]:
        """The connections to a peer that are open; the books hold also those that are being closed."""
        return [connection for connection in self.get_connections(peer_id) if not connection.is_closed]

    def rivals(self, connection: INetConn) -> list[INetConn]:
        """Other connections to the same peer that are open."""
        return [other for other in self.open_to(connection.muxed_conn.peer_id) if other is not connection]

    def dialled_here(self, connection: INetConn) -> bool:
        return connection.muxed_conn.is_initiator

    def stays(self, connection: INetConn) -> bool:
        """Whether a connection is of the kind that is kept where two peers have dialled each other."""
        other = connection.muxed_conn.peer_id.to_bytes()
        return stays(self.get_peer_id().to_bytes(), other, self.dialled_here(connection))

    def _select_connection(self, connections: list[INetConn], peer_id: ID) -> INetConn:
        """The one that stays; of several the newest, which is the least likely to be dead."""
        return max(connections, key=lambda one: (self.stays(one), _born(one)))

    async def stop_listening(self, address: str) -> None:
        """Close the listener of a multiaddr, and with it the connections that came in by it."""
        listener = self.listeners.pop(address, None)
        if listener is not None:
            await listener.close()

    async def _handle_inbound_connection(self, read_write_closer: ReadWriteCloser, maddr: Multiaddr) -> None:
        """One inbound TCP connection from accept to its end; returning closes the socket."""
        _notice_death(read_write_closer)
        muxed: IMuxedConn | None = None
        welcome = False
        scope = self.waiting.enter(_HANDSHAKE_S + self.join_timeout_s)
        try:
            with scope:
                muxed = await self.upgrade_inbound_raw_conn(metered(read_write_closer, initiator=False), maddr)
                welcome = not self._crowded(muxed.peer_id) and await self.settled(muxed.peer_id)
        finally:
            self.waiting.leave(scope)
        if not isinstance(muxed, Yamux):
            return
        if not welcome:
            for connection in self.get_connections(muxed.peer_id):
                if connection.muxed_conn is muxed:
                    await self.end(connection)
            return
        await muxed.event_closed.wait()

    def _crowded(self, peer_id: ID) -> bool:
        return len(self.get_connections(peer_id)) > _CONNECTIONS_PER_PEER


def build_swarm(seed: bytes, settings: MeshSettings) -> MemberSwarm:
    """A swarm for the node whose Ed25519 seed (32 bytes) is given; it listens nowhere yet.

    Its ``settled`` is set by whoever knows the members, before it runs.
    """
    private = Ed25519PrivateKey.new(seed)
    keys = KeyPair(private, private.get_public_key())
    store = PeerStore()
    peer_id = ID.from_pubkey(keys.public_key)
    store.add_key_pair(peer_id, keys)
    upgrader = TransportUpgrader(
        {NOISE: NoiseTransport(keys, noise_privkey=new_noise_key().private_key)},
        {},
        negotiate_timeout=int(_HANDSHAKE_S),
    )
    upgrader.muxer_multistream = MemberMuxers(int(_HANDSHAKE_S))
    config = ConnectionConfig(
        max_connections=settings.max_connections,
        high_watermark=settings.max_connections,
        # The library's pruner goes down to this one: at 0 a full node would lose its members, twenty at a time.
        low_watermark=settings.max_connections,
        min_connections=0,
        max_connections_per_peer=_CONNECTIONS_PER_PEER,
        dial_timeout=_DIAL_S,
        inbound_upgrade_timeout=_HANDSHAKE_S,
        outbound_upgrade_timeout=_HANDSHAKE_S,
        inbound_stream_protocol_negotiation_timeout=_HANDSHAKE_S,
        outbound_stream_protocol_negotiation_timeout=_HANDSHAKE_S,
    )
    with resolver_optional():
        swarm = MemberSwarm(peer_id, store, upgrader, [TCP()], RetryConfig(max_retries=0), connection_config=config)
    swarm.meters = {}
    swarm.dialled = set()
    swarm.waiting = WaitingRoom(settings.max_strangers)
    swarm.join_timeout_s = settings.join_timeout_s
    return swarm


def parse_listen(text: str) -> tuple[Multiaddr, Endpoint]:
    """A concrete TCP address to listen on; ``P2PInitFailed`` says what is wrong with another one."""
    try:
        address = Multiaddr(text)
        endpoint = endpoint_of(address)
    except Exception as error:  # multiaddr raises a dozen kinds
        raise P2PInitFailed(
            f"{text!r} is not a multiaddr ({error}); expected one like /ip4/192.0.2.7/tcp/8075"
        ) from error
    if endpoint is None:
        raise P2PInitFailed(f"cannot listen on {text}: expected /ip4/ADDRESS/tcp/PORT or /ip6/ADDRESS/tcp/PORT")
    if endpoint[1] in ("0.0.0.0", "::"):  # noqa: S104  refused, not bound
        raise P2PInitFailed(
            f"cannot listen on {text}: peers would be told this very address; name the machine's own addresses "
            "in network.listen (ip -brief address lists them)"
        )
    return address, endpoint


def check_free(address: Multiaddr, endpoint: Endpoint) -> None:
    """Raise ``P2PInitFailed`` when the port is taken. libp2p listens with SO_REUSEPORT and would share it silently."""
    family, host, port = endpoint
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise P2PInitFailed(
                f"cannot listen on {address}: {error.strerror}; change network.listen, or stop what holds the port",
                address=str(address),
            ) from error
