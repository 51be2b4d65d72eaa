"""The person's hands: the mouse, the clipboard, the bare view, and an editor of their own."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from bzzzd.hap.handling import Args, Handler, Handlers, Result
from bzzzd.hap.messages import Copy, Edit, Edited, Redraw
from bzzzd.hap.orders import say
from bzzzd.hap.values import buffer as buffers
from bzzzd.hap.values.model import Bare, Form, Model, chosen_id
from bzzzd.hap.views.bare import bare_rows, text_in_view
from bzzzd.hap.writing import composing
from bzzzd.hmmm.forms import limit


def _mouse(model: Model, _: Args) -> Result:
    mouse = not model.mouse
    told = "the mouse is the portal's" if mouse else "the mouse is the terminal's: it selects text"
    return say(replace(model, mouse=mouse), told), ()


def _copy(model: Model, _: Args) -> Result:
    text = text_in_view(model)
    return (model, (Copy(text),)) if text else (say(model, "there is nothing to copy"), ())


def _copy_id(model: Model, _: Args) -> Result:
    id = chosen_id(model)
    return (model, (Copy(id),)) if id else (say(model, "no row is chosen"), ())


def _bare(model: Model, _: Args) -> Result:
    return replace(model, overlay=Bare()), (Redraw(),)


def _bare_close(model: Model, _: Args) -> Result:
    return replace(model, overlay=None), (Redraw(),)


def _scroll(by: Callable[[Model], int]) -> Handler:
    def apply(model: Model, _: Args) -> Result:
        if not isinstance(model.overlay, Bare):
            return model, ()
        last = max(0, len(bare_rows(model, model.width)) - model.height)
        return replace(model, overlay=Bare(scroll=max(0, min(last, model.overlay.scroll + by(model))))), ()

    return apply


def _editor(model: Model, _: Args) -> Result:
    """Give the text in focus, or the form's first text of lines, to the person's editor; drafts are saved first."""
    form = model.overlay
    if not isinstance(form, Form):
        return model, ()
    long = [place for place in composing.shown(form) if form.sheet.fields[place].kind == "lines"]
    if not long:
        return say(model, "this form has no text of lines"), ()
    form = replace(form, focus=form.focus if form.focus in long else long[0], emptying=False)
    model = composing.draft_of(replace(model, overlay=form), form)
    model = replace(model, draft=replace(model.draft, editing=form.field.name))
    return model, (composing.keep(model), Edit(form.buffers[form.focus].text))


def edited(model: Model, message: Edited) -> Result:
    """The editor has ended: its text becomes the field's, as one step that can be taken back."""
    if message.told:
        model = say(model, message.told, "warn", 60.0)
    if message.text is None or not isinstance(model.overlay, Form):
        return model, ()
    form, model = model.overlay, replace(model, draft=replace(model.draft, editing=""))
    old, most = form.buffers[form.focus], limit(form.field)
    new, cut = buffers.changed_to(old, message.text, most)
    if cut:
        model = say(model, f"the {form.field.label.lower()} holds {most:,} characters; the rest was left out", "warn")
    if new is old:
        return model, ()
    # Its own file is gone by now: the draft is the only place that has the text.
    model, effects = composing.changed(model, composing.with_text(form, new))
    model, more = composing.save(model)
    return model, (*effects, *more)


HANDLERS: Handlers = {
    "mouse": _mouse,
    "copy": _copy,
    "copy-id": _copy_id,
    "bare": _bare,
    "bare-close": _bare_close,
    "bare-down": _scroll(lambda _: 1),
    "bare-up": _scroll(lambda _: -1),
    "bare-page-down": _scroll(lambda model: max(1, model.height - 1)),
    "bare-page-up": _scroll(lambda model: -max(1, model.height - 1)),
    "editor": _editor,
}
