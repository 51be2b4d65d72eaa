"""Opening a task: what to ask for, and walking through its tabs and its decision's versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from msgspec.structs import replace

from bzzzd.hap import lists
from bzzzd.hap.handling import Args, Handler, Handlers, Result
from bzzzd.hap.layout import page_rows
from bzzzd.hap.lists import ids
from bzzzd.hap.messages import Ask, Effects
from bzzzd.hap.model import TABS, Model, Page, mode_below
from bzzzd.hap.orders import say
from bzzzd.hap.things import Task


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


def open_row(model: Model, args: Mapping[str, Any]) -> Result:
    """Open the chosen row, or the one that ``args`` name by ``task`` or ``id``."""
    named = str(args.get("task") or args.get("id") or "")
    view = "tasks" if args.get("task") else model.view
    target = named or model.lists[view].chosen
    if view == "tasks":
        if target not in model.tasks:
            return say(model, f"no task {target} is known here" if target else "there is nothing to open", "warn"), ()
        task = model.tasks[target]
        tab = "decision" if task.address else "brief"
        page = Page(kind="tasks", id=target, tab=tab)
        return replace(model, view=view, page=page, overlay=None), questions(model, task)
    if view == "inbox":
        need = next((need for need in model.needs if need.id == target), None)
        return open_row(model, {"task": need.target}) if need is not None else (say(model, "nothing needs you"), ())
    if target not in ids(model, view):
        return say(model, "there is nothing to open", "warn"), ()
    return replace(model, page=Page(kind=view, id=target), overlay=None), ()


def tab(model: Model, name: str) -> Result:
    assert model.page is not None
    return replace(model, page=replace(model.page, tab=name, scroll=0)), ()


def turn(model: Model, by: int) -> Result:
    assert model.page is not None
    return tab(model, TABS[(TABS.index(model.page.tab) + by) % len(TABS)])


def scroll(model: Model, by: int) -> Result:
    """Move the page's text; the view keeps it from running past the end."""
    assert model.page is not None
    return replace(model, page=replace(model.page, scroll=max(0, model.page.scroll + by))), ()


def scroll_pages(model: Model, by: int) -> Result:
    return scroll(model, by * page_rows(model))


def version_address(address: str, number: int) -> str:
    """The address of version ``number`` of what ``address`` names at its latest."""
    return address.replace("/*^/", f"/*~{number}/", 1)


def version(model: Model, by: int) -> Result:
    """The decision's version before or after the one in view."""
    page = model.page
    assert page is not None
    task = model.tasks.get(page.id)
    if task is None or not task.address or page.decision is None:
        return say(model, "there is no decision yet, so there are no versions of it"), ()
    of = max(page.decision.of, len(page.history.versions))
    at = page.wanted or page.decision.number or of
    wanted = at + by
    if not 1 <= wanted <= of:
        return say(model, "this is the first version" if by < 0 else "this is the latest version"), ()
    model = replace(model, page=replace(page, tab="decision", wanted=wanted, scroll=0))
    question = Ask(
        "context.get", {"address": version_address(task.address, wanted)}, ("decision", task.id, str(wanted))
    )
    return model, (question,)


def on_page(step: Callable[[Model], Result]) -> Handler:
    """An action of any opened page."""
    return lambda model, _: step(model) if model.page is not None else (say(model, "open something first"), ())


def on_task(step: Callable[[Model], Result]) -> Handler:
    """An action of an opened task."""

    def apply(model: Model, _: Args) -> Result:
        return step(model) if mode_below(model) == "task page" else (say(model, "open a task first"), ())

    return apply


HANDLERS: Handlers = {
    **{name: on_task(partial(tab, name=name)) for name in TABS},
    "open": open_row,
    "back": lambda model, _: (lists.settled(replace(model, page=None)), ()),
    "next-tab": on_task(lambda model: turn(model, 1)),
    "previous-tab": on_task(lambda model: turn(model, -1)),
    "earlier": on_task(lambda model: version(model, -1)),
    "later": on_task(lambda model: version(model, 1)),
    "scroll-down": on_page(lambda model: scroll(model, 1)),
    "scroll-up": on_page(lambda model: scroll(model, -1)),
    "scroll-page-down": on_page(lambda model: scroll_pages(model, 1)),
    "scroll-page-up": on_page(lambda model: scroll_pages(model, -1)),
    "scroll-first": on_page(lambda model: scroll(model, -1_000_000_000)),
    "scroll-last": on_page(lambda model: scroll(model, 1_000_000)),
}
