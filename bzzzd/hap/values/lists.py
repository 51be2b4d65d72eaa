"""The lists: which rows are in view, which one is chosen, and where the window stands on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from msgspec.structs import replace

from bzzzd.hap.values.filters import meant
from bzzzd.hap.values.layout import list_rows
from bzzzd.hap.values.logbook import arranged
from bzzzd.hap.values.model import LISTS, ListState, Model
from bzzzd.hap.values.needs import mentions, needs
from bzzzd.hap.values.shelf import unrolled
from bzzzd.hap.values.sources import ARRANGED, ROWS, passes
from bzzzd.hap.values.things import FINAL, Task

KEPT_TASKS = 2000


def ids(model: Model, view: str = "") -> tuple[str, ...]:
    """The rows in view by id, in the order in which they are shown."""
    view = view or model.view
    if view == "tasks":
        return model.order
    filter = model.lists[view].filter
    if view in ARRANGED or not filter.strip():
        return tuple([row.id for row in ROWS[view](model)])
    return tuple([row.id for row in ROWS[view](model) if passes(view, row, filter)])


def ordered(tasks: Mapping[str, Task], filter: str) -> tuple[str, ...]:
    """Task ids that pass the filter, the newest first; equal times by id, so that no row jumps."""
    rows = tasks.values() if not filter.strip() else (row for row in tasks.values() if passes("tasks", row, filter))
    return tuple(row.id for row in sorted(rows, key=lambda row: (-row.created, row.id)))


def _ordered(model: Model, tasks: Mapping[str, Task], filter: str) -> tuple[str, ...]:
    return ordered(tasks, meant("tasks", filter, model.me.id))


def with_tasks(model: Model, tasks: dict[str, Task]) -> Model:
    """The model with these tasks: counted, ordered, and no more than ``KEPT_TASKS`` (ended ones go first)."""
    if len(tasks) > KEPT_TASKS:
        keep = sorted(tasks.values(), key=lambda row: (row.state in FINAL, -row.created))[:KEPT_TASKS]
        tasks = {row.id: row for row in keep}
    counts = Counter(row.state for row in tasks.values())
    filter = model.lists["tasks"].filter
    # Tasks keep their time, so that without new ones, and without a filter, their order stays.
    order = model.order if not filter and tasks.keys() == model.tasks.keys() else _ordered(model, tasks, filter)
    return with_needs(settled(replace(model, tasks=tasks, counts=counts, order=order), "tasks"))


def with_needs(model: Model) -> Model:
    """The model with its inbox made anew, after something changed of which it is made."""
    found = needs(
        model.me.id, model.tasks, model.prompts, model.receptions, mentions(model.me.id, model.talk, model.read)
    )
    return model if found == model.needs else settled(replace(model, needs=found), "inbox")


def filtered(model: Model, view: str, filter: str) -> Model:
    """The model with another filter on one list."""
    changed = with_list(model, view, replace(model.lists[view], filter=filter))
    if view == "tasks":
        changed = replace(changed, order=_ordered(changed, changed.tasks, filter))
    elif view == "logs":
        changed = replace(changed, logbook=arranged(replace(changed.logbook, filter=filter)))
    elif view == "context":
        changed = replace(changed, shelf=unrolled(replace(changed.shelf, filter=filter)))
    return settled(changed, view)


def with_list(model: Model, view: str, state: ListState) -> Model:
    return replace(model, lists={**model.lists, view: state})


def settled(model: Model, view: str = "") -> Model:
    """Choose a row where none is chosen or the chosen one is gone, and scroll so that it can be seen."""
    view = view or model.view
    state, rows = model.lists[view], ids(model, view)
    if not rows:
        chosen, top = "", 0
    else:
        index = rows.index(state.chosen) if state.chosen in rows else min(state.top, len(rows) - 1)
        if not state.chosen:
            index = 0
        chosen, room = rows[index], list_rows(model)
        top = min(max(state.top, index - room + 1), index)
        top = max(0, min(top, len(rows) - room))
    if (chosen, top) == (state.chosen, state.top):
        return model
    return with_list(model, view, replace(state, chosen=chosen, top=top))


def moved(model: Model, by: int) -> Model:
    """Choose the row ``by`` further down in the list in view."""
    rows, state = ids(model), model.lists[model.view]
    if not rows:
        return model
    index = rows.index(state.chosen) if state.chosen in rows else 0
    index = max(0, min(len(rows) - 1, index + by))
    return settled(with_list(model, model.view, replace(state, chosen=rows[index])))


def position(model: Model) -> tuple[int, int]:
    """Which row of how many is chosen, from 1; (0, 0) in an empty list."""
    rows, chosen = ids(model), model.lists[model.view].chosen
    return (rows.index(chosen) + 1 if chosen in rows else 0, len(rows))


def whole(model: Model) -> Model:
    """Every list settled, after the window changed."""
    for view in LISTS:
        model = settled(model, view)
    return model
