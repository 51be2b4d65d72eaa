"""The joiner's desk: takes an invitation's text, asks the inviter, and makes this node, or a person on it, a member.

Each ``mesh.join`` is one try. While a person decides at the inviter's, the client calls again; the ask stays
the same, and with it the code that both sides show. Nothing is written before the grant has come and holds.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from bzzzd.daemon.membership.members import Members, Peer
from bzzzd.errors import BadInput, Conflict, NotAllowed, NotReady, Unavailable
from bzzzd.identity.caller import Caller
from bzzzd.identity.grants import Grant, Name, Trust, mesh_id_of
from bzzzd.identity.invitation import (
    ASK_LIMIT,
    Ask,
    Outcome,
    Token,
    open_ask,
    proof_key,
    prove,
    read_outcome,
    read_token,
    seal_ask,
    short_code,
)
from bzzzd.identity.node import NodeIdentity
from bzzzd.identity.switch import Switch, decide, pending
from bzzzd.mesh.mesh import Mesh
from bzzzd.mesh.peer_id import peer_id_of
from bzzzd.rpc.access import guest
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.session import Call
from bzzzd.storage.holdings import holdings
from bzzzd.storage.journal.journal import Journal

_ASKS_KEPT: Final = 16


class JoinParams(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``invitation`` is the token's text. ``id`` is how the node wants to be called.

    ``ask`` is a person's, signed by their key. ``set_aside`` agrees to leave what this node holds behind.
    """

    invitation: Annotated[str, Meta(min_length=1, max_length=4096)]
    id: Name | None = None
    set_aside: bool = False
    ask: Annotated[bytes, Meta(max_length=ASK_LIMIT)] | None = None

    def __repr__(self) -> str:
        return f"JoinParams(id={self.id!r})"


