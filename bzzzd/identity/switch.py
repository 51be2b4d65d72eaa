"""From a lone node's own mesh into the one that let it in: decided in one write, carried out at the next start.

    STATE/joining       the decision: chain, authority, the inviter's addresses; whole or absent
    STATE/before/MESH/  everything of the mesh that was left, put aside, not deleted
    STATE/inviter       addresses of the member that let this node in, to be dialled first

The write of the decision is the one step that makes a member. What follows can be cut short anywhere: the
next start does what is left of it, and only then takes the decision away.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from bzzzd.crypto.keys import read_private, write_private
from bzzzd.errors import UNREADABLE, BadInput, NotFound
from bzzzd.identity.grants import Key
from bzzzd.identity.node import read_grants, write_grant

JOINING: Final = "joining"
BEFORE: Final = "before"
INVITER: Final = "inviter"
_LIMIT: Final = 131_072


class Switch(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``left`` is the mesh id of before; ``peers`` are multiaddrs with ``/p2p/ID`` of members to dial first."""

    left: Annotated[str, Meta(pattern=r"^[a-z0-9]{1,64}\Z")]
    authority: Key
    chain: tuple[bytes, ...]
    peers: Annotated[tuple[str, ...], Meta(max_length=16)] = ()


_DECODER: Final = msgspec.msgpack.Decoder(Switch)


def decide(state: Path, switch: Switch) -> None:
    """Write the decision. Blocking; durable when it returns."""
    write_private(state / JOINING, msgspec.msgpack.encode(switch), replace=True)


def pending(state: Path) -> Switch | None:
    """The decision that has not been carried out yet."""
    try:
        return _DECODER.decode(read_private(state / JOINING, _LIMIT))
    except NotFound:
        return None
    except UNREADABLE as error:
        raise BadInput(f"{state / JOINING} is damaged; take it away, start again, and join again") from error


def carry_out(state: Path, grants: Path, keep: Iterable[Path]) -> Switch | None:
    """Put the old mesh's things aside and the new grant in place; gives the switch, if there was one.

    Of ``state`` only ``keep`` (this node's own keys) and locks stay. Blocking; done again after a crash it does the
    rest.
    """
    switch = pending(state)
    if switch is None:
        return None
    aside = state / BEFORE / switch.left
    stay = {path.absolute() for path in keep} | {(state / name).absolute() for name in (JOINING, BEFORE)}
    _put_aside(state, aside, stay | {grants.absolute()})
    for path, file in list(read_grants(grants)):
        if file.authority != switch.authority:
            _move(path, aside / "grants" / path.name)
    write_private(state / INVITER, "\n".join(switch.peers).encode("utf-8"), replace=True)
    write_grant(grants, "node", switch.authority, switch.chain)
    (state / JOINING).unlink()
    return switch


def inviter_addresses(state: Path) -> tuple[str, ...]:
    """Multiaddrs, with ``/p2p/ID``, of the member that let this node in; empty on a founder."""
    try:
        return tuple(read_private(state / INVITER, _LIMIT).decode("utf-8", "replace").split())
    except NotFound:
        return ()


def _put_aside(folder: Path, aside: Path, stay: set[Path]) -> None:
    for path in sorted(folder.iterdir()):
        if path.absolute() in stay or path.suffix == ".lock":
            continue
        if path.is_dir() and any(path.absolute() in kept.parents for kept in stay):
            _put_aside(path, aside / path.name, stay)
        else:
            _move(path, aside / path.name)


def _move(path: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if target.exists():  # of an earlier membership of that mesh: the newer one is what is wanted back
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    path.rename(target)
