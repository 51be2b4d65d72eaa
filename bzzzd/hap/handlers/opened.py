"""Opening a task, and the way back from whatever was opened from a page."""

from __future__ import annotations

from msgspec.structs import replace

from bzzzd.hap.handling import Result
from bzzzd.hap.messages import Ask, Effects
from bzzzd.hap.orders import say
from bzzzd.hap.values import lists
from bzzzd.hap.values.model import Model, Page
from bzzzd.hap.values.things import Task

_STEPS = 20
MOST_PAGES = 50
MOST_TEXT = 1_000_000
"""Code points of tasks' texts that are kept for the time without bzzzd."""


def questions(model: Model, task: Task) -> Effects:
    """Everything the page of a task shows. Content is for attached people, so a guest does not ask for it."""
    if model.link.state != "online":
        return ()
    effects: Effects = (
        Ask("task.show", {"id": task.id}, ("show", task.id)),
        Ask("task.trace", {"id": task.id}, ("trace", task.id)),
    )
    if task.address and not model.me.guest:
        effects += (
            Ask("context.get", {"address": task.address}, ("decision", task.id, "0")),
            Ask("context.history", {"address": task.address}, ("history", task.id)),
        )
    return effects


def open_task(model: Model, id: str) -> Result:
    """Open a task's page, at its decision when it has one."""
    if id not in model.tasks:
        return say(model, f"no task {id} is known here" if id else "there is nothing to open", "warn"), ()
    task = model.tasks[id]
    known = model.pages.get(id) or Page(kind="tasks", id=id)
    page = replace(known, tab="decision" if task.address else "brief")
    return replace(onward(model), view="tasks", page=page, overlay=None), questions(model, task)


def kept(model: Model, page: Page) -> Model:
    """The model that remembers what was read of a task; old ones go when there are many, or much text."""
    plain = Page(
        kind=page.kind, id=page.id, brief=page.brief, explanation=page.explanation, trace=page.trace,
        decision=page.decision if not page.wanted else None, history=page.history,
    )  # fmt: skip
    pages = {id: old for id, old in model.pages.items() if id != page.id} | {page.id: plain}
    while len(pages) > 1 and (len(pages) > MOST_PAGES or sum(map(_size, pages.values())) > MOST_TEXT):
        del pages[next(iter(pages))]
    return replace(model, pages=pages)


def _size(page: Page) -> int:
    return sum(len(part.text) for part in (page.brief, page.decision, page.explanation) if part is not None)


def onward(model: Model) -> Model:
    """The model that remembers the page in view, before another is opened from it."""
    if model.page is None:
        return replace(model, trail=())
    return replace(model, trail=(*model.trail, (model.view, model.page))[-_STEPS:])


def back(model: Model) -> Result:
    """The page from which this one was opened, or the list."""
    if model.page is not None and model.trail:
        *rest, (view, page) = model.trail
        return lists.settled(replace(model, view=view, page=page, trail=tuple(rest))), ()
    return lists.settled(replace(model, page=None, trail=())), ()
