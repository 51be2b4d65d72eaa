"""Policy: what each role may do, and who can decrypt what; the same for every kind of process.

``etc/roles.yaml`` is signed into a numbered record, and a node enforces the highest number it has
seen. The file on a node can only narrow what the record allows, never widen it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from bzzzd.config.roles import ApprovalRule, AuthorityLevel, RoleRule, RolesFile, problems
from bzzzd.crypto.envelope import Envelope, open_envelope, seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import UNREADABLE, BadInput, InvalidEnvelope, NotFound

POLICY_LIMIT: Final = 262_144
# Content types are free text, so what is remembered of them is bounded.
_RECIPIENTS_KEPT: Final = 1024

Operation = Literal["read", "write", "act", "approve"]
Leave = Literal["free", "approve", "no"]
_STRICTNESS: Final[tuple[Leave, ...]] = ("free", "approve", "no")


class PolicyRecord(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A policy as an administrator signs it. ``at`` is Unix seconds; a higher ``number`` replaces a lower."""

    number: Annotated[int, Meta(ge=1)]
    at: float
    roles: RolesFile


_DECODER: Final = msgspec.msgpack.Decoder(PolicyRecord)


def seal_policy(key: SigningKey, mesh_id: str, record: PolicyRecord) -> bytes:
    return seal(key, "policy", mesh_id, msgspec.msgpack.encode(record))


def open_policy(raw: bytes, mesh_id: str) -> tuple[Envelope, PolicyRecord]:
    """Verify and decode; whether its author is an administrator is for the caller to check."""
    envelope = open_envelope(raw, kind="policy", mesh_id=mesh_id, limit=POLICY_LIMIT)
    try:
        record = _DECODER.decode(envelope.payload)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"a signed policy has a wrong shape: {error}") from error
    broken = next(problems(record.roles), None)
    if broken is not None:
        raise BadInput(f"the policy is broken at {'.'.join(map(str, broken.at))}: {broken.message}; {broken.fix}")
    return envelope, record


def _fits(rule: str, resource: str) -> bool:
    """``task`` fits ``task`` and ``task:ID``; ``topic:*`` fits every topic; ``*`` fits everything."""
    if rule.endswith("*"):
        return resource.startswith(rule[:-1])
    return resource == rule or resource.startswith(rule + ":")


class Policy:
    """What a record allows, narrowed by the node's own file where there is one."""

    def __init__(self, record: PolicyRecord, narrowed_by: RolesFile | None = None) -> None:
        self.number = record.number
        self.record = record
        self._files = (record.roles,) if narrowed_by is None else (record.roles, narrowed_by)
        self._recipients = lru_cache(maxsize=_RECIPIENTS_KEPT)(self._find_recipients)

    @property
    def narrowed(self) -> bool:
        """Whether a local file takes something away."""
        return len(self._files) > 1

    @property
    def roles(self) -> tuple[str, ...]:
        """Every role of the signed record, in its order."""
        return tuple(self.record.roles.roles)

    def authority_level(self, role: str) -> AuthorityLevel:
        rule = self.record.roles.roles.get(role)
        if rule is None:
            raise NotFound(f"this mesh's policy has no role {role}; its roles: {', '.join(self.roles)}")
        return rule.authority

    def can_access(self, role: str, capabilities: Iterable[str], resource: str, operation: Operation) -> bool:
        """Whether a member of ``role`` may do ``operation`` to ``resource`` (a word, or ``word:name``).

        A rule may also be ``capability:NAME``, for resources that stand for one: the member must hold it.
        """
        word, _, name = resource.partition(":")
        if word == "capability" and name not in capabilities:
            return False
        return all(
            (rule := file.roles.get(role)) is not None
            and any(_fits(pattern, resource) for pattern in getattr(rule, operation))
            for file in self._files
        )

    def may_hold(self, role: str, capability: str) -> bool:
        """Whether members of ``role`` may offer ``capability``."""
        return all(
            (rule := file.roles.get(role)) is not None
            and ("any" in rule.capabilities or capability in rule.capabilities)
            for file in self._files
        )

    def plan_s(self, role: str) -> float:
        """For how many seconds an agent of ``role`` shows its plan before it acts; a local file may ask for more."""
        return max((file.roles[role].plan_s for file in self._files if role in file.roles), default=0.0)

    def guest_may(self, method: str) -> bool:
        return all(any(_fits(rule, method) for rule in file.guests) for file in self._files)

    def leave(self, role: str, act: str) -> Leave:
        """What a member of ``role`` may make of ``act``; of two files the stricter one counts."""
        found = [_leave(file.roles.get(role), act) for file in self._files]
        return max(found, key=_STRICTNESS.index)

    def approval(self, act: str) -> ApprovalRule:
        """How people are asked before ``act``; a local file changes nothing here."""
        file = self.record.roles
        fitting = [pattern for pattern in file.approvals if _fits(pattern, act)]
        if fitting:
            return file.approvals[max(fitting, key=len)]
        by = tuple(
            name
            for name, rule in file.roles.items()
            if rule.authority in ("master", "decision") and any(_fits(pattern, "prompt") for pattern in rule.write)
        )
        return ApprovalRule(by=by or self._masters())

    def _masters(self) -> tuple[str, ...]:
        return tuple(name for name, rule in self.record.roles.roles.items() if rule.authority == "master")

    def recipients(self, role: str, content_type: str) -> tuple[str, ...]:
        """The roles that can decrypt content of ``content_type`` written by a member of ``role``.

        The author's own role, and those that the longest fitting content rule names; without such
        a rule, every role that lists the author's under ``decrypts``. Sorted, so that it is the same everywhere.
        """
        return self._recipients(role, content_type)

    def _find_recipients(self, role: str, content_type: str) -> tuple[str, ...]:
        sets = [self._readers(file, role, content_type) for file in self._files]
        return tuple(sorted(set.intersection(*sets)))

    @staticmethod
    def _readers(file: RolesFile, role: str, content_type: str) -> set[str]:
        fitting = [pattern for pattern in file.content if _content_fits(pattern, content_type)]
        if fitting:
            return {role, *file.content[max(fitting, key=len)]}
        return {role, *(name for name, rule in file.roles.items() if role in rule.decrypts)}


def _leave(rule: RoleRule | None, act: str) -> Leave:
    if rule is not None and any(_fits(pattern, act) for pattern in rule.approve):
        return "approve"
    return "free" if rule is not None and any(_fits(pattern, act) for pattern in rule.act) else "no"


def _content_fits(pattern: str, content_type: str) -> bool:
    return content_type.startswith(pattern[:-1]) if pattern.endswith("*") else content_type == pattern
