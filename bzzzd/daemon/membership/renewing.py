"""Grants that end are renewed in time: this node's own, its agents', and, where the authority's key is, other nodes'.

    protocol  /bzzz/renew/1   my chain; the answer is a newer one for the same key, or a refusal

A node begins to ask when a third of its grant's time is left, and one whose grant has ended asks while it
joins, the only thing it is still given. A revoked one gets nothing. Agents are given a new grant at half of
the old one's time, while their session and their work go on. Where no node holds the authority's key, an
administrator signs (``bzzz mesh renew``), and the node finds its new grant on the roll.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from bzzzd.daemon.membership.charter import Charter
from bzzzd.daemon.membership.members import Members
from bzzzd.daemon.work.agents import AgentBook
from bzzzd.errors import UNREADABLE, BadInput, BzzzError, GrantRefused, InvalidEnvelope, NotAllowed
from bzzzd.identity.charter import Chain
from bzzzd.identity.grants import GRANT_LIMIT, Grant
from bzzzd.identity.node import NodeIdentity, make_grant, write_grant
from bzzzd.identity.roll import Entry
from bzzzd.mesh.mesh import Mesh
from bzzzd.mesh.peer_id import key_of
from bzzzd.rpc.access import kinds
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.session import Call
from bzzzd.rpc.streams import Stream
from bzzzd.runtime.services import Health

RENEW_PROTOCOL: Final = "/bzzz/renew/1"
_LONGEST_PAUSE_S: Final = 30.0
_SHORTEST_PAUSE_S: Final = 0.5
_REQUEST_S: Final = 10.0
_MOST_ASKED: Final = 16
_CHAIN: Final = msgspec.msgpack.Decoder(Chain)


class RenewParams(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``grant`` is signed by the caller for a member's key, id and kind as they are."""

    grant: Annotated[bytes, Meta(max_length=GRANT_LIMIT)]


def reissued(identity: NodeIdentity, chain: Sequence[bytes], key: bytes, *, now: float) -> tuple[bytes, ...]:
    """A grant like the one of ``chain``, from ``now`` and for as long, signed by the authority; for the node ``key``.

    Raises ``GrantRefused`` for a chain that is not this node's, or that was revoked, and ``NotAllowed`` where the
    authority's key is not.
    """
    if identity.authority_key is None:
        raise NotAllowed(f"{identity.id} does not hold the authority's key, so it renews nothing")
    grants = identity.trust.links(chain)
    leaf = grants[0]
    if leaf.kind != "node" or leaf.key != key:
        raise GrantRefused("a node has its own grant renewed, and this one is not its own")
    revocations = identity.trust.revocations
    if revocations.removed(key) or any(revocations.void(grant, leaf=not at) for at, grant in enumerate(grants)):
        raise GrantRefused(f"the grant of {leaf.kind} {leaf.id} was revoked; it is not renewed")
    raw = make_grant(
        identity.authority_key, identity.mesh_id, kind="node", id=leaf.id, key=key, role=leaf.role,
        capabilities=leaf.capabilities, valid_s=leaf.not_after - leaf.not_before, now=now, may_grant=leaf.may_grant,
        max_validity_s=leaf.max_validity_s, age=leaf.age,
    )  # fmt: skip
    return (raw,)


