"""What every window has around its body: header, banner, hints, status line."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from bzzzd.hap import words
from bzzzd.hap.offers import applies
from bzzzd.hap.rows import Row, Segment, clip, joined, on, plain, row_width, spread
from bzzzd.hap.text import within
from bzzzd.hap.values import lists, standing
from bzzzd.hap.values.layout import ROOMY
from bzzzd.hap.values.model import LISTS, Chooser, Filter, Form, Help, Model, Palette, mode
from bzzzd.hap.values.sources import ROWS
from bzzzd.hap.views import browser

# Rows that a long notice may take, by what is open: never those of a question that is about to be confirmed.
_NOTICE_ROWS: Mapping[type, int] = {type(None): 4, Form: 3, Palette: 4, Help: 4, Chooser: 4, Filter: 4}
_STATE_ORDER = ("working", "input_required", "submitted", "completed", "failed", "rejected", "canceled")


def header(model: Model, columns: int) -> Row:
    """The name, the views with their counts, and who is connected to what; parts go as room goes."""
    brand: Row = (("brand", " BZZZ "), ("bar", " "))
    named = [joined([_link(model), who], ("bar", " ")) for who in (_who(model), _who(model)[:1]) if who]
    tabs = [*(brand + _tabs(model, detail) for detail in (2, 1, 0)), _tabs(model, 0)]
    # Who answers is worth more than the name of the program.
    for ends in (named, [_link(model)], [_link(model)[:1]]):
        for left, end in itertools.product(tabs, ends):
            if row_width(left) + row_width(end) + 2 <= columns:
                return spread(left, (*end, ("bar", " ")), columns, "bar")
    if row_width(short := _numbers(model)) <= columns:
        return spread(short, (*_link(model)[:1], ("bar", " ")), columns, "bar")
    return clip((("tab", f" {model.view.capitalize()} "),), columns, "bar")


def _tabs(model: Model, detail: int) -> Row:
    """Every view by name: with number and count, with its count, or with the counts alone that want somebody."""
    found: list[Segment] = []
    for number, view in enumerate(LISTS, 1):
        name = view.capitalize()
        count = _count(model, view)
        label = {2: f" {number} {name}{count} ", 1: f" {name}{count} ", 0: f" {name}{_wanting(model, view)} "}[detail]
        found.append((_tab_style(model, view), label))
    return tuple(found)


def _numbers(model: Model) -> Row:
    """The view in sight by name, the others by their keys."""
    found: list[Segment] = []
    for number, view in enumerate(LISTS, 1):
        name = f" {view.capitalize()}" if view == model.view else ""
        found.append((_tab_style(model, view), f" {number}{name}{_wanting(model, view)} "))
    return tuple(found)


def _tab_style(model: Model, view: str) -> str:
    if view == model.view:
        return "tab"
    return "warn+bar" if view == "inbox" and model.needs else "bar"


def _wanting(model: Model, view: str) -> str:
    if view == "threads":
        mine = sum(thread.for_me and thread.state != "closed" for thread in model.talk.threads.values())
        return f" ▲{mine}" if mine else ""
    return f" {len(model.needs)}" if view == "inbox" and model.needs else ""


def _count(model: Model, view: str) -> str:
    if view == "health":
        if not model.health.services:
            return ""
        bad = sum(not service.ok for service in model.health.services)
        return f" ▲{bad}" if bad else " ✓"
    if view in ("events", "logs"):
        return ""  # as many as are kept, which tells nobody anything
    known = {"tasks": len(model.tasks), "context": len(model.shelf.entries)}.get(view)
    known = sum(1 for _ in ROWS[view](model)) if known is None else known
    return f" {known}{_wanting(model, view) if view == 'threads' else ''}" if known else ""


def _link(model: Model) -> Row:
    """The connection's sign, and its word unless all is well and a name follows."""
    state = model.link.state
    sign = {"online": ("ok+bar", "●"), "connecting": ("info+bar", "○"), "offline": ("warn+bar", "▲")}[state]
    return (sign,) if state == "online" and model.me.id else (sign, ("bar", f" {state}"))


