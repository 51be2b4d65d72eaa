"""The one way in which the portal's state changes: ``update(model, message) -> (model, effects)``.

Pure: it reads no clock, no file and no socket. Terminal, ``--plain`` and ``--headless`` all run on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from msgspec.structs import replace

from bzzzd.hap import actions, arrivals, composing, lists, orders, reading
from bzzzd.hap import buffer as buffers
from bzzzd.hap.buffer import EDITS, Buffer
from bzzzd.hap.layout import layout, list_rows
from bzzzd.hap.messages import (
    Act,
    Answered,
    Attach,
    Came,
    Due,
    Effects,
    Key,
    Later,
    Message,
    Offline,
    Online,
    Paste,
    Quit,
    Redraw,
    Refused,
    Resized,
    SaveCache,
    Saved,
    SaveTheme,
    Snapshot,
    Suspend,
    Tick,
    Unsaved,
)
from bzzzd.hap.model import LISTS, TABS, Filter, Form, Help, Model, Notice, Palette, mode, mode_below
from bzzzd.hap.orders import say
from bzzzd.hap.themes import THEMES
from bzzzd.hap.views.form import scrolled
from bzzzd.hap.views.overlays import help_lines
from bzzzd.hap.views.page import last_scroll

Result = tuple[Model, Effects]
Args = Mapping[str, Any]
LEAVE_S = 3.0
_SHORT = 200


def update(model: Model, message: Message) -> Result:
    """The state after ``message``, and what is to be done outside."""
    model, effects = _update(model, message)
    return _in_window(model), effects


def _in_window(model: Model) -> Model:
    """Keep what is scrolled within its text, and the form's cursor in sight."""
    match model.overlay:
        case Form() as form:
            top = scrolled(model, form)
            return model if top == form.top else replace(model, overlay=replace(form, top=top))
        case Help(scroll=scroll) if scroll:
            last = max(0, len(help_lines(model, model.width)) - layout(model).body)
            return model if scroll <= last else replace(model, overlay=Help(scroll=last))
    if model.page is not None and model.page.scroll:
        last = last_scroll(model)
        if model.page.scroll > last:
            return replace(model, page=replace(model.page, scroll=last))
    return model


def _update(model: Model, message: Message) -> Result:
    match message:
        case Key(name=name, text=text):
            return _key(model, name, text)
        case Act(action=action, args=args):
            return act(model, action, args)
        case Paste(text=text, cut=cut):
            return _typed(model, text, cut)
        case Resized(width=width, height=height):
            return lists.whole(replace(model, width=max(1, width), height=max(1, height))), (Redraw(),)
        case Tick(now=now):
            notice = model.notice if model.notice.until > now else Notice("")
            return replace(model, now=now, notice=notice), ()
        case Online():
            return arrivals.online(model, message)
        case Offline():
            return arrivals.offline(model, message)
        case Snapshot():
            return arrivals.snapshot(model, message)
        case Came():
            return arrivals.came(model, message)
        case Answered():
            return _landed(*arrivals.answered(model, message))
        case Refused():
            return _landed(*arrivals.refused(model, message))
        case Due(what=what, id=id):
            return _due(model, what, id)
        case Saved():
            return replace(model, unsaved=""), ()
        case Unsaved(what="draft", why=why):
            return say(replace(model, unsaved=why), f"the draft is in memory only: {why}", "bad", 30.0), ()
        case Unsaved(what=what, why=why):
            return say(model, f"the {'theme' if what == 'theme' else 'last view'} was not saved: {why}", "warn"), ()


def next_tick(model: Model) -> float | None:
    """Seconds until what is shown changes by the passing of time alone; None when nothing does."""
    waits = [model.notice.until - model.now] if model.notice.text else []
    if model.pending:
        waits.append(1.0)
    if model.link.state != "online":
        waits.append(5.0)
    elif model.tasks and model.view == "tasks":
        newest = max(model.tasks[id].created for id in model.order[:1]) if model.order else 0.0
        waits.append(5.0 if model.now - newest < 60 else 30.0)
    elif model.view != "tasks":
        waits.append(30.0)
    return max(0.05, min(waits)) if waits else None


def _due(model: Model, what: str, id: str) -> Result:
    match what:
        case "order":
            return orders.due(model, id)
        case "save":
            return composing.save(model)
        case "ask":
            return arrivals.ask(model, id)
        case "leave":
            return model, (SaveCache(), Quit())
    return model, ()


def _landed(model: Model, effects: Effects) -> Result:
    """After an answer: the last command on its way lets a leaving person go."""
    if model.quitting and not model.flying:
        return model, (*effects, SaveCache(), Quit())
    return model, effects


