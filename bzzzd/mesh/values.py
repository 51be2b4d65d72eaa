"""The mesh's values: settings, events, peers, and the limits that its wire has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

# libp2p drops gossip from 1 MiB on and DHT values over 1,044,480 bytes without a word, so one limit
# below both is enforced where a caller can still be told.
MAX_MESSAGE_BYTES: Final = 1_044_480
MAX_RECORD_BYTES: Final = 1_044_480
MAX_RECORD_KEY_BYTES: Final = 128
MAX_TOPIC_BYTES: Final = 256
MAX_REQUEST_BYTES: Final = 8 * 1024 * 1024
MAX_CHAIN_BYTES: Final = 64 * 1024
MAX_PAPERS_BYTES: Final = 1_044_480

JOIN_PROTOCOL: Final = "/bzzz/join/1"
# What an agent version begins with that identify tells of a node of ours.
OUR_AGENT: Final = "bzzz/"


class GrantLike(Protocol):
    """What the mesh reads of a grant: what kind of subject it is for, whose key it is, and how it is called."""

    @property
    def kind(self) -> str: ...
    @property
    def key(self) -> bytes: ...
    @property
    def id(self) -> str: ...
    @property
    def role(self) -> str: ...


# How a peer was found, the strongest way first: one that the configuration names stays that.
How = Literal["static", "bootstrap", "mdns", "exchange", "book", "inbound"]
Admit = Callable[[Sequence[bytes]], GrantLike]
MessageHandler = Callable[[str, str, bytes], None]
RequestHandler = Callable[[str, bytes], Awaitable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRule:
    """How one namespace of DHT keys (``/NAME/…``) is checked, on both sides of every put and get.

    ``validate(key, value)`` raises when the record is not genuine; ``select(key, values)`` gives the
    index of the value to keep, the same on every node. Both run in the mesh's thread: pure and quick.
    """

    validate: Callable[[str, bytes], None]
    select: Callable[[str, Sequence[bytes]], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSettings:
    """How this node listens, whom it keeps, and what it bounds. Sizes in bytes, times in seconds.

    ``listen`` holds concrete multiaddrs; with ``some_listen`` it is enough that one of them can be listened on.
    ``static_peers`` are multiaddrs that end in ``/p2p/ID``, ``bootstrap_peers`` may lack that.
    ``max_strangers`` counts inbound connections that have not shown a grant yet: when one more comes,
    the oldest goes, so that a flood cannot keep honest peers out. A node that is ``held`` listens, but lets nobody
    in and dials nobody before it is opened.
    """

    listen: tuple[str, ...]
    held: bool = False
    some_listen: bool = False
    static_peers: tuple[str, ...] = ()
    bootstrap_peers: tuple[str, ...] = ()
    version: str = "0"
    max_message_bytes: int = MAX_MESSAGE_BYTES
    max_request_bytes: int = MAX_REQUEST_BYTES
    max_connections: int = 256
    max_strangers: int = 64
    max_streams_per_peer: int = 128
    join_timeout_s: float = 5.0
    start_timeout_s: float = 30.0
    stop_timeout_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Briefing:
    """What two peers tell each other while they join: who was revoked, before either acts on the other's word.

    ``heads()`` says what is known here, ``missing(heads)`` gives what a side with those heads lacks: both run in
    the mesh's thread. ``await learn(peer_id, papers)`` runs on the loop; it takes what holds and raises nothing.
    """

    heads: Callable[[], bytes] = bytes
    missing: Callable[[bytes], bytes] = lambda heads: b""
    learn: Callable[[str, bytes], Coroutine[Any, Any, None]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """How an ended grant is replaced at the door; both run on the loop and raise nothing.

    ``await give(peer_id, chain)`` is asked for a newer chain of a peer that was refused, ``()`` for none;
    ``await take(chain)`` gets what this node was given.
    """

    give: Callable[[str, Sequence[bytes]], Coroutine[Any, Any, tuple[bytes, ...]]]
    take: Callable[[Sequence[bytes]], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class JoinTry:
    """One try to join by an invitation, as it came. ``challenge`` is empty when another one was answered."""

    peer_id: str
    address: str
    invitation: bytes
    challenge: bytes
    ask: bytes
    proof: bytes


Phase = Literal["importing", "starting", "listening", "stopped"]
EventKind = Literal["phase", "joined", "refused", "left", "cut_off", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshEvent:
    """Something that happened; ``at`` is Unix time. ``detail`` is a sentence, or a phase's name."""

    kind: EventKind
    at: float
    detail: str = ""
    peer_id: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerInfo:
    """One peer that is a member, or a static one that is being looked for.

    ``since`` is the Unix time of admission (0 when not connected), ``rtt_ms`` the last round trip, ``received`` and
    ``sent`` bytes on the network since its connection was made.
    """

    peer_id: str
    id: str
    role: str
    addresses: tuple[str, ...]
    connected: bool
    since: float
    agent_version: str
    rtt_ms: float | None
    how: How
    received: int = 0
    sent: int = 0


@dataclass(slots=True, kw_only=True)
class Counters:
    """What the node has counted since its start, for metrics. All only rise; the mesh's thread alone writes them."""

    published: int = 0
    received: int = 0
    delivered: int = 0
    dropped: int = 0
    invalid: int = 0
    joined: int = 0
    refused: int = 0
    evicted: int = 0
    requests_served: int = 0
    requests_refused: int = 0
    join_tries: int = 0
    join_refused: int = 0
    dials: int = 0
    dials_failed: int = 0
    stalled: int = 0
    streams_refused: int = 0
    offences: int = 0
    cut_off: int = 0
