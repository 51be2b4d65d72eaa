"""The join protocol's name and its frames: either side's chain, consent or refusal, or an invitation's id."""

from __future__ import annotations

from typing import Annotated, Final

from libp2p.custom_types import TProtocol
from msgspec import Meta, Struct

from bzzzd.mesh.values import JOIN_PROTOCOL, MAX_PAPERS_BYTES

JOIN: Final = TProtocol(JOIN_PROTOCOL)


class JoinFrame(Struct, frozen=True, omit_defaults=True):
    """What either side says: its chain, its consent, or why it refuses. Unknown fields are skipped.

    A first frame with ``invitation`` is the opening of a joiner that has no chain yet. ``heads`` says which
    revocations a side knows, and ``papers`` brings those that the other does not. ``alone`` says that the dialler
    has no other connection to the listener, whatever that one still believes to have. ``renewed`` is a newer
    chain for a dialler whose own has ended.
    """

    chain: Annotated[tuple[bytes, ...], Meta(max_length=8)] = ()
    ok: bool = False
    refused: str = ""
    invitation: Annotated[bytes, Meta(max_length=16)] = b""
    heads: Annotated[bytes, Meta(max_length=4096)] = b""
    alone: bool = False
    renewed: Annotated[tuple[bytes, ...], Meta(max_length=8)] = ()
    papers: Annotated[bytes, Meta(max_length=MAX_PAPERS_BYTES)] = b""
