"""Administration over RPC: the ledger's backup and restore, members, administrators and policy."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from bzzzd.daemon.membership.charter import Charter
from bzzzd.daemon.membership.members import Members, uid_of
from bzzzd.daemon.membership.policies import Policies
from bzzzd.errors import BadInput, NotAllowed, TooLarge
from bzzzd.identity.caller import Caller
from bzzzd.identity.charter import open_document
from bzzzd.identity.grants import Name
from bzzzd.identity.node import NodeIdentity
from bzzzd.rpc.access import guest, kinds
from bzzzd.rpc.registry import NoParams, Registry
from bzzzd.slurp.backup import check_backup
from bzzzd.slurp.ledger import Ledger, Status

# A backup travels over the socket in pieces, so that neither side holds all of it in one frame.
PIECE_BYTES: Final = 1_048_576
_MAX_BACKUP_BYTES: Final = 64 * 1024**3


class _Params(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class ReadParams(_Params, frozen=True):
    """``backup`` names one that ``ledger.backup`` made; without it a new one is made."""

    backup: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")] | None = None
    offset: Annotated[int, Meta(ge=0)] = 0


class RestoreParams(_Params, frozen=True):
    """A piece of a backup at ``offset``; ``last`` restores what was sent. ``upload`` is empty for the first."""

    data: Annotated[bytes, Meta(max_length=PIECE_BYTES)]
    upload: Annotated[str, Meta(pattern=r"^([0-9a-f]{32})?\Z")] = ""
    offset: Annotated[int, Meta(ge=0)] = 0
    last: bool = False


class AdminParams(_Params, frozen=True):
    """``user`` is a system user of this machine, or else the id of a person of the mesh."""

    user: Annotated[str, Meta(min_length=1, max_length=64)]
    role: Name = "admin"
    admin: bool = True


class PolicyParams(_Params, frozen=True):
    """``envelope`` is a signed policy record with a higher number than the one in force."""

    envelope: bytes


class AdminDesk:
    """``folder`` is where backups lie while they travel; ``restored`` is told when the ledger was replaced."""

    def __init__(
        self,
        ledger: Ledger,
        members: Members,
        charter: Charter,
        policies: Policies,
        identity: NodeIdentity,
        folder: Path,
        *,
        restored: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._members = members
        self._charter = charter
        self._policies = policies
        self._identity = identity
        self._folder = folder
        self._restored = restored

    async def ledger_status(self, call: Any, params: NoParams) -> dict[str, Any]:
        """Engine, term, entries and states of the ledger."""
        return _status(await self._ledger.status())

    async def backup(self, call: Any, params: ReadParams) -> dict[str, Any]:
        """Make a backup of the ledger and read it piece by piece; after the last piece it is removed here."""
        name = params.backup
        if name is None:
            name = secrets.token_hex(16)
            await asyncio.to_thread(_clear, self._folder)
            await self._ledger.backup(self._folder / f"{name}.backup")
        path = self._folder / f"{name}.backup"
        data, size = await asyncio.to_thread(_read_piece, path, params.offset)
        end = params.offset + len(data)
        if end >= size:
            await asyncio.to_thread(path.unlink)
        return {"backup": name, "offset": params.offset, "size": size, "data": data, "last": end >= size}

    async def restore(self, call: Any, params: RestoreParams) -> dict[str, Any]:
        """Replace the ledger by a backup sent piece by piece; the term rises and leases are taken back."""
        name = params.upload or secrets.token_hex(16)
        path = self._folder / f"{name}.upload"
        if not params.upload:
            await asyncio.to_thread(_clear, self._folder)
        await asyncio.to_thread(_write_piece, path, params.offset, params.data, first=not params.upload)
        if not params.last:
            return {"upload": name, "offset": params.offset + len(params.data)}
        try:
            status = await self._ledger.restore(await asyncio.to_thread(check_backup, path, self._identity.mesh_id))
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        self._restored()
        return {"upload": name, "status": _status(status)}

    def mesh_init(self, call: Any, params: NoParams) -> dict[str, Any]:
        """The mesh that this node belongs to, which a lone node founds at its first start."""
        return {
            "mesh_id": self._identity.mesh_id,
            "node_id": self._identity.id,
            "founder": self._identity.authority_key is not None,
        }

    def members(self, call: Any, params: NoParams) -> dict[str, Any]:
        """Members that this node knows, with their grants' ends."""
        return {"members": self._members.rows()}

    def admin_add(self, call: Any, params: AdminParams) -> dict[str, Any]:
        """Let a system user of this machine become a person and administrator, or make a person of the mesh one."""
        caller: Caller = call.caller
        # The daemon's own user holds the authority's key anyway; in a container without root it is all there is.
        if caller.kind != "admin" and caller.uid not in (0, os.geteuid()):
            raise NotAllowed(
                f"an administrator is added by root or by an administrator; run: sudo bzzz mesh admin add {params.user}"
            )
        self._charter.check_fresh("making an administrator")
        if uid_of(params.user) is None:
            grant = self._members.make_admin(params.user)
            return {"user": params.user, "uid": None, "id": grant.id, "role": grant.role, "admin": True}
        binding = self._members.bind(params.user, role=params.role, admin=params.admin)
        return {"user": params.user, "uid": binding.uid, "id": binding.id, "role": binding.role, "admin": binding.admin}

    def policy_show(self, call: Any, params: NoParams) -> dict[str, Any]:
        """The policy in force: its number, who signed it, and the roles as signed."""
        policy, document = self._policies.current, self._policies.document
        return {
            "number": policy.number, "at": policy.record.at, "roles": msgspec.to_builtins(policy.record.roles),
            "by": self._members.signer(document.author) if document is not None else "",
            "record": document.raw if document is not None else b"", "narrowed": policy.narrowed,
        }  # fmt: skip

    async def policy_apply(self, call: Any, params: PolicyParams) -> dict[str, Any]:
        """Put a newer signed policy in force in the whole mesh."""
        self._charter.check_fresh("a change of policy")
        document = open_document(params.envelope, self._identity.mesh_id)
        if document.kind != "policy":
            raise BadInput(f"this is a signed {document.kind} document, not a policy (bzzz mesh policy apply)")
        return {"number": (await self._charter.put(params.envelope)).number}

    def register(self, registry: Registry) -> None:
        admin, anybody = kinds("admin"), guest()
        status = (
            "{engine, term, incarnation, head, counts, dead_letters, leases, durability, coordinator, standby, reason}"
        )
        registry.add("ledger.status", kinds("person", "admin"), NoParams, self.ledger_status, result=status, reads=True)
        registry.add("ledger.backup", admin, ReadParams, self.backup, result="{backup, offset, size, data, last}")
        registry.add(
            "ledger.restore", admin, RestoreParams, self.restore, result="{upload, offset} or {upload, status}"
        )
        registry.add("mesh.init", anybody, NoParams, self.mesh_init, result="{mesh_id, node_id, founder}", reads=True)
        registry.add("mesh.members", kinds("person", "admin"), NoParams, self.members, result="{members}", reads=True)
        registry.add("mesh.admin_add", anybody, AdminParams, self.admin_add, result="{user, uid, id, role, admin}")
        registry.add(
            "mesh.policy_show", kinds("person", "admin"), NoParams, self.policy_show, reads=True,
            result="{number, at, roles, by, record, narrowed}",
        )  # fmt: skip
        registry.add("mesh.policy_apply", admin, PolicyParams, self.policy_apply, result="{number}")


def _status(status: Status) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(status)
    return found


def _clear(folder: Path) -> None:
    """Remove what an interrupted backup or restore left: one travels at a time."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()


def _read_piece(path: Path, offset: int) -> tuple[bytes, int]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(offset)
            return file.read(PIECE_BYTES), size
    except FileNotFoundError:
        raise BadInput("this backup is gone; start again: bzzz ledger backup") from None


def _write_piece(path: Path, offset: int, data: bytes, *, first: bool) -> None:
    if offset + len(data) > _MAX_BACKUP_BYTES:
        raise TooLarge("this backup is larger than any ledger may be", limit=_MAX_BACKUP_BYTES)
    try:
        with path.open("xb" if first else "r+b") as file:
            if file.seek(0, 2) != offset:
                raise BadInput("a piece of the backup is missing; start again: bzzz ledger restore")
            file.write(data)
    except FileNotFoundError:
        raise BadInput("this upload is gone; start again: bzzz ledger restore") from None
