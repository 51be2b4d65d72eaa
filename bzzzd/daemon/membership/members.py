"""Who becomes a member here: grants that this node may issue, and an attach turned into a caller."""

from __future__ import annotations

import pwd
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bzzzd.config.schema import LocalAgent, SecuritySection
from bzzzd.crypto.keys import SigningKey, key_text
from bzzzd.daemon.membership.grantbook import GrantBook
from bzzzd.daemon.membership.people import Binding, People
from bzzzd.errors import BadInput, GrantRefused, InvalidEnvelope, NotFound
from bzzzd.identity.attach import AttachProof, open_attach
from bzzzd.identity.caller import Caller
from bzzzd.identity.grants import Grant
from bzzzd.identity.node import YEAR_S, NodeIdentity, make_grant, read_grants, write_grant
from bzzzd.identity.policy import Policy
from bzzzd.identity.records import open_record
from bzzzd.identity.roll import Entry

PERSON_VALIDITY_S: Final = YEAR_S
_RENEWED_BEFORE_S: Final = 30 * 86400.0


class Peer(NamedTuple):
    """What the kernel says of a caller (SO_PEERCRED)."""

    uid: int
    gid: int
    pid: int


class Attached(NamedTuple):
    """The outcome of an attach: the caller, its grant chain, and its verified agent record (raw)."""

    caller: Caller
    chain: tuple[bytes, ...]
    proof: AttachProof
    record: bytes


def uid_of(user: str) -> int | None:
    """The uid of a system user; ``None`` when there is none of that name."""
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


