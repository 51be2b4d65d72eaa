"""The list of tasks."""

from __future__ import annotations

from collections.abc import Sequence

from bzzzd.hap import words
from bzzzd.hap.rows import Segment
from bzzzd.hap.values.model import Model
from bzzzd.hap.values.things import Task
from bzzzd.hap.views.tables import Column, Table, state_column, with_sign

EMPTY = "No tasks yet. n writes the first one; 5 shows which agents there are and what they can do."


def table(model: Model, columns: int) -> Table:
    word, agent, progress = columns >= 56, columns >= 72, columns >= 64
    columns_ = [state_column(word, 16)]
    if agent:
        columns_.append(Column("AGENT", 14 if columns >= 90 else 11))
    columns_ += [Column("AGE", 4, "right"), Column(" TASK")]
    if progress:
        columns_.append(Column("PROGRESS", 10 if columns < 90 else 18 if columns < 140 else 44))
    waiting = {order.task: order for order in model.pending}

    def cells(id: str) -> Sequence[Segment]:
        task: Task = model.tasks[id]
        sign = words.task_sign(task.state)
        if order := waiting.get(id):
            left = max(0, round(order.due - model.now))
            sign = words.Sign("▲", "warn", f"{'cancel' if order.kind == 'cancel' else 'retry'} in {left}s")
        found: list[Segment] = [with_sign(sign) if word else (sign.style, sign.sign)]
        if agent:
            found.append(("base", task.agent) if task.agent else ("faint", "-"))
        found.append(("dim", words.since(task.created, model.now)))
        found.append(("base", f" {task.title}") if task.title else ("dim", f" {task.id}"))
        if progress:
            found.append(_progress(task))
        return found

    return columns_, cells


def _progress(task: Task) -> Segment:
    if task.progress is None or task.state != "working":
        return ("base", "")
    bar = words.bar(task.progress.done, task.progress.total, 5)
    return ("accent", f"{bar} {words.percent(task.progress.done, task.progress.total)}" if bar else task.progress.note)
