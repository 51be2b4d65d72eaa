"""Tasks, their pages and their way, and the items of their stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from bzzzd.hap.feeds.content import content
from bzzzd.hap.feeds.fields import mapping, number, rows, whole
from bzzzd.hap.text import clean
from bzzzd.hap.values.things import Progress, Shown, Step, Task


class TaskChanged(Struct, frozen=True):
    task: Task


class TaskProgressed(Struct, frozen=True):
    id: str
    progress: Progress


def progress(value: object) -> Progress | None:
    row = mapping(value)
    if not row:
        return None
    return Progress(done=number(row.get("done")), total=number(row.get("total")), note=clean(row.get("note"), 200))


def task(row: Mapping[str, Any]) -> Task:
    return Task(
        id=clean(row.get("id"), 64),
        state=clean(row.get("state"), 24) or "submitted",
        title=clean(row.get("title"), 500),
        agent=clean(row.get("agent"), 64),
        role=clean(row.get("role"), 64),
        capability=clean(row.get("capability"), 64),
        priority=whole(row.get("priority"), 5),
        project=clean(row.get("project"), 64),
        author=clean(row.get("author"), 64),
        created=number(row.get("created")),
        updated=number(row.get("updated")),
        strikes=whole(row.get("strikes")),
        address=clean(row.get("address"), 4000),
        reason=clean(row.get("reason"), 500),
        retry_of=clean(row.get("retry_of"), 64),
        progress=progress(row.get("progress")),
    )


def tasks(value: object) -> tuple[Task, ...]:
    """A task list or a snapshot of the task stream."""
    return tuple(found for found in (task(row) for row in rows(value, "tasks")) if found.id)


def trace(value: object) -> tuple[Step, ...]:
    return tuple(
        Step(
            at=number(row.get("at")),
            what=clean(row.get("what"), 200),
            by=clean(row.get("by"), 100),
            detail=clean(row.get("detail"), 1000),
        )
        for row in rows(value, "steps")
    )


def shown(value: object) -> Shown:
    row = mapping(value)
    parts = {name: content(row[name]) for name in ("brief", "decision", "explanation") if mapping(row.get(name))}
    return Shown(task=task(mapping(row.get("task"))), **parts)


def one_task(value: object) -> Task:
    return task(mapping(mapping(value).get("task")))


def item(row: Mapping[str, Any]) -> TaskChanged | TaskProgressed | None:
    """An item of the stream ``tasks``."""
    changed = one_task(row)
    if changed.id:
        return TaskChanged(changed)
    inner = progress(row.get("progress"))
    return TaskProgressed(clean(row.get("id"), 64), inner) if inner else None
