"""Context: versions of encrypted content at UCXL addresses, written by those who may and read by roles.

A writer signs a header (``ucxl/version.py``); ``check`` verifies it against the plaintext, encrypts
for its readers and gives a ``Pending``, which ``insert`` adds inside any transaction of the journal,
so that a task's decision and its completion are one commit. Reading checks ids and hashes again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from bzzzd.errors import (
    BadInput,
    InvalidAddress,
    InvalidEnvelope,
    InvalidTemporal,
    NoRoleKey,
    NotAllowed,
    NotFound,
    StorageFailed,
    TooLarge,
    Unavailable,
)
from bzzzd.identity.epoch import Epoch
from bzzzd.identity.grants import Trust
from bzzzd.storage.journal.journal import Journal, Schema
from bzzzd.storage.versions import copies, letting_go, rows
from bzzzd.storage.versions.adopt import Carried, Customs
from bzzzd.storage.versions.bulk import LARGE_BYTES
from bzzzd.storage.versions.content import SCHEMA as CONTENT_SCHEMA
from bzzzd.storage.versions.content import Blob, ContentStore
from bzzzd.storage.versions.difference import difference
from bzzzd.storage.versions.plaintexts import Plaintexts
from bzzzd.storage.versions.records import MAX_HEADS, HeadRecord
from bzzzd.storage.versions.rolekeys import RoleKeys
from bzzzd.storage.versions.rows import History, Listing, Pending, VersionRow
from bzzzd.storage.versions.traffic import ID, Traffic, check_id
from bzzzd.storage.versions.writing import Writer, check_now, check_writer
from bzzzd.ucxl.address import Address, Temporal, parse
from bzzzd.ucxl.version import VersionHeader, open_version, version_id

__all__ = ["SCHEMAS", "Carried", "ContextStore", "Found", "History", "Listing", "Pending", "VersionRow", "Writer"]

SCHEMAS: Final[tuple[Schema, ...]] = (CONTENT_SCHEMA, rows.SCHEMA, copies.SCHEMA, letting_go.SCHEMA)
MAX_CONTENT_BYTES: Final = 1 << 40
# What is put or got in one piece; more goes as a stream (``storage/versions/large.py``).
WHOLE_BYTES: Final = 67_108_864
CACHE_BYTES: Final = 8_388_608
# What one node has may be damaged as well, or not what the author signed.
_ATTEMPTS: Final = 3


async def _nothing(roles: Sequence[str]) -> None:
    """Where nobody can be asked."""


class Elsewhere(Protocol):
    """The other nodes, for whoever reads here."""

    async def unite(self, address: Address) -> bool:
        """Bring here what the holders of an address know of it; whether all of them were asked."""
        ...

    async def obtain(self, id: str, base: str | None, attempt: int = 0) -> bool:
        """Bring here the content of a version, of an address where it is known; whether some has come.

        Each ``attempt``, counted from 0, begins with another node.
        """
        ...


class Found(Struct, frozen=True):
    """A version and its plaintext; ``complete`` is false when some holder of its address could not be asked."""

    version: VersionRow
    content: bytes
    complete: bool = True


class ContextStore(Traffic):
    """The versions in ``journal`` (which has ``SCHEMAS``); made once a process, used on its loop.

    ``may_write(writer, address)`` is policy's word on addresses that are not the writer's own;
    ``clock`` gives Unix time in seconds. ``chain_of(key)`` gives a writer's grants, which go with its versions
    to other nodes; ``holders(base)`` the other nodes that shall hold an address. ``written()`` hears of each
    version that is being written here. ``trust`` is what versions of other nodes are checked against; without it
    none is taken. ``elsewhere`` asks other nodes before an address is read, and for content that is not here.
    ``obtain(roles)`` tries to get secrets that reading lacks.
    """

    def __init__(
        self,
        journal: Journal,
        content: ContentStore,
        rolekeys: RoleKeys,
        mesh_id: str,
        *,
        may_write: Callable[[Writer, Address], bool],
        clock: Callable[[], float] = time.time,
        max_content_bytes: int = MAX_CONTENT_BYTES,
        cache_bytes: int = CACHE_BYTES,
        chain_of: Callable[[bytes], Sequence[bytes]] = lambda key: (),
        holders: Callable[[str], Sequence[bytes]] = lambda base: (),
        written: Callable[[], None] = lambda: None,
        elsewhere: Elsewhere | None = None,
        trust: Trust | None = None,
        obtain: Callable[[Sequence[str]], Awaitable[None]] = _nothing,
    ) -> None:
        customs = None if trust is None else Customs(trust, may_write, clock)
        super().__init__(journal, content, customs, holders, clock)
        self._rolekeys = rolekeys
        self._mesh_id = mesh_id
        self._may_write = may_write
        self._max_content_bytes = max_content_bytes
        self._chain_of = chain_of
        self._written = written
        self._elsewhere = elsewhere
        self._plaintexts = Plaintexts(cache_bytes)
        self._obtain = obtain

    async def check(self, raw_header: bytes, plaintext: bytes, writer: Writer) -> Pending:
        """Verify a signed header against its plaintext and writer, and encrypt; nothing is stored yet.

        Content over 256 KiB is worked on in a thread, and over ``inline_bytes`` its file is written
        here. It is encrypted for the epoch in force here, whichever its author knew. Raises
        ``InvalidEnvelope``, ``InvalidAddress`` or ``TooLarge`` for a header that cannot be used,
        ``NotAllowed`` when this writer may not write there, ``BadInput`` for readers without a key,
        ``NotReady`` where no epoch is known yet, ``DiskFull``.
        """
        self._check_size(min(self._max_content_bytes, WHOLE_BYTES), len(plaintext))
        header = self.check_header(raw_header, writer)
        pending = self.pending(raw_header, header, writer, await self._seal(header, plaintext))
        self._plaintexts.put(pending.id, plaintext, frozenset((*header.readers, writer.role)))
        return pending

    def check_header(self, raw_header: bytes, writer: Writer) -> VersionHeader:
        """Verify a signed header against who writes, as ``check`` does, while its content is still to come."""
        envelope, header = open_version(raw_header, self._mesh_id)
        check_writer(header, envelope.author, writer, self._may_write)
        check_now(header, self._clock())
        self._check_size(self._max_content_bytes, header.size)
        return header

    @staticmethod
    def _check_size(limit: int, size: int) -> None:
        if size > limit:
            raise TooLarge(f"content of {size} bytes is over the limit of {limit}", size=size, limit=limit)

    def pending(self, raw_header: bytes, header: VersionHeader, writer: Writer, blob: Blob) -> Pending:
        """A checked header with its encrypted content, ready for ``insert`` or ``store``."""
        self._written()
        assert writer.key is not None
        return Pending(
            version_id(raw_header), header, raw_header, writer.key, writer.role, blob,
            chain=tuple(self._chain_of(writer.key)), owed=tuple(self._holders(header.address)),
        )  # fmt: skip

    def let_go(self, id: str) -> None:
        """The content of a version went by the retention rule: it is not read from memory either."""
        self._plaintexts.drop(id)

    async def put(self, raw_header: bytes, plaintext: bytes, writer: Writer) -> str:
        """Check and store a version; durable when its id is returned. Raises as ``check`` and the journal do."""
        return await self.store(await self.check(raw_header, plaintext, writer))

    async def get(self, address: str | Address, roles: Iterable[str]) -> Found:
        """The version that ``address`` with its temporal part names, for a caller of ``roles``.

        Raises ``NotFound``, ``NotAllowed`` when no role of the caller may read it, ``BadInput`` for
        ``*~``, ``StorageFailed`` when it is damaged.
        """
        wanted = parse(address) if isinstance(address, str) else address
        complete = await self._unite(wanted)
        found = await self._open(await self._journal.read(partial(rows.find, address=wanted)), roles)
        return found if complete else replace(found, complete=False)

    async def get_id(self, id: str, roles: Iterable[str]) -> Found:
        """The version with this id; raises as ``get`` does."""
        check_id(id)
        try:
            row = await self._journal.read(partial(rows.find_id, id=id))
        except NotFound:
            if self._elsewhere is None or not await self._elsewhere.obtain(id, None):
                raise
            row = await self._journal.read(partial(rows.find_id, id=id))
        return await self._open(row, roles)

    async def content(self, id: str, roles: Iterable[str]) -> bytes:
        """The plaintext of the version with this id, from memory where it is there; raises as ``get`` does."""
        held = self._plaintexts.get(id)
        if held is not None and not held.readers.isdisjoint(roles):
            return held.plaintext
        return (await self.get_id(id, roles)).content

    async def show(self, address: str | Address) -> VersionRow:
        """What every member may see of a version: all but its content."""
        wanted = parse(address) if isinstance(address, str) else address
        return await self._journal.read(partial(rows.find, address=wanted))

    async def list(self, pattern: str | Address | None = None, *, after: str = "", limit: int = 100) -> Listing:
        """Addresses that ``pattern`` finds (``any`` matches every value, a path all below it), by name."""
        wanted = parse(pattern) if isinstance(pattern, str) else pattern
        return await self._journal.read(partial(rows.listing, pattern=wanted, after=after, limit=limit))

    async def history(self, address: str | Address, *, after: int = 0, limit: int = 100) -> History:
        """The versions of an address by number; ``NotFound`` when nothing is stored there."""
        wanted = parse(address) if isinstance(address, str) else address
        complete = await self._unite(wanted)
        found = await self._journal.read(partial(rows.history, base=wanted.base, after=after, limit=limit))
        return found if complete else replace(found, complete=False)

    async def pick(self, address: str | Address, roles: Iterable[str]) -> tuple[VersionRow, bool]:
        """As ``get``, but without the content, which may be large or elsewhere; and whether all holders were asked."""
        wanted = parse(address) if isinstance(address, str) else address
        complete = await self._unite(wanted)
        row = await self._journal.read(partial(rows.find, address=wanted))
        _check_reader(row, set(roles))
        return row, complete

    async def heads(self, address: str | Address) -> tuple[str, ...]:
        """The versions that a new one builds on: none for a new address, several for a conflict."""
        wanted = parse(address) if isinstance(address, str) else address
        await self._unite(wanted)
        return await self._journal.read(partial(rows.current_heads, base=wanted.base))

    async def _unite(self, address: Address) -> bool:
        return self._elsewhere is None or await self._elsewhere.unite(address)

    async def diff(self, address: str | Address, a: str, b: str, roles: Iterable[str]) -> str:
        """The unified diff between two versions of an address: "" when equal, one line for binary content.

        ``a`` and ``b`` are temporal parts (``*~1``, ``~~1``, ``*^``), numbers, or version ids.
        """
        wanted, held = parse(address) if isinstance(address, str) else address, tuple(roles)
        one, two = await self._pick(wanted, a, held), await self._pick(wanted, b, held)
        return await asyncio.to_thread(difference, one.content, two.content, _name(one), _name(two))

    async def head_record(self, address: str | Address, writer: bytes) -> HeadRecord:
        """What this node announces of one writer's versions at an address; ``NotFound`` when there are none."""
        base = _base(address)
        headers, count = await self._journal.read(partial(rows.writer_heads, base=base, writer=writer, limit=MAX_HEADS))
        return HeadRecord(base, tuple(headers), count, self._clock())

    async def _open(self, row: VersionRow, roles: Iterable[str]) -> Found:
        readers = _check_reader(row, set(roles))
        held = self._plaintexts.get(row.id)
        if held is not None:
            return Found(row, held.plaintext)
        if row.header.size > WHOLE_BYTES:
            raise TooLarge(
                f"the content of version {row.id} has {row.header.size} bytes, too many to be had at once; "
                "write it to a file: bzzz context get --output PATH",
                size=row.header.size,
                limit=WHOLE_BYTES,
            )
        plaintext = await self._decrypt_anywhere(row)
        self._plaintexts.put(row.id, plaintext, readers)
        return Found(row, plaintext)

    async def _decrypt_anywhere(self, row: VersionRow) -> bytes:
        """What is here, or what another node has where that is missing or damaged."""
        for attempt in range(_ATTEMPTS):
            try:
                return await self._decrypt(row)
            except NoRoleKey:
                raise
            except (StorageFailed, Unavailable, NotAllowed):  # no secret that should fit opens it: it is damaged
                if self._elsewhere is None or not await self._elsewhere.obtain(row.id, row.address, attempt):
                    raise
            row = await self.show_id(row.id)
        return await self._decrypt(row)

    async def _decrypt(self, row: VersionRow) -> bytes:
        header = row.header
        if version_id(row.raw) != row.id:
            raise StorageFailed(f"the header of version {row.id} is damaged; restore a backup", version_id=row.id)
        if not row.here and await self._journal.read(
            lambda connection: letting_go.was_let_go(connection, bytes.fromhex(row.id))
        ):
            raise NotFound(
                f"the content of version {row.id} was let go by this mesh's retention rule (storage.keep_versions, "
                "storage.keep_s); its header and its place in the history stay",
                version_id=row.id,
            )
        if not row.here:
            raise Unavailable(
                f"the content of version {row.id} is not on this node, and no node that has it was reached",
                version_id=row.id,
            )
        ciphertext = await self._content.read(row.blob)
        try:
            plaintext = await self._open_content(row, ciphertext)
        except NoRoleKey:
            await self._obtain(header.readers)
            plaintext = await self._open_content(row, ciphertext)
        if plaintext is None:
            raise StorageFailed(f"the content of version {row.id} is not what its author signed", version_id=row.id)
        return plaintext

    async def _seal(self, header: VersionHeader, plaintext: bytes) -> Blob:
        epoch = self._rolekeys.epoch  # it may change while a thread works
        if len(plaintext) <= LARGE_BYTES:
            ciphertext = self._encrypt(header, plaintext, epoch)
        else:
            ciphertext = await asyncio.to_thread(self._encrypt, header, plaintext, epoch)
        return await self._content.stage(ciphertext, epoch.tag if epoch is not None else b"")

    def _encrypt(self, header: VersionHeader, plaintext: bytes, epoch: Epoch | None) -> bytes:
        if not header.matches(plaintext):
            raise InvalidEnvelope("the signed digest and size are not those of this content; sign what is sent")
        return self._rolekeys.encrypt(header.readers, plaintext, epoch)

    async def _open_content(self, row: VersionRow, ciphertext: bytes) -> bytes | None:
        if len(ciphertext) <= LARGE_BYTES:
            return self._decrypted(row, ciphertext)
        return await asyncio.to_thread(self._decrypted, row, ciphertext)

    def _decrypted(self, row: VersionRow, ciphertext: bytes) -> bytes | None:
        header = row.header
        plaintext = self._rolekeys.decrypt(ciphertext, header.readers, tag=row.blob.sealed, number=header.epoch)
        return plaintext if header.matches(plaintext) else None

    async def _pick(self, address: Address, which: str, roles: tuple[str, ...]) -> Found:
        if ID.fullmatch(which):
            found = await self.get_id(which, roles)
            if found.version.address != address.base:
                raise BadInput(f"version {which} belongs to {found.version.address}, not to {address.base}")
            return found
        return await self.get(address.at(_temporal(which)), roles)


def _check_reader(row: VersionRow, asking: set[str]) -> frozenset[str]:
    """The roles that may read a version, if one of ``asking`` is among them; else ``NotAllowed``."""
    readers = frozenset((*row.header.readers, row.writer_role))
    if not asking & readers:
        raise NotAllowed(
            f"{row.address} is for {', '.join(row.header.readers)}; this caller's role is "
            f"{', '.join(sorted(asking)) or 'none'}",
            readers=list(row.header.readers),
        )
    return readers


def _temporal(which: str) -> Temporal:
    try:
        return parse(f"ucxl://a:a@a:a/{f'*~{which}' if which.isdecimal() else which}/").temporal
    except InvalidAddress as error:
        raise InvalidTemporal(
            f"{which[:80]!r} names no version: use *^, *~N, ~~N, ^^N, a number from 1, or a version id", position=0
        ) from error


def _base(address: str | Address) -> str:
    return (parse(address) if isinstance(address, str) else address).base


def _name(found: Found) -> str:
    return parse(found.version.address).canonical.replace("/*^/", f"/*~{found.version.number}/")
