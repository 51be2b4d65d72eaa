"""Writing with a form: opening it, its draft, and what the keys do in it. ``sending.py`` sends what it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from bzzzd.hap.handling import Handler, Handlers, Result
from bzzzd.hap.messages import Due, Effects, Later, SaveDrafts
from bzzzd.hap.orders import say
from bzzzd.hap.values import buffer as buffers
from bzzzd.hap.values.buffer import Buffer
from bzzzd.hap.values.model import Draft, Form, Model
from bzzzd.hap.values.sheets import BUILT_IN, Field, Sheet
from bzzzd.hmmm import forms

SAVE_AFTER_S = 0.5
MOST_DRAFTS = 16
_BEGINNING = 50
PLACE = frozenset({"form", "thread", "reply_to"})
"""Arguments that say what is written and where, beside the fields."""


def sheet_of(model: Model, name: str) -> Sheet | None:
    """The form of this name: one from the folders, or one that is always there."""
    return BUILT_IN.get(name) or model.sheets.get(name)


def fresh_draft(model: Model, form: str = "task", thread: str = "", reply_to: str = "") -> tuple[Model, Draft]:
    """A draft with an id of its own."""
    number = model.counter + 1
    return replace(model, counter=number), Draft(
        id=f"{model.run}-{number}", form=form, thread=thread, reply_to=reply_to
    )


def open_form(model: Model, args: Mapping[str, Any]) -> Result:
    """Show a form with the draft that there is of it; ``args`` may fill fields, and name form and thread."""
    name = str(args.get("form") or "task")
    sheet = sheet_of(model, name)
    if sheet is None:
        known = ", ".join([*BUILT_IN, *model.sheets])
        return say(model, f"there is no form {name[:40]}; there are {known}", "warn"), ()
    model, effects = save(model)
    model, new = _taken_up(model, name, str(args.get("thread") or ""), str(args.get("reply_to") or ""))
    given = {field.name: str(args[field.name]) for field in sheet.fields if args.get(field.name)}
    texts = {**(_start(model, sheet) if new else {}), **model.draft.values, **given}
    form = Form(sheet=sheet, buffers=tuple(buffers.of(texts.get(field.name, "")) for field in sheet.fields))
    if not given:
        return replace(model, overlay=form), effects
    model, more = changed(model, form)
    return model, (*effects, *more)


def _taken_up(model: Model, name: str, thread: str, reply_to: str) -> tuple[Model, bool]:
    """The model with its draft of this form and place; the one that it had is put by. True if it is a new one."""
    now = model.draft
    if now.id and (now.form, now.thread, now.reply_to) == (name, thread, reply_to):
        return model, False
    others = (now, *model.put_by) if now.id and not now.empty else model.put_by
    found = next((one for one in others if (one.form, one.thread, one.reply_to) == (name, thread, reply_to)), None)
    put_by = tuple(one for one in others if one is not found)[: MOST_DRAFTS - 1]
    if found is not None:
        return replace(model, draft=found, put_by=put_by), False
    model, draft = fresh_draft(model, name, thread, reply_to)
    return replace(model, draft=draft, put_by=put_by), True


def _start(model: Model, sheet: Sheet) -> dict[str, str]:
    """What a form begins with."""
    today = _day(model.now + model.utc_offset)
    return forms.start(sheet, {"me": model.me.id, "role": model.me.role, "today": today})


def _day(at: float) -> str:
    """The day of a local time as a form takes it."""
    from datetime import UTC, datetime  # a form is rarely opened before the first frame

    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def draft_of(model: Model, form: Form) -> Model:
    """The model with its draft as the form has it. One that may have been sent gets a new id when it changes."""
    draft = replace(model.draft, values=form.values)
    if draft == model.draft:
        return model
    if draft.tried:
        model, fresh = fresh_draft(model)
        draft = replace(draft, id=fresh.id, tried=False)
    return replace(model, draft=draft)


def keep(model: Model) -> SaveDrafts:
    """The effect that writes down every draft there is."""
    return SaveDrafts(tuple(one for one in (model.draft, *model.put_by) if one.id and not one.empty))


def sent(model: Model, id: str) -> tuple[Model, Effects]:
    """What was written has arrived: its draft goes, not one that was begun meanwhile."""
    known = [one for one in (model.draft, *model.put_by) if one.id == id]
    if not known:
        return model, ()
    draft = Draft("") if model.draft.id == id else model.draft
    model = replace(model, draft=draft, put_by=tuple(one for one in model.put_by if one.id != id))
    return model, (keep(model),)


def changed(model: Model, form: Form) -> Result:
    """The form's text has changed: keep it, and have it saved soon."""
    form = replace(form, fault="", emptying=False)
    if form.saving:
        return replace(model, overlay=form), ()
    return replace(model, overlay=replace(form, saving=True)), (Later(SAVE_AFTER_S, Due("save")),)


def save(model: Model) -> Result:
    """The time to save the draft has come, or the form is left."""
    if not isinstance(model.overlay, Form):
        return model, ()
    form = model.overlay
    model = replace(draft_of(model, form), overlay=replace(form, saving=False))
    return model, (keep(model),) if form.saving else ()


