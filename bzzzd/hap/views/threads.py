"""The list of threads."""

from __future__ import annotations

from collections.abc import Sequence

from bzzzd.hap import words
from bzzzd.hap.rows import Segment
from bzzzd.hap.values.model import Model
from bzzzd.hap.values.talk import Thread
from bzzzd.hap.views.tables import Column, Table, state_column, with_sign

EMPTY = "No conversation yet. Agents and people talk on the threads of their tasks; m begins one."
_SIGNS = {
    "open": words.Sign("●", "accent", "open"),
    "closing": words.Sign("○", "info", "closing"),
    "closed": words.Sign("■", "dim", "closed"),
}
_FOR_ME = words.Sign("▲", "warn", "for me")


def sign(model: Model, thread: Thread) -> words.Sign:
    """The state of a thread; one in which an objection window runs tells how long it still does."""
    left = thread.window_ends - model.now
    if thread.for_me and thread.state != "closed":
        return _FOR_ME
    if thread.state == "closing" and left > 0:
        return words.Sign("○", "info", f"ends in {words.left(left)}")
    return _SIGNS.get(thread.state, words.Sign("·", "dim", thread.state))


def name(model: Model, thread: Thread) -> str:
    """What a thread is called: its subject, else its task's title, else its id."""
    task = model.tasks.get(thread.task or thread.id)
    return thread.subject or (task.title if task is not None else "") or thread.id


def table(model: Model, columns: int) -> Table:
    word, last, by = columns >= 56, columns >= 88, columns >= 66
    table = [state_column(word, 12)]
    if last:
        table.append(Column("LAST", 11))
    if by:
        table.append(Column("BY", 13))
    table += [Column("SAID", 4, "right"), Column("AGE", 4, "right"), Column(" SUBJECT")]

    def cells(id: str) -> Sequence[Segment]:
        thread = model.talk.threads[id]
        state = sign(model, thread)
        found: list[Segment] = [with_sign(state) if word else (state.style, state.sign)]
        if last:
            found.append(("base", thread.last_kind))
        if by:
            found.append(("base", thread.last_by))
        found += [("dim", str(thread.count)), ("dim", words.since(thread.last_at, model.now))]
        return [*found, ("base", f" {name(model, thread)}")]

    return table, cells


def facts(model: Model, thread: Thread) -> tuple[tuple[str, Segment], ...]:
    """What is known of a thread."""
    state = sign(model, thread)
    left = thread.window_ends - model.now
    return (
        ("state", (state.style, f"{state.sign} {state.word}")),
        ("window", ("info", f"objections until {words.clock(thread.window_ends, model.now, model.utc_offset)}, "
                    f"{words.left(left)} left" if left > 0 else "")),
        ("task", ("base", thread.task)),
        ("messages", ("base", str(thread.count))),
        ("last", ("base", f"{thread.last_kind} by {thread.last_by}, {words.ago(model.now - thread.last_at)}"
                  if thread.last_at else "")),
        ("took part", ("base", ", ".join(thread.participants))),
        ("id", ("dim", thread.id)),
    )  # fmt: skip


def line(model: Model, thread: Thread) -> str:
    """One thread in words."""
    state = sign(model, thread).word
    last = f", {thread.last_kind} by {thread.last_by} {words.ago(model.now - thread.last_at)}" if thread.last_at else ""
    return f"{state}, {words.plural(thread.count, 'message')}{last}: {name(model, thread)} ({thread.id})"
