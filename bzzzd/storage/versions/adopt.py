"""A version as it travels between nodes, and what a node checks before it takes one from another.

Taking needs no role secret: the signed header, the writer's grants and the name of the ciphertext are
checked; what the ciphertext says is checked by whoever reads it, against the digest in the header.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Annotated, Final

from msgspec import Meta, Struct

from bzzzd.crypto.keys import PUBLIC_BYTES
from bzzzd.errors import GrantRefused, InvalidEnvelope, NotAllowed
from bzzzd.identity.grants import CHAIN_LIMIT, CLOCK_TOLERANCE_S, GRANT_LIMIT, Grant, Trust
from bzzzd.storage.versions.content import Blob
from bzzzd.storage.versions.naming import HASH_BYTES, name_of
from bzzzd.storage.versions.rows import Pending
from bzzzd.ucxl.address import Address, parse
from bzzzd.ucxl.version import HEADER_LIMIT, open_version

# Content up to this size travels inside of a message; larger content in chunks, before its header.
CARRIED_BYTES: Final = 262_144
FUTURE_S: Final = 30.0
# age: a head with up to 64 recipients, and 16 bytes for each 64 KiB.
_HEAD_BYTES: Final = 65_536
_KNOWN_CHAINS: Final = 1024


class Carried(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One version: its raw signed ``header``, the ``chain`` of its writer's grants (leaf first), its ciphertext.

    ``hash`` and ``size`` name the ciphertext, ``sealed`` is the tag of the epoch that it is for; ``data`` is
    empty (None) when it travels on its own.
    """

    header: Annotated[bytes, Meta(min_length=1, max_length=HEADER_LIMIT)]
    chain: Annotated[
        tuple[Annotated[bytes, Meta(max_length=GRANT_LIMIT)], ...], Meta(min_length=1, max_length=CHAIN_LIMIT)
    ]
    hash: Annotated[bytes, Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]
    size: Annotated[int, Meta(ge=0, le=2**53)]
    sealed: Annotated[bytes, Meta(max_length=64)] = b""
    data: Annotated[bytes, Meta(max_length=CARRIED_BYTES)] | None = None

    @property
    def id(self) -> str:
        """The version's id."""
        return hashlib.sha256(self.header).hexdigest()

    @property
    def weight(self) -> int:
        """About how many bytes it takes on the wire."""
        return len(self.header) + sum(map(len, self.chain)) + len(self.data or b"") + 64


class Author(Struct, frozen=True):
    """A writer as its grant says."""

    id: str
    role: str
    key: Annotated[bytes, Meta(min_length=PUBLIC_BYTES, max_length=PUBLIC_BYTES)]


class Customs:
    """Checks what comes from other nodes. ``may_write`` is policy's word on addresses that are not a writer's own."""

    def __init__(self, trust: Trust, may_write: Callable[[Author, Address], bool], clock: Callable[[], float]) -> None:
        self._trust = trust
        self._may_write = may_write
        self._clock = clock
        self._chains: OrderedDict[tuple[bytes, ...], tuple[Grant, ...]] = OrderedDict()

    def check(self, carried: Carried, *, here: bool) -> Pending:
        """The version, ready to be inserted; ``here`` says that its ciphertext is held already.

        Raises ``InvalidEnvelope``, ``InvalidAddress``, ``GrantRefused`` or ``NotAllowed``.
        """
        envelope, header = open_version(carried.header, self._trust.mesh_id)
        ahead = header.at - self._clock()
        if ahead > FUTURE_S:
            raise InvalidEnvelope(
                f"this version is dated {ahead:.0f} s in the future; set its author's clock", at=header.at
            )
        writer = self.writer(carried.chain, header.at)
        if (envelope.author, header.author) != (writer.key, writer.id):
            raise NotAllowed(
                f"version {envelope.id} is signed as {header.author!r} by a key that its grants do not name"
            )
        self._check_address(parse(header.address), writer)
        if not header.size <= carried.size <= header.size + header.size // 64 + _HEAD_BYTES:
            raise InvalidEnvelope(f"{carried.size} bytes are no ciphertext of the {header.size} bytes of {envelope.id}")
        if carried.data is not None and (len(carried.data), name_of(carried.data)) != (carried.size, carried.hash):
            raise InvalidEnvelope(f"the content that came with version {envelope.id} is not what it is named")
        blob = Blob(carried.hash, carried.size, carried.data, carried.sealed)
        whole = here or carried.data is not None
        return Pending(
            envelope.id, header, carried.header, envelope.author, writer.role, blob, carried.chain, here=whole
        )

    def writer(self, chain: Sequence[bytes], at: float) -> Author:
        """Who writes by ``chain`` at the Unix time ``at``.

        A grant that has ended since, or whose holder was removed later, was good for what was written before.
        """
        grants = self._open(tuple(chain), at)
        void = self._trust.revocations
        for place, grant in enumerate(grants):
            if not grant.not_before - CLOCK_TOLERANCE_S <= at <= grant.not_after:
                raise GrantRefused(f"the grant of {grant.kind} {grant.id} did not hold when this version was written")
            if (grant.issuer, grant.serial) in void.grants or grant.serial >= void.issuers.get(grant.issuer, 2**64):
                raise GrantRefused(f"the grant of {grant.kind} {grant.id} was revoked")
            # What a removed administrator granted before stays; what a removed node's agents write does not.
            ended = void.keys.get(grant.key) if place == 0 or grant.kind == "node" else None
            if ended is not None and at > ended:
                raise GrantRefused(f"this version was written after {grant.kind} {grant.id} had been removed")
        leaf = grants[0]
        return Author(leaf.id, leaf.role, leaf.key)

    def _open(self, chain: tuple[bytes, ...], at: float) -> tuple[Grant, ...]:
        """A chain's grants, signatures and delegations checked; each chain once."""
        known = self._chains.get(chain)
        if known is not None:
            self._chains.move_to_end(chain)
            return known
        trust = Trust(self._trust.mesh_id, self._trust.authority)  # without revocations, which have a time here
        trust.admit(chain, now=at)
        grants = tuple(trust.read_leaf((raw,)) for raw in chain)
        self._chains[chain] = grants
        while len(self._chains) > _KNOWN_CHAINS:
            self._chains.popitem(last=False)
        return grants

    def _check_address(self, address: Address, writer: Author) -> None:
        if address.is_pattern:
            raise NotAllowed(f"{address.base} names no single thing: `any` finds and is never written")
        own = (address.agent, address.role) == (writer.id, writer.role)
        if not own and not self._may_write(writer, address):
            raise NotAllowed(f"{writer.id} ({writer.role}) may not write {address.base}", address=address.base)
