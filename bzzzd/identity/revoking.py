"""What a person means who takes a member's rights back: which keys, and what of an administrator's word stays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from bzzzd.errors import BadInput, NotFound
from bzzzd.identity.revocations import Removed


class Subject(Struct, frozen=True):
    """One key whose holder is meant; ``admin`` where it speaks as an administrator."""

    key: bytes
    kind: str
    id: str
    admin: bool


def subjects(rows: Iterable[Mapping[str, Any]], name: str, kind: str | None = None) -> list[Subject]:
    """The members that ``name`` means: an id, or a key in hexadecimal. ``rows`` is what mesh.members answers.

    Raises ``NotFound``, and ``BadInput`` when members of several kinds have this id and ``kind`` names none.
    """
    listed = [
        Subject(bytes.fromhex(row["key"]), row["kind"], row["id"], bool(row["admin"]))
        for row in rows
        if name in (row["id"], row["key"]) and kind in (None, row["kind"])
    ]
    kinds = sorted({each.kind for each in listed})
    if len(kinds) > 1:
        raise BadInput(
            f"{name} is the id of members of several kinds ({', '.join(kinds)}); say which: --kind {kinds[0]}"
        )
    if not listed:
        what = f"no {kind}" if kind else "no member"
        raise NotFound(f"{what} is called {name}; see: bzzz mesh members")
    return listed


def removal(key: bytes, serial: int, documents: Iterable[tuple[bytes, bytes]], *, everything: bool) -> Removed:
    """An administrator's removal: what it signed from ``serial`` on is void, or ``everything`` that it ever signed.

    ``documents`` are (author, digest) of those in force: unless everything goes, its own among them stay.
    """
    if everything:
        return Removed(key, 0)
    return Removed(key, serial, tuple(sorted(digest for author, digest in documents if author == key)))


def said(found: Sequence[Subject]) -> str:
    """Who was meant, for people."""
    return ", ".join(sorted({f"{each.kind} {each.id}" for each in found}))
