r"""A prompt's life in the ledger: a pure state machine over frozen values; times and members are passed in.

    ask ──► open ──seen──► seen ──────────────┐
              │              │  answer        │ fewer answers than the quorum: it stays
              └──────────────┴──► answered ───┤
                                  │   ▲       │ an answerer was revoked since: back to seen
                            begin │   └───────┘
                                  ▼
                               claimed ──finish──► executed | failed
                                  │                     ▲
                                  │ the lease ends      │ settle: a person says what they found
                                  └──────────────► unknown

    the time is over ──► expired      (from open, seen, answered)
    withdraw, or the task ends ──► canceled
    another question in its place ──► superseded

What was answered ``deny`` stays ``answered`` and can never be begun. ``claimed`` is the one moment at
which something may be done: ``begin`` checks the lease, the answers, every answerer's grant, the time
and the action in the ledger's transaction, and the executor acts after it. Whoever dies between ``begin``
and ``finish`` leaves ``unknown``, which nobody begins again.

Silence never approves: when the time is over the default counts, which is ``deny`` or a harmless choice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from bzzzd.errors import Conflict, FinalState, NotAllowed
from bzzzd.slurp.question import APPROVE, DENY, VALUE, Kind, Later, Risk, To
from bzzzd.slurp.refusals import (
    ActionChanged,
    AnsweredAlready,
    Denied,
    NeedsPerson,
    NotAddressed,
    OtherPrompt,
    OwnQuestion,
    PromptExpired,
    ValueChanged,
)

PromptState = Literal[
    "open", "seen", "answered", "claimed", "executed", "failed", "unknown", "expired", "canceled", "superseded"
]
Token = tuple[int, int]

WAITING: Final[frozenset[str]] = frozenset({"open", "seen"})
PERSONS: Final = frozenset({"person", "admin"})
_MOST_SEEN: Final = 64


class Reply(Struct, frozen=True, array_like=True):
    """One person's answer: ``key`` signed it, at Unix time ``at``; ``value`` is the version of a text or form."""

    by: str
    role: str
    key: bytes
    at: float
    choice: str
    value: str | None = None


class Prompt(Struct, frozen=True, array_like=True):
    """One prompt as the ledger knows it: first what was asked, which never changes, then its fate.

    ``version`` holds the document, ``digest`` names its bytes and ``action`` what is to be done. ``looks_at`` is
    when time changes it next; ``token`` is that of the claim.
    """

    id: str
    task: str
    by: str
    by_key: bytes
    version: str
    digest: str
    action: str
    to: To
    quorum: int
    kind: Kind
    risk: Risk
    choices: tuple[str, ...]
    created: float
    expires: float
    default: str
    escalation: tuple[Later, ...]
    supersedes: str | None
    # From here on, what changes.
    state: PromptState
    updated: float
    looks_at: float | None = None
    step: int = 0
    asked_under: Token = (0, 0)
    seen_by: tuple[str, ...] = ()
    replies: tuple[Reply, ...] = ()
    verdict: str | None = None
    token: Token | None = None
    claimer: str | None = None
    claimer_key: bytes | None = None
    superseded_by: str | None = None
    settled_by: str | None = None
    reason: str | None = None

    @property
    def denied(self) -> bool:
        return self.state == "answered" and self.verdict == DENY

    @property
    def pending(self) -> bool:
        """Whether it can still be begun: somebody waits for it."""
        return self.state in WAITING or (self.state == "answered" and self.verdict != DENY)

    @property
    def live(self) -> bool:
        """Whether anything can become of it still; ``unknown`` waits for a person."""
        return self.pending or self.state in ("claimed", "unknown")

    @property
    def asked(self) -> To:
        """Everybody who is asked by now, escalation included."""
        to = self.to
        for later in self.escalation[: self.step]:
            to = to.also(later.to)
        return to

    def awaits(self, id: str, role: str) -> bool:
        """Whether this person can do something about it now."""
        if not self.asked.has(id, role):
            return False
        return self.state == "unknown" or (self.state in WAITING and all(reply.by != id for reply in self.replies))

    def to_map(self) -> dict[str, Any]:
        """What every member may see: no content, no keys."""
        asked = self.asked
        return {
            "id": self.id,
            "task": self.task,
            "from": self.by,
            "to": {"people": list(asked.people), "roles": list(asked.roles)},
            "quorum": self.quorum,
            "kind": self.kind,
            "risk": self.risk,
            "choices": list(self.choices),
            "created": self.created,
            "expires": self.expires,
            "default": self.default,
            "state": self.state,
            "updated": self.updated,
            "step": self.step,
            "steps": len(self.escalation),
            "seen_by": list(self.seen_by),
            "answers": [
                {"by": reply.by, "at": reply.at, "choice": reply.choice, "value": reply.value} for reply in self.replies
            ],
            "verdict": self.verdict,
            "token": None if self.token is None else list(self.token),
            "claimed_by": self.claimer,
            "version": self.version,
            "digest": self.digest,
            "action": self.action,
            "supersedes": self.supersedes,
            "superseded_by": self.superseded_by,
            "settled_by": self.settled_by,
            "reason": self.reason,
        }


