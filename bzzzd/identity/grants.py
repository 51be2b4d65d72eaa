"""Grants: one signed statement binds one public key to one subject of the mesh.

    authority ── signs ──► admin   (delegation: may grant listed roles, never admin)
        │                    └──► node, person, agent
        ├────────────────► node   (may grant listed roles to agents on itself, never a person)
        │                    └──► agent
        └────────────────► person

What kind of thing a key is comes from its grant, never from its own word. A *chain* is a list of
raw grant envelopes, leaf first, up to but without the authority's key. Checking one is a pure
function of its bytes, the mesh, the time and the revocations, so any thread may do it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from bzzzd.crypto.envelope import open_envelope, seal
from bzzzd.crypto.keys import PUBLIC_BYTES, SigningKey, key_text
from bzzzd.errors import UNREADABLE, GrantRefused, InvalidEnvelope

GRANT_LIMIT: Final = 16_384
CHAIN_LIMIT: Final = 3
CLOCK_TOLERANCE_S: Final = 120.0
_NEVER: Final = 2**64

GrantKind = Literal["node", "agent", "person", "admin"]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
Recipient = Annotated[str, Meta(pattern=r"^age1[02-9ac-hj-np-z]{58}\Z")]
Key = Annotated[bytes, Meta(min_length=PUBLIC_BYTES, max_length=PUBLIC_BYTES)]
# Bounded, so that no time is NaN: that compares with nothing, and what ended then would never end.
Seconds = Annotated[float, Meta(ge=-(2.0**53), lt=2.0**53)]

# Who may sign what, after the authority: the one table of delegation.
_MAY_ISSUE: Final[dict[str, frozenset[str]]] = {
    "admin": frozenset({"node", "person", "agent"}),
    "node": frozenset({"agent"}),
}


class Grant(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Times are Unix seconds. ``age`` is the X25519 recipient that secrets for this subject go to.

    ``may_grant`` and ``max_validity_s`` bound what an administrator or a node may issue.
    ``serial`` rises with each grant of an issuer, so that a revocation can void all from one on.
    """

    kind: GrantKind
    id: Name
    mesh_id: str
    key: Key
    role: Name
    capabilities: Annotated[tuple[Name, ...], Meta(max_length=256)] = ()
    age: Recipient | None = None
    serial: Annotated[int, Meta(ge=0)]
    not_before: Seconds
    not_after: Seconds
    issuer: Key
    may_grant: Annotated[tuple[Name, ...], Meta(max_length=256)] = ()
    max_validity_s: Seconds = 0.0


_DECODER: Final = msgspec.msgpack.Decoder(Grant)


class Revocations(Struct, frozen=True, kw_only=True):
    """What is void now. ``number`` is that of the newest signed list it was read from.

    ``keys``: whose grants signed up to that Unix time are void; a node's word never revives one of them.
    ``grants``: single grants by (issuer, serial). ``issuers``: everything that an issuer signed from a serial
    on; such an issuer is an administrator no longer. ``stand``: the digests of such an issuer's charter
    documents that stay.
    """

    number: int = 0
    keys: dict[bytes, float] = {}
    grants: frozenset[tuple[bytes, int]] = frozenset()
    issuers: dict[bytes, int] = {}
    stand: dict[bytes, frozenset[bytes]] = {}

    def void(self, grant: Grant, *, leaf: bool = True) -> bool:
        """Whether ``grant`` is void.

        What a removed administrator granted before that stays, so a delegation is asked about its own end only
        where it is the ``leaf``.
        """
        if (grant.issuer, grant.serial) in self.grants or grant.serial >= self.issuers.get(grant.issuer, _NEVER):
            return True
        if grant.kind == "admin":
            return leaf and self.removed(grant.key)
        at = self.keys.get(grant.key)
        return at is not None and (grant.kind == "agent" or grant.not_before <= at)

    def removed(self, key: bytes) -> bool:
        """Whether ``key`` no longer speaks as an administrator, whatever delegation it shows."""
        return key in self.issuers or key in self.keys


def mesh_id_of(authority: bytes) -> str:
    """The mesh's name, made from its authority's public key: ``m`` and 26 characters of base32."""
    digest = hashlib.sha256(b"bzzz mesh\0" + authority).digest()
    return "m" + base64.b32encode(digest[:16]).decode("ascii").rstrip("=").lower()


def issue(issuer: SigningKey, grant: Grant) -> bytes:
    """Sign ``grant``; its ``issuer`` must be the signing key's public half."""
    if grant.issuer != issuer.public:
        raise InvalidEnvelope("a grant must name the key that signs it as its issuer")
    return seal(issuer, "grant", grant.mesh_id, msgspec.msgpack.encode(grant))


