"""Large content over RPC, piece by piece: sent, read, and fetched from other nodes with its progress shown.

context.send_begin {version}             → {upload}                 the signed header of what is to come
context.send {upload, offset, data, last} → {offset}, at the end {version_id, address}
context.receive_begin {address}          → {download, size, …}      or {have, of} while it is fetched
context.receive {download, offset}       → {data, last}
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from bzzzd.daemon.context.contexts import AddressText, header_map
from bzzzd.daemon.gate import Gate
from bzzzd.daemon.replicas.service import Replicas
from bzzzd.errors import BadInput, BzzzError, Conflict, NotAllowed, NotFound, Overloaded, StorageFailed, Unavailable
from bzzzd.identity.caller import Caller
from bzzzd.rpc.access import attached
from bzzzd.rpc.registry import Registry
from bzzzd.slurp.commands import Author
from bzzzd.storage.versions.content import ContentStore
from bzzzd.storage.versions.context import ContextStore, VersionRow
from bzzzd.storage.versions.large import Opening, Sealing
from bzzzd.storage.versions.naming import CHUNK_BYTES
from bzzzd.storage.versions.pipe import IDLE_S
from bzzzd.storage.versions.rolekeys import RoleKeys
from bzzzd.ucxl.address import parse

PIECE_BYTES: Final = 1_048_576
_SENDING, _READING = 4, 8
_PROGRESS_S: Final = 1.0
# Below this, content is decrypted at once: it may be sealed for an audience, which is no stream.
_SMALL_BYTES: Final = 4 * 1_048_576
Name = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]


class _Params(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class SendBeginParams(_Params, frozen=True):
    """``version`` is the signed header of the content that follows."""

    version: bytes


class SendParams(_Params, frozen=True):
    """A piece at ``offset``; the ``last`` stores the version."""

    upload: Name
    offset: Annotated[int, Meta(ge=0)]
    data: Annotated[bytes, Meta(max_length=PIECE_BYTES)]
    last: bool = False


class ReceiveBeginParams(_Params, frozen=True):
    address: AddressText


class ReceiveParams(_Params, frozen=True):
    download: Name
    offset: Annotated[int, Meta(ge=0)]


class _Upload:
    def __init__(self, sealing: Sealing, writer: Author, raw: bytes, sealed: bytes) -> None:
        self.sealing = sealing
        self.writer = writer
        self.raw = raw
        self.sealed = sealed
        self.used = asyncio.get_running_loop().time()


class _Download:
    def __init__(self, take: Callable[[], Any], abandon: Callable[[], None], key: bytes | None) -> None:
        self.take = take
        self.abandon = abandon
        self.key = key
        self.offset = 0
        self.next: bytes | None = None
        self.used = asyncio.get_running_loop().time()


class LargeDesk:
    """``recipients(role, content type)`` is policy's word on who may read."""

    def __init__(
        self, contexts: ContextStore, content: ContentStore, rolekeys: RoleKeys, gate: Gate, replicas: Replicas
    ) -> None:
        self._contexts = contexts
        self._content = content
        self._rolekeys = rolekeys
        self._gate = gate
        self._replicas = replicas
        self._uploads: dict[str, _Upload] = {}
        self._downloads: dict[str, _Download] = {}

    # Sending.

    async def send_begin(self, call: Any, params: SendBeginParams) -> dict[str, Any]:
        """Begin a version whose content comes in pieces: its signed header is checked before anything is sent."""
        caller: Caller = call.caller
        self._gate.check(caller, "context.put", "context", "write")
        assert caller.key is not None
        writer = Author(caller.id, caller.kind, caller.role, tuple(caller.capabilities), caller.key)
        header = self._contexts.check_header(params.version, writer)
        self._gate.check_readers(caller.role, header.content_type, header.readers)
        self._sweep()
        if len(self._uploads) >= _SENDING:
            raise Overloaded(f"{_SENDING} large contents are being sent already; try again when one is done")
        epoch = self._rolekeys.epoch
        recipients = self._rolekeys.recipients(header.readers, epoch)
        sealing = Sealing(self._content.workshop, header, recipients)
        name = secrets.token_hex(16)
        self._uploads[name] = _Upload(sealing, writer, params.version, epoch.tag if epoch is not None else b"")
        return {"upload": name, "piece_bytes": PIECE_BYTES}

    async def send(self, call: Any, params: SendParams) -> dict[str, Any]:
        """The next piece of a version's content; the last one stores the version, durable when answered."""
        upload = self._uploads.get(params.upload)
        if upload is None or upload.writer.key != call.caller.key:
            raise NotFound("this upload is not known: it was ended, or waited too long; begin again")
        if params.offset != upload.sealing.fed:
            raise Conflict(f"the next piece begins at {upload.sealing.fed}, not at {params.offset}")
        upload.used = asyncio.get_running_loop().time()
        try:
            await upload.sealing.feed(params.data)
            if not params.last:
                return {"offset": upload.sealing.fed}
            path, name, size = await upload.sealing.finish()
            blob = await self._content.settled(path, name, size, upload.sealed)
            header = upload.sealing.header
            pending = self._contexts.pending(upload.raw, header, upload.writer, blob)
            id = await self._contexts.store(pending)
        except BaseException as error:
            self._uploads.pop(params.upload, None)
            upload.sealing.abort()
            if isinstance(error, TimeoutError):
                raise _stuck() from error
            raise
        self._uploads.pop(params.upload, None)
        return {"offset": upload.sealing.fed, "version_id": id, "address": header.address}

    # Receiving.

    async def receive_begin(self, call: Any, params: ReceiveBeginParams) -> dict[str, Any]:
        """Begin to read a version; while its content is fetched from another node, how far that is: ask again."""
        caller: Caller = call.caller
        self._gate.check(caller, "context.get", f"context:{parse(params.address).path}", "read")
        row, complete = await self._contexts.pick(params.address, (caller.role,))
        told = {
            **header_map(row.header), "version_id": row.id, "address": row.address, "number": row.number,
            "of": row.of, "conflict": row.conflict, "complete": complete,
        }  # fmt: skip
        if not row.here:
            have = await self._replicas.fetch(row.id, row.address, row.blob, _PROGRESS_S)
            if have is not None:
                return {**told, "have": min(have * CHUNK_BYTES, row.blob.size), "total": row.blob.size}
            row = await self._contexts.show_id(row.id)
        self._sweep()
        if len(self._downloads) >= _READING:
            raise Overloaded(f"{_READING} large contents are being read already; try again when one is done")
        name = secrets.token_hex(16)
        self._downloads[name] = await self._open(row, caller)
        return {**told, "download": name}

    async def _open(self, row: VersionRow, caller: Caller) -> _Download:
        if row.header.size <= _SMALL_BYTES or row.blob.data is not None:
            found = await self._contexts.get_id(row.id, (caller.role,))
            pieces = [found.content[at : at + PIECE_BYTES] for at in range(0, len(found.content), PIECE_BYTES)]
            rest = iter([*pieces, b""])

            async def take() -> bytes:
                return next(rest)

            return _Download(take, lambda: None, caller.key)
        identities = self._rolekeys.identities(row.header.readers, tag=row.blob.sealed, number=row.header.epoch)
        opening = Opening(self._content.path(row.blob.hash), row.header, identities)

        async def taken() -> bytes:
            try:
                return await opening.take()
            except (StorageFailed, NotAllowed) as error:  # its secrets are here, so it is damaged
                self._replicas.damaged(row.id)
                raise Unavailable(
                    "the content is damaged on this node and is being replaced by another node's; try again shortly",
                    version_id=row.id,
                ) from error

        return _Download(taken, opening.abandon, caller.key)

    async def receive(self, call: Any, params: ReceiveParams) -> dict[str, Any]:
        """The next piece of a version's content; after the last one all of it was what its author signed."""
        download = self._downloads.get(params.download)
        if download is None or download.key != call.caller.key:
            raise NotFound("this download is not known: it was ended, or waited too long; begin again")
        if params.offset != download.offset:
            raise BadInput(f"the next piece begins at {download.offset}, not at {params.offset}")
        download.used = asyncio.get_running_loop().time()
        try:
            data = await download.take()
        except (BzzzError, TimeoutError) as error:
            self._downloads.pop(params.download, None)
            download.abandon()
            if isinstance(error, TimeoutError):
                raise _stuck() from error
            raise
        download.offset += len(data)
        if not data:
            self._downloads.pop(params.download, None)
        return {"data": data, "last": not data}

    def _sweep(self) -> None:
        """Forget what was left alone: its thread has given up as well."""
        now = asyncio.get_running_loop().time()
        for name, upload in list(self._uploads.items()):
            if now - upload.used > IDLE_S:
                upload.sealing.abort()
                del self._uploads[name]
        for name, download in list(self._downloads.items()):
            if now - download.used > IDLE_S:
                download.abandon()
                del self._downloads[name]

    def register(self, registry: Registry) -> None:
        member = attached()
        registry.add("context.send_begin", member, SendBeginParams, self.send_begin, result="{upload, piece_bytes}")
        registry.add("context.send", member, SendParams, self.send, result="{offset, version_id, address}")
        registry.add(
            "context.receive_begin", member, ReceiveBeginParams, self.receive_begin,
            result="{download, version_id, address, size, have, total, complete}",
        )  # fmt: skip
        registry.add("context.receive", member, ReceiveParams, self.receive, result="{data, last}")


def _stuck() -> Unavailable:
    return Unavailable("the disk did not keep up for two minutes; try again when the machine is less busy")