def asked(prompt: Prompt, token: Token) -> Prompt:
    """A new prompt, made from an ``ask`` under the lease with ``token``."""
    return _timed(replace(prompt, asked_under=token))


def adopted(prompt: Prompt, token: Token, now: float) -> Prompt:
    """The next owner of the task waits for it now; its time stays what it was."""
    return replace(prompt, asked_under=token, updated=now)


def seen(prompt: Prompt, id: str, kind: str, role: str, now: float) -> Prompt:
    """A person has it on their screen; whoever had it so before changes nothing."""
    _check_person(prompt, id, kind, role)
    _check_waiting(prompt, now)
    names = prompt.seen_by if id in prompt.seen_by else (*prompt.seen_by, id)[:_MOST_SEEN]
    return replace(prompt, state="seen", updated=now, seen_by=names)


def answer(prompt: Prompt, reply: Reply, kind: str, digest: str, now: float) -> Prompt:
    """One person's answer. ``kind`` is that of their grant; raises the refusals of ``errors.PromptRefused``."""
    if reply.key == prompt.by_key or (kind == "agent" and reply.by == prompt.by):
        raise OwnQuestion(f"{reply.by} asked prompt {prompt.id} and cannot answer it; a person does", prompt=prompt.id)
    _check_person(prompt, reply.by, kind, reply.role)
    _check_waiting(prompt, now)
    if digest != prompt.digest:
        raise OtherPrompt(
            f"the answer is to another text than prompt {prompt.id} has; open it again and answer what it says now",
            prompt=prompt.id,
        )
    if any(other.by == reply.by for other in prompt.replies):
        raise AnsweredAlready(f"{reply.by} has answered prompt {prompt.id} already", prompt=prompt.id)
    _check_choice(prompt, reply)
    replies = (*prompt.replies, reply)
    return _judged(replace(prompt, updated=now, replies=replies))


def begin(
    prompt: Prompt, *, by: str, key: bytes, token: Token, action: str, holds: Callable[[Reply], bool], now: float
) -> Prompt:
    """Claim it for the action: from here on it may be executed, once. The caller has checked the lease.

    ``holds`` says whether a reply's author may still answer. When that leaves too few, the prompt goes back
    to waiting, which is not a refusal: look at the state.
    """
    if prompt.state == "expired" or (prompt.pending and now >= prompt.expires):
        raise PromptExpired(f"the time for prompt {prompt.id} is over; it cannot be begun", prompt=prompt.id)
    if prompt.denied:
        raise Denied(f"prompt {prompt.id} was answered with no", prompt=prompt.id)
    if prompt.state != "answered":
        raise _wrong(prompt, "begun")
    if action != prompt.action:
        raise ActionChanged(
            f"prompt {prompt.id} is about another action than the one to be done; ask about that one", prompt=prompt.id
        )
    good = tuple(reply for reply in prompt.replies if holds(reply))
    if len(good) < len(prompt.replies):
        judged = _judged(replace(prompt, state="seen", updated=now, replies=good, verdict=None))
        if judged.verdict != prompt.verdict:
            return replace(judged, reason="answer_void")
        prompt = judged
    return replace(
        prompt, state="claimed", updated=now, looks_at=None, token=token, claimer=by, claimer_key=key, reason=None
    )


def finish(prompt: Prompt, key: bytes, token: Token, result: Literal["executed", "failed"], now: float) -> Prompt:
    """What came of it, by whoever began it, also after the lease: nobody else knows."""
    if prompt.state not in ("claimed", "unknown"):
        raise _wrong(prompt, "finished")
    if (key, token) != (prompt.claimer_key, prompt.token):
        raise NotAllowed(f"prompt {prompt.id} was begun by {prompt.claimer} under another lease", prompt=prompt.id)
    return replace(prompt, state=result, updated=now, looks_at=None, reason=None)


def settle(prompt: Prompt, id: str, kind: str, role: str, result: Literal["executed", "failed"], now: float) -> Prompt:
    """A person says what they found of an ``unknown`` one."""
    _check_person(prompt, id, kind, role)
    if prompt.state != "unknown":
        raise _wrong(prompt, "settled")
    return replace(prompt, state=result, updated=now, settled_by=id, reason="settled")


