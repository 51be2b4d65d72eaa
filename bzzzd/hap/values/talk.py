"""Conversations as values: threads, what was said on them, and the order in which it is read. Pure.

Strings in here are clean: ``feeds/talk.py`` makes these values. Times are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

MOST_THREADS = 1000
MOST_SPOKEN = 30
MOST_TEXT = 2_000_000
"""Code points of messages that are kept for the time without bzzzd."""
_DEEPEST = 200


class Thread(Struct, frozen=True):
    """A thread as a list shows it; ``window_ends`` is 0 when no objection window runs."""

    id: str
    task: str = ""
    subject: str = ""
    participants: tuple[str, ...] = ()
    count: int = 0
    last_at: float = 0
    last_kind: str = ""
    last_by: str = ""
    state: str = "open"
    window_ends: float = 0
    for_me: bool = False


class Said(Struct, frozen=True):
    """One message; ``aside`` says why it has no effect, ``standing`` how a proposal stands."""

    id: str
    kind: str = ""
    by: str = ""
    by_kind: str = ""
    by_role: str = ""
    at: float = 0
    reply_to: str = ""
    text: str = ""
    refs: tuple[str, ...] = ()
    to: tuple[str, ...] = ()
    reason: str = ""
    window_ends: float = 0
    standing: str = ""
    aside: str = ""
    readable: bool = True


class Threads(Struct, frozen=True):
    """One page of ``hmmm.list``."""

    threads: tuple[Thread, ...] = ()
    next: str = ""


class Spoken(Struct, frozen=True):
    """One page of ``hmmm.show``."""

    thread: Thread
    said: tuple[Said, ...] = ()
    next: str = ""


class Placed(Struct, frozen=True):
    """A message in reading order; ``depth`` counts the replies above it."""

    said: Said
    depth: int


class Talk(Struct, frozen=True):
    """Everything about conversations that the portal knows; ``order`` is the newest first.

    ``spoken`` are the messages of the threads that were opened, by thread, the newest opened last.
    """

    threads: Mapping[str, Thread] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    spoken: Mapping[str, tuple[Said, ...]] = field(default_factory=dict)


def with_threads(talk: Talk, threads: Iterable[Thread]) -> Talk:
    """The talk with these threads newer than what was known; the least recent ones go beyond the bound."""
    known = dict(talk.threads)
    for thread in threads:
        old = known.get(thread.id)
        # A stream tells every member the same, so it leaves out what only some may read.
        known[thread.id] = replace(thread, subject=thread.subject or old.subject) if old is not None else thread
    ordered = sorted(known.values(), key=lambda row: (-row.last_at, row.id))[:MOST_THREADS]
    return replace(talk, threads={row.id: row for row in ordered}, order=tuple(row.id for row in ordered))


def heard(talk: Talk, thread: str, said: Iterable[Said], *, opening: bool = False) -> Talk:
    """The talk with more messages of a thread; only an ``opening`` makes place for a new one."""
    if thread not in talk.spoken and not opening:
        return talk
    known = {one.id: one for one in talk.spoken.get(thread, ())}
    for one in said:
        old = known.get(one.id)
        known[one.id] = one if one.text or old is None else replace(one, text=old.text, refs=old.refs, to=old.to)
    ordered = tuple(sorted(known.values(), key=lambda one: (one.at, one.id)))
    spoken = {id: old for id, old in talk.spoken.items() if id != thread} | {thread: ordered}
    while len(spoken) > 1 and (len(spoken) > MOST_SPOKEN or _much(spoken.values())):
        del spoken[next(iter(spoken))]
    return replace(talk, spoken=spoken)


def _much(spoken: Iterable[tuple[Said, ...]]) -> bool:
    return sum(len(one.text) for said in spoken for one in said) > MOST_TEXT


def placed(said: tuple[Said, ...]) -> tuple[Placed, ...]:
    """Replies below what they reply to, each level by time. A reply to what is not here stands by itself."""
    ids = {one.id for one in said}
    below: dict[str, list[Said]] = {}
    tops: list[Said] = []
    for one in said:
        if one.reply_to in ids and one.reply_to != one.id:
            below.setdefault(one.reply_to, []).append(one)
        else:
            tops.append(one)
    found: list[Placed] = []
    left = [Placed(one, 0) for one in reversed(tops)]
    while left:
        place = left.pop()
        found.append(place)
        depth = min(_DEEPEST, place.depth + 1)
        left += [Placed(one, depth) for one in reversed(below.pop(place.said.id, []))]
    if below:  # replies in a circle, which nobody can sign; they are shown all the same
        shown = {place.said.id for place in found}
        found += [Placed(one, 0) for one in said if one.id not in shown]
    return tuple(found)


def calls(said: Said, me: str, role: str) -> bool:
    """Whether a message names this person or their role."""
    return bool(me) and (me in said.to or f"role:{role}" in said.to)


# What a reply to each kind most likely is.
REPLIES: Mapping[str, str] = {
    "proposal": "agreement",
    "question": "answer",
    "answer": "agreement",
    "agreement": "answer",
    "concern": "answer",
    "objection": "answer",
    "summary": "question",
    "escalation": "answer",
}
