"""Context over RPC: put, get, list, history, diff and announce, with time travel."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from bzzzd.daemon.gate import Gate
from bzzzd.daemon.replicas.listing import unite_lists
from bzzzd.daemon.replicas.service import Replicas
from bzzzd.errors import NotAllowed
from bzzzd.identity.caller import Caller
from bzzzd.rpc.access import attached
from bzzzd.rpc.registry import Registry
from bzzzd.slurp.commands import Author
from bzzzd.storage.versions.content import Blob
from bzzzd.storage.versions.context import ContextStore
from bzzzd.storage.versions.records import HeadRecord
from bzzzd.ucxl.address import parse
from bzzzd.ucxl.version import DEFAULT_CONTENT_TYPE, VersionHeader, VersionId

AddressText = Annotated[str, Meta(max_length=4096)]
ContentType = Annotated[str, Meta(max_length=127)]
_PAGE: Final = 100

# Put records of a writer's heads, and of who holds the newest content, where other nodes find them.
Announce = Callable[[HeadRecord, Blob], Awaitable[None]]


class _Params(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class PrepareParams(_Params, frozen=True):
    address: AddressText
    content_type: ContentType = DEFAULT_CONTENT_TYPE


class PutParams(_Params, frozen=True):
    """``version`` is the signed header of ``content``."""

    version: bytes
    content: bytes


class AddressParams(_Params, frozen=True):
    address: AddressText


class GetParams(_Params, frozen=True):
    """``holders`` asks the nodes that shall hold the version whether they do, which takes a while longer."""

    address: AddressText
    holders: bool = False


class FindParams(_Params, frozen=True):
    version_id: VersionId


class ListParams(_Params, frozen=True):
    """``pattern`` is an address in which ``any`` matches every value; without one, everything."""

    pattern: AddressText | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = _PAGE
    after: str = ""


class HistoryParams(_Params, frozen=True):
    """``holders``: as for ``context.get``, of each version."""

    address: AddressText
    holders: bool = False
    limit: Annotated[int, Meta(ge=1, le=1000)] = _PAGE
    after: Annotated[int, Meta(ge=0)] = 0


class DiffParams(_Params, frozen=True):
    """``a`` and ``b``: temporal parts (``*~1``, ``~~1``, ``*^``), numbers, or version ids."""

    address: AddressText
    a: Annotated[str, Meta(max_length=80)]
    b: Annotated[str, Meta(max_length=80)]


class ContextDesk:
    def __init__(
        self, contexts: ContextStore, gate: Gate, replicas: Replicas, *, epoch: Callable[[], int], announce: Announce
    ) -> None:
        self._contexts = contexts
        self._gate = gate
        self._replicas = replicas
        self._epoch = epoch
        self._announce = announce

    async def prepare(self, call: Any, params: PrepareParams) -> dict[str, Any]:
        """What a writer signs into a version's header: readers, epoch, and the versions it builds on."""
        self._read(call.caller, params.address)
        return {
            "readers": list(self._gate.recipients(call.caller.role, params.content_type)),
            "epoch": self._epoch(),
            "heads": list(await self._contexts.heads(params.address)),
        }

    async def put(self, call: Any, params: PutParams) -> dict[str, Any]:
        """Store a version that the caller signed; durable when answered."""
        caller: Caller = call.caller
        self._gate.check(caller, "context.put", "context", "write")
        assert caller.key is not None
        writer = Author(caller.id, caller.kind, caller.role, tuple(caller.capabilities), caller.key)
        pending = await self._contexts.check(params.version, params.content, writer)
        try:
            self._gate.check_readers(caller.role, pending.header.content_type, pending.header.readers)
        except NotAllowed:
            await self._contexts.discard(pending)
            raise
        id = await self._contexts.store(pending)
        return {"version_id": id, "address": pending.header.address}

    async def get(self, call: Any, params: GetParams) -> dict[str, Any]:
        """The version that an address with its temporal part names; ``complete`` unless a holder was not reached."""
        self._read(call.caller, params.address)
        found = await self._contexts.get(params.address, (call.caller.role,))
        version = found.version
        holders = await self._replicas.holders((version.id,), version.address) if params.holders else {}
        return {
            **({"holders": holders.get(version.id, [])} if params.holders else {}),
            "complete": found.complete, "replicas": self._replicas.nodes.needed,
            **header_map(version.header), "version_id": version.id, "address": version.address,
            "number": version.number, "of": version.of, "heads": list(version.heads), "conflict": version.conflict,
            "content": found.content,
        }  # fmt: skip

    async def find(self, call: Any, params: FindParams) -> dict[str, Any]:
        """Where the version with an id is: its address, and its number there."""
        row = await self._contexts.show_id(params.version_id)
        self._read(call.caller, row.address)
        return {"version_id": row.id, "address": row.address, "number": row.number, "of": row.of}

    async def list(self, call: Any, params: ListParams) -> dict[str, Any]:
        """Addresses by name, with how many versions each has."""
        self._gate.check(call.caller, "context.list", "context", "read")
        listing = await self._contexts.list(params.pattern, after=params.after, limit=params.limit)
        entries, next, complete = await unite_lists(
            listing, self._replicas, params.pattern, after=params.after, limit=params.limit
        )
        return {
            "entries": [
                {
                    **header_map(entry.header), "address": entry.address, "versions": entry.versions,
                    "latest": entry.latest, "conflict": entry.heads > 1,
                }
                for entry in entries
            ],
            "next": next,
            "complete": complete,
        }  # fmt: skip

    async def history(self, call: Any, params: HistoryParams) -> dict[str, Any]:
        """The versions of an address by number."""
        self._read(call.caller, params.address)
        history = await self._contexts.history(params.address, after=params.after, limit=params.limit)
        ids = [step.id for step in history.steps]
        holders = await self._replicas.holders(ids, history.address) if params.holders else {}
        return {
            "complete": history.complete,
            "replicas": self._replicas.nodes.needed,
            "address": history.address,
            "of": history.of,
            "conflict": len(history.heads) > 1,
            "heads": list(history.heads),
            "versions": [
                {
                    **header_map(step.header), "number": step.number, "version_id": step.id, "head": step.head,
                    "parents": list(step.header.parents),
                    **({"holders": holders.get(step.id, [])} if params.holders else {}),
                }
                for step in history.steps
            ],
            "next": history.next,
        }  # fmt: skip

    async def diff(self, call: Any, params: DiffParams) -> dict[str, Any]:
        """The unified diff between two versions of an address."""
        self._read(call.caller, params.address)
        return {"diff": await self._contexts.diff(params.address, params.a, params.b, (call.caller.role,))}

    async def announce(self, call: Any, params: AddressParams) -> dict[str, Any]:
        """Tell the mesh (through the DHT) about the caller's versions at an address."""
        caller: Caller = call.caller
        self._gate.check(caller, "context.announce", "context", "write")
        assert caller.key is not None
        record = await self._contexts.head_record(params.address, caller.key)
        await self._announce(record, (await self._contexts.show(params.address)).blob)
        return {"address": record.address, "versions": record.sequence}

    def _read(self, caller: Caller, address: str) -> None:
        self._gate.check(caller, "context.get", f"context:{parse(address).path}", "read")

    def register(self, registry: Registry) -> None:
        member = attached()
        registry.add(
            "context.prepare", member, PrepareParams, self.prepare, result="{readers, epoch, heads}", reads=True
        )
        registry.add("context.put", member, PutParams, self.put, result="{version_id, address}")
        registry.add(
            "context.get", member, GetParams, self.get, reads=True,
            result="{version_id, address, number, of, content, content_type, author, at, readers, conflict, heads, "
            "complete, replicas, holders}",
        )  # fmt: skip
        registry.add(
            "context.find", member, FindParams, self.find, result="{version_id, address, number, of}", reads=True
        )
        registry.add("context.list", member, ListParams, self.list, result="{entries, next, complete}", reads=True)
        registry.add(
            "context.history", member, HistoryParams, self.history, reads=True,
            result="{address, of, conflict, heads, versions, next, complete, replicas}",
        )  # fmt: skip
        registry.add("context.diff", member, DiffParams, self.diff, result="{diff}", reads=True)
        registry.add("context.announce", member, AddressParams, self.announce, result="{address, versions}")


def header_map(header: VersionHeader) -> dict[str, Any]:
    """What an answer tells of a version's header."""
    return {
        "author": header.author, "at": header.at, "size": header.size, "content_type": header.content_type,
        "readers": list(header.readers), "epoch": header.epoch,
    }  # fmt: skip