def _key(model: Model, name: str, text: str) -> Result:
    action = model.registry.answer(mode(model), name)
    if action is not None:
        return act(model, action.name, {})
    return _typed(model, text) if text else (model, ())


def act(model: Model, action: str, args: Args) -> Result:
    """Perform a named action; one that does not apply where the person stands changes nothing."""
    handler = _HANDLERS.get(action)
    if handler is None:
        return say(model, f"there is no action {action}", "warn"), ()
    return handler(model, args)


# Text that is typed or pasted


def _typed(model: Model, text: str, cut: bool = False) -> Result:
    match model.overlay:
        case Form() as form:
            return composing.insert(model, form, text, cut)
        case Palette(query=query):
            new, _ = buffers.insert(query, text, _SHORT, multiline=False)
            return replace(model, overlay=Palette(query=new)), ()
        case Filter(text=old) as overlay:
            new, _ = buffers.insert(old, text, _SHORT, multiline=False)
            return _filtering(model, replace(overlay, text=new)), ()
    if len(text) > 1:
        return say(model, "nothing here takes pasted text; `n` opens the form for a new task"), ()
    return model, ()


def _filtering(model: Model, overlay: Filter) -> Model:
    return lists.filtered(replace(model, overlay=overlay), model.view, overlay.text.text)


def _edit(edit: Callable[[Buffer], Buffer]) -> Callable[[Model, Args], Result]:
    def apply(model: Model, _: Args) -> Result:
        match model.overlay:
            case Form() as form:
                old = form.buffers[form.focus]
                new = edit(old)
                shown = composing.with_text(form, new)
                if new.lines == old.lines:
                    return replace(model, overlay=replace(shown, emptying=False)), ()
                return composing.changed(model, shown)
            case Palette(query=query):
                return replace(model, overlay=Palette(query=edit(query))), ()
            case Filter(text=text) as overlay:
                return _filtering(model, replace(overlay, text=edit(text))), ()
        return model, ()

    return apply


# Where the person stands


def _go(view: str) -> Callable[[Model, Args], Result]:
    def apply(model: Model, _: Args) -> Result:
        model, effects = composing.save(model)
        return lists.settled(replace(model, view=view, page=None, overlay=None)), effects

    return apply


def _turn_view(by: int) -> Callable[[Model, Args], Result]:
    return lambda model, args: _go(LISTS[(LISTS.index(model.view) + by) % len(LISTS)])(model, args)


def _move(by: Callable[[Model], int]) -> Callable[[Model, Args], Result]:
    return lambda model, _: (lists.moved(model, by(model)), ())


def _on_page(step: Callable[[Model], Result]) -> Callable[[Model, Args], Result]:
    return lambda model, _: step(model) if model.page is not None else (say(model, "open something first"), ())


def _on_task(step: Callable[[Model], Result]) -> Callable[[Model, Args], Result]:
    def apply(model: Model, _: Args) -> Result:
        return step(model) if mode_below(model) == "task page" else (say(model, "open a task first"), ())

    return apply


def _in_form(step: Callable[[Model, Form], Result]) -> Callable[[Model, Args], Result]:
    return lambda model, _: step(model, model.overlay) if isinstance(model.overlay, Form) else (model, ())


def _filter(model: Model, args: Args) -> Result:
    old = model.lists[model.view].filter
    if "text" in args:
        return lists.filtered(model, model.view, str(args["text"])[:_SHORT]), ()
    return lists.settled(replace(model, page=None, overlay=Filter(text=buffers.of(old), before=old))), ()


def _filter_end(keep: bool, down: bool = False) -> Callable[[Model, Args], Result]:
    def apply(model: Model, _: Args) -> Result:
        if not isinstance(model.overlay, Filter):
            return model, ()
        words = model.overlay.text.text if keep else model.overlay.before
        model = lists.filtered(replace(model, overlay=None), model.view, words)
        return lists.moved(model, int(down)), ()

    return apply


def _palette_move(by: int) -> Callable[[Model, Args], Result]:
    def apply(model: Model, _: Args) -> Result:
        if not isinstance(model.overlay, Palette):
            return model, ()
        found = actions.find(model.registry, mode_below(model), model.overlay.query.text)
        chosen = (model.overlay.chosen + by) % max(1, len(found))
        return replace(model, overlay=replace(model.overlay, chosen=chosen)), ()

    return apply


def _palette_run(model: Model, _: Args) -> Result:
    if not isinstance(model.overlay, Palette):
        return model, ()
    found = actions.find(model.registry, mode_below(model), model.overlay.query.text)
    chosen = model.overlay.chosen
    model = replace(model, overlay=None)
    return act(model, found[chosen].name, {}) if chosen < len(found) else (model, ())


