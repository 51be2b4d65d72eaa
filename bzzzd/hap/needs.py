"""What needs the person: rows of the inbox, the most urgent first. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bzzzd.hap.things import Need, Task

_FAR = float("inf")


def needs(me: str, tasks: Mapping[str, Task]) -> tuple[Need, ...]:
    """The inbox of ``me``: tasks of theirs that wait for an answer."""
    return tuple(sorted(_tasks(me, tasks.values()), key=_urgency))


def _tasks(me: str, tasks: Iterable[Task]) -> Iterable[Need]:
    for task in tasks:
        if task.state == "input_required" and task.author == me:
            yield Need(
                id=task.id, kind="task", title=task.title or task.id, by=task.agent, at=task.updated, target=task.id
            )


def _urgency(need: Need) -> tuple[float, float, str]:
    return (need.expires or _FAR, -need.at, need.id)
