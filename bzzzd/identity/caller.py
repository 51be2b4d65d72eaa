"""Who is calling: the frozen result of accepting a connection and attaching a session."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

CallerKind = Literal["guest", "agent", "person", "admin", "node"]


class Caller(Struct, frozen=True):
    """``uid``, ``gid`` and ``pid`` come from SO_PEERCRED; everything else from a grant.

    A caller without a grant is a ``guest``: it has no key and an empty role.
    """

    uid: int
    gid: int
    pid: int
    kind: CallerKind = "guest"
    id: str = ""
    role: str = ""
    capabilities: frozenset[str] = frozenset()
    key: bytes | None = None
