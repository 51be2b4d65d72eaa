"""The embedded ledger's commands about prompts, and what time and the fate of a task make of them.

Every function runs inside a transaction of its caller. The rules are in ``prompt.py``; here they meet
the rows, the task's lease, the authors and the clock.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from bzzzd.errors import BadInput, Conflict, NotAllowed, NotFound, Overloaded
from bzzzd.slurp import prompt as rule
from bzzzd.slurp import promptrows, schema, task
from bzzzd.slurp.commands import Answer, Ask, Author, Begin, Finish, PromptCommand, Seen, Settle, Withdraw
from bzzzd.slurp.ledger import LedgerEvent, Outcome, Rules
from bzzzd.slurp.prompt import Prompt, Reply
from bzzzd.slurp.promptrows import Placed
from bzzzd.slurp.refusals import OutcomeOpen
from bzzzd.slurp.task import FINAL, LEASED, LedgerClock, Task

_LONGEST_S: Final = 366 * 86400.0


def execute(
    conn: sqlite3.Connection, rules: Rules, author: Author, command: PromptCommand, raw: bytes, clock: LedgerClock
) -> Outcome:
    """Do one command that is new; see ``Ledger.execute`` for what it raises."""
    seq, before = schema.find(conn, command.task)
    aside: list[Placed] = []
    if isinstance(command, Ask):
        kind, after, placed, aside = _ask(conn, rules, author, command, (seq, before), clock)
    else:
        number, found = promptrows.find(conn, command.prompt)
        if found.task != before.id:
            raise NotFound(f"task {before.id} has no prompt {command.prompt}", prompt=command.prompt, task=before.id)
        kind, after, changed = _change(rules, author, command, before, found, clock)
        placed = (number, changed)
    event = schema.enter(
        conn, seq, after, at=clock.wall, kind=kind, by=f"{author.kind}:{author.id}", command=command.id, raw=raw,
        prompt=placed,
    )  # fmt: skip
    promptrows.put(conn, seq, *placed)
    if after is not before:
        schema.update(conn, seq, before.state, after)
    events = [event]
    for number, other in aside:
        replaced = rule.supersede(other, placed[1].id, clock.wall)
        events.append(_enter(conn, seq, after, (number, replaced), "prompt_superseded", clock))
    return Outcome(after, tuple(events), prompt=placed[1])


def _ask(
    conn: sqlite3.Connection, rules: Rules, author: Author, command: Ask, placed: tuple[int, Task], clock: LedgerClock
) -> tuple[str, Task, Placed, list[Placed]]:
    """What happened, the task and the prompt after it, and the prompts that this one replaces."""
    seq, before = placed
    task.check_holder(before, author.key, command.token)
    if not rules.may(author, "ask", before):
        raise NotAllowed(f"role {author.role} of {author.id} may not ask people; policy lets roles that write prompts")
    known = promptrows.latest(conn, seq, command.action)
    if known is not None and known[1].id != command.supersedes:
        number, found = known
        if found.state in ("claimed", "unknown"):
            raise OutcomeOpen(
                f"the action was begun under prompt {found.id}, and whether it was done is not known; a person looks, "
                f"and says so with: bzzz prompt answer {found.id}",
                prompt=found.id,
                state=found.state,
            )
        if found.pending or found.denied or found.state == "expired":
            taken = rule.adopted(found, command.token, clock.wall)
            after = _waits(before, author, command, clock) if found.pending else before
            return "prompt_adopted", after, (number, taken), []
    made = _new(conn, rules, author, command, clock)
    waiting = [one for one in promptrows.live_of(conn, seq) if one[1].pending]
    for _, other in waiting:
        if other.id != command.supersedes and other.asked_under == command.token:
            raise Conflict(
                f"task {before.id} waits for prompt {other.id} already; name it under supersedes, or withdraw it",
                task=before.id,
                prompt=other.id,
            )
    if command.supersedes is not None and all(other.id != command.supersedes for _, other in waiting):
        raise Conflict(f"prompt {command.supersedes} does not wait any more", prompt=command.supersedes)
    return "prompt_asked", _waits(before, author, command, clock), (promptrows.next_seq(conn), made), waiting


def _waits(before: Task, author: Author, command: Ask, clock: LedgerClock) -> Task:
    """The task while its owner waits; one that waits already goes on doing so."""
    return before if before.state == "input_required" else task.pause(before, author.key, command.token, clock)


def _new(conn: sqlite3.Connection, rules: Rules, author: Author, command: Ask, clock: LedgerClock) -> Prompt:
    if promptrows.exists(conn, command.prompt):
        raise Conflict(f"there is a prompt {command.prompt} already; choose another id", prompt=command.prompt)
    if not 0 < command.expires - clock.wall <= _LONGEST_S:
        raise BadInput(
            f"prompt {command.prompt} expires {command.expires - clock.wall:.0f} s from now; a time from now to a year "
            "ahead is needed (is this machine's clock right?)"
        )
    if promptrows.count_live(conn) >= rules.max_prompts:
        raise Overloaded(f"{rules.max_prompts} prompts wait already; ask again when some are answered")
    made = Prompt(
        id=command.prompt, task=command.task, by=author.id, by_key=author.key, version=command.version,
        digest=command.digest, action=command.action, to=command.to, quorum=command.quorum, kind=command.kind,
        risk=command.risk, choices=command.choices, created=clock.wall, expires=command.expires,
        default=command.default, escalation=tuple(sorted(command.escalation, key=lambda later: later.after_s)),
        supersedes=command.supersedes, state="open", updated=clock.wall,
    )  # fmt: skip
    return rule.asked(made, command.token)


def _change(
    rules: Rules, author: Author, command: PromptCommand, before: Task, found: Prompt, clock: LedgerClock
) -> tuple[str, Task, Prompt]:
    now = clock.wall
    match command:
        case Seen():
            _check_may(rules, author, before, found)
            return "prompt_seen", before, rule.seen(found, author.id, author.kind, author.role, now)
        case Answer(digest=digest, choice=choice, value=value):
            reply = Reply(author.id, author.role, author.key, now, choice, value)
            after = rule.answer(found, reply, author.kind, digest, now)
            _check_may(rules, author, before, found)
            return "prompt_answered", before, after
        case Begin(token=token, action=action):
            task.check_holder(before, author.key, token)
            begun = rule.begin(
                found, by=author.id, key=author.key, token=token, action=action, holds=rules.holds, now=now
            )
            if begun.state != "claimed":
                return "prompt_reopened", before, begun
            waited = before.state == "input_required"
            return "prompt_begun", task.resume(before, author.key, token, clock) if waited else before, begun
        case Finish(token=token, result=result):
            return f"prompt_{result}", before, rule.finish(found, author.key, token, result, now)
        case Withdraw(token=token):
            if token is not None:
                task.check_holder(before, author.key, token)
            elif (before.author, before.author_kind) != (author.id, author.kind):
                _check_cancel(rules, author, before)
            return "prompt_canceled", task.waited(before, clock), rule.withdraw(found, now)
        case Settle(result=result):
            _check_may(rules, author, before, found)
            return "prompt_settled", before, rule.settle(found, author.id, author.kind, author.role, result, now)
        case _:
            raise BadInput(f"the ledger has no command {type(command).__name__} about prompts")


def _check_may(rules: Rules, author: Author, about: Task, found: Prompt) -> None:
    if author.kind in rule.PERSONS and not rules.may(author, "answer", about):
        raise NotAllowed(
            f"role {author.role} of {author.id} may not answer prompts; policy lets roles that write prompts",
            prompt=found.id,
        )


def _check_cancel(rules: Rules, author: Author, about: Task) -> None:
    if not rules.may(author, "cancel", about):
        raise NotAllowed(f"{author.id} neither holds nor asked for task {about.id}", task=about.id)


# What the fate of a task and time make of them.


def follow(conn: sqlite3.Connection, seq: int, before: Task, after: Task, clock: LedgerClock) -> list[LedgerEvent]:
    """A task's lease ended, or the task did: what waits for it ends, what was begun becomes unknown."""
    if before.state not in LEASED and after.state not in FINAL:
        return []
    if after.state in LEASED:
        return []
    events = []
    for number, found in promptrows.live_of(conn, seq):
        changed = (rule.task_ended if after.state in FINAL else rule.lease_ended)(found, clock.wall)
        if changed is not None:
            events.append(_enter(conn, seq, after, (number, changed), f"prompt_{changed.state}", clock))
    return events


def expire(conn: sqlite3.Connection, clock: LedgerClock, limit: int) -> list[LedgerEvent]:
    """Enter what the time of prompts has brought; the task of one that expired runs on."""
    events = []
    for seq, number, found in promptrows.timely(conn, clock.wall, limit):
        passed = rule.time_passed(found, clock.wall)
        if passed is None:
            continue
        kind, changed = passed
        before = schema.by_number(conn, seq)
        after = task.waited(before, clock) if kind == "expired" else before
        if after is not before:
            schema.update(conn, seq, before.state, after)
        events.append(_enter(conn, seq, after, (number, changed), f"prompt_{kind}", clock))
    return events


def _enter(
    conn: sqlite3.Connection, seq: int, about: Task, placed: Placed, kind: str, clock: LedgerClock
) -> LedgerEvent:
    promptrows.put(conn, seq, *placed)
    return schema.enter(conn, seq, about, at=clock.wall, kind=kind, prompt=placed)
