"""Opening a row, and walking through a task's tabs and its decision's versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from msgspec.structs import replace

from bzzzd.hap.handlers import inbox, rooms, talking
from bzzzd.hap.handlers.opened import back, onward, open_task
from bzzzd.hap.handling import Args, Handler, Handlers, Result
from bzzzd.hap.messages import Ask
from bzzzd.hap.orders import say
from bzzzd.hap.values.asked import WAITING
from bzzzd.hap.values.books import at_version
from bzzzd.hap.values.layout import page_rows
from bzzzd.hap.values.lists import ids
from bzzzd.hap.values.model import LISTS, TABS, Model, Page, mode_below
from bzzzd.hap.views import asking


def open_row(model: Model, args: Mapping[str, Any]) -> Result:
    """Open the chosen row, or the one that ``args`` name by ``task``, ``prompt``, or ``id`` and perhaps ``view``."""
    named = str(args.get("task") or args.get("prompt") or args.get("id") or "")
    view = "tasks" if args.get("task") else "inbox" if args.get("prompt") else str(args.get("view") or model.view)
    if view not in LISTS:
        return say(model, f"there is no view {view[:40]}", "warn"), ()
    target = named or model.lists[view].chosen
    if view == "tasks":
        return open_task(model, target)
    if view in rooms.OPENING and target:
        return rooms.OPENING[view](model, target)
    if target not in ids(model, view):
        return say(model, "there is nothing to open", "warn"), ()
    return replace(onward(model), page=Page(kind=view, id=target), overlay=None), ()


def tab(model: Model, name: str) -> Result:
    assert model.page is not None
    model = replace(model, page=replace(model.page, tab=name, scroll=0))
    if name == "talk" and model.page is not None and model.let_in:
        return model, (talking.messages(model.page.id, ""),)
    if name == "prompts" and model.let_in:
        return model, (Ask("prompt.list", {"limit": inbox.LIMIT}, ("prompts",)),)
    return model, ()


def turn(model: Model, by: int) -> Result:
    assert model.page is not None
    return tab(model, TABS[(TABS.index(model.page.tab) + by) % len(TABS)])


def scroll(model: Model, by: int) -> Result:
    """Move the page's text; the view keeps it from running past the end."""
    assert model.page is not None
    return replace(model, page=replace(model.page, scroll=max(0, model.page.scroll + by))), ()


def scroll_pages(model: Model, by: int) -> Result:
    return scroll(model, by * page_rows(model))


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
    question = Ask("context.get", {"address": at_version(task.address, wanted)}, ("decision", task.id, str(wanted)))
    return model, (question,)


def on_page(step: Callable[[Model], Result]) -> Handler:
    """An action of any opened page."""
    return lambda model, _: step(model) if model.page is not None else (say(model, "open something first"), ())


def on_task(step: Callable[[Model], Result]) -> Handler:
    """An action of an opened task."""

    def apply(model: Model, _: Args) -> Result:
        return step(model) if mode_below(model) == "task page" else (say(model, "open a task first"), ())

    return apply


def _by_kind(
    others: Mapping[str, Callable[[Model, int], Result]], step: Callable[[Model, int], Result], by: int
) -> Handler:
    """An action that means the same on pages of several kinds: ``step`` on a task's, ``others`` elsewhere."""

    def apply(model: Model, _: Args) -> Result:
        kind = model.page.kind if model.page is not None else ""
        if kind in others:
            return others[kind](model, by)
        return step(model, by) if kind == "tasks" else (say(model, "open a task or an address first"), ())

    return apply


def _open_prompt(model: Model) -> Result:
    """Open the newest prompt of the task, one that waits first."""
    assert model.page is not None
    found = asking.of_task(model, model.page.id)
    if not found:
        return say(model, "nobody was asked anything about this task"), ()
    waiting = [prompt for prompt in found if prompt.state in WAITING]
    return inbox.open_prompt(model, (waiting or found)[0].id)


HANDLERS: Handlers = {
    "open-prompt": on_task(_open_prompt),
    **{name: on_task(partial(tab, name=name)) for name in TABS},
    "open": open_row,
    "back": lambda model, _: back(model),
    "next-tab": _by_kind(rooms.TURNING, turn, 1),
    "previous-tab": _by_kind(rooms.TURNING, turn, -1),
    "earlier": _by_kind(rooms.VERSIONS, version, -1),
    "later": _by_kind(rooms.VERSIONS, version, 1),
    "scroll-down": on_page(lambda model: scroll(model, 1)),
    "scroll-up": on_page(lambda model: scroll(model, -1)),
    "scroll-page-down": on_page(lambda model: scroll_pages(model, 1)),
    "scroll-page-up": on_page(lambda model: scroll_pages(model, -1)),
    "scroll-first": on_page(lambda model: scroll(model, -1_000_000_000)),
    "scroll-last": on_page(lambda model: scroll(model, 1_000_000)),
}