class Members(GrantBook):
    """The grants that this node knows, those that it issues, and who attaches with them."""

    def __init__(
        self,
        identity: NodeIdentity,
        policy: Callable[[], Policy],
        security: SecuritySection,
        people: People,
        grants: Path,
        *,
        own_uid: int,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(identity, clock)
        self._policy = policy
        self._security = security
        self._people = people
        self._grants = grants
        self._own_uid = own_uid

    def load(self) -> None:
        """Admit the grant files of this node; those that have expired are passed over."""
        for _, file in read_grants(self._grants):
            if file.authority == self._identity.trust.authority:
                try:
                    self.admit(file.chain)
                except GrantRefused:
                    continue

    def attach(self, raw: bytes, record: bytes, chain: Sequence[bytes], nonce: bytes, peer: Peer) -> Attached:
        """Verify a proof and give the caller that its key's grant makes of it.

        Raises ``InvalidEnvelope`` for a proof that does not hold and ``GrantRefused`` with the command that mends it.
        """
        envelope, proof = open_attach(raw, self._identity.mesh_id, nonce)
        told = open_record(record, self._identity.mesh_id)
        if (told.public_key, told.id, told.role) != (envelope.author, proof.id, proof.role):
            raise BadInput("the agent record and the proof of identity name different subjects")
        if proof.kind == "agent":
            grant, found = self._agent(proof, envelope.author, chain, peer)
        else:
            grant, found = self._person(proof, envelope.author, chain, peer)
        kind = "admin" if grant.kind == "person" and self.is_admin(grant.key) else grant.kind
        caller = Caller(
            *peer, kind=kind, id=grant.id, role=grant.role, capabilities=frozenset(grant.capabilities), key=grant.key
        )  # fmt: skip
        return Attached(caller, found, proof, record)

    def _agent(
        self, proof: AttachProof, key: bytes, chain: Sequence[bytes], peer: Peer
    ) -> tuple[Grant, tuple[bytes, ...]]:
        if chain:
            try:
                grant = self.admit(chain)
            except (GrantRefused, InvalidEnvelope):  # ended, or of the mesh that this node was in before
                grant = None
            if grant is not None and grant.key == key and grant.kind == "agent" and self._matches(grant, proof):
                self._check_uid(peer, proof)
                return grant, tuple(chain)
        rule = self._check_uid(peer, proof)
        self._check_not_revoked(key)
        self._check_free(proof.id, key)
        if proof.role not in self._identity.grant.may_grant:
            raise GrantRefused(
                f"this node may not grant the role {proof.role}; its grant lists "
                f"{', '.join(self._identity.grant.may_grant) or 'none'} (agent.role in agent.yaml)"
            )
        policy = self._policy()
        allowed = rule.capabilities or proof.capabilities
        names = [name for name in proof.capabilities if name in allowed and policy.may_hold(proof.role, name)]
        issued = self._issue_agent(proof.id, key, proof.role, names)
        return self.admit(issued), issued

    def _check_free(self, id: str, key: bytes) -> None:
        """An id is one agent's in the whole mesh: it stands in what the agent writes, and tasks are offered to it.

        An agent that has its grant keeps it: of two that nodes granted apart from each other, neither is put out
        for the other, and people are shown both.
        """
        known = self.roll.get(key)
        if known is not None and (known.grant.kind, known.grant.id) == ("agent", id) and self._holds(known):
            return
        for other in self.namesakes(id, key, self._identity.key.public):
            raise GrantRefused(
                f"agent {id} is another agent of this mesh, granted by {self.signer(other.grant.issuer)}; give this "
                f"one another agent.id. If that one is gone for good: bzzz mesh revoke {other.grant.key.hex()}"
            )

    def _issue_agent(self, id: str, key: bytes, role: str, capabilities: Sequence[str]) -> tuple[bytes, ...]:
        raw = make_grant(
            self._identity.key, self._identity.mesh_id, kind="agent", id=id, key=key, role=role,
            capabilities=capabilities, valid_s=self._security.agent_grant_s, now=self._clock(),
        )  # fmt: skip
        return (raw, *self._identity.chain)

    def renew_agent(self, grant: Grant) -> tuple[bytes, ...]:
        """A new grant like ``grant`` for an agent that works here, before the old one ends; gives its chain."""
        self._check_not_revoked(grant.key)
        chain = self._issue_agent(grant.id, grant.key, grant.role, grant.capabilities)
        self.admit(chain)
        return chain

    def _check_not_revoked(self, key: bytes) -> None:
        """A node gives nobody back what an administrator took, on whatever occasion."""
        if self._identity.trust.revocations.removed(key):
            raise GrantRefused(
                "this key was revoked in this mesh; whoever is to come back makes a new key and asks an administrator"
            )

    def _matches(self, grant: Grant, proof: AttachProof) -> bool:
        """Whether a grant still fits what the agent asks for and has more than half of its time left."""
        left = grant.not_after - self._clock()
        return (
            (grant.id, grant.role) == (proof.id, proof.role)
            and set(proof.capabilities) <= set(grant.capabilities)
            and left > (grant.not_after - grant.not_before) / 2
        )

    def _check_uid(self, peer: Peer, proof: AttachProof) -> LocalAgent:
        for rule in self._security.agents:
            if uid_of(rule.user) == peer.uid and rule.id in ("*", proof.id) and rule.role == proof.role:
                return rule
        if self._security.development and peer.uid == self._own_uid:
            return LocalAgent(user="", id=proof.id, role=proof.role)
        raise GrantRefused(
            f"uid {peer.uid} may not run an agent {proof.id} with role {proof.role} on this machine; "
            "add it under security.agents in bzzzd.yaml and restart bzzzd"
        )

    def _person(
        self, proof: AttachProof, key: bytes, chain: Sequence[bytes], peer: Peer
    ) -> tuple[Grant, tuple[bytes, ...]]:
        self._check_own(peer, key)
        binding = self._people.find(peer.uid)
        if chain and not self.is_member(key):
            try:
                self.admit(chain)
            except GrantRefused:  # one that has ended is made anew below, where that may be done
                known = self.roll.get(key)
                if known is None or not self._renewable(known, binding):
                    raise
        known = self.roll.get(key)
        if chain and (known is None or known.grant.kind != "person"):
            raise GrantRefused("the grant shown is not a person's, or not for this key")
        # A later grant than the one that is shown counts, also where it gives less. One that has ended, or soon
        # will, is made anew where that may be done.
        if known is not None and known.grant.kind == "person" and not self._renewable(known, binding):
            return self.grant_of(key), known.chain
        founder = self._identity.authority_key is not None
        if binding is None and founder and self._security.development and peer.uid == self._own_uid:
            binding = Binding(uid=peer.uid, id=proof.id, role="admin", admin=True)
            self._people.bind(binding)
        if binding is None:
            user = _user_of(peer.uid)
            mend = f"sudo bzzz mesh admin add {user}" if founder else _invite(user)
            raise GrantRefused(f"{user} has no person grant in this mesh; an administrator runs: {mend}")
        return self._issue_person(self._people.pin(peer.uid, key), key)

    def _renewable(self, known: Entry, binding: Binding | None) -> bool:
        """Whether a person bound here gets a new grant from the authority's key here: the last month, and after it."""
        return (
            binding is not None
            and self._identity.authority_key is not None
            and self._clock() > known.grant.not_after - _RENEWED_BEFORE_S
            and not any(self._identity.trust.revocations.void(grant) for grant in known.grants)
        )

    def _check_own(self, peer: Peer, key: bytes) -> None:
        """A person's key that another user's process has got hold of is of no use to it."""
        holder = self._people.holder(key)
        if holder is not None and holder.uid != peer.uid:
            raise GrantRefused(
                f"this key belongs to {holder.id}, who works as {_user_of(holder.uid)}, and {_user_of(peer.uid)} "
                "may not present it; use a key of your own, and make another if somebody has read this one"
            )
        if not self._security.development and any(uid_of(rule.user) == peer.uid for rule in self._security.agents):
            raise GrantRefused(f"{_user_of(peer.uid)} runs agents on this machine, so its processes act for no person")

    def check_person(self, peer: Peer, key: bytes) -> None:
        """Whether the user behind ``peer`` may become a person with ``key`` here; raises ``GrantRefused``."""
        self._check_own(peer, key)
        binding = self._people.find(peer.uid)
        if binding is not None and binding.key not in ("", key_text(key)):
            raise GrantRefused(
                f"{_user_of(peer.uid)} is {binding.id} here, with another key; bring that key back and use it"
            )

    def settle_person(self, peer: Peer, grant: Grant, chain: Sequence[bytes]) -> None:
        """Keep a person's grant that came from elsewhere, and bind the user behind ``peer`` to it. Blocking."""
        write_grant(self._grants, f"person-{grant.id}", self._identity.trust.authority, chain)
        self._people.bind(Binding(uid=peer.uid, id=grant.id, role=grant.role, key=key_text(grant.key)))

    def _issue_person(self, binding: Binding, key: bytes) -> tuple[Grant, tuple[bytes, ...]]:
        self._check_not_revoked(key)
        authority = self._identity.authority_key
        if authority is None:
            raise GrantRefused(
                f"this node cannot make a person grant for {binding.id}: the authority's key is not on this machine. "
                f"An administrator of any node runs: {_invite(binding.id)}. Or put the key together here: "
                "bzzz mesh authority recover FILE…"
            )
        now, mesh = self._clock(), self._identity.mesh_id
        raw = make_grant(
            authority, mesh, kind="person", id=binding.id, key=key, role=binding.role,
            valid_s=PERSON_VALIDITY_S, now=now,
        )  # fmt: skip
        write_grant(self._grants, f"person-{binding.id}", authority.public, [raw])
        if binding.admin:
            self._delegate(authority, binding.id, key, binding.role)
        return self.admit([raw]), (raw,)

    def _delegate(self, authority: SigningKey, id: str, key: bytes, role: str) -> None:
        """Make an administrator of a person: the authority lets their key grant the roles of the policy."""
        delegation = make_grant(
            authority, self._identity.mesh_id, kind="admin", id=id, key=key, role=role, valid_s=PERSON_VALIDITY_S,
            now=self._clock(), may_grant=self._policy().roles, max_validity_s=PERSON_VALIDITY_S,
        )  # fmt: skip
        write_grant(self._grants, f"admin-{id}", authority.public, [delegation])
        self.admit([delegation])

    def make_admin(self, id: str) -> Grant:
        """Make an administrator of the mesh's person ``id``, on whatever node they work; gives their grant."""
        key = self.holder("person", id)
        if key is None:
            raise NotFound(
                f"this machine has no user {id}, and the mesh no person of that id; check the name (getent passwd, "
                "bzzz mesh members)"
            )
        authority = self._identity.authority_key
        if authority is None:
            raise GrantRefused(
                "an administrator is made with the authority's key, which is not on this machine; do it where it is, "
                "or put it together here: bzzz mesh authority recover FILE…"
            )
        grant = self.grant_of(key)
        self._delegate(authority, grant.id, key, grant.role)
        return grant

    def bind(self, user: str, *, role: str, admin: bool) -> Binding:
        """Let the system user ``user`` become a person of ``role`` with the first key that their portal shows."""
        uid = uid_of(user)
        if uid is None:
            raise NotFound(f"this machine has no user {user}; check the name (getent passwd)")
        self._policy().authority_level(role)
        binding = Binding(uid=uid, id=user, role=role, admin=admin)
        self._people.bind(binding)
        return binding


def _invite(user: str) -> str:
    return f"bzzz mesh invite --person {user}; and {user} here: bzzz mesh join INVITATION"


def _user_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid-{uid}"