class Trust:
    """One mesh's root of trust: its id, its authority's key, and what has been revoked."""

    def __init__(self, mesh_id: str, authority: bytes, revocations: Revocations | None = None) -> None:
        if mesh_id != mesh_id_of(authority):
            raise GrantRefused(f"mesh id {mesh_id} does not belong to the authority key {key_text(authority)}")
        self.mesh_id = mesh_id
        self.authority = authority
        self.revocations = revocations or Revocations()

    def admit(self, chain: Sequence[bytes], *, now: float) -> Grant:
        """Check a chain and give its leaf; ``now`` is Unix seconds.

        Raises ``InvalidEnvelope`` for damaged bytes, ``GrantRefused`` (with what to do) otherwise.
        """
        return self.read(chain, now=now)[0]

    def read(self, chain: Sequence[bytes], *, now: float) -> tuple[Grant, ...]:
        """``admit``, giving every grant of the chain, leaf first."""
        grants = self.links(chain)
        self.check_now(grants, now=now)
        return grants

    def links(self, chain: Sequence[bytes]) -> tuple[Grant, ...]:
        """The grants of a chain whose every link was right when it was signed, whether or not they hold now."""
        if not chain:
            raise GrantRefused("no grant was given; ask an administrator for one (bzzz mesh invite)")
        if len(chain) > CHAIN_LIMIT:
            raise GrantRefused(f"a chain of {len(chain)} grants is longer than {CHAIN_LIMIT}")
        grants = tuple(self._open(raw) for raw in chain)
        for position, grant in enumerate(grants):
            if position + 1 < len(grants):
                self._check_issued(grant, grants[position + 1])
            elif grant.issuer != self.authority:
                raise GrantRefused(
                    f"the grant of {grant.kind} {grant.id} does not lead to this mesh's authority; "
                    "it belongs to another mesh, or a link of its chain is missing"
                )
        return grants

    def check_now(self, grants: Sequence[Grant], *, now: float) -> None:
        """Whether a chain that was checked once still holds: what time and revocations may change."""
        for position, grant in enumerate(grants):
            self._check_times(grant, now)
            if self.revocations.void(grant, leaf=position == 0):
                raise GrantRefused(f"the grant of {grant.kind} {grant.id} was revoked")

    def read_leaf(self, chain: Sequence[bytes]) -> Grant:
        """The leaf as its issuer signed it, without asking whether the chain holds now."""
        if not chain:
            raise InvalidEnvelope("an empty chain has no leaf")
        return self._open(chain[0])

    def _open(self, raw: bytes) -> Grant:
        envelope = open_envelope(raw, kind="grant", mesh_id=self.mesh_id, limit=GRANT_LIMIT)
        try:
            grant = _DECODER.decode(envelope.payload)
        except UNREADABLE as error:
            raise InvalidEnvelope(f"a signed grant has a wrong shape: {error}") from error
        if grant.issuer != envelope.author or grant.mesh_id != self.mesh_id:
            raise GrantRefused(f"the grant of {grant.kind} {grant.id} was not signed by the issuer that it names")
        return grant

    @staticmethod
    def _check_times(grant: Grant, now: float) -> None:
        if now < grant.not_before - CLOCK_TOLERANCE_S:
            raise GrantRefused(
                f"the grant of {grant.kind} {grant.id} is not valid yet; check this machine's clock (timedatectl)"
            )
        if now > grant.not_after:
            raise GrantRefused(
                f"the grant of {grant.kind} {grant.id} has expired; "
                "attach again, or have it renewed (bzzz mesh members)"
            )

    @staticmethod
    def _check_issued(grant: Grant, issuer: Grant) -> None:
        if grant.issuer != issuer.key:
            raise GrantRefused(f"the grant of {grant.kind} {grant.id} was not issued by {issuer.kind} {issuer.id}")
        if grant.kind not in _MAY_ISSUE.get(issuer.kind, frozenset()):
            raise GrantRefused(f"a {issuer.kind} grant cannot issue one for kind {grant.kind}")
        if grant.role not in issuer.may_grant:
            raise GrantRefused(f"{issuer.kind} {issuer.id} may not grant the role {grant.role}")
        if grant.not_after - grant.not_before > issuer.max_validity_s + CLOCK_TOLERANCE_S:
            raise GrantRefused(f"{issuer.kind} {issuer.id} may not grant anything for that long")
        if grant.may_grant and issuer.kind != "admin":
            raise GrantRefused(f"a grant issued by {issuer.kind} {issuer.id} cannot be passed on")
        if not set(grant.may_grant) <= set(issuer.may_grant) or (
            grant.may_grant and grant.max_validity_s > issuer.max_validity_s
        ):
            raise GrantRefused(f"{issuer.kind} {issuer.id} lets {grant.id} grant more than it may grant itself")
