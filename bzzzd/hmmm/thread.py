r"""A thread's state: a pure function of the set of its messages, the same on every node whatever came first.

    proposal (window) ──► running ──── the window is over, nobody objects ────► settled
                             │                                                    ▲
                             └─ objection in time ─► objected ─ each objector ────┘
                                                        agrees after all
    a later proposal of the same author supersedes every earlier one

    open ⇄ closing (a window runs)        open | closing ── summary, or nobody speaks for TTL_S ──► closed

Messages are looked at in the order of their authors' times. One that breaks a bound is *set aside*: kept and
shown with the reason, and without effect. Where a message is posted the same bounds refuse it, so that only
what two nodes took at the same moment is ever set aside.

Hops keep two agents from answering each other for ever: a reply has one more than what it replies to, and a
person's message begins again at 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from msgspec import Struct

from bzzzd.errors import HopLimit, NotAllowed, NotFound, ParticipantCap, ThreadClosed, ThreadFull, WindowClosed
from bzzzd.hmmm.message import Kind

State = Literal["open", "closing", "closed"]
Standing = Literal["running", "objected", "settled", "superseded"]
Aside = Literal["closed", "participants", "hops", "window"]


class Bounds(Struct, frozen=True):
    """Limits of every thread; ``ttl_s`` seconds without a word close it."""

    hops: int = 12
    participants: int = 32
    messages: int = 1000
    ttl_s: float = 30 * 86_400.0


BOUNDS: Final = Bounds()


class Speaker(Struct, frozen=True):
    """Who speaks, by its grant; ``key`` is the public key."""

    id: str
    kind: str
    role: str
    key: bytes

    @property
    def name(self) -> str:
        """Tells a person from an agent of the same id; a new key does not make a new speaker."""
        return f"{self.kind}:{self.id}"


class Said(Struct, frozen=True):
    """A message as the rules see it."""

    id: str
    kind: Kind
    at: float
    by: Speaker
    reply_to: str | None = None
    window_s: float = 0.0

    @property
    def place(self) -> tuple[float, str]:
        return (self.at, self.id)


class Proposal(Struct, frozen=True):
    """A proposal; ``ends`` is the Unix time when its window does, ``objections`` those that stand."""

    id: str
    by: Speaker
    ends: float | None
    objections: tuple[str, ...] = ()
    superseded: bool = False

    def standing(self, now: float) -> Standing:
        if self.superseded:
            return "superseded"
        if self.objections:
            return "objected"
        return "running" if self.ends is not None and now < self.ends else "settled"


class Thread(Struct, frozen=True):
    """``aside`` tells by message id why it has no effect, ``hops`` how deep each stands; participants are by name."""

    said: tuple[Said, ...]
    hops: Mapping[str, int]
    aside: Mapping[str, Aside]
    participants: Mapping[str, Speaker]
    proposals: Mapping[str, Proposal]
    closed_by: str | None = None
    bounds: Bounds = BOUNDS

    @property
    def last_at(self) -> float:
        return self.said[-1].at if self.said else 0.0

    def state(self, now: float) -> State:
        if self.closed_by is not None or (self.said and now > self.last_at + self.bounds.ttl_s):
            return "closed"
        return "closing" if self.window_ends(now) is not None else "open"

    def window_ends(self, now: float) -> float | None:
        """When the last window that runs now ends."""
        ends = [found.ends for found in self.proposals.values() if found.standing(now) == "running"]
        return max((end for end in ends if end is not None), default=None)


EMPTY: Final = Thread((), {}, {}, {}, {})


def thread_of(said: Iterable[Said], bounds: Bounds = BOUNDS) -> Thread:
    """The state of a thread with these messages, in whatever order they are given."""
    ordered = tuple(sorted(said, key=lambda one: one.place))
    hops = _hops(ordered)
    aside: dict[str, Aside] = {}
    participants: dict[str, Speaker] = {}
    closed_by: str | None = None
    for one in ordered:
        known = one.by.name in participants
        if closed_by is not None:
            aside[one.id] = "closed"
        elif not known and len(participants) >= bounds.participants:
            aside[one.id] = "participants"
        elif hops[one.id] > bounds.hops:
            aside[one.id] = "hops"
        else:
            if _closes(one, known, bool(participants)):
                closed_by = one.id
            participants.setdefault(one.by.name, one.by)
    proposals = _proposals(ordered, aside)
    return Thread(ordered, hops, aside, participants, proposals, closed_by, bounds)


def _closes(one: Said, known: bool, begun: bool) -> bool:
    return one.kind == "summary" and (known or (one.by.kind == "person" and begun))


def _hops(ordered: tuple[Said, ...]) -> dict[str, int]:
    """How deep each message stands; one whose parent is not here (yet) counts as a beginning."""
    by_id = {one.id: one for one in ordered}
    found: dict[str, int] = {}
    for one in ordered:
        way: list[Said] = []
        at: Said | None = one
        while at is not None and at.id not in found:
            way.append(at)
            at = by_id.get(at.reply_to) if at.reply_to is not None and at.by.kind != "person" else None
        depth = found[at.id] + 1 if at is not None else 0
        for step in reversed(way):
            found[step.id] = depth
            depth += 1
    return found


def _proposals(ordered: tuple[Said, ...], aside: dict[str, Aside]) -> dict[str, Proposal]:
    """Proposals with what stands against them. Objections that came too late are set aside here."""
    counting = [one for one in ordered if one.id not in aside]
    made = {one.id: one for one in counting if one.kind == "proposal"}
    latest = {one.by.name: one.id for one in made.values()}
    standing: dict[str, dict[str, str]] = {id: {} for id in made}  # proposal -> objection -> objector
    about = {one.id: one.reply_to for one in counting if one.kind == "objection" and one.reply_to in made}
    for one in counting:
        target = one.reply_to
        if one.kind == "objection" and target in made:
            if one.at > made[target].at + made[target].window_s:
                aside[one.id] = "window"
            else:
                standing[target][one.id] = one.by.name
        elif one.kind == "agreement" and target is not None:
            proposal = target if target in made else about.get(target)
            if proposal is not None:
                standing[proposal] = {id: by for id, by in standing[proposal].items() if by != one.by.name}
    return {
        id: Proposal(
            id, one.by, one.at + one.window_s if one.window_s else None, tuple(standing[id]), latest[one.by.name] != id
        )
        for id, one in made.items()
    }


def check_post(thread: Thread, new: Said, now: float) -> None:
    """Whether ``new`` may be added at the Unix time ``now``.

    Raises ``ThreadClosed``, ``ThreadFull``, ``ParticipantCap``, ``HopLimit``, ``WindowClosed``, ``NotFound`` for a
    reply to something that is not here, or ``NotAllowed`` for a summary by somebody who took no part.
    """
    bounds = thread.bounds
    if thread.state(now) == "closed":
        raise ThreadClosed("this thread is closed; begin another one and refer to this one")
    if len(thread.said) >= bounds.messages:
        raise ThreadFull(f"this thread has {bounds.messages} messages already; close it with a summary, begin another")
    known = new.by.name in thread.participants
    if not known and len(thread.participants) >= bounds.participants:
        raise ParticipantCap(f"{bounds.participants} take part in this thread already; begin another and refer to it")
    parent = next((one for one in thread.said if one.id == new.reply_to), None)
    if new.reply_to is not None and parent is None:
        raise NotFound(f"this thread has no message {new.reply_to}; bzzz hmmm show lists them")
    if parent is not None and new.by.kind != "person" and thread.hops[parent.id] + 1 > bounds.hops:
        raise HopLimit(
            f"{bounds.hops} replies follow each other without a person's word; a person has to speak before an "
            "agent replies again",
            hops=bounds.hops,
        )
    if new.kind == "objection":
        _check_objection(thread, new, now)
    if new.kind == "summary" and not _closes(new, known, bool(thread.participants)):
        raise NotAllowed("a summary closes a thread, and is for those who took part in it, or for a person")


def _check_objection(thread: Thread, new: Said, now: float) -> None:
    proposal = thread.proposals.get(new.reply_to or "")
    if proposal is None:
        raise NotFound("an objection replies to a proposal of the same thread; say anything else as a concern")
    if proposal.superseded:
        raise WindowClosed("this proposal has been superseded; object to the later one", proposal=proposal.id)
    if proposal.ends is None:
        raise WindowClosed("this proposal has no objection window; say it as a concern", proposal=proposal.id)
    if now > proposal.ends or new.at > proposal.ends:
        late_s = max(now, new.at) - proposal.ends
        raise WindowClosed(
            f"the window of this proposal ended {late_s:.0f} s ago; say it as a concern", proposal=proposal.id
        )
