"""Revocations over RPC: what is void, and a newer list, signed by an administrator or by the authority here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from bzzzd.daemon.membership.charter import Charter
from bzzzd.daemon.membership.members import Members
from bzzzd.errors import BadInput, Conflict, NotAllowed, NotFound
from bzzzd.identity.charter import CHARTER_KINDS, open_document, seal_document
from bzzzd.identity.node import NodeIdentity, next_serial
from bzzzd.identity.revocations import RevocationList, next_list, read_list
from bzzzd.identity.revoking import removal, said, subjects
from bzzzd.rpc.access import guest, kinds
from bzzzd.rpc.registry import NoParams, Registry
from bzzzd.rpc.session import Call
from bzzzd.rpc.streams import Stream

_TRIES: Final = 5


class _Params(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class RevokeParams(_Params, frozen=True):
    """``envelope`` is a signed list of revocations that holds all of the one in force, and more."""

    envelope: bytes


class RevokeHereParams(_Params, frozen=True):
    """``id`` is a member's id or key (hex); ``admin`` takes only the delegation; ``everything`` voids all it signed."""

    id: Annotated[str, Meta(min_length=1, max_length=64)]
    kind: Literal["node", "agent", "person"] | None = None
    admin: bool = False
    everything: bool = False


class RevokeDesk:
    """``own_uid`` is the uid that bzzzd runs as: it may use the authority's key, as root may."""

    def __init__(
        self, charter: Charter, members: Members, identity: NodeIdentity, events: Stream, *, own_uid: int,
        clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._charter = charter
        self._members = members
        self._identity = identity
        self._events = events
        self._own_uid = own_uid
        self._clock = clock

    def revocations(self, call: Call, params: NoParams) -> dict[str, Any]:
        """What is void in the whole mesh, and the documents in force, for who signs the next list."""
        known = self._identity.trust.revocations
        return {
            "number": known.number,
            "keys": [[key, at] for key, at in sorted(known.keys.items())],
            "grants": [[issuer, serial] for issuer, serial in sorted(known.grants)],
            "admins": [
                [key, serial, sorted(known.stand.get(key, ()))] for key, serial in sorted(known.issuers.items())
            ],
            "documents": [[author, digest] for author, digest in self._documents()],
            "fresh": self._charter.fresh(),
        }

    async def revoke(self, call: Call, params: RevokeParams) -> dict[str, Any]:
        """Put a newer signed list of revocations in force in the whole mesh."""
        document = open_document(params.envelope, self._identity.mesh_id)
        if document.kind != "revocations":
            raise BadInput(f"this is a signed {document.kind} document, not a list of revocations (bzzz mesh revoke)")
        self._check_whole(read_list(document.payload))
        await self._charter.put(params.envelope)
        return self._done(str(call.caller.id), document.number)

    async def revoke_here(self, call: Call, params: RevokeHereParams) -> dict[str, Any]:
        """Take rights back with the authority's key, where it is: for root, also when no administrator is left."""
        if call.caller.uid not in (0, self._own_uid):
            raise NotAllowed("the authority's key is used by root alone; run: sudo bzzz mesh revoke ID --authority")
        authority = self._identity.authority_key
        if authority is None:
            raise NotAllowed(
                "the authority's key is not on this node; an administrator signs instead: bzzz mesh revoke ID"
            )
        found = subjects(self._members.rows(), params.id, "person" if params.admin else params.kind)
        admins = [each.key for each in found if each.admin]
        if params.admin and not admins:
            raise NotFound(f"{params.id} is no administrator; see: bzzz mesh members")
        for _ in range(_TRIES):
            listed = next_list(
                self._identity.trust.revocations, at=self._clock(),
                keys=() if params.admin else [each.key for each in found],
                admins=[
                    removal(key, next_serial(), self._documents(), everything=params.everything) for key in admins
                ],
            )  # fmt: skip
            try:
                await self._charter.put(seal_document(authority, "revocations", self._identity.mesh_id, listed))
            except Conflict:  # another list came between the look and the signature
                continue
            return self._done("authority", listed.number) | {"revoked": said(found)}
        raise Conflict("other lists of revocations came in between each time; try again: bzzz mesh revoke")

    def _check_whole(self, listed: RevocationList) -> None:
        """A list made by a client that did not know all of what is void would seem to take some of it back."""
        known = self._identity.trust.revocations
        if not listed.named >= known.keys.keys() | known.issuers.keys() or not set(listed.grants) >= known.grants:
            raise Conflict(
                "this list of revocations leaves out some of what is revoked already; look again, then sign it anew",
                number=known.number,
            )

    def _documents(self) -> list[tuple[bytes, bytes]]:
        found = (self._charter.current(kind) for kind in CHARTER_KINDS)
        return [(document.author, document.digest) for document in found if document is not None]

    def _done(self, by: str, number: int) -> dict[str, Any]:
        self._events.append(
            {"source": "charter", "kind": "revoked", "at": time.time(), "id": by, "detail": f"number {number}, by {by}"}
        )
        return {"number": number}

    def register(self, registry: Registry) -> None:
        admin = kinds("admin")
        registry.add(
            "mesh.revocations", admin, NoParams, self.revocations, reads=True,
            result="{number, keys, grants, admins, documents, fresh}",
        )  # fmt: skip
        registry.add("mesh.revoke", admin, RevokeParams, self.revoke, result="{number}")
        registry.add("mesh.revoke_here", guest(), RevokeHereParams, self.revoke_here, result="{number, revoked}")
