"""Speakers and messages for tests of the rules of threads."""

from __future__ import annotations

import hashlib

from bzzzd.hmmm.message import Kind
from bzzzd.hmmm.thread import Said, Speaker

ALICE = Speaker("alice", "person", "operator", b"a" * 32)
BOB = Speaker("bob", "agent", "worker", b"b" * 32)
CAROL = Speaker("carol", "agent", "reviewer", b"c" * 32)


def speaker(number: int, kind: str = "agent") -> Speaker:
    return Speaker(f"{kind}-{number}", kind, "worker", number.to_bytes(32, "big"))


def said(
    by: Speaker, kind: Kind, at: float, *, reply_to: Said | str | None = None, window_s: float = 0.0, salt: int = 0
) -> Said:
    """A message; its id is made from what it says."""
    target = reply_to.id if isinstance(reply_to, Said) else reply_to
    name = hashlib.sha256(f"{by.name} {kind} {at} {target} {window_s} {salt}".encode()).hexdigest()
    return Said(f"h-{name[:26]}", kind, at, by, target, window_s)
