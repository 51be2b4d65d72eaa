"""The policy in force on this node: the charter's, narrowed by the local file where that says something of its own.

A local roles.yaml narrows unless it is no statement: the shipped file untouched, or one that is or was the
mesh's policy, which stays behind when an administrator changes the policy from another machine.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import msgspec

from bzzzd.config.roles import RolesFile, default_roles
from bzzzd.crypto.keys import SigningKey, read_private, write_private
from bzzzd.daemon.membership.charter import Charter
from bzzzd.errors import NotFound
from bzzzd.identity.charter import Document, Paper
from bzzzd.identity.policy import Policy, PolicyRecord, open_policy, seal_policy

FIRST: Final = 1


class Policies:
    """``applied`` is the file that remembers which roles.yaml became the mesh's policy."""

    def __init__(self, charter: Charter, applied: Path, mesh_id: str, local: RolesFile) -> None:
        self._charter = charter
        self._applied = applied
        self._mesh_id = mesh_id
        self._local = local
        self._digest = hashlib.sha256(msgspec.msgpack.encode(local)).digest()
        self._narrows = local != default_roles()
        self._policy: Policy | None = None
        charter.check_with("policy", lambda document: open_policy(document.raw, mesh_id))
        charter.watch("policy", self._use)

    @property
    def current(self) -> Policy:
        assert self._policy is not None, "load comes first"
        return self._policy

    @property
    def document(self) -> Document | None:
        """The signed policy in force; ``None`` on a node that has not heard one yet."""
        return self._charter.current("policy")

    def load(self, founder: SigningKey | None, now: float) -> None:
        """Read what is in force; on the founding node without one, sign the local file as number 1. Blocking."""
        self._narrows = self._narrows and self._was_applied() != self._digest
        document = self.document
        if document is None and founder is not None:
            raw = seal_policy(founder, self._mesh_id, PolicyRecord(number=FIRST, at=now, roles=self._local))
            document = self._charter.enter(Paper(raw))
        if document is None:
            # Until a member node has heard the mesh's policy, its own file is all it goes by.
            self._policy = Policy(PolicyRecord(number=0, at=now, roles=self._local))
        else:
            self._use(document)

    def _use(self, document: Document) -> None:
        record = open_policy(document.raw, self._mesh_id)[1]
        if self._narrows and record.roles == self._local:
            write_private(self._applied, self._digest, replace=True)
            self._narrows = False
        self._policy = Policy(record, self._local if self._narrows else None)

    def _was_applied(self) -> bytes:
        try:
            return read_private(self._applied, len(self._digest))
        except NotFound:
            return b""
