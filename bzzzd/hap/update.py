"""The one way in which the portal's state changes: ``update(model, message) -> (model, effects)``.

Pure: it reads no clock, no file and no socket. Terminal, ``--plain`` and ``--headless`` all run on it.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from bzzzd.hap import orders
from bzzzd.hap.handlers import (
    arrivals,
    browsing,
    following,
    hands,
    helping,
    inbox,
    moving,
    naming,
    opened,
    pointer,
    pulse,
    reading,
    referring,
    rooms,
    talking,
)
from bzzzd.hap.handlers.moving import SHORT, filtering
from bzzzd.hap.handling import Args, Handler, Handlers, Result
from bzzzd.hap.messages import (
    Act,
    Answered,
    Attach,
    Began,
    Came,
    Due,
    Edited,
    Effects,
    FilesRead,
    Key,
    Later,
    Locked,
    Message,
    Mouse,
    Offline,
    Online,
    Paste,
    Prompts,
    Quit,
    Redraw,
    Refused,
    Resized,
    SaveCache,
    Saved,
    SaveTheme,
    Sheets,
    Snapshot,
    Suspend,
    Tick,
    Told,
    Unsaved,
)
from bzzzd.hap.orders import say
from bzzzd.hap.values import buffer as buffers
from bzzzd.hap.values import lists
from bzzzd.hap.values.buffer import EDITS, Buffer
from bzzzd.hap.values.layout import layout
from bzzzd.hap.values.model import (
    Answering,
    Chooser,
    Filter,
    Form,
    Help,
    Model,
    Naming,
    Notice,
    Palette,
    Secret,
    mode,
)
from bzzzd.hap.view import view
from bzzzd.hap.views.form import scrolled
from bzzzd.hap.views.overlays import help_lines
from bzzzd.hap.views.page import last_scroll
from bzzzd.hap.writing import answering, choosing, composing, filling, replying, sending, unlocking

LEAVE_S = 3.0


def update(model: Model, message: Message) -> Result:
    """The state after ``message``, and what is to be done outside."""
    model, first = arrivals.heard(model, message)
    model, effects = _update(model, message)
    model = inbox.marked(model)
    return _in_window(model), (*first, *effects)


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
        case Mouse():
            return _pointed(model, message)
        case Edited():
            if isinstance(model.overlay, Answering):
                return filling.edited(model, model.overlay, message)
            return hands.edited(model, message)
        case Told(text=text, level=level):
            return say(model, text, level), ()
        case Resized(width=width, height=height):
            return lists.whole(replace(model, width=max(1, width), height=max(1, height))), (Redraw(),)
        case Tick(now=now):
            notice = model.notice if model.notice.until > now else Notice("")
            model = replace(model, now=now, notice=notice)
            return arrivals.silent(model) if pulse.missed(model) else (model, ())
        case Online():
            return arrivals.online(model, message)
        case Offline():
            return arrivals.offline(model, message)
        case Snapshot():
            return arrivals.snapshot(model, message)
        case Locked(path=path):
            return unlocking.locked(model, path)
        case Prompts():
            return arrivals.prompts(model, message)
        case Began():
            return arrivals.began(model, message)
        case Came():
            return arrivals.came(model, message)
        case Answered():
            return _landed(*arrivals.answered(model, message))
        case Refused():
            return _landed(*arrivals.refused(model, message))
        case Due(what=what, id=id):
            return _due(model, what, id)
        case Sheets(found=found, faults=faults):
            return replace(model, sheets=found, sheet_faults=faults), ()
        case FilesRead():
            return sending.read(model, message)
        case Saved():
            return replace(model, unsaved=""), ()
        case Unsaved(what="answer", why=why):
            return say(model, f"what you write is in memory only: {why}", "bad", 30.0), ()
        case Unsaved(what="draft", why=why):
            return say(replace(model, unsaved=why), f"the draft is in memory only: {why}", "bad", 30.0), ()
        case Unsaved(what=what, why=why):
            return say(model, f"the {'theme' if what == 'theme' else 'last view'} was not saved: {why}", "warn"), ()


def _due(model: Model, what: str, id: str) -> Result:
    match what:
        case "order":
            return orders.due(model, id)
        case "answer":
            return replying.due(model, id)
        case "ready":
            return inbox.ready(model, id)
        case "save answer":
            return filling.save(model, id)
        case "save":
            return composing.save(model)
        case "ask":
            return arrivals.ask(model, id)
        case "pulse":
            return arrivals.beat(model)
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


def _pointed(model: Model, mouse: Mouse) -> Result:
    """A press of the mouse, as the actions that it stands for."""
    shown = () if mouse.button.startswith("wheel") else view(model, model.width, model.height).rows
    effects: Effects = ()
    for meant in pointer.meaning(model, mouse, shown):
        model, more = act(model, meant.action, meant.args)
        effects += more
    return model, effects


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
        case Answering() as answer:
            return filling.insert(model, answer, text, cut)
        case Secret() as secret:
            return unlocking.insert(model, secret, text)
        case Naming() as naming_:
            return naming.insert(model, naming_, text)
        case Palette(query=query):
            new, _ = buffers.insert(query, text, SHORT, multiline=False)
            return replace(model, overlay=Palette(query=new)), ()
        case Chooser() as chooser:
            return choosing.typed(model, chooser, text)
        case Filter(text=old) as overlay:
            new, _ = buffers.insert(old, text, SHORT, multiline=False)
            return filtering(model, replace(overlay, text=new)), ()
    if len(text) > 1:
        return say(model, "nothing here takes pasted text; `n` opens the form for a new task"), ()
    return model, ()


def _edit(name: str, edit: Callable[[Buffer], Buffer]) -> Handler:
    def apply(model: Model, _: Args) -> Result:
        match model.overlay:
            case Form() as form:
                return composing.edit(model, form, name, edit)
            case Secret() as secret:
                return unlocking.edited(model, secret, edit(secret.text))
            case Answering() as answer:
                return filling.edit(model, answer, name, edit)
            case Naming(text=text) as naming_:
                return naming.edited(model, naming_, edit(text))
            case Palette(query=query):
                return replace(model, overlay=Palette(query=edit(query))), ()
            case Chooser(query=query):
                return replace(model, overlay=Chooser(query=edit(query))), ()
            case Filter(text=text) as overlay:
                return filtering(model, replace(overlay, text=edit(text))), ()
        return model, ()

    return apply


# The rest


def _palette_run(model: Model, _: Args) -> Result:
    model, action = helping.chosen(model)
    return act(model, action, {}) if action else (model, ())


def _theme(model: Model, args: Args) -> Result:
    at = model.themes.index(model.theme) if model.theme in model.themes else -1
    named = str(args.get("name") or model.themes[(at + 1) % len(model.themes)])
    if named not in model.themes:
        return say(model, f"no theme {named}; there are {', '.join(model.themes)}", "warn"), ()
    return say(replace(model, theme=named), f"theme: {named}"), (SaveTheme(named), Redraw())


def _refresh(model: Model, _: Args) -> Result:
    if model.link.state != "online":
        return say(model, "bzzzd is away; what is shown comes back to life by itself", "warn"), ()
    effects: Effects = arrivals.refresh()
    if model.me.guest:
        effects += (Attach(),)
    if model.page is not None and (task := model.tasks.get(model.page.id)) is not None:
        effects += opened.questions(model, task)
    elif model.page is not None and model.page.kind in rooms.QUESTIONS:
        effects += rooms.QUESTIONS[model.page.kind](model)
    model, more = rooms.entered(model)
    return model, effects + more


def _quit(model: Model, _: Args) -> Result:
    """Leave: save the draft, send what still waits, and stay for its answers, though not for long."""
    model, effects = composing.save(model)
    for flush in (orders.flush, replying.flush):
        model, more = flush(model)
        effects += more
    if model.quitting or not model.flying:
        return replace(model, quitting=True), (*effects, SaveCache(), Quit())
    return say(replace(model, quitting=True), "leaving when the last command is answered", "info", LEAVE_S), (
        *effects,
        Later(LEAVE_S, Due("leave")),
    )


_HANDLERS: Handlers = {
    **moving.HANDLERS,
    **hands.HANDLERS,
    **composing.HANDLERS,
    **orders.HANDLERS,
    **reading.HANDLERS,
    **browsing.HANDLERS,
    **following.HANDLERS,
    **naming.HANDLERS,
    **answering.HANDLERS,
    **filling.HANDLERS,
    **replying.HANDLERS,
    **unlocking.HANDLERS,
    **{name: _edit(name, edit) for name, edit in EDITS.items()},
    **sending.HANDLERS,
    **choosing.HANDLERS,
    **talking.HANDLERS,
    **referring.HANDLERS,
    **helping.HANDLERS,
    "palette-run": _palette_run,
    "theme": _theme,
    "refresh": _refresh,
    "redraw": lambda model, _: (model, (Redraw(),)),
    "suspend": lambda model, _: (model, (Suspend(),)),
    "quit": _quit,
    "leave": _quit,
}