def close(model: Model) -> Result:
    model, effects = save(model)
    model = replace(model, overlay=None)
    if model.draft.empty or not model.draft.id:
        return model, effects
    key = "`n` opens it again" if model.draft.form == "task" else "the same form opens it again"
    return say(model, f"draft kept; {key}"), effects


def discard(model: Model, form: Form) -> Result:
    """Empty the form at the second press; the first one warns."""
    if all(not one.size for one in form.buffers):
        return model, ()
    if not form.emptying:
        warned = replace(model, overlay=replace(form, emptying=True))
        return say(warned, "press it again to empty the form", "warn"), ()
    start = _start(model, form.sheet)
    empty = tuple(buffers.of(start[field.name]) for field in form.sheet.fields)
    return changed(say(model, "emptied"), replace(form, buffers=empty, focus=0, top=0, emptying=False))


# In the form


def shown(form: Form) -> tuple[int, ...]:
    """The places of the fields that are asked for now."""
    # Of a long text its beginning is enough: a condition asks only whether it says something.
    texts = ("\n".join(text.lines[:_BEGINNING]) for text in form.buffers)
    values = dict(zip((field.name for field in form.sheet.fields), texts, strict=True))
    asked = {field.name for field in forms.shown(form.sheet, values)}
    return tuple(place for place, field in enumerate(form.sheet.fields) if field.name in asked)


def focus(model: Model, form: Form, by: int) -> Result:
    """To the next field that is asked for, round at the end."""
    places = shown(form)
    here = places.index(form.focus) if form.focus in places else 0
    place = places[(here + by) % len(places)]
    return replace(model, overlay=replace(form, focus=place, top=0, emptying=False)), ()


def with_text(form: Form, text: Buffer) -> Form:
    return replace(form, buffers=(*form.buffers[: form.focus], text, *form.buffers[form.focus + 1 :]))


def insert(model: Model, form: Form, text: str, cut: bool = False) -> Result:
    """Type or paste into the field in focus; what does not fit is left out, and that is said."""
    field = form.field
    if form.preview:
        return model, ()
    if field.kind == "choice":
        return _typed_choice(model, form, field, text)
    most = forms.limit(field)
    new, over = buffers.insert(form.buffers[form.focus], text, most, multiline=field.kind == "lines")
    if cut or over:
        model = say(model, f"the {field.label.lower()} holds {most:,} characters; the rest was left out", "warn")
    if new is form.buffers[form.focus]:
        return model, ()
    return changed(model, with_text(form, new))


def _typed_choice(model: Model, form: Form, field: Field, text: str) -> Result:
    """The next value that begins with what was typed; the space bar goes through all of them."""
    if not text.strip():
        return choose(model, form, 1)
    now = form.buffers[form.focus].text
    place = field.choices.index(now) + 1 if now in field.choices else 0
    in_turn = (*field.choices[place:], *field.choices[:place])
    found = next((value for value in in_turn if value.casefold().startswith(text.strip().casefold())), None)
    return (model, ()) if found is None else changed(model, with_text(form, buffers.of(found)))


def choose(model: Model, form: Form, by: int) -> Result:
    """Another value of the choice in focus; one that need not be made has an empty value too."""
    values = form.field.choices if form.field.required else ("", *form.field.choices)
    now = form.buffers[form.focus].text
    place = values.index(now) + by if now in values else 0
    return changed(model, with_text(form, buffers.of(values[place % len(values)])))


def edit(model: Model, form: Form, name: str, apply: Callable[[Buffer], Buffer]) -> Result:
    """An edit of the text in focus; in a choice, left and right go through its values."""
    if form.field.kind == "choice":
        by = {"left": -1, "right": 1}.get(name, 0)
        return choose(model, form, by) if by else (model, ())
    old = form.buffers[form.focus]
    new = apply(old)
    with_new = with_text(form, new)
    if new.lines == old.lines:
        return replace(model, overlay=replace(with_new, emptying=False)), ()
    return changed(model, with_new)


def line(model: Model, form: Form, by: int) -> Result:
    """Up or down: in a text of lines by lines, at its edge and elsewhere to the next field."""
    text = form.buffers[form.focus]
    if form.field.kind == "lines" and (0 <= text.row + by < len(text.lines) or abs(by) > 1):
        return replace(model, overlay=with_text(form, buffers.vertical(text, by))), ()
    places = shown(form)
    here = places.index(form.focus) if form.focus in places else 0
    return focus(model, form, by) if 0 <= here + by < len(places) else (model, ())


def enter(model: Model, form: Form) -> Result:
    return insert(model, form, "\n") if form.field.kind == "lines" else focus(model, form, 1)


def _in_form(step: Callable[[Model, Form], Result]) -> Handler:
    return lambda model, _: step(model, model.overlay) if isinstance(model.overlay, Form) else (model, ())


HANDLERS: Handlers = {
    "new": open_form,
    "close": lambda model, _: close(model),
    "discard": _in_form(discard),
    "next-field": _in_form(lambda model, form: focus(model, form, 1)),
    "previous-field": _in_form(lambda model, form: focus(model, form, -1)),
    "form-enter": _in_form(enter),
    "form-up": _in_form(lambda model, form: line(model, form, -1)),
    "form-down": _in_form(lambda model, form: line(model, form, 1)),
    "form-page-up": _in_form(lambda model, form: line(model, form, -10)),
    "form-page-down": _in_form(lambda model, form: line(model, form, 10)),
}
