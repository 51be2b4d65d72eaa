"""Requests to join that wait for a person's word: in memory, few, and gone when nobody asks any more.

A joiner comes again every second or two while it waits. After a restart of the inviter its next ask
opens the request anew, with another nonce and so another code, which both sides then show.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bzzzd.errors import NotFound, Overloaded
from bzzzd.identity.invitation import Ask, Invitation, refused, short_code

MAX_WAITING: Final = 64
MAX_PER_INVITATION: Final = 8
_NONCE_BYTES: Final = 16
_FORGET_S: Final = 60.0


@dataclass(slots=True)
class Request:
    """One joiner's wish. ``seen`` is when it last asked, on the clock of the desk; ``since`` is Unix time."""

    invitation: Invitation
    ask: Ask
    raw: bytes
    nonce: bytes
    code: str
    address: str
    carrier: str
    since: float
    seen: float
    refused: bool = False


class Requests:
    """By invitation and key. ``code_of(raw, key, nonce)`` makes the short code; ``clock`` counts seconds."""

    def __init__(self, authority: bytes, inviter: bytes, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self._authority = authority
        self._inviter = inviter
        self._clock = clock
        self._wall = wall
        self._waiting: dict[tuple[bytes, bytes], Request] = {}

    def ask(self, invitation: Invitation, ask: Ask, raw: bytes, *, address: str, carrier: str) -> tuple[Request, bool]:
        """The request of this ask, and whether it is new. Raises ``InvitationRefused`` where a person said no."""
        now = self._clock()
        self._forget(now)
        place = (ask.invitation, ask.key)
        found = self._waiting.get(place)
        if found is not None and found.refused:
            found.seen = now
            raise refused("refused", f"the inviter refused {ask.id}; ask them why, and for a new invitation")
        if found is not None and found.raw == raw:
            found.seen = now
            return found, False
        others = [one for one in self._waiting.values() if one is not found]
        of_this = sum(one.ask.invitation == ask.invitation for one in others)
        if len(others) >= MAX_WAITING or of_this >= MAX_PER_INVITATION:
            raise Overloaded("too many wait to be let in here; have them confirmed or refused (bzzz mesh requests)")
        nonce, code = self._mark(raw, ask.key, {one.code for one in others})
        request = Request(invitation, ask, raw, nonce, code, address, carrier, self._wall(), now)
        self._waiting[place] = request
        return request, True

    def _mark(self, raw: bytes, key: bytes, taken: set[str]) -> tuple[bytes, str]:
        """A nonce whose code no other request shows."""
        while True:
            nonce = secrets.token_bytes(_NONCE_BYTES)
            code = short_code(self._authority, self._inviter, raw, key, nonce)
            if code not in taken:
                return nonce, code

    def all(self) -> list[Request]:
        self._forget(self._clock())
        return [one for one in self._waiting.values() if not one.refused]

    def find(self, code: str) -> Request:
        """The request that shows ``code``, however it was typed; raises ``NotFound``."""
        wanted = "".join(char for char in code if char.isdigit())
        for one in self.all():
            if one.code.replace(" ", "") == wanted:
                return one
        raise NotFound(
            f"nobody waits with the code {code[:20]}; bzzz mesh requests lists who does, and a joiner that "
            "left is listed again when it comes back"
        )

    def done(self, request: Request) -> None:
        """It has its grant."""
        self._waiting.pop((request.ask.invitation, request.ask.key), None)

    def refuse(self, request: Request) -> None:
        """Remember the no for as long as the joiner goes on asking."""
        request.refused = True

    def _forget(self, now: float) -> None:
        for place, one in list(self._waiting.items()):
            if now - one.seen > _FORGET_S:
                del self._waiting[place]
