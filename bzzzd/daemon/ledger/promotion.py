"""``bzzz ledger promote``: an administrator names another node as the coordinator, on that node."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from bzzzd.daemon.ledger.part import LedgerPart
from bzzzd.daemon.membership.charter import Charter
from bzzzd.errors import BadInput, BzzzError, Conflict
from bzzzd.identity.charter import DOCUMENT_LIMIT, open_document
from bzzzd.identity.node import NodeIdentity
from bzzzd.rpc.access import kinds
from bzzzd.rpc.registry import NoParams, Registry
from bzzzd.slurp.coordinator import read_coordinator


class PromoteParams(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``envelope`` is the signed coordinator document. ``force`` goes on with a copy that is known to lack entries."""

    envelope: Annotated[bytes, Meta(max_length=DOCUMENT_LIMIT)]
    force: bool = False


class PromotionDesk:
    def __init__(self, part: LedgerPart, charter: Charter, identity: NodeIdentity) -> None:
        self._part = part
        self._charter = charter
        self._identity = identity

    async def succession(self, call: Any, params: NoParams) -> dict[str, Any]:
        """What a promotion of this node would sign and stand on."""
        record, held = self._part.office.record, await self._part.succession.held()
        return {
            "number": record.number if record else 0, "coordinator": self._part.office.name,
            "here": self._part.office.here, "node": self._identity.key.public, "id": self._identity.id,
            "entries": held.number, "copy": bool(held.source),
        }  # fmt: skip

    async def promote(self, call: Any, params: PromoteParams) -> dict[str, Any]:
        """Put a signed coordinator document in force that names this node; the term rises, leases are taken back."""
        self._charter.check_fresh("a change of the coordinator")
        document = open_document(params.envelope, self._identity.mesh_id)
        if document.kind != "coordinator":
            raise BadInput(f"this is a signed {document.kind} document, not one that names a coordinator")
        if read_coordinator(document.payload).node != self._identity.key.public:
            raise BadInput("this document names another node; run bzzz ledger promote on that one")
        here = self._part.office.here
        if not here and not params.force:
            await self._check_copy()
        await self._charter.put(params.envelope)
        if here:
            await self._part.here.promote()
            self._part.keeper.replaced()
        else:
            await self._part.keeper.settle()
        status = await self._part.here.status()
        return {"coordinator": status.coordinator, "term": status.term, "head": status.head, "number": document.number}

    async def _check_copy(self) -> None:
        held = await self._part.succession.held()
        if not held.source:
            raise Conflict(
                "this node holds no copy of the ledger, so its tasks would be lost; promote the standby (bzzz ledger "
                "status names it), put a backup back afterwards, or go on with --force"
            )
        try:
            head = (await self._part.seat.far.status()).head
        except BzzzError:
            return  # it is away, which is why somebody promotes
        if head > held.number:
            raise Conflict(
                f"this node's copy ends at entry {held.number} and the coordinator's ledger at {head}; promote the "
                "standby (bzzz ledger status), or go on with --force and have the rest put away there"
            )

    def register(self, registry: Registry) -> None:
        admin = kinds("admin")
        registry.add(
            "ledger.succession", kinds("person", "admin"), NoParams, self.succession, reads=True,
            result="{number, coordinator, here, node, id, entries, copy}",
        )  # fmt: skip
        registry.add("ledger.promote", admin, PromoteParams, self.promote, result="{coordinator, term, head, number}")
