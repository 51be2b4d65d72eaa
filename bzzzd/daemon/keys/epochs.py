"""Epochs over RPC: what the role keys are, and starting a new epoch, which an administrator signs.

The node makes the new secrets and their public halves (``mesh.epoch_prepare``), the administrator's
client signs these, and the node puts them in force (``mesh.epoch_apply``): secrets first, then the
document of the charter. Between the two the secrets exist in memory alone.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta, Struct

from bzzzd.crypto import age
from bzzzd.crypto.keys import SigningKey
from bzzzd.daemon.keys.keydesk import KeyDesk
from bzzzd.daemon.keys.reseal import Resealer
from bzzzd.daemon.membership.charter import Charter
from bzzzd.errors import Conflict
from bzzzd.identity.charter import Document
from bzzzd.identity.epoch import EPOCH_LIMIT, open_epoch, seal_epoch
from bzzzd.identity.node import NodeIdentity
from bzzzd.identity.policy import Policy
from bzzzd.rpc.access import kinds
from bzzzd.rpc.registry import NoParams, Registry
from bzzzd.storage.versions.rolekeys import RoleKeys, recovery_of

# An administrator's client that removes a member makes the new keys itself, at once.
_PATIENCE_S: Final = 10.0


class PrepareParams(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``earlier``: whether nodes that become entitled later get the secrets of earlier epochs; else it stays."""

    earlier: bool | None = None


class ApplyParams(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``envelope`` is the record that ``mesh.epoch_prepare`` gave, signed as kind ``epoch``."""

    envelope: Annotated[bytes, Meta(max_length=EPOCH_LIMIT)]


class _Prepared(NamedTuple):
    payload: bytes
    secrets: list[str]


class EpochDesk:
    """``signer(key)`` names for people who signed with it."""

    def __init__(
        self,
        rolekeys: RoleKeys,
        charter: Charter,
        keys: KeyDesk,
        identity: NodeIdentity,
        *,
        policy: Callable[[], Policy],
        signer: Callable[[bytes], str],
        reseal: Resealer,
        spawn: Callable[..., Any],
    ) -> None:
        self._rolekeys = rolekeys
        self._charter = charter
        self._keys = keys
        self._identity = identity
        self._policy = policy
        self._signer = signer
        self._reseal = reseal
        self._spawn = spawn
        self._prepared: _Prepared | None = None

    def show(self, call: Any, params: NoParams) -> dict[str, Any]:
        """The epoch in force: its roles' public keys, and which secrets this node holds and lacks."""
        keys, epoch = self._rolekeys, self._rolekeys.epoch
        record = epoch.record if epoch is not None else None
        return {
            "number": keys.current,
            "at": record.at if record is not None else None,
            "by": self._signer(epoch.author) if epoch is not None else "",
            "recipients": dict(record.recipients) if record is not None else {},
            "held": sorted(keys.held()),
            "lacking": [{"role": missing.role, "epoch": missing.number} for missing in self._keys.missing()],
            "earlier": record.earlier if record is not None else True,
            "recovery": record.recovery if record is not None else None,
            "known": [known.number for known in keys.epochs],
            "encrypting": self._reseal.busy,
            "kept": self._reseal.kept,
        }

    def prepare(self, call: Any, params: PrepareParams) -> dict[str, Any]:
        """Make new keys for every role; nothing is in force until the record is signed and applied."""
        record, secrets = self._rolekeys.next(
            self._policy().roles, now=self._charter.now(), revocations=self._identity.trust.revocations.number,
            earlier=params.earlier, recovery=self._recovery(),
        )  # fmt: skip
        self._prepared = _Prepared(msgspec.msgpack.encode(record), secrets)
        return {"number": record.number, "record": self._prepared.payload}

    def policy_changed(self, document: Document) -> None:
        """Where the authority's key is, roles that a new policy brings get keys; the others keep theirs."""
        authority = self._identity.authority_key
        if authority is not None and set(self._policy().roles) - self._rolekeys.roles:
            self._spawn("keys", "keys for new roles", self._add_roles(authority), ends=True)

    def revoked(self, document: Document) -> None:
        """Where the authority's key is, a removal that nobody makes new keys for gets them after a while."""
        if self._identity.authority_key is not None:
            self._spawn("keys", f"keys after list {document.number} of revocations", self._renew_late(), ends=True)

    async def _renew_late(self) -> None:
        await asyncio.sleep(_PATIENCE_S)
        authority, epoch = self._identity.authority_key, self._rolekeys.epoch
        if authority is None or epoch is None or epoch.record.revocations >= self._identity.trust.revocations.number:
            return
        await self._sign(authority, renew=True)

    async def _add_roles(self, authority: SigningKey) -> None:
        await self._sign(authority, renew=False)

    async def _sign(self, authority: SigningKey, *, renew: bool) -> None:
        record, secrets = self._rolekeys.next(
            self._policy().roles, now=self._charter.now(), renew=renew, recovery=self._recovery(),
            revocations=self._identity.trust.revocations.number,
        )  # fmt: skip
        raw = seal_epoch(authority, self._identity.mesh_id, record)
        await self._keys.keep(raw, secrets)
        try:
            await self._charter.put(raw)
        except Conflict:  # an administrator has started an epoch meanwhile, and that one has all roles of the policy
            return

    def _recovery(self) -> str | None:
        """Where the authority's key is, its recovery key is known; elsewhere that of the epoch before stays."""
        authority = self._identity.authority_key
        return age.recipient_of(recovery_of(authority)) if authority is not None else None

    async def apply(self, call: Any, params: ApplyParams) -> dict[str, Any]:
        """Put a signed epoch in force; asked again with the same bytes, it answers the same."""
        epoch = open_epoch(params.envelope, self._identity.mesh_id)
        standing = self._charter.current("epoch")
        if standing is None or standing.digest != hashlib.sha256(params.envelope).digest():
            made = self._prepared
            if made is None or made.payload != msgspec.msgpack.encode(epoch.record):
                raise Conflict(
                    "this node does not hold the secrets of this epoch, because another was prepared or the node was "
                    "started since; start again: bzzz mesh epoch new"
                )
            await self._keys.keep(params.envelope, made.secrets)
            await self._charter.put(params.envelope)
            if self._prepared is made:
                self._prepared = None
        return {"number": epoch.number}

    def register(self, registry: Registry) -> None:
        admin = kinds("admin")
        registry.add(
            "mesh.epoch_show", kinds("person", "admin"), NoParams, self.show, reads=True,
            result="{number, at, by, recipients, held, lacking, earlier, recovery, known, encrypting, kept}",
        )  # fmt: skip
        registry.add("mesh.epoch_prepare", admin, PrepareParams, self.prepare, result="{number, record}")
        registry.add("mesh.epoch_apply", admin, ApplyParams, self.apply, result="{number}")