class JoinDesk:
    """``restart(reason)`` starts the process again, in the mesh that it has joined; ``state`` is its folder.

    ``meeting`` are more addresses at which the inviter may be: those where members meet (network.bootstrap_peers).
    """

    def __init__(
        self,
        identity: NodeIdentity,
        members: Members,
        mesh: Mesh,
        journal: Journal,
        state: Path,
        *,
        own_id: str,
        age: str | None,
        clock: Callable[[], float],
        restart: Callable[[str], None],
        meeting: Sequence[str] = (),
    ) -> None:
        self._identity = identity
        self._members = members
        self._mesh = mesh
        self._journal = journal
        self._state = state
        self._own_id = own_id
        self._age = age
        self._clock = clock
        self._restart = restart
        self._meeting = tuple(address.split("/p2p/")[0] for address in meeting)
        self._asks: OrderedDict[tuple[bytes, str], bytes] = OrderedDict()
        self._joining = asyncio.Lock()

    async def join(self, call: Call, params: JoinParams) -> dict[str, Any]:
        """Try to join by an invitation, once; ``state`` is waiting (call again), joined, or member.

        A node that has joined starts again in its new mesh; a person gets their grant's chain.
        """
        token = read_token(params.invitation)
        if token.kind == "person":
            return await self._person(call.caller, token, params)
        if call.caller.kind != "admin" and call.caller.uid not in (0, os.geteuid()):
            raise NotAllowed(
                "joining makes this machine part of another mesh, so root or an administrator does it: "
                "sudo bzzz mesh join INVITATION"
            )
        return await self.node(token, params.id, set_aside=params.set_aside)

    # This node.

    async def node(self, token: Token, id: str | None = None, *, set_aside: bool = False) -> dict[str, Any]:
        """Let this node try to join, once, whoever wished for it; what ``join`` answers."""
        if token.kind != "node":
            raise BadInput("this invitation is for a person; a machine needs one for a node (bzzz mesh invite)")
        found = {"mesh_id": token.mesh_id, "inviter": peer_id_of(token.inviter), "kind": "node"}
        if token.authority == self._identity.trust.authority:
            return {**found, "state": "member", "id": self._identity.id, "role": self._identity.grant.role}
        async with self._joining:
            decided = await asyncio.to_thread(pending, self._state)
            if decided is not None:
                raise NotReady(
                    f"this node has joined mesh {mesh_id_of(decided.authority)} and is about to start again in it; "
                    "wait a moment, then: bzzz status"
                )
            await self._check_lone(set_aside)
            raw = self._ask_of(token, id or self._own_id)
            outcome = await self._visit(token, raw, (*token.addresses, *self._meeting))
            ask = open_ask(raw, token.mesh_id)
            if not outcome.chain:
                return {**found, "state": "waiting", **_waiting(token, ask, raw, outcome)}
            grant = self._checked(token, ask, outcome.chain)
            peers = tuple(f"{address}/p2p/{peer_id_of(token.inviter)}" for address in token.addresses)
            switch = Switch(left=self._identity.mesh_id, authority=token.authority, chain=outcome.chain, peers=peers)
            await asyncio.to_thread(decide, self._state, switch)
            self._restart(f"this node has joined mesh {token.mesh_id} as {grant.id}")
        return {**found, "state": "joined", "id": grant.id, "role": grant.role}

    async def _check_lone(self, set_aside: bool) -> None:
        """Refuse to leave a mesh that others belong to, or content that nobody has agreed to leave behind."""
        who = self._identity
        if who.authority_key is None:
            raise Conflict(
                f"this node belongs to mesh {who.mesh_id} already; to take it out of there, stop bzzzd, move "
                f"{self._state} away, start it, and join again"
            )
        if not self._members.alone:
            raise Conflict(
                f"this node founded mesh {who.mesh_id}, and other nodes belong to it (bzzz mesh members); they would "
                "lose their authority. Have the other mesh's nodes join this one instead"
            )
        held = await holdings(self._journal)
        if held and not set_aside:
            raise Conflict(
                f"this node holds {held.words} of its own mesh. Save them: bzzz mesh export FOLDER; join with "
                "--set-aside, which moves them out of the way without deleting them; then bring content back: "
                "bzzz mesh import FOLDER"
            )

    def _ask_of(self, token: Token, id: str) -> bytes:
        """The same ask for the same invitation, so that its code stays as it was shown."""
        place = (token.id, id)
        if place not in self._asks:
            self._asks[place] = seal_ask(self._identity.key, token, id=id, age=self._age)
            while len(self._asks) > _ASKS_KEPT:
                self._asks.popitem(last=False)
        return self._asks[place]

    # A person on this node.

    async def _person(self, caller: Caller, token: Token, params: JoinParams) -> dict[str, Any]:
        if token.authority != self._identity.trust.authority:
            raise BadInput(
                f"this invitation is for a person of mesh {token.mesh_id}, and this machine is in "
                f"{self._identity.mesh_id}; have the machine join first, by an invitation for a node"
            )
        if params.ask is None:
            raise BadInput("a person's own client signs what they ask for; use: bzzz mesh join INVITATION")
        ask = open_ask(params.ask, token.mesh_id)
        if (ask.invitation, ask.kind) != (token.id, "person"):
            raise BadInput("what was signed is not an ask for this invitation")
        peer = Peer(caller.uid, caller.gid, caller.pid)
        self._members.check_person(peer, ask.key)
        addresses = self._known_addresses(token)
        found = {"mesh_id": token.mesh_id, "inviter": peer_id_of(token.inviter), "kind": "person"}
        outcome = await self._visit(token, params.ask, addresses)
        if not outcome.chain:
            return {**found, "state": "waiting", **_waiting(token, ask, params.ask, outcome)}
        grant = self._checked(token, ask, outcome.chain)
        await asyncio.to_thread(self._members.settle_person, peer, grant, outcome.chain)
        self._members.admit(outcome.chain)
        return {**found, "state": "joined", "id": grant.id, "role": grant.role, "chain": list(outcome.chain)}

    def _known_addresses(self, token: Token) -> tuple[str, ...]:
        """Where this node itself knows the inviter to be: a person's word alone makes it dial nobody."""
        inviter = peer_id_of(token.inviter)
        for peer in self._mesh.peers():
            if peer.peer_id == inviter:
                return tuple(address.split("/p2p/")[0] for address in peer.addresses)
        raise Unavailable(
            f"this node is not connected to the inviter {self._members.name_of(token.inviter)} (bzzz peers); try again "
            "when it is, or have an administrator of a node that is connected invite you",
            peer_id=inviter,
        )

    # Both.

    async def _visit(self, token: Token, raw: bytes, addresses: Sequence[str]) -> Outcome:
        sign = partial(_prove, proof_key(token), inviter=token.inviter, carrier=self._identity.key.public, ask=raw)
        return read_outcome(await self._mesh.visit(peer_id_of(token.inviter), addresses, token.id, raw, sign))

    def _checked(self, token: Token, ask: Ask, chain: tuple[bytes, ...]) -> Grant:
        """The grant that came, if it leads to the authority in the token and is for who asked."""
        grant = Trust(token.mesh_id, token.authority).admit(chain, now=max(self._clock(), time.time()))
        if (grant.kind, grant.id, grant.key, grant.age) != (ask.kind, ask.id, ask.key, ask.age):
            raise BadInput("the inviter sent a grant for somebody else; nothing was changed here")
        return grant

    def register(self, registry: Registry) -> None:
        registry.add(
            "mesh.join", guest(), JoinParams, self.join,
            result="{state, mesh_id, inviter, kind} and {code, pause_s} or {id, role} or {id, role, chain}",
        )  # fmt: skip


def _prove(key: bytes, challenge: bytes, *, inviter: bytes, carrier: bytes, ask: bytes) -> bytes:
    return prove(key, inviter=inviter, carrier=carrier, challenge=challenge, ask=ask)


def _waiting(token: Token, ask: Ask, raw: bytes, outcome: Outcome) -> dict[str, Any]:
    code = short_code(token.authority, token.inviter, raw, ask.key, outcome.nonce)
    return {"code": code, "id": ask.id, "pause_s": min(max(outcome.pause_s, 0.2), 30.0)}
