"""The policy in force on this node: the signed record with the highest number, narrowed by the local file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from bzzzd.config.roles import RolesFile
from bzzzd.crypto.keys import SigningKey, read_private, write_private
from bzzzd.errors import Conflict, GrantRefused, NotFound
from bzzzd.identity.policy import POLICY_LIMIT, Policy, PolicyRecord, open_policy, seal_policy

FIRST: Final = 1


class Policies:
    """Keeps the record in ``path``. ``local`` is this machine's roles.yaml; ``may_sign(key)`` who may change policy."""

    def __init__(self, path: Path, mesh_id: str, local: RolesFile, may_sign: Callable[[bytes], bool]) -> None:
        self._path = path
        self._mesh_id = mesh_id
        self._local = local
        self._may_sign = may_sign
        self._raw = b""
        self._policy: Policy | None = None

    @property
    def current(self) -> Policy:
        assert self._policy is not None, "load or found comes first"
        return self._policy

    @property
    def raw(self) -> bytes:
        """The signed record in force."""
        return self._raw

    def load(self, founder: SigningKey | None, now: float) -> None:
        """Read the record; on the founding node without one, sign the local file as number 1."""
        try:
            raw = read_private(self._path, POLICY_LIMIT)
        except NotFound:
            if founder is None:
                # Until a member node has heard the mesh's record, its own file is all it goes by.
                self._policy = Policy(PolicyRecord(number=FIRST, at=now, roles=self._local))
                return
            raw = seal_policy(founder, self._mesh_id, PolicyRecord(number=FIRST, at=now, roles=self._local))
            write_private(self._path, raw)
        _, record = open_policy(raw, self._mesh_id)
        self._use(raw, record)

    def apply(self, raw: bytes) -> Policy:
        """Take a newer record that an administrator signed; raises ``Conflict`` for a number that is not higher."""
        envelope, record = open_policy(raw, self._mesh_id)
        if not self._may_sign(envelope.author):
            raise GrantRefused(
                "a policy is signed by an administrator; one is made with: sudo bzzz mesh admin add USER"
            )
        if record.number <= self.current.number:
            raise Conflict(
                f"policy number {record.number} is not newer than number {self.current.number}, which is in force; "
                "show it (bzzz mesh policy show), then apply your change again",
                number=self.current.number,
            )
        write_private(self._path, raw, replace=True)
        # An administrator's change counts at once here; another machine's file goes on narrowing there.
        self._local = record.roles
        self._use(raw, record)
        return self.current

    def _use(self, raw: bytes, record: PolicyRecord) -> None:
        self._raw = raw
        same = record.roles == self._local
        self._policy = Policy(record, None if same else self._local)
