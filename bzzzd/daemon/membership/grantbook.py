"""The book of grants on a node: who is known, what holds now, and who is told of whom; members are looked up here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from bzzzd.errors import GrantRefused
from bzzzd.identity.grants import Grant
from bzzzd.identity.node import NodeIdentity
from bzzzd.identity.roll import Entry, Roll

_ENDED_SHOWN_S: Final = 30 * 86400.0
_ANNOUNCED_S: Final = 14 * 86400.0
_KIND_ORDER: Final = ("node", "person", "agent")


def _age(entry: Entry) -> tuple[float, bytes]:
    return entry.grant.not_before, entry.digest


class GrantBook:
    """Grants by key, as far as this node has seen and admitted them. ``clock`` gives Unix seconds."""

    def __init__(self, identity: NodeIdentity, clock: Callable[[], float]) -> None:
        self._identity = identity
        self._clock = clock
        self._heard: list[Callable[[Entry, bool], None]] = []
        self.roll = Roll()

    def heard_by(self, callback: Callable[[Entry, bool], None]) -> None:
        """Have ``callback(entry, renewed)`` called for each grant that is new here, or newer than one known."""
        self._heard.append(callback)

    def admit(self, chain: Sequence[bytes]) -> Grant:
        """Check a chain now and remember its leaf."""
        chain = tuple(chain)
        grants = self._identity.trust.read(chain, now=self._clock())
        find = self.roll.delegation if grants[0].kind == "admin" else self.roll.get
        renewed = find(grants[0].key) is not None
        if self.roll.add(grants, chain):
            entry = find(grants[0].key)
            if entry is not None:
                for callback in self._heard:
                    callback(entry, renewed)
        return grants[0]

    def recall(self, chain: Sequence[bytes]) -> None:
        """Remember a chain that was admitted once; one that has ended is still shown, for a while."""
        grants = self._identity.trust.links(chain)
        if self._clock() <= grants[0].not_after + _ENDED_SHOWN_S:
            self.roll.add(grants, tuple(chain))

    def grant_of(self, key: bytes) -> Grant:
        """The grant of a key, valid now; raises ``GrantRefused``."""
        entry = self.roll.get(key)
        if entry is None:
            raise GrantRefused(
                "this key has no grant in this mesh; attach first, or ask an administrator (bzzz mesh members)"
            )
        self._check(entry)
        return entry.grant

    def _check(self, entry: Entry) -> None:
        self._identity.trust.check_now(entry.grants, now=self._clock())

    def _holds(self, entry: Entry | None) -> bool:
        try:
            if entry is not None:
                self._check(entry)
        except GrantRefused:
            return False
        return entry is not None

    def chain_of(self, key: bytes) -> tuple[bytes, ...]:
        """The chain that a key was admitted with; empty when it is not known."""
        entry = self.roll.get(key)
        return entry.chain if entry is not None else ()

    def known(self, key: bytes) -> Grant | None:
        """The newest grant of a key, whether it holds now or not."""
        entry = self.roll.get(key)
        return entry.grant if entry is not None else None

    def name_of(self, key: bytes) -> str:
        """The id that a key's grant gives it; the key itself, shortened, where no grant is known."""
        entry = self.roll.get(key) or self.roll.delegation(key)
        return entry.grant.id if entry is not None else f"{key.hex()[:12]}…"

    def holder(self, kind: str, id: str) -> bytes | None:
        """The key that has ``id`` among members of ``kind``, by a grant that holds now."""
        return next(
            (e.grant.key for e in self.roll if (e.grant.kind, e.grant.id) == (kind, id) and self._holds(e)), None
        )

    def namesakes(self, id: str, key: bytes, issuer: bytes) -> list[Entry]:
        """Agents of other nodes than ``issuer`` that have ``id`` by a grant that holds now, with another key."""
        return [e for e in self.roll.agents(id) if e.grant.key != key and e.grant.issuer != issuer and self._holds(e)]

    def twice(self) -> dict[str, list[Entry]]:
        """The ids that agents of several nodes have now, with the grants of each."""
        found: dict[str, list[Entry]] = {}
        for entry in self.valid():
            if entry.grant.kind == "agent":
                found.setdefault(entry.grant.id, []).append(entry)
        return {id: sorted(es, key=_age) for id, es in found.items() if len({e.grant.issuer for e in es}) > 1}

    def signer(self, key: bytes) -> str:
        """Who signs for the mesh with this key, for people: the authority, or a member's id."""
        return "authority" if key == self._identity.trust.authority else self.name_of(key)

    def is_member(self, key: bytes) -> bool:
        """Whether a key's grant holds now."""
        return self._holds(self.roll.get(key))

    def holds(self, key: bytes, *, admin: bool) -> bool:
        """Whether a key's grant, and its delegation where it is an ``admin``'s, holds now."""
        return self.is_member(key) and (not admin or self.is_admin(key))

    def revoked(self, key: bytes) -> bool:
        """Whether a key was taken out of the mesh, and has no newer grant."""
        return self._identity.trust.revocations.removed(key) and not self.is_member(key)

    def is_admin(self, key: bytes) -> bool:
        """Whether a key's delegation holds now."""
        return self._holds(self.roll.delegation(key))

    def admin_chain(self, key: bytes) -> tuple[bytes, ...]:
        """The delegation of a key as its chain; empty when none is known."""
        entry = self.roll.delegation(key)
        return entry.chain if entry is not None else ()

    def nodes(self) -> dict[bytes, str]:
        """Key and id of every node whose grant holds now, this one among them."""
        found = {e.grant.key: e.grant.id for e in self.roll if e.grant.kind == "node" and self._holds(e)}
        return {self._identity.key.public: self._identity.id, **found}

    @property
    def alone(self) -> bool:
        """Whether this node knows of no other node of the mesh."""
        return len(self.nodes()) == 1

    def valid(self) -> list[Entry]:
        """Every entry that holds now."""
        return [entry for entry in self.roll if self._holds(entry)]

    def ending(self, now: float) -> list[Entry]:
        """Delegations that hold and end within 14 days."""
        return [e for e in self.valid() if e.grant.kind == "admin" and e.grant.not_after - now <= _ANNOUNCED_S]

    def rows(self) -> list[dict[str, Any]]:
        """Every known member, for ``bzzz mesh members``: nodes, then people, then agents."""
        rows = [self._row(entry) for entry in self.roll if entry.grant.kind != "admin"]
        return sorted(rows, key=lambda row: (_KIND_ORDER.index(row["kind"]), row["id"], row["key"]))

    def _row(self, entry: Entry) -> dict[str, Any]:
        grant = entry.grant
        return {
            "id": grant.id, "kind": grant.kind, "role": grant.role, "capabilities": list(grant.capabilities),
            "key": grant.key.hex(), "not_before": grant.not_before, "not_after": grant.not_after,
            "age": grant.age, "may_grant": list(grant.may_grant), "max_validity_s": grant.max_validity_s,
            "admin": self.is_admin(grant.key), "issuer": self.signer(grant.issuer), "state": self._state(entry),
        }  # fmt: skip

    def _state(self, entry: Entry) -> str:
        if self._holds(entry):
            return "valid"
        void = self._identity.trust.revocations.void
        return "revoked" if any(void(grant, leaf=not at) for at, grant in enumerate(entry.grants)) else "expired"
