"""Who is given which role secrets: what a node shows for itself, and what follows from it.

A node is entitled to the secrets of

    the roles that its grant lets it give to agents, and of the role ``node``
    the role of whoever attached on it lately, by their grant and the proof that they signed there
    every role, where it holds the mesh's authority key

The proof of an attach was made for one node: it signs a nonce, and the nonce is a hash over that
node's key (``attach.bound_nonce``). So a node that sees the proof, because it is asked for secrets,
cannot use it for itself. It can be shown again by the node that it was made for, which is its purpose,
until it is ``ATTACHED_S`` old by its signer's clock; a new one is made at each attach.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from bzzzd.crypto.envelope import open_envelope, seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import UNREADABLE, BzzzError, GrantRefused, InvalidEnvelope
from bzzzd.identity.attach import ATTACH_LIMIT, bound_nonce, read_attach
from bzzzd.identity.grants import CHAIN_LIMIT, CLOCK_TOLERANCE_S, GRANT_LIMIT, Grant, Key, Trust

ATTACHED_S: Final = 7 * 86400.0
CLAIM_S: Final = 300.0
CLAIM_LIMIT: Final = 1024
NODE_ROLE: Final = "node"
_CLAIM_KIND: Final = "keys"


class Evidence(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """That somebody attached on a node: their grant chain, the signed proof, and the salt of its nonce."""

    chain: Annotated[tuple[Annotated[bytes, Meta(max_length=GRANT_LIMIT)], ...], Meta(max_length=CHAIN_LIMIT)]
    proof: Annotated[bytes, Meta(max_length=ATTACH_LIMIT)]
    salt: Annotated[bytes, Meta(min_length=32, max_length=32)]


class Rights(Struct, frozen=True):
    """The roles whose secrets a node may have (``None``: all), and why something that it showed did not count."""

    roles: frozenset[str] | None
    faults: tuple[str, ...] = ()

    def __contains__(self, role: str) -> bool:
        return self.roles is None or role in self.roles


class _Claim(Struct, frozen=True, forbid_unknown_fields=True):
    node: Key
    at: Annotated[float, Meta(ge=0, lt=2.0**53)]


_CLAIM: Final = msgspec.msgpack.Decoder(_Claim)


def seal_claim(authority: SigningKey, mesh_id: str, node: bytes, at: float) -> bytes:
    """What a node signs to show that it holds the authority key."""
    return seal(authority, _CLAIM_KIND, mesh_id, msgspec.msgpack.encode(_Claim(node, at)))


def rights_of(grant: Grant, evidence: Sequence[Evidence], claim: bytes, trust: Trust, *, now: float) -> Rights:
    """What the node of ``grant``, which holds now, is entitled to by what it shows; ``now`` is Unix seconds."""
    roles, faults = {NODE_ROLE, *grant.may_grant}, []
    if claim:
        try:
            _check_claim(claim, trust, grant.key, now)
            return Rights(None)
        except BzzzError as error:
            faults.append(error.message)
    for shown in evidence:
        try:
            roles.add(attached_role(shown, trust, grant.key, now=now))
        except BzzzError as error:
            faults.append(error.message)
    return Rights(frozenset(roles), tuple(faults))


def attached_role(shown: Evidence, trust: Trust, node: bytes, *, now: float) -> str:
    """The role of somebody who attached on ``node`` (its public key).

    Raises ``InvalidEnvelope`` for a proof that does not hold or was not made there, ``GrantRefused``
    when its signer's grant does not hold now, or the proof is too old.
    """
    envelope, proof = read_attach(shown.proof, trust.mesh_id)
    if proof.nonce != bound_nonce(node, shown.salt):
        raise InvalidEnvelope(f"the proof of {proof.kind} {proof.id} was made on another node")
    if not now - ATTACHED_S <= proof.at <= now + CLOCK_TOLERANCE_S:
        raise GrantRefused(
            f"the proof of {proof.kind} {proof.id} is {(now - proof.at) / 86400.0:.1f} days old; attach again there"
        )
    grant = trust.admit(shown.chain, now=now)
    if grant.key != envelope.author or grant.kind != proof.kind:
        raise GrantRefused(f"the grant of {grant.kind} {grant.id} is not that of whoever attached")
    return grant.role


def _check_claim(raw: bytes, trust: Trust, node: bytes, now: float) -> None:
    envelope = open_envelope(raw, kind=_CLAIM_KIND, mesh_id=trust.mesh_id, limit=CLAIM_LIMIT)
    try:
        claim = _CLAIM.decode(envelope.payload)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"this claim to all role secrets has a wrong shape: {error}") from error
    if envelope.author != trust.authority or claim.node != node:
        raise GrantRefused("this claim to all role secrets is not signed by the authority for the node that shows it")
    if abs(now - claim.at) > CLAIM_S:
        raise GrantRefused("this claim to all role secrets is not of now; compare the clocks (timedatectl)")
