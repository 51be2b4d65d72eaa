"""Peer exchange: members tell each other where all of them are, so that whoever knows one gets to know all.

    topic     bzzz/peers/1    a node's record, when its addresses have changed
    protocol  /bzzz/peers/1   here is my record, and what I know; give me what is newer   (at every join)
                              what time is it there?   ·   can you reach me at these addresses?

A record counts only with the grant of the node that signed it, so nobody can have others dial where they like.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import structlog
from msgspec import Meta, Struct

from bzzzd.daemon.membership.members import Members
from bzzzd.daemon.peers.peerbook import PeerBook
from bzzzd.daemon.peers.skew import Clocks, Skew
from bzzzd.errors import UNREADABLE, BzzzError, GrantRefused, InvalidEnvelope, Overloaded
from bzzzd.identity.grants import Seconds
from bzzzd.identity.node import NodeIdentity
from bzzzd.identity.noderecord import NODE_RECORD_BYTES, NodeRecord, open_node_record, seal_node_record
from bzzzd.mesh.mesh import Mesh
from bzzzd.mesh.peer_id import key_of, peer_id_of
from bzzzd.rpc.streams import Stream
from bzzzd.runtime.services import Health

PEERS_TOPIC: Final = "bzzz/peers/1"
PEERS_PROTOCOL: Final = "/bzzz/peers/1"
_REQUEST_S: Final = 10.0
_MOST: Final = 1024
_ANSWER_BYTES: Final = 1_048_576
_SAVE_S: Final = 30.0
_LOOK_S: Final = 5.0
_CLOCKS_S: Final = 300.0
_CLOCKS_AT_ONCE: Final = 4
_TRIES: Final = 3
_DIAL_BACK_S: Final = 3.0
_DIAL_BACK_PAUSE_S: Final = 5.0
_PUBLISH_AFTER_S: Final = 0.2

RawRecord = Annotated[bytes, Meta(max_length=NODE_RECORD_BYTES)]
Chain = Annotated[tuple[bytes, ...], Meta(max_length=8)]


class Told(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A node's record, with the chain of its grant."""

    record: RawRecord
    chain: Chain


class Ask(Struct, frozen=True, array_like=True, tag="ask", forbid_unknown_fields=True):
    """``own`` is the asker's; ``held`` the newest number it has of each key."""

    own: Told
    held: Annotated[dict[bytes, int], Meta(max_length=_MOST)]


class Time(Struct, frozen=True, array_like=True, tag="time", forbid_unknown_fields=True):
    """Asks what time it is there."""


class DialBack(Struct, frozen=True, array_like=True, tag="dial", forbid_unknown_fields=True):
    """Asks whether the asker can be reached where its record says."""


class Answer(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """``at`` is the answerer's Unix time.

    To ``DialBack``, ``unreachable`` says why, by address, and ``connected`` who the answerer's peers are.
    """

    at: Seconds
    told: Annotated[tuple[Told, ...], Meta(max_length=_MOST)] = ()
    unreachable: Annotated[dict[str, str], Meta(max_length=16)] = {}
    connected: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=_MOST)] = ()


_REQUEST: Final = msgspec.msgpack.Decoder(Ask | Time | DialBack)
_ANSWER: Final = msgspec.msgpack.Decoder(Answer)
_TOLD: Final = msgspec.msgpack.Decoder(Told)
_encode: Final = msgspec.msgpack.Encoder().encode


class _DialledBack(NamedTuple):
    """When a peer's addresses were tried last, by the monotonic clock, and what was found; None until it is."""

    at: float
    found: dict[str, str] | None


