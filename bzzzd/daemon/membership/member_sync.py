"""The roll among members: a new grant goes to all at once, and whoever missed one fetches it from any other.

    topic     bzzz/members/1    chains that are new, many in one message when many come
    protocol  /bzzz/members/1   here is what I know, in eight bytes each; give me the rest

So every node can check every author without asking, and ``bzzz mesh members`` lists the whole mesh on each.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from bzzzd.daemon.membership.member_log import MemberLog
from bzzzd.daemon.membership.members import Members
from bzzzd.errors import UNREADABLE, BzzzError, InvalidEnvelope
from bzzzd.identity.charter import Chain
from bzzzd.identity.grants import Grant
from bzzzd.identity.roll import MOST, Entry
from bzzzd.mesh.mesh import Mesh
from bzzzd.rpc.streams import Stream

MEMBERS_TOPIC: Final = "bzzz/members/1"
MEMBERS_PROTOCOL: Final = "/bzzz/members/1"
_GATHER_S: Final = 0.05
_REQUEST_S: Final = 10.0
_PREFIX_BYTES: Final = 8
_GIVE_BYTES: Final = 2_097_152
_MESSAGE_BYTES: Final = 262_144
_MOST_CHAINS: Final = 4096
_MOST_ROUNDS: Final = 16
# Checking a chain takes 0.1 to 0.2 ms; the loop serves others between two lots.
_LOT: Final = 32
_ROOT_KEPT_S: Final = 1.0

Chains = Annotated[tuple[Chain, ...], Meta(max_length=_MOST_CHAINS)]


class Want(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The first eight bytes of each leaf's digest that the asker knows, one after the other."""

    known: Annotated[bytes, Meta(max_length=2 * MOST * _PREFIX_BYTES)]


