"""What needs the person: rows of the inbox, the most urgent first. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bzzzd.hap.values.asked import ENDED, WAITING, Prompt, Reception
from bzzzd.hap.values.talk import Talk
from bzzzd.hap.values.things import Need, Task

_FAR = float("inf")
_RISK = {"high": 0, "medium": 1, "low": 2}
_MOST_MENTIONS = 100


def needs(
    me: str,
    tasks: Mapping[str, Task],
    prompts: Mapping[str, Prompt],
    receptions: Mapping[str, Reception],
    mentions: Iterable[Need] = (),
) -> tuple[Need, ...]:
    """The inbox of ``me``: prompts that ask them, what has become unknown, mentions, and tasks that wait for them."""
    asking = tuple(_prompts(me, prompts.values(), receptions))
    waited = {prompts[need.id].task for need in asking}
    rows = (*asking, *tuple(mentions)[:_MOST_MENTIONS], *_tasks(me, tasks.values(), waited, prompts))
    return tuple(sorted(rows, key=_urgency))


def _prompts(me: str, prompts: Iterable[Prompt], receptions: Mapping[str, Reception]) -> Iterable[Need]:
    for prompt in prompts:
        if not prompt.for_me:
            continue
        mine = receptions.get(prompt.id)
        unknown = prompt.state == "unknown"
        if not unknown and (prompt.state not in WAITING or prompt.answered_by(me)):
            continue
        if mine is not None and (mine.state in ("waiting", "kept", "held") or (mine.state == "done" and not unknown)):
            continue
        yield Need(
            id=prompt.id, kind="unknown" if unknown else "prompt", title=prompt.title or prompt.id, by=prompt.by,
            at=prompt.updated if unknown else prompt.created, expires=0 if unknown else prompt.expires,
            risk=prompt.risk, target=prompt.id,
        )  # fmt: skip


def mentions(me: str, talk: Talk, read: Mapping[str, float]) -> Iterable[Need]:
    """Threads that name me, or are mine to answer, in which something was said since I looked."""
    for id in talk.order:
        thread = talk.threads[id]
        if thread.for_me and thread.state != "closed" and thread.last_by != me and thread.last_at > read.get(id, 0.0):
            yield Need(
                id=id, kind="mention", title=f"{thread.last_kind or 'message'}: {thread.subject or thread.task or id}",
                by=thread.last_by, at=thread.last_at, expires=thread.window_ends, target=id,
            )  # fmt: skip


def _tasks(me: str, tasks: Iterable[Task], shown: set[str], prompts: Mapping[str, Prompt]) -> Iterable[Need]:
    """My tasks that wait for somebody, unless a prompt tells of it: to me, to others, or answered and not begun yet."""
    asked = {prompt.task for prompt in prompts.values() if prompt.state not in ENDED}
    for task in tasks:
        if task.state == "input_required" and task.author == me and task.id not in shown and task.id not in asked:
            yield Need(
                id=task.id, kind="task", title=task.title or task.id, by=task.agent, at=task.updated, target=task.id
            )


def _urgency(need: Need) -> tuple[int, float, int, float, str]:
    """Unknown outcomes first, then by the time that is left, then by risk, then what is older."""
    return (need.kind != "unknown", need.expires or _FAR, _RISK.get(need.risk, 3), need.at, need.id)
