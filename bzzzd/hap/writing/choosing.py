"""Choosing the form to write with: the list of forms, narrowed by what is typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from bzzzd.hap.actions import match
from bzzzd.hap.handling import Handler, Handlers, Result
from bzzzd.hap.orders import say
from bzzzd.hap.values import buffer as buffers
from bzzzd.hap.values.model import Chooser, Model, mode_below
from bzzzd.hap.values.sheets import BUILT_IN, Sheet
from bzzzd.hap.writing import composing

_SHORT = 200


def offered(model: Model, query: str) -> tuple[tuple[str, Sheet], ...]:
    """The forms that fit ``query`` by name or purpose, the best first; ``message`` needs a thread in view."""
    known = {**BUILT_IN, **{name: sheet for name, sheet in model.sheets.items() if name not in BUILT_IN}}
    if not thread_in_view(model):
        del known["message"]
    scored = []
    for place, (name, sheet) in enumerate(known.items()):
        costs = [cost for text in (sheet.title, name, sheet.help) if (cost := match(query, text)) is not None]
        if costs:
            scored.append((min(costs), place, name, sheet))
    return tuple((name, sheet) for _, _, name, sheet in sorted(scored, key=lambda row: row[:2]))


def typed(model: Model, chooser: Chooser, text: str) -> Result:
    new, _ = buffers.insert(chooser.query, text, _SHORT, multiline=False)
    return replace(model, overlay=Chooser(query=new)), ()


def _open(model: Model, args: Mapping[str, Any]) -> Result:
    """The list of forms; with a form's name that form at once."""
    if args.get("form"):
        return _begin(model, str(args["form"]), args)
    model, effects = composing.save(model)
    model = replace(model, overlay=Chooser())
    if model.sheet_faults:
        more = f" and {len(model.sheet_faults) - 1} more" if len(model.sheet_faults) > 1 else ""
        model = say(
            model, f"left out: {model.sheet_faults[0]}{more}; `bzzz-hap --check-config` lists all", "warn", 20.0
        )
    return model, effects


def _begin(model: Model, name: str, args: Mapping[str, Any]) -> Result:
    """Open a form; what it says belongs to the thread in view, unless it makes a task or begins a thread."""
    sheet = composing.sheet_of(model, name)
    apart = sheet is None or sheet.sends == "task" or name == "thread"
    return composing.open_form(model, {**({} if apart else _place(model)), **args, "form": name})


def thread_in_view(model: Model) -> str:
    """The thread, or the task with its thread, that stands open; empty elsewhere."""
    opened = model.page is not None and mode_below(model) in ("thread page", "task page")
    return model.page.id if opened and model.page is not None else ""


def _place(model: Model) -> dict[str, str]:
    thread = thread_in_view(model)
    return {"thread": thread} if thread else {}


def _choose(model: Model, _: Mapping[str, Any]) -> Result:
    if not isinstance(model.overlay, Chooser):
        return model, ()
    found = offered(model, model.overlay.query.text)
    chosen = model.overlay.chosen
    model = replace(model, overlay=None)
    if chosen >= len(found):
        return model, ()
    return _begin(model, found[chosen][0], {})


def _move(by: int) -> Handler:
    def apply(model: Model, _: Mapping[str, Any]) -> Result:
        if not isinstance(model.overlay, Chooser):
            return model, ()
        found = offered(model, model.overlay.query.text)
        chosen = (model.overlay.chosen + by) % max(1, len(found))
        return replace(model, overlay=replace(model.overlay, chosen=chosen)), ()

    return apply


def _message(model: Model, args: Mapping[str, Any]) -> Result:
    """Write on the thread in view; elsewhere begin one."""
    known = bool(args.get("thread")) or bool(thread_in_view(model))
    return _begin(model, "message" if known else "thread", args)


HANDLERS: Handlers = {
    "message": _message,
    "write": _open,
    "chooser-open": _choose,
    "chooser-down": _move(1),
    "chooser-up": _move(-1),
    "chooser-close": lambda model, _: (replace(model, overlay=None), ()),
}