def _help_scroll(by: Callable[[Model], int]) -> Callable[[Model, Args], Result]:
    def apply(model: Model, _: Args) -> Result:
        if not isinstance(model.overlay, Help):
            return model, ()
        return replace(model, overlay=Help(scroll=max(0, model.overlay.scroll + by(model)))), ()

    return apply


def _shut(model: Model, _: Args) -> Result:
    return replace(model, overlay=None), ()


# The rest


def _theme(model: Model, args: Args) -> Result:
    named = str(args.get("name") or THEMES[(THEMES.index(model.theme) + 1) % len(THEMES)])
    if named not in THEMES:
        return say(model, f"no theme {named}; there are {', '.join(THEMES)}", "warn"), ()
    return say(replace(model, theme=named), f"theme: {named}"), (SaveTheme(named), Redraw())


def _refresh(model: Model, _: Args) -> Result:
    if model.link.state != "online":
        return say(model, "bzzzd is away; what is shown comes back to life by itself", "warn"), ()
    effects: Effects = arrivals.refresh()
    if model.me.guest:
        effects += (Attach(),)
    if model.page is not None and (task := model.tasks.get(model.page.id)) is not None:
        effects += reading.questions(model, task)
    return model, effects


def _quit(model: Model, _: Args) -> Result:
    """Leave: save the draft, send what still waits, and stay for its answers, though not for long."""
    model, effects = composing.save(model)
    model, more = orders.flush(model)
    effects += more
    if model.quitting or not model.flying:
        return replace(model, quitting=True), (*effects, SaveCache(), Quit())
    return say(replace(model, quitting=True), "leaving when the last command is answered", "info", LEAVE_S), (
        *effects,
        Later(LEAVE_S, Due("leave")),
    )


_HANDLERS: Mapping[str, Callable[[Model, Args], Result]] = {
    **{view: _go(view) for view in LISTS},
    **{name: _on_task(partial(reading.tab, name=name)) for name in TABS},
    **{name: _edit(edit) for name, edit in EDITS.items()},
    "new": composing.open_form,
    "submit": composing.submit,
    "close": lambda model, _: composing.close(model),
    "discard": _in_form(composing.discard),
    "next-field": _in_form(lambda model, form: composing.focus(model, form, 1)),
    "previous-field": _in_form(lambda model, form: composing.focus(model, form, -1)),
    "form-enter": _in_form(composing.enter),
    "form-up": _in_form(lambda model, form: composing.line(model, form, -1)),
    "form-down": _in_form(lambda model, form: composing.line(model, form, 1)),
    "form-page-up": _in_form(lambda model, form: composing.line(model, form, -10)),
    "form-page-down": _in_form(lambda model, form: composing.line(model, form, 10)),
    "cancel": lambda model, args: orders.order(model, "cancel", args),
    "retry": lambda model, args: orders.order(model, "retry", args),
    "undo": lambda model, _: orders.undo(model),
    "open": reading.open_row,
    "back": lambda model, _: (lists.settled(replace(model, page=None)), ()),
    "next-tab": _on_task(lambda model: reading.turn(model, 1)),
    "previous-tab": _on_task(lambda model: reading.turn(model, -1)),
    "earlier": _on_task(lambda model: reading.version(model, -1)),
    "later": _on_task(lambda model: reading.version(model, 1)),
    "scroll-down": _on_page(lambda model: reading.scroll(model, 1)),
    "scroll-up": _on_page(lambda model: reading.scroll(model, -1)),
    "scroll-page-down": _on_page(lambda model: reading.scroll_pages(model, 1)),
    "scroll-page-up": _on_page(lambda model: reading.scroll_pages(model, -1)),
    "scroll-first": _on_page(lambda model: reading.scroll(model, -1_000_000_000)),
    "scroll-last": _on_page(lambda model: reading.scroll(model, 1_000_000)),
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
    "palette": lambda model, _: (replace(model, overlay=Palette()), ()),
    "palette-run": _palette_run,
    "palette-down": _palette_move(1),
    "palette-up": _palette_move(-1),
    "palette-close": _shut,
    "help": lambda model, _: (replace(model, overlay=Help()), ()),
    "help-close": _shut,
    "help-down": _help_scroll(lambda _: 1),
    "help-up": _help_scroll(lambda _: -1),
    "help-page-down": _help_scroll(list_rows),
    "help-page-up": _help_scroll(lambda model: -list_rows(model)),
    "theme": _theme,
    "refresh": _refresh,
    "redraw": lambda model, _: (model, (Redraw(),)),
    "suspend": lambda model, _: (model, (Suspend(),)),
    "quit": _quit,
    "leave": _quit,
}