def _who(model: Model) -> Row:
    if not model.me.id:
        return ()
    kind = "guest" if model.me.guest else model.me.role or model.me.kind
    return (("bar", model.me.id), ("bar", f" · {kind}"))


def banner(model: Model, columns: int, rows: int) -> tuple[Row, ...]:
    """Why what is shown may be old, or why some of it is closed; in so many rows."""
    return tuple(clip((("banner", f" {line}"),), columns, "banner") for line in standing.lines(model, columns)[:rows])


def hints(model: Model, columns: int) -> Row:
    """The keys of the actions that have a hint, as many as fit; help is always among them."""
    shown = [
        action
        for action in model.registry.of_mode(mode(model))
        if action.hint and action.keys and applies(model, action.name)
    ]
    parts: list[Row] = [(("key", action.keys[0]), ("dim", f" {action.hint}")) for action in shown]
    last = next((part for action, part in zip(shown, parts, strict=True) if action.name == "help"), ())
    row: Row = ()
    for part in parts:
        if part is last:
            continue
        wider = joined([row, part], ("dim", "   "))
        if row_width(joined([wider, last], ("dim", "   "))) + 1 > columns:
            break
        row = wider
    return clip((("dim", " "), *joined([row, last], ("dim", "   "))), columns)


def status(model: Model, columns: int) -> Row:
    """Counts or the newest notice on the left, freshness on the right."""
    link = model.link
    fresh = f"#{link.number} · {words.clock(link.seen, model.now, model.utc_offset)} " if link.seen else ""
    for counts in (_counts(model, named=True), _counts(model, named=False)):
        left = joined([_badge(model), _notice(model) or counts], ("bar", "  "))
        if row_width(left) + len(fresh) + 2 <= columns:
            break
    return spread((("bar", " "), *left), (("bar", fresh),), columns, "bar")


def long_notice(model: Model, columns: int) -> tuple[Row, ...]:
    """A notice that the status line has no room for, in rows that take its place and that of what is above it.

    None where the line is enough. What is being written or confirmed keeps its place.
    """
    said = _notice(model)
    most = 1 if model.height < ROOMY else _NOTICE_ROWS.get(type(model.overlay), 2)
    if not said or most < 2 or 1 + row_width(joined([_badge(model), said], ("bar", "  "))) <= columns:
        return ()
    style, room = said[0][0], max(1, columns - 2)
    return tuple(clip((("bar", " "), (style, line)), columns, "bar") for line in within(plain(said), room, most))


def _badge(model: Model) -> Row:
    """How many things need the person: seen from every view, and never in the way of a key."""
    count = len(model.needs)
    return (("warn+bar", f"▲ {count} {'needs' if count == 1 else 'need'} you"),) if count else ()


def _notice(model: Model) -> Row:
    if not model.notice.text:
        return (("bad+bar", f"▲ draft in memory only: {model.unsaved}"),) if model.unsaved else ()
    sign = {"ok": "✓ ", "warn": "▲ ", "bad": "✗ "}.get(model.notice.level, "")
    tail = ""
    if model.pending and model.notice.level == "warn":
        tail = f" in {max(0, round(model.pending[-1].due - model.now))} s · u takes it back"
    return on(((model.notice.level, sign + model.notice.text + tail),), "bar")


def _counts(model: Model, *, named: bool) -> Row:
    """The tasks by state, with their words or by their signs alone; of other lists, where one stands."""
    if model.view != "tasks":
        at, of = lists.position(model)
        more = browser.state(model) if model.view == "context" and model.page is None else ""
        return joined([(("bar", part),) for part in (f"{at} of {of}" if of else "", more) if part], ("bar", " · "))
    parts: list[Row] = []
    for state in _STATE_ORDER:
        if count := model.counts.get(state, 0):
            sign = words.task_sign(state)
            parts.append(((f"{sign.style}+bar", sign.sign), ("bar", f" {count} {sign.word}" if named else f" {count}")))
    return joined(parts, ("bar", "  ")) or (("bar", "no tasks yet"),)
