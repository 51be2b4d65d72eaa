"""Revocations as they are signed: one numbered list, each on top of those before it.

A list names keys (of persons, nodes, agents) whose grants up to a time are void, single grants, and
administrators together with the serial from which what they signed is void. Nodes go by all lists that
stand, taken together, so that a list which lost its number to another still takes back what it names;
the next list holds it all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from bzzzd.errors import UNREADABLE, InvalidEnvelope, TooLarge
from bzzzd.identity.grants import Key, Revocations, Seconds

Digest = Annotated[bytes, Meta(min_length=32, max_length=32)]
Serial = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_MOST: Final = 20_000
_MOST_STANDING: Final = 64


class Revoked(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The key's grants up to ``at`` (Unix seconds) are void."""

    key: Key
    at: Seconds


class Removed(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An administrator's grants from ``serial`` on are void, and its charter documents but those of ``stand``."""

    key: Key
    serial: Serial
    stand: Annotated[tuple[Digest, ...], Meta(max_length=_MOST_STANDING)] = ()


class RevocationList(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The payload of a charter document of kind ``revocations``."""

    number: Annotated[int, Meta(ge=1, le=2**53)]
    at: Seconds
    keys: Annotated[tuple[Revoked, ...], Meta(max_length=_MOST)] = ()
    grants: Annotated[tuple[tuple[Key, Serial], ...], Meta(max_length=_MOST)] = ()
    admins: Annotated[tuple[Removed, ...], Meta(max_length=_MOST)] = ()

    @property
    def named(self) -> frozenset[bytes]:
        """The keys that it takes something from."""
        return frozenset(each.key for each in self.keys) | {each.key for each in self.admins}


_DECODER: Final = msgspec.msgpack.Decoder(RevocationList)


def read_list(payload: bytes) -> RevocationList:
    try:
        return _DECODER.decode(payload)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"a signed list of revocations has a wrong shape: {error}") from error


def together(number: int, lists: Iterable[RevocationList]) -> Revocations:
    """What all of ``lists`` take back; the order of ``lists`` does not matter."""
    keys: dict[bytes, float] = {}
    grants: set[tuple[bytes, int]] = set()
    issuers: dict[bytes, int] = {}
    stand: dict[bytes, frozenset[bytes]] = {}
    for each in lists:
        for revoked in each.keys:
            keys[revoked.key] = max(revoked.at, keys.get(revoked.key, revoked.at))
        grants.update(each.grants)
        for removed in each.admins:
            issuers[removed.key] = min(removed.serial, issuers.get(removed.key, removed.serial))
            stays = frozenset(removed.stand)
            stand[removed.key] = stays & stand.get(removed.key, stays)
    return Revocations(number=number, keys=keys, grants=frozenset(grants), issuers=issuers, stand=stand)


def next_list(
    known: Revocations,
    *,
    at: float,
    keys: Iterable[bytes] = (),
    grants: Iterable[tuple[bytes, int]] = (),
    admins: Iterable[Removed] = (),
) -> RevocationList:
    """The list that follows ``known``: all of it, and what is added now. Raises ``TooLarge`` when it is full."""
    added = together(0, [RevocationList(number=1, at=at, grants=tuple(grants), admins=tuple(admins))])
    revoked = {**known.keys, **dict.fromkeys(keys, at)}
    issuers = {**known.issuers}
    stand = {**known.stand}
    for key, serial in added.issuers.items():
        issuers[key] = min(serial, issuers.get(key, serial))
        stand[key] = added.stand[key] & stand.get(key, added.stand[key])
    found = RevocationList(
        number=known.number + 1, at=at,
        keys=tuple(Revoked(key, when) for key, when in sorted(revoked.items())),
        grants=tuple(sorted(known.grants | added.grants)),
        admins=tuple(Removed(key, serial, tuple(sorted(stand[key]))) for key, serial in sorted(issuers.items())),
    )  # fmt: skip
    if max(len(found.keys), len(found.grants), len(found.admins)) > _MOST:
        raise TooLarge(f"the list of revocations is full: it holds at most {_MOST} of each", limit=_MOST)
    return found
