"""Where the person stands: which view, which row of its list, and the filter over it."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from bzzzd.hap.handlers import browsing, rooms
from bzzzd.hap.handling import Args, Handler, Handlers, Result
from bzzzd.hap.orders import say
from bzzzd.hap.values import buffer as buffers
from bzzzd.hap.values import filters, lists
from bzzzd.hap.values.layout import list_rows
from bzzzd.hap.values.model import LISTS, Filter, Model
from bzzzd.hap.writing import composing

SHORT = 200
"""Code points of a filter or a palette's query."""


def go(view: str) -> Handler:
    """Show a view's list; what is being written is saved first."""

    def apply(model: Model, _: Args) -> Result:
        model, effects = composing.save(model)
        model, more = rooms.entered(lists.settled(replace(model, view=view, page=None, trail=(), overlay=None)))
        return model, effects + more

    return apply


def _turn_view(by: int) -> Handler:
    return lambda model, args: go(LISTS[(LISTS.index(model.view) + by) % len(LISTS)])(model, args)


def _move(by: Callable[[Model], int]) -> Handler:
    return lambda model, args: (lists.moved(model, step(args, by(model))), ())


def step(args: Args, usual: int) -> int:
    """How far to go: as far as the mouse or a program says, or as usual."""
    given = args.get("by")
    return given if type(given) is int else usual


def filtering(model: Model, overlay: Filter) -> Model:
    """The model while its filter is typed."""
    return lists.filtered(replace(model, overlay=overlay), model.view, overlay.text.text)


def _filter(model: Model, args: Args) -> Result:
    old = model.lists[model.view].filter
    if "text" in args:
        return lists.filtered(model, model.view, str(args["text"])[:SHORT]), ()
    return lists.settled(replace(model, page=None, overlay=Filter(text=buffers.of(old), before=old))), ()


def _filter_end(keep: bool, down: bool = False) -> Handler:
    def apply(model: Model, _: Args) -> Result:
        if not isinstance(model.overlay, Filter):
            return model, ()
        words = model.overlay.text.text if keep else model.overlay.before
        if model.view == "context" and words.startswith("ucxl://") and keep:
            # An address finds more than a word does: the mesh is asked, not only what is kept here.
            model = lists.filtered(replace(model, overlay=None), "context", "")
            return browsing.look(model, {"pattern": words.strip()})
        model = lists.filtered(replace(model, overlay=None), model.view, words)
        return lists.moved(model, int(down)), ()

    return apply


def _narrow(model: Model, args: Args) -> Result:
    """The next of the filters that tasks are mostly looked at with."""
    if model.view != "tasks":
        model, _ = go("tasks")(model, {})
    words = filters.following(model.lists["tasks"].filter)
    model = lists.filtered(replace(model, page=None, trail=()), "tasks", words)
    return say(model, f"shown: {words or 'every task'}"), ()


HANDLERS: Handlers = {
    "narrow": _narrow,
    **{view: go(view) for view in LISTS},
    "down": _move(lambda _: 1),
    "up": _move(lambda _: -1),
    "page-down": _move(list_rows),
    "page-up": _move(lambda model: -list_rows(model)),
    "first": _move(lambda _: -1_000_000),
    "last": _move(lambda _: 1_000_000),
    "next-view": _turn_view(1),
    "previous-view": _turn_view(-1),
    "filter": _filter,
    "clear-filter": lambda model, _: (lists.filtered(model, model.view, ""), ()),
    "filter-keep": _filter_end(keep=True),
    "filter-down": _filter_end(keep=True, down=True),
    "filter-cancel": _filter_end(keep=False),
}