def withdraw(prompt: Prompt, now: float) -> Prompt:
    """Nobody needs the answer any more. Who may say so is for the caller to check."""
    if not prompt.pending:
        raise _wrong(prompt, "withdrawn")
    return _ended(prompt, "canceled", now, "withdrawn")


def supersede(prompt: Prompt, by: str, now: float) -> Prompt:
    """The question ``by`` stands in its place."""
    if not prompt.pending:
        raise _wrong(prompt, "superseded")
    return replace(_ended(prompt, "superseded", now, None), superseded_by=by)


# The ledger's own decisions.


def task_ended(prompt: Prompt, now: float) -> Prompt | None:
    """What the end of its task makes of a prompt; ``None``: nothing."""
    if prompt.state == "claimed":
        return lease_ended(prompt, now)
    return _ended(prompt, "canceled", now, "task_ended") if prompt.pending else None


def lease_ended(prompt: Prompt, now: float) -> Prompt | None:
    """What the end of its task's lease makes of a prompt: one that waits is for the next owner."""
    if prompt.state != "claimed":
        return None
    return replace(prompt, state="unknown", updated=now, looks_at=None, reason="lease_ended")


def time_passed(prompt: Prompt, now: float) -> tuple[str, Prompt] | None:
    """What time has done to it by ``now``: ("expired" or "escalated", the prompt after it)."""
    if not prompt.pending or prompt.looks_at is None or now < prompt.looks_at:
        return None
    if now >= prompt.expires:
        return "expired", replace(_ended(prompt, "expired", now, None), verdict=prompt.default)
    step = sum(prompt.created + later.after_s <= now for later in prompt.escalation)
    return "escalated", _timed(replace(prompt, updated=now, step=max(step, prompt.step)))


def _ended(prompt: Prompt, state: PromptState, now: float, reason: str | None) -> Prompt:
    return replace(prompt, state=state, updated=now, looks_at=None, reason=reason)


def _timed(prompt: Prompt) -> Prompt:
    """With the next moment at which time changes it; an answered one only expires."""
    steps = [] if prompt.state == "answered" else [prompt.created + later.after_s for later in prompt.escalation]
    return replace(prompt, looks_at=min([prompt.expires, *steps[prompt.step : prompt.step + 1]]))


def _judged(prompt: Prompt) -> Prompt:
    """With the verdict that its replies make, if they do."""
    counts: dict[str, int] = {}
    for reply in prompt.replies:
        counts[reply.choice] = counts.get(reply.choice, 0) + 1
    if counts.get(DENY):
        return replace(prompt, state="answered", verdict=DENY, looks_at=None)
    best = next((choice for choice, count in counts.items() if count >= prompt.quorum), None)
    state: PromptState = "answered" if best is not None else "seen"
    return _timed(replace(prompt, state=state, verdict=best))


def _check_person(prompt: Prompt, id: str, kind: str, role: str) -> None:
    if kind not in PERSONS:
        raise NeedsPerson(f"prompts are answered by people, and {id} is of kind {kind}", prompt=prompt.id)
    if not prompt.asked.has(id, role):
        raise NotAddressed(
            f"prompt {prompt.id} asks {_words(prompt.asked)}, not {id} with the role {role}", prompt=prompt.id
        )


def _check_waiting(prompt: Prompt, now: float) -> None:
    if prompt.state == "expired" or (prompt.pending and now >= prompt.expires):
        raise PromptExpired(
            f"the time for prompt {prompt.id} is over; its answer is {prompt.default}", prompt=prompt.id
        )
    if prompt.state in ("answered", "claimed", "executed", "failed", "unknown"):
        raise AnsweredAlready(f"prompt {prompt.id} has its answer: {prompt.verdict}", prompt=prompt.id)
    if prompt.state not in WAITING:
        raise _wrong(prompt, "answered")


def _check_choice(prompt: Prompt, reply: Reply) -> None:
    wants_value = prompt.kind in ("text", "form") and reply.choice != DENY
    allowed = {"approve": (APPROVE,), "choose": prompt.choices}.get(prompt.kind, (VALUE,))
    if reply.choice not in (*allowed, DENY):
        raise ValueChanged(
            f"prompt {prompt.id} takes {', '.join((*allowed, DENY))}, not {reply.choice or 'nothing'}", prompt=prompt.id
        )
    if wants_value != (reply.value is not None):
        need = "needs a value with its answer" if wants_value else "takes no value with this answer"
        raise ValueChanged(f"prompt {prompt.id} {need}", prompt=prompt.id)


def _words(to: To) -> str:
    return " and ".join([*to.people, *(f"role {role}" for role in to.roles)])


def _wrong(prompt: Prompt, what: str) -> Conflict:
    kind = Conflict if prompt.live else FinalState
    return kind(f"prompt {prompt.id} is {prompt.state} and cannot be {what}", prompt=prompt.id, state=prompt.state)
