"""The inviter's desk: makes invitations, answers joiners, and has grants signed when an administrator agrees.

Where this node holds the authority's key, the authority signs. Elsewhere the administrator's own client signs
by its delegation, so inviting works on every node of the mesh; this desk checks what it signed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from bzzzd.crypto.age import check_recipient
from bzzzd.crypto.keys import key_text
from bzzzd.daemon.membership.invite_params import (
    AGENT_LEVELS,
    CodeParams,
    ConfirmParams,
    InvitationParams,
    InviteParams,
    pinned_key,
    subject_of,
)
from bzzzd.daemon.membership.members import Members
from bzzzd.daemon.membership.requests import Request, Requests
from bzzzd.errors import GrantRefused, NotAllowed
from bzzzd.identity.grants import Grant
from bzzzd.identity.invitation import (
    Ask,
    Invitation,
    Outcome,
    Standing,
    check_ask,
    check_open,
    check_standing,
    fits,
    new_token,
    open_ask,
    proof_key,
    proved,
    refused,
    token_text,
)
from bzzzd.identity.node import YEAR_S, NodeIdentity, make_grant, write_grant
from bzzzd.identity.policy import Policy
from bzzzd.mesh.mesh import Mesh
from bzzzd.mesh.peer_id import key_of
from bzzzd.mesh.values import JoinTry
from bzzzd.rpc.access import kinds
from bzzzd.rpc.registry import NoParams, Registry
from bzzzd.rpc.session import Call
from bzzzd.storage.invitations import Invitations, Kept

VALID_S: Final = YEAR_S
_PAUSE_S: Final = 1.0


class InviteDesk:
    """``tell(kind, fields)`` puts an event on the stream; ``grants`` is the folder of grant files."""

    def __init__(
        self,
        invitations: Invitations,
        members: Members,
        policy: Callable[[], Policy],
        identity: NodeIdentity,
        mesh: Mesh,
        grants: Path,
        *,
        clock: Callable[[], float],
        tell: Callable[[str, dict[str, Any]], object],
        check_fresh: Callable[[str], None] = lambda what: None,
    ) -> None:
        self._check_fresh = check_fresh
        self._invitations = invitations
        self._members = members
        self._policy = policy
        self._identity = identity
        self._mesh = mesh
        self._grants = grants
        self._clock = clock
        self._tell = tell
        self._lock = asyncio.Lock()
        self._requests = Requests(identity.trust.authority, identity.key.public, time.monotonic, time.time)

    async def open(self) -> None:
        """Begin to answer joiners; those who were let in just before a crash are known again first."""
        for chain in await self._invitations.chains():
            with suppress(GrantRefused):  # it has ended or was revoked since
                self._members.admit(chain)
        self._mesh.welcome(self.answer)

    # Invitations.

    async def invite(self, call: Call, params: InviteParams) -> dict[str, Any]:
        """Make an invitation; its text is shown this once."""
        kind, role = subject_of(params, self._policy())
        delegation = self._delegation(call.caller.key, role)
        now, who = self._clock(), self._identity
        token = new_token(who.trust.authority, who.key.public, kind, self._addresses())
        policy = self._policy()
        agents = [name for name in policy.roles if name != "node" and policy.authority_level(name) in AGENT_LEVELS]
        may_grant = tuple(name for name in agents if name in delegation.may_grant) if kind == "node" else ()
        invitation = Invitation(
            id=token.id, proof_key=proof_key(token), kind=kind, role=role, subject=params.person or params.id or "",
            uses=params.uses, unattended=params.yes or params.key is not None,
            pinned=pinned_key(params.key) if params.key else b"", may_grant=may_grant,
            valid_s=min(VALID_S, delegation.max_validity_s), by=delegation.key, created=now,
            expires=now + params.expires_s,
        )  # fmt: skip
        await self._invitations.add(invitation, now)
        whom = invitation.subject or f"any {kind}"
        detail = f"{call.caller.id} invited {whom}, role {role}"
        self._tell("invited", {"id": invitation.subject, "role": role, "by": call.caller.id, "detail": detail})
        return {
            "token": token_text(token), "addresses": list(token.addresses), **self._row(Kept(invitation, Standing())),
        }  # fmt: skip

    def _delegation(self, key: bytes | None, role: str) -> Grant:
        """The caller's right to let somebody in with ``role``; raises ``NotAllowed`` beyond it."""
        chain = self._members.admin_chain(key or b"")
        if not chain:
            raise NotAllowed("this session's key has no delegation here; an administrator has one (bzzz mesh members)")
        grant = self._identity.trust.admit(chain, now=self._clock())
        if role not in grant.may_grant:
            raise NotAllowed(
                f"{grant.id} may not grant the role {role}; their delegation lists {', '.join(grant.may_grant)}"
            )
        return grant

    def _addresses(self) -> list[str]:
        """Where joiners find this node; addresses of this machine alone only where there is no other."""
        plain = [address.split("/p2p/")[0] for address in self._mesh.addresses]
        outside = [address for address in plain if not address.startswith(("/ip4/127.", "/ip6/::1/"))]
        return outside or plain

    def _row(self, kept: Kept) -> dict[str, Any]:
        one = kept.invitation
        return {
            "invitation": one.id.hex(), "kind": one.kind, "role": one.role, "id": one.subject, "uses": one.uses,
            "used": kept.standing.used, "wrong": kept.standing.wrong, "expires": one.expires,
            "unattended": one.unattended, "key": key_text(one.pinned) if one.pinned else "",
            "mesh_id": self._identity.mesh_id, "signs": self._signs,
        }  # fmt: skip

    @property
    def _signs(self) -> str:
        """Who signs grants here: the node with the authority's key, or the administrator's client."""
        return "node" if self._identity.authority_key is not None else "client"

    async def cancel(self, call: Call, params: InvitationParams) -> dict[str, Any]:
        """Take an invitation back; who was let in by it stays."""
        await self._invitations.cancel(bytes.fromhex(params.invitation))
        return {}

    # Joiners.

    async def answer(self, tried: JoinTry) -> bytes:
        """Decide about one try; called for strangers, so it checks everything and tells little."""
        ask = open_ask(tried.ask, self._identity.mesh_id)
        if ask.invitation != tried.invitation:
            raise refused("unknown", "the ask is for another invitation than the one that was named")
        kept = await self._invitations.find(ask.invitation)
        invitation, carrier = kept.invitation, key_of(tried.peer_id)
        check_standing(kept.standing)
        if not tried.challenge:
            raise refused("replayed", "this proof answers another challenge: it was used before, or overheard")
        if not proved(
            tried.proof, invitation.proof_key, inviter=self._identity.key.public, carrier=carrier,
            challenge=tried.challenge, ask=tried.ask,
        ):  # fmt: skip
            await self._invitations.wrong(invitation.id)
            self._refused(ask, tried, "its proof is wrong")
            raise refused("proof", "the proof does not hold for this invitation: its secret is another one")
        chain = await self._invitations.granted(ask)
        if chain:
            await self._make_known(ask, chain)
        else:
            check_open(invitation, kept.standing, self._clock())
            check_ask(invitation, ask, carrier)
            self._check_not_revoked(ask)
            if ask.age is not None:
                check_recipient(ask.age)  # others will encrypt role secrets to what the grant says
            self._check_name(ask)
            self._check_carrier(ask, carrier)
            request, new = self._requests.ask(invitation, ask, tried.ask, address=tried.address, carrier=tried.peer_id)
            if not (invitation.unattended and self._identity.authority_key is not None):
                if new:
                    self._said("join_requested", request, f"asks to join; code {request.code}")
                return msgspec.msgpack.encode(Outcome(nonce=request.nonce, pause_s=_PAUSE_S))
            chain = await self._let_in(request, self._by_authority(request), "the invitation")
        return msgspec.msgpack.encode(Outcome(chain=chain))

    def _check_not_revoked(self, ask: Ask) -> None:
        """What was taken back does not come back by an invitation that is left over."""
        if self._identity.trust.revocations.removed(ask.key):
            raise refused(
                "revoked", f"the key of {ask.id} was revoked in this mesh; make a new one, and ask for a new invitation"
            )

    def _check_carrier(self, ask: Ask, carrier: bytes) -> None:
        """A person comes by a node that is a member: only there can they work."""
        if ask.kind == "person" and not self._members.is_member(carrier):
            raise refused("carrier", "a person joins on a machine that belongs to this mesh; have that one join first")

    def _check_name(self, ask: Ask) -> None:
        holder = self._members.holder(ask.kind, ask.id)
        if holder is not None and holder != ask.key:
            raise refused("taken", f"another {ask.kind} of this mesh is called {ask.id}; join with --id NAME")

    def _refused(self, ask: Ask, tried: JoinTry, why: str) -> None:
        detail = f"{ask.kind} {ask.id} from {tried.address} was refused: {why}"
        fields = {"id": ask.id, "subject": ask.kind, "peer_id": tried.peer_id, "address": tried.address}
        self._tell("join_refused", {**fields, "detail": detail})

    def _said(self, kind: str, request: Request, what: str, by: str = "") -> None:
        row = self._request_row(request)
        whom = f"{row['kind']} {row['id']} from {row['address']}"
        fields = {name: row[name] for name in ("id", "role", "code", "peer_id", "address", "invitation")}
        self._tell(kind, {**fields, "subject": row["kind"], "by": by, "detail": f"{whom} {what}"})

    # A person's word.

    @property
    def waiting(self) -> int:
        """How many wait to be let in."""
        return len(self._requests.all())

    async def requests(self, call: Call, params: NoParams) -> dict[str, Any]:
        """Who waits to be let in, and which invitations are open."""
        kept = await self._invitations.all(self._clock())
        return {
            "requests": [self._request_row(one) for one in self._requests.all()],
            "invitations": [self._row(one) for one in kept],
        }

    def _request_row(self, request: Request) -> dict[str, Any]:
        ask, invitation = request.ask, request.invitation
        return {
            "code": request.code, "kind": ask.kind, "id": ask.id, "role": invitation.role, "key": key_text(ask.key),
            "age": ask.age or "", "address": request.address, "peer_id": request.carrier, "since": request.since,
            "invitation": invitation.id.hex(), "may_grant": list(invitation.may_grant),
            "valid_s": invitation.valid_s, "max_validity_s": _max_validity(ask, invitation.valid_s),
            "unattended": invitation.unattended, "signs": self._signs,
        }  # fmt: skip

    async def confirm(self, call: Call, params: ConfirmParams) -> dict[str, Any]:
        """Let the joiner with this code in: its two sides showed the same digits."""
        request = self._requests.find(params.code)
        delegation = self._delegation(call.caller.key, request.invitation.role)
        if self._identity.authority_key is not None:
            chain = self._by_authority(request)
        elif params.grant is None:
            raise GrantRefused(
                "this node does not hold the authority's key, so the administrator's client signs the grant; "
                "use this version's: bzzz mesh confirm CODE"
            )
        else:
            chain = self._by_client(request, params.grant, delegation)
        await self._let_in(request, chain, call.caller.id)
        return {"id": request.ask.id, "kind": request.ask.kind, "role": request.invitation.role}

    def refuse(self, call: Call, params: CodeParams) -> dict[str, Any]:
        """Turn the joiner with this code away."""
        request = self._requests.find(params.code)
        self._requests.refuse(request)
        self._said("join_refused", request, f"was turned away by {call.caller.id}", call.caller.id)
        return {"id": request.ask.id, "kind": request.ask.kind}

    def _by_authority(self, request: Request) -> tuple[bytes, ...]:
        authority, ask, invitation = self._identity.authority_key, request.ask, request.invitation
        if authority is None:
            raise GrantRefused("the authority's key is not on this machine any more")
        raw = make_grant(
            authority, self._identity.mesh_id, kind=ask.kind, id=ask.id, key=ask.key, role=invitation.role,
            valid_s=invitation.valid_s, now=self._clock(), age=ask.age, may_grant=invitation.may_grant,
            max_validity_s=_max_validity(ask, invitation.valid_s),
        )  # fmt: skip
        return (raw,)

    def _by_client(self, request: Request, raw: bytes, delegation: Grant) -> tuple[bytes, ...]:
        chain = (raw, *self._members.admin_chain(delegation.key))
        grant = self._identity.trust.admit(chain, now=self._clock())
        if grant.issuer != delegation.key or not fits(grant, request.invitation, request.ask):
            raise GrantRefused("the signed grant is not the one that was asked for; look again: bzzz mesh requests")
        return chain

    async def _let_in(self, request: Request, chain: Sequence[bytes], by: str) -> tuple[bytes, ...]:
        """Count the use and keep the grant, durably and together; then make it known here."""
        self._check_fresh("letting somebody in")
        async with self._lock:  # between the look at the name and its taking nobody else takes it
            self._check_name(request.ask)
            standing = await self._invitations.spend(request.ask, chain, self._clock())
            self._requests.done(request)
            await self._make_known(request.ask, standing)
        self._said("join_confirmed", request, f"was let in by {by}", by)
        return standing

    async def _make_known(self, ask: Ask, chain: Sequence[bytes]) -> None:
        if not self._members.is_member(ask.key):
            name = f"{ask.kind}-{ask.id}"
            await asyncio.to_thread(write_grant, self._grants, name, self._identity.trust.authority, chain)
        self._members.admit(chain)

    def register(self, registry: Registry) -> None:
        admin = kinds("admin")
        row = "invitation, kind, role, id, uses, used, wrong, expires, unattended, key, mesh_id, signs"
        registry.add("mesh.invite", admin, InviteParams, self.invite, result=f"{{token, addresses, {row}}}")
        registry.add("mesh.uninvite", admin, InvitationParams, self.cancel)
        registry.add("mesh.requests", admin, NoParams, self.requests, result="{requests, invitations}", reads=True)
        registry.add("mesh.confirm", admin, ConfirmParams, self.confirm, result="{id, kind, role}")
        registry.add("mesh.refuse", admin, CodeParams, self.refuse, result="{id, kind}")


def _max_validity(ask: Ask, valid_s: float) -> float:
    """For how long a node may grant to its agents: no longer than its own grant was made for."""
    return valid_s if ask.kind == "node" else 0.0
