"""Epochs over RPC: what the role keys are, and starting a new epoch, which an administrator signs.

The node makes the new secrets and their public halves (``mesh.epoch_prepare``), the administrator's
client signs these, and the node puts them in force (``mesh.epoch_apply``): secrets first, then the
document of the charter. Between the two the secrets exist in memory alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct

from bzzzd.daemon.charter import Charter
from bzzzd.daemon.keydesk import KeyDesk
from bzzzd.errors import Conflict
from bzzzd.identity.epoch import EPOCH_LIMIT, open_epoch
from bzzzd.identity.grants import Recipient, Revocations
from bzzzd.identity.policy import Policy
from bzzzd.rpc.access import kinds
from bzzzd.rpc.registry import NoParams, Registry
from bzzzd.storage.rolekeys import RoleKeys


class PrepareParams(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``earlier`` says whether nodes that become entitled later get the secrets of earlier epochs.

    ``recovery`` is an age recipient that the secrets are also encrypted to. What is left out stays as it was.
    """

    earlier: bool | None = None
    recovery: Recipient | None = None


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
        mesh_id: str,
        *,
        policy: Callable[[], Policy],
        revocations: Callable[[], Revocations],
        signer: Callable[[bytes], str],
    ) -> None:
        self._rolekeys = rolekeys
        self._charter = charter
        self._keys = keys
        self._mesh_id = mesh_id
        self._policy = policy
        self._revocations = revocations
        self._signer = signer
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
        }

    def prepare(self, call: Any, params: PrepareParams) -> dict[str, Any]:
        """Make new keys for every role; nothing is in force until the record is signed and applied."""
        record, secrets = self._rolekeys.next(
            self._policy().roles, now=self._charter.now(), revocations=self._revocations().number,
            earlier=params.earlier, recovery=params.recovery,
        )  # fmt: skip
        self._prepared = _Prepared(msgspec.msgpack.encode(record), secrets)
        return {"number": record.number, "record": self._prepared.payload}

    async def apply(self, call: Any, params: ApplyParams) -> dict[str, Any]:
        """Put a signed epoch in force; asked again with the same bytes, it answers the same."""
        epoch = open_epoch(params.envelope, self._mesh_id)
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
            result="{number, at, by, recipients, held, lacking, earlier, recovery, known}",
        )  # fmt: skip
        registry.add("mesh.epoch_prepare", admin, PrepareParams, self.prepare, result="{number, record}")
        registry.add("mesh.epoch_apply", admin, ApplyParams, self.apply, result="{number}")
