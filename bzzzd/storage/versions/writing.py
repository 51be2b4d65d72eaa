"""Who may write a version here, and when: the checks of a signed header that is new."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bzzzd.errors import InvalidEnvelope, NotAllowed
from bzzzd.storage.versions.adopt import FUTURE_S
from bzzzd.ucxl.address import Address, parse
from bzzzd.ucxl.version import VersionHeader


class Writer(Protocol):
    """Who writes, as its grant says; ``Caller``, the ledger's ``Author`` and an adopted version's are such."""

    @property
    def id(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def key(self) -> bytes | None: ...


def check_writer(
    header: VersionHeader, key: bytes, writer: Writer, may_write: Callable[[Writer, Address], bool]
) -> None:
    """Refuse (``NotAllowed``) a header that was signed by another ``key`` than the writer's, or a foreign address."""
    if key != writer.key or header.author != writer.id:
        raise NotAllowed(f"this version is signed as {header.author!r} by another key than that of {writer.id!r}")
    address = parse(header.address)
    if address.is_pattern:
        raise NotAllowed(f"{header.address} names no single thing: `any` finds and is never written")
    own = (address.agent, address.role) == (writer.id, writer.role)
    if not own and not may_write(writer, address):
        raise NotAllowed(
            f"{writer.id} ({writer.role}) may not write {header.address}: write under "
            f"ucxl://{writer.id}:{writer.role}@…, or ask an administrator to allow it in etc/roles.yaml",
            address=header.address,
        )


def check_now(header: VersionHeader, now: float) -> None:
    """Refuse a header of the future."""
    ahead = header.at - now
    if ahead > FUTURE_S:
        raise InvalidEnvelope(f"this version is dated {ahead:.0f} s in the future; set its author's clock")