class Renewals:
    """``announce()`` tells the mesh about the agents here, ``recheck()`` ends sessions whose grants have ended."""

    name = "grants"
    depends = ("mesh", "charter")

    def __init__(
        self,
        identity: NodeIdentity,
        members: Members,
        charter: Charter,
        agents: AgentBook,
        mesh: Mesh,
        grants: Path,
        events: Stream,
        *,
        announce: Callable[[], None],
        recheck: Callable[[], None],
        spawn: Callable[..., Any],
    ) -> None:
        self._identity = identity
        self._members = members
        self._charter = charter
        self._agents = agents
        self._mesh = mesh
        self._grants = grants
        self._events = events
        self._announce = announce
        self._recheck = recheck
        self._spawn = spawn
        self._announced: set[bytes] = set()
        self._wake = asyncio.Event()

    async def start(self) -> None:
        self._mesh.handle(RENEW_PROTOCOL, self._answer)
        self._members.heard_by(self._heard_of)
        self._spawn(self.name, "renewing", self._keep_renewing())

    async def stop(self) -> None:
        """Nothing is held open."""

    def health(self) -> Health:
        left = self._identity.grant.not_after - self._charter.now()
        if self._identity.trust.revocations.removed(self._identity.key.public):
            return Health(degraded=True, detail="this node was revoked; no member speaks with it any more")
        if left <= 0:
            return Health(degraded=True, detail="this node's grant has ended; it asks for a new one while it joins")
        return Health(detail=f"this node's grant ends in {left / 86400:.1f} days")

    async def give(self, peer_id: str, chain: Sequence[bytes]) -> tuple[bytes, ...]:
        """What a peer gets whose grant was refused at the door: a newer chain, or nothing."""
        try:
            return self._newer(key_of(peer_id), chain)
        except BzzzError:
            return ()

    async def take(self, chain: Sequence[bytes]) -> None:
        """A newer chain of this node's own; one that does not hold is passed over."""
        try:
            grant = self._members.admit(chain)
        except BzzzError as error:
            self._say("renewal_refused", error.message)
            return
        if grant.key == self._identity.key.public:
            await self._adopt(tuple(chain), grant)

    async def renew(self, call: Call, params: RenewParams) -> dict[str, Any]:
        """Make a member's newer grant, which an administrator's client signed, known in the whole mesh."""
        self._charter.check_fresh("the renewal of a grant")
        chain = (params.grant, *self._members.admin_chain(call.caller.key or b""))
        grant = self._identity.trust.admit(chain, now=self._charter.now())
        known = self._members.roll.get(grant.key)
        if known is None or (known.grant.kind, known.grant.id) != (grant.kind, grant.id):
            raise BadInput("a grant is renewed for a member that is known, as what it is (bzzz mesh members)")
        if self._identity.trust.revocations.removed(grant.key):
            raise GrantRefused(f"the grant of {grant.kind} {grant.id} was revoked; it is not renewed")
        self._members.admit(chain)
        return {"id": grant.id, "kind": grant.kind, "not_after": grant.not_after}

    def register(self, registry: Registry) -> None:
        registry.add("mesh.renew", kinds("admin"), RenewParams, self.renew, result="{id, kind, not_after}")

    def _newer(self, key: bytes, chain: Sequence[bytes]) -> tuple[bytes, ...]:
        entry = self._members.roll.get(key)
        if entry is not None and entry.chain != tuple(chain) and self._members.is_member(key):
            return entry.chain
        self._charter.check_fresh("the renewal of a grant")
        return reissued(self._identity, chain, key, now=self._charter.now())

    async def _answer(self, peer_id: str, raw: bytes) -> bytes:
        try:
            chain = _CHAIN.decode(raw)
        except UNREADABLE as error:
            raise InvalidEnvelope(f"this is no chain of grants: {error}") from error
        newer = self._newer(key_of(peer_id), chain)
        self._members.admit(newer)
        return msgspec.msgpack.encode(newer)

    async def _keep_renewing(self) -> None:
        while True:
            await self._turn()
            self._wake.clear()
            try:
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _pause(self) -> float:
        """Short grants are looked at often: a tenth of the shortest that this node looks after."""
        spans = [entry.grant.not_after - entry.grant.not_before for entry in self._own_entries()]
        return max(_SHORTEST_PAUSE_S, min([_LONGEST_PAUSE_S, *(span / 10 for span in spans)]))

    def _own_entries(self) -> Iterable[Entry]:
        own = self._members.roll.get(self._identity.key.public)
        found = (self._members.roll.get(key) for key in self._agents.local_keys())
        return [entry for entry in (own, *found) if entry is not None]

    async def _turn(self) -> None:
        await self._renew_own()
        self._renew_agents()
        self._recheck()
        self._announce_ends()

    async def _renew_own(self) -> None:
        own, now = self._identity.grant, self._charter.now()
        found = self._members.roll.get(own.key)
        if found is not None and found.chain != self._identity.chain and self._members.is_member(own.key):
            await self._adopt(found.chain, found.grant)
            return
        end = _end(self._identity.trust.links(self._identity.chain))
        if end - now > (own.not_after - own.not_before) / 3 or self._identity.trust.revocations.removed(own.key):
            return
        for chain in await self._offered():
            await self.take(chain)
            return

    async def _offered(self) -> list[tuple[bytes, ...]]:
        """A newer chain of this node's: signed here, or by the first member that can; none when nobody can."""
        if self._identity.authority_key is not None:
            chain = self._identity.chain
            return [reissued(self._identity, chain, self._identity.key.public, now=self._charter.now())]
        refused = "no member is connected"
        for peer in [peer for peer in self._mesh.peers() if peer.connected][:_MOST_ASKED]:
            raw = msgspec.msgpack.encode(self._identity.chain)
            try:
                answer = await self._mesh.request(peer.peer_id, RENEW_PROTOCOL, raw, _REQUEST_S)
                with self._mesh.judging(peer.peer_id):
                    return [_CHAIN.decode(answer)]
            except BzzzError as error:
                refused = error.message
        self._say("renewal_refused", f"{refused}; an administrator can renew it: bzzz mesh renew {self._identity.id}")
        return []

    async def _adopt(self, chain: tuple[bytes, ...], grant: Grant) -> None:
        """Be who the newer chain says, from now on and after a restart."""
        if chain == self._identity.chain or grant.not_before < self._identity.grant.not_before:
            return
        await asyncio.to_thread(write_grant, self._grants, "node", self._identity.trust.authority, chain)
        self._identity.chain, self._identity.grant = chain, grant
        await self._mesh.show(chain)
        until = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(grant.not_after))
        self._say("renewed", f"the grant of node {grant.id} holds until {until} now")
        self._wake.set()

    def _renew_agents(self) -> None:
        now, renewed = self._charter.now(), False
        for key in self._agents.local_keys():
            entry = self._members.roll.get(key)
            if entry is None or entry.grant.issuer != self._identity.key.public:
                continue
            if _end(entry.grants) - now <= (entry.grant.not_after - entry.grant.not_before) / 2:
                try:
                    self._agents.regranted(key, self._members.renew_agent(entry.grant))
                    renewed = True
                except BzzzError as error:
                    self._say("renewal_refused", error.message)
        if renewed:
            self._announce()

    def _announce_ends(self) -> None:
        now = self._charter.now()
        ending = self._members.ending(now)
        for entry in ending:
            if entry.digest not in self._announced:
                id, days = entry.grant.id, (entry.grant.not_after - now) / 86400
                self._say(
                    "delegation_ends",
                    f"the delegation of administrator {id} ends in {days:.0f} days; "
                    f"renew it: sudo bzzz mesh admin add {id}",
                )
        self._announced = {entry.digest for entry in ending}

    def _heard_of(self, entry: Entry, renewed: bool) -> None:
        if entry.grant.key == self._identity.key.public and entry.chain != self._identity.chain:
            self._wake.set()

    def _say(self, kind: str, detail: str) -> None:
        now = self._charter.now()
        self._events.append({"source": "grants", "kind": kind, "at": now, "detail": detail[:300]})


def _end(grants: Iterable[Grant]) -> float:
    """When a chain ends: with the first of its links."""
    return min(grant.not_after for grant in grants)