class Give(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Chains that the asker does not know; ``whole``: all of them."""

    chains: Chains
    whole: bool


_WANT: Final = msgspec.msgpack.Decoder(Want)
_GIVE: Final = msgspec.msgpack.Decoder(Give)
_CHAINS: Final = msgspec.msgpack.Decoder(Chains)
_encode: Final = msgspec.msgpack.Encoder().encode


class MemberSync:
    """``spawn(service, name, work, ends=…)`` runs a background task; ``owner`` is the service that they belong to."""

    def __init__(
        self, members: Members, log: MemberLog, mesh: Mesh, events: Stream, spawn: Callable[..., Any], owner: str
    ) -> None:
        self._members = members
        self._log = log
        self._mesh = mesh
        self._events = events
        self._spawn = spawn
        self._owner = owner
        self._to_tell: list[Entry] = []
        self._gathering = False
        self._told = False
        self._new = 0
        self._stopped = False
        self._root = (0.0, b"")

    def open(self) -> None:
        self._members.heard_by(self._heard_of)
        self._mesh.subscribe(MEMBERS_TOPIC, self._arrived)
        self._mesh.handle(MEMBERS_PROTOCOL, self._give)

    async def close(self) -> None:
        """Write what is not written yet."""
        self._stopped = True
        await self._flush()

    @property
    def root(self) -> bytes:
        """One word for the whole of what holds here: equal at two nodes that know the same."""
        now = time.monotonic()
        if now - self._root[0] > _ROOT_KEPT_S:
            total = 0
            for entry in self._members.valid():
                total ^= int.from_bytes(entry.digest, "big")
            self._root = (now, total.to_bytes(32, "big"))
        return self._root[1]

    async def exchange(self, peer_id: str) -> None:
        """Fetch what a member knows and this node does not."""
        for _ in range(_MOST_ROUNDS):
            want = Want(b"".join(entry.digest[:_PREFIX_BYTES] for entry in self._members.roll))
            raw = await self._mesh.request(peer_id, MEMBERS_PROTOCOL, _encode(want), _REQUEST_S)
            with self._mesh.judging(peer_id):
                given = _GIVE.decode(raw)
            new = await self._admit(given.chains, peer_id)
            if given.whole or not new:
                return

    async def _give(self, peer_id: str, raw: bytes) -> bytes:
        try:
            known = _WANT.decode(raw).known
        except UNREADABLE as error:
            raise InvalidEnvelope(f"this is no request about members: {error}") from error
        prefixes = {known[at : at + _PREFIX_BYTES] for at in range(0, len(known), _PREFIX_BYTES)}
        chains: list[tuple[bytes, ...]] = []
        size = 0
        for entry in self._members.valid():
            if entry.digest[:_PREFIX_BYTES] not in prefixes:
                size += sum(map(len, entry.chain))
                if chains and (size > _GIVE_BYTES or len(chains) >= _MOST_CHAINS):
                    return _encode(Give(tuple(chains), False))
                chains.append(entry.chain)
        return _encode(Give(tuple(chains), True))

    async def _admit(self, chains: tuple[tuple[bytes, ...], ...], peer_id: str, *, told: bool = False) -> int:
        """Take what holds; ``told`` means that everybody was. Gives how many were new."""
        before = self._new
        for at, chain in enumerate(chains):
            self._told = told
            try:
                # A roll holds what was checked: a forged chain is made by whoever gives it.
                with self._mesh.judging(peer_id):
                    self._members.admit(chain)
            except BzzzError as error:
                self._say("invalid", error.message, peer_id)
            finally:
                self._told = False
            if at % _LOT == _LOT - 1:
                await asyncio.sleep(0)
        return self._new - before

    def _arrived(self, topic: str, peer_id: str, raw: bytes) -> None:
        try:
            with self._mesh.judging(peer_id):
                chains = _CHAINS.decode(raw)
        except InvalidEnvelope as error:
            self._say("invalid", f"these are no grants: {error.message}", peer_id)
            return
        if not self._stopped:
            work = self._mesh.holding(len(raw), self._admit, chains, peer_id, told=True)
            self._spawn(self._owner, "new members", work, ends=True)

    def _heard_of(self, entry: Entry, renewed: bool) -> None:
        """A grant is new here. New nodes are met, and compared with, one by one, so they are not told around."""
        self._new += 1
        self._look_for_namesakes(entry.grant)
        if not self._told and (renewed or entry.grant.kind != "node"):
            self._to_tell.append(entry)
        if not self._gathering and not self._stopped:
            self._gathering = True
            self._spawn(self._owner, "telling of members", self._tell(), ends=True)

    def _look_for_namesakes(self, grant: Grant) -> None:
        """Two nodes that did not know of each other may have given one id to two agents: people are told of it."""
        if grant.kind != "agent":
            return
        for other in self._members.namesakes(grant.id, grant.key, grant.issuer):
            nodes = " and ".join(sorted(self._members.signer(issuer) for issuer in (grant.issuer, other.grant.issuer)))
            self._events.append(
                {
                    "source": "members", "kind": "agent_twice", "at": time.time(), "id": grant.id,
                    "detail": f"nodes {nodes} each have an agent {grant.id}; give one another agent.id",
                }
            )  # fmt: skip

    async def _tell(self) -> None:
        await asyncio.sleep(_GATHER_S)
        self._gathering = False
        to_tell, self._to_tell = self._to_tell, []
        await self._flush()
        chains: list[tuple[bytes, ...]] = []
        size = 0
        for entry in to_tell:
            chains.append(entry.chain)
            size += sum(map(len, entry.chain))
            if size > _MESSAGE_BYTES or entry is to_tell[-1]:
                await self._publish(chains)
                chains, size = [], 0

    async def _publish(self, chains: list[tuple[bytes, ...]]) -> None:
        try:
            await self._mesh.publish(MEMBERS_TOPIC, _encode(chains))
        except BzzzError as error:  # whoever missed it fetches it at the next comparison
            self._say("members_not_told", error.message)

    async def _flush(self) -> None:
        try:
            await asyncio.to_thread(self._log.flush, lambda: [entry.chain for entry in self._members.valid()])
        except BzzzError as error:  # what is not there after a restart is heard again
            self._say("members_not_written", error.message)

    def _say(self, kind: str, detail: str, peer_id: str = "") -> None:
        self._events.append({"source": "members", "kind": kind, "peer_id": peer_id, "detail": detail[:300]})
