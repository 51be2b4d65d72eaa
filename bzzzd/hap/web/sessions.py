"""Who may use the portal in a browser: a one-time word from the URL, exchanged for a session. Pure but for chance.

    URL with a fresh word ──enter (once)──▶ session: cookie + key ──IDLE_S unused, or end──▶ gone
                     └──▶ the next word is made, so that one more browser can be let in

A cookie is sent to every port of its host, also to another user's server there, so the cookie alone opens nothing:
each request also names the session's key, which the page keeps in storage that belongs to this port alone. A page of
another origin knows neither (it is the token against forged requests, too).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Any

IDLE_S = 12 * 3600.0
MAX_SESSIONS = 8
KEPT_ANSWERS = 256
_BYTES = 32


class Bucket:
    """At most ``rate`` a second over time, ``burst`` at once. ``now`` is any clock's seconds."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._at = now

    def take(self, now: float) -> bool:
        """Whether one more may pass."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Session:
    """One browser that was let in. ``answers`` keeps what its last requests were answered, by their id."""

    def __init__(self, cookie: str, key: str, now: float, bucket: Bucket) -> None:
        self.cookie = _digest(cookie)
        self.key = _digest(key)
        self.used = now
        self.bucket = bucket
        self.ended = False
        self._answers: dict[str, Any] = {}

    def is_of(self, cookie: str) -> bool:
        """Whether this is the session's cookie."""
        return secrets.compare_digest(self.cookie, _digest(cookie))

    def answered(self, re: str) -> Any:
        """What the request of this id was answered, or None: a request that comes twice is done once."""
        return self._answers.get(re)

    def keep(self, re: str, answer: Any) -> None:
        self._answers[re] = answer
        while len(self._answers) > KEPT_ANSWERS:
            del self._answers[next(iter(self._answers))]


class Sessions:
    """The word that lets the next browser in, and the browsers that are in. ``clock`` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float], rate: float = 20.0, burst: float = 60.0) -> None:
        self._clock = clock
        self._rate = rate
        self._burst = burst
        self._sessions: list[Session] = []
        self._tries = Bucket(1.0, 10.0, clock())
        self.word = secrets.token_urlsafe(_BYTES)

    def __len__(self) -> int:
        return len(self._sessions)

    def may_try(self) -> bool:
        """Whether one more wrong word is taken as such, and not as one of too many."""
        return self._tries.take(self._clock())

    def enter(self, word: str) -> tuple[Session, str, str] | None:
        """Let a browser in by the word; gives its session, cookie and key. The word is used up by that."""
        if not secrets.compare_digest(_digest(word), _digest(self.word)):
            return None
        self.word = secrets.token_urlsafe(_BYTES)
        cookie, key = secrets.token_urlsafe(_BYTES), secrets.token_urlsafe(_BYTES)
        now = self._clock()
        self._forget(now)
        while len(self._sessions) >= MAX_SESSIONS:
            self.end(min(self._sessions, key=lambda one: one.used))
        session = Session(cookie, key, now, Bucket(self._rate, self._burst, now))
        self._sessions.append(session)
        return session, cookie, key

    def find(self, cookie: str, key: str) -> Session | None:
        """The session of this cookie and key, used now; None when there is none, or it was unused for too long."""
        now = self._clock()
        self._forget(now)
        wanted = _digest(key)
        for session in self._sessions:
            if session.is_of(cookie) and secrets.compare_digest(session.key, wanted):
                session.used = now
                return session
        return None

    def end(self, session: Session) -> None:
        session.ended = True
        if session in self._sessions:
            self._sessions.remove(session)

    def _forget(self, now: float) -> None:
        for session in [one for one in self._sessions if now - one.used > IDLE_S]:
            self.end(session)


def _digest(text: str) -> bytes:
    """What is kept and compared instead of a secret, always of one length."""
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