class Exchange:
    """``spawn(service, name, work, ends=…)`` runs a background task."""

    name = "peers"
    depends = ("mesh",)

    def __init__(
        self, mesh: Mesh, identity: NodeIdentity, members: Members, book: PeerBook, events: Stream,
        spawn: Callable[..., Any],
    ) -> None:  # fmt: skip
        self._mesh = mesh
        self._identity = identity
        self._members = members
        self._book = book
        self._events = events
        self._spawn = spawn
        self._records: dict[bytes, tuple[NodeRecord, Told]] = {}
        self._own: Told | None = None
        self._dialled_back: dict[str, _DialledBack] = {}
        self._publishing = False
        self._stopped = False
        self.clocks = Clocks()

    async def start(self) -> None:
        await asyncio.to_thread(self._book.load)
        self.forget_revoked()
        self.moved(self._mesh.addresses)
        self._mesh.subscribe(PEERS_TOPIC, self._heard)
        self._mesh.handle(PEERS_PROTOCOL, self._answer)
        own = self._identity.key.public
        for entry in self._book.all():
            key = bytes.fromhex(entry.key)
            if key != own and entry.addresses:
                await self._mesh.know(peer_id_of(key), entry.addresses, "book")
        for peer in self._mesh.peers():
            if peer.connected:
                self.met(peer.peer_id)
        self._spawn(self.name, "keeping the peer book", self._keep())

    async def stop(self) -> None:
        self._stopped = True
        await self._save()

    def health(self) -> Health:
        return Health(detail=f"{len(self._records)} node records, {len(self._book.all())} peers in the book")

    # What happens.

    def moved(self, addresses: Sequence[str]) -> None:
        """Sign a new record, now that this node listens at these addresses, and tell everybody."""
        plain = tuple(address.partition("/p2p/")[0] for address in addresses)[:16]
        record = NodeRecord(plain, time.time(), time.time_ns())
        raw = seal_node_record(self._identity.key, self._identity.mesh_id, record)
        self._own = Told(raw, tuple(self._identity.chain))
        self._records[self._identity.key.public] = (record, self._own)
        self._publish()

    def met(self, peer_id: str) -> None:
        """A member has joined: note it, and exchange with it. The one with the smaller id asks."""
        key = key_of(peer_id)
        self._book.seen(key, self._members.name_of(key), time.time())
        if not self._stopped and self._mesh.peer_id < peer_id:
            self._spawn(self.name, f"exchange with {peer_id}", self._meet(peer_id), ends=True)

    def forget_revoked(self) -> None:
        """Neither remember where nodes are that were revoked, nor tell others."""
        for key in list(self._records):
            if self._members.revoked(key):
                del self._records[key]
        for entry in self._book.all():
            if self._members.revoked(key := bytes.fromhex(entry.key)):
                self._book.forget(key)

    def left(self, peer_id: str) -> None:
        self.clocks.forget(peer_id)

    async def _meet(self, peer_id: str) -> None:
        for left in reversed(range(_TRIES)):
            try:
                await self._exchange(peer_id)
            except BzzzError as error:
                if not left:
                    self._say("peers_not_exchanged", error.message, peer_id)
                    return
                await asyncio.sleep(0.5)
            else:
                return

    async def _exchange(self, peer_id: str) -> None:
        if self._own is None:
            return
        held = {key: record.seq for key, (record, _) in self._records.items()}
        answer = await self._request(peer_id, Ask(self._own, held))
        for told in answer.told:
            await self._learn(told, peer_id)

    async def _request(self, peer_id: str, what: Ask | Time | DialBack) -> Answer:
        began, sent = time.monotonic(), time.time()
        raw = await self._mesh.request(peer_id, PEERS_PROTOCOL, _encode(what), _REQUEST_S)
        with self._mesh.judging(peer_id):
            answer = _ANSWER.decode(raw)
        if not isinstance(what, DialBack):
            skew = self.clocks.measured(peer_id, sent, answer.at, time.monotonic() - began)
            self._tell_skew(peer_id, skew)
        return answer

    def _tell_skew(self, peer_id: str, skew: Skew) -> None:
        """A wrong clock is told once, and once when it is right again."""
        word = "ahead of" if skew.seconds > 0 else "behind"
        match self.clocks.turned(peer_id):
            case "wrong":
                far = f"its clock is {abs(skew.certain):.1f} s {word} this machine's"
                self._say("skew", f"{far}; set the wrong one: timedatectl set-ntp true", peer_id)
            case "right":
                self._say("skew_ended", "its clock agrees with this machine's again", peer_id)

    async def _answer(self, peer_id: str, raw: bytes) -> bytes:
        at = time.time()
        try:
            asked = _REQUEST.decode(raw)
        except UNREADABLE as error:
            raise InvalidEnvelope(f"this is no request about peers: {error}") from error
        if isinstance(asked, Ask):
            await self._learn(asked.own, peer_id)
            if any(key not in self._records or self._records[key][0].seq < seq for key, seq in asked.held.items()):
                self._spawn(self.name, f"exchange with {peer_id}", self._meet(peer_id), ends=True)
            return _encode(Answer(at, self._newer(asked.held, key_of(peer_id))))
        if isinstance(asked, DialBack):
            connected = tuple(peer.peer_id for peer in self._mesh.peers() if peer.connected)[:_MOST]
            return _encode(Answer(at, unreachable=await self._dial_back(peer_id), connected=connected))
        return _encode(Answer(at))

    def _newer(self, held: dict[bytes, int], asker: bytes) -> tuple[Told, ...]:
        found: list[Told] = []
        size = 0
        for key, (record, told) in self._records.items():
            size += len(told.record) + sum(map(len, told.chain))
            if size > _ANSWER_BYTES:
                break
            if key != asker and record.seq > held.get(key, -1):
                found.append(told)
        return tuple(found)

    async def _dial_back(self, peer_id: str) -> dict[str, str]:
        """Try the addresses of the asker's own record, and no others; not often: else it is told what was found."""
        now = time.monotonic()
        before = self._dialled_back.get(peer_id)
        if before is not None and now - before.at < _DIAL_BACK_PAUSE_S:
            if before.found is None:
                raise Overloaded(f"{self._identity.id} is dialling this node back already; try again in a moment")
            return before.found
        record = self._records.get(key_of(peer_id))
        addresses = record[0].addresses if record is not None else ()
        self._dialled_back[peer_id] = _DialledBack(now, None)
        while len(self._dialled_back) > _MOST:
            del self._dialled_back[next(iter(self._dialled_back))]
        whys = await asyncio.gather(*(self._mesh.dial_back(address, _DIAL_BACK_S) for address in addresses))
        found = dict(zip(addresses, whys, strict=True))
        self._dialled_back[peer_id] = _DialledBack(now, found)
        return found

    # Learning.

    async def _learn(self, told: Told, peer_id: str) -> None:
        try:
            with self._mesh.judging(peer_id):
                await self._take(told)
        except BzzzError as error:
            self._say("invalid", f"a node record: {error.message}", peer_id)

    async def _take(self, told: Told) -> None:
        known = next((known for _, known in self._records.values() if known.record == told.record), None)
        if known is not None:
            return
        key, record = open_node_record(told.record, self._identity.mesh_id)
        if key == self._identity.key.public:
            return
        grant = self._members.admit(told.chain)
        if grant.kind != "node" or grant.key != key:
            raise GrantRefused("the grant beside it belongs to somebody else")
        held = self._records.get(key)
        if held is not None and held[0].seq >= record.seq:
            return
        if held is None and len(self._records) >= _MOST:
            return
        self._records[key] = (record, told)
        self._book.told(key, grant.id, record.addresses, record.seq, time.time())
        await self._mesh.know(peer_id_of(key), record.addresses, "exchange")

    def _heard(self, topic: str, peer_id: str, raw: bytes) -> None:
        try:
            with self._mesh.judging(peer_id):
                told = _TOLD.decode(raw)
        except InvalidEnvelope as error:
            self._say("invalid", f"no node record: {error.message}", peer_id)
            return
        if not self._stopped:
            work = self._mesh.holding(len(raw), self._learn, told, peer_id)
            self._spawn(self.name, "learning", work, ends=True)

    def _publish(self) -> None:
        if not self._publishing and not self._stopped:
            self._publishing = True
            self._spawn(self.name, "telling", self._tell(), ends=True)

    async def _tell(self) -> None:
        await asyncio.sleep(_PUBLISH_AFTER_S)
        self._publishing = False
        if self._own is None:
            return
        try:
            await self._mesh.publish(PEERS_TOPIC, _encode(self._own))
        except BzzzError as error:  # whoever missed it is told at the next join
            self._say("peers_not_told", error.message, "")

    # Upkeep.

    async def _keep(self) -> None:
        saved = compared = time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_S)
            now = time.monotonic()
            anew = now - compared >= _CLOCKS_S
            compared = now if anew else compared
            await self._compare_clocks(anew)
            if now - saved >= _SAVE_S:
                saved = now
                await self._save()

    async def _compare_clocks(self, anew: bool) -> None:
        """Ask peers for their time: some of those that were not asked yet, or all of them.

        Where many nodes start together, they have better things to do than all to ask all.
        """
        peers = [peer.peer_id for peer in self._mesh.peers() if peer.connected]
        if not anew:
            unasked = [peer_id for peer_id in peers if self.clocks.of(peer_id) is None]
            peers = secrets.SystemRandom().sample(unasked, min(len(unasked), _CLOCKS_AT_ONCE))
        for peer_id in peers:
            await self._compare_clock(peer_id)

    async def compare_clocks(self, peers: Sequence[str]) -> None:
        """Ask these few peers for their time, all at once."""
        await asyncio.gather(*map(self._compare_clock, peers))

    async def _compare_clock(self, peer_id: str) -> None:
        try:
            await self._request(peer_id, Time())
        except BzzzError as error:
            self._say("clock_not_compared", error.message, peer_id)

    async def _save(self) -> None:
        for peer in self._mesh.peers():
            if peer.connected:
                self._book.seen(key_of(peer.peer_id), peer.id, time.time())
        try:
            await asyncio.to_thread(self._book.save)
        except OSError as error:
            structlog.get_logger().warning("peer_book_not_written", why=str(error))

    async def seen_by(self, peer_id: str) -> Answer:
        """Ask a member to dial this node's addresses, and whom it is connected to."""
        return await self._request(peer_id, DialBack())

    def _say(self, kind: str, detail: str, peer_id: str) -> None:
        id = self._members.name_of(key_of(peer_id)) if peer_id else ""
        row = {"source": "peers", "kind": kind, "peer_id": peer_id, "id": id, "detail": detail[:300]}
        self._events.append(row)
