"""Writing a task: the form, its draft, and sending it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from bzzzd.hap import buffer as buffers
from bzzzd.hap.buffer import Buffer
from bzzzd.hap.handling import Handler, Handlers, Result
from bzzzd.hap.messages import Due, Later, SaveDraft, Submit
from bzzzd.hap.model import FORM_FIELDS, Draft, Form, Model
from bzzzd.hap.orders import say

SAVE_AFTER_S = 0.5
LIMITS: Mapping[str, int] = {"title": 300, "body": 400_000, "role": 64, "capability": 64}
"""Code points; the body stays under the 512 KiB of one message for any text but the rarest."""


def fresh_draft(model: Model) -> tuple[Model, Draft]:
    """A draft with an id of its own."""
    number = model.counter + 1
    return replace(model, counter=number), Draft(id=f"{model.run}-{number}")


def open_form(model: Model, args: Mapping[str, Any]) -> Result:
    """Show the form with the draft that is there; ``args`` may fill fields."""
    if not model.draft.id:
        model, draft = fresh_draft(model)
        model = replace(model, draft=draft)
    given = {name: str(args[name]) for name in FORM_FIELDS if args.get(name)}
    texts = [given.get(name, getattr(model.draft, name)) for name in FORM_FIELDS]
    form = Form(buffers=tuple(buffers.of(text) for text in texts))
    return changed(model, form) if given else (replace(model, overlay=form), ())


def draft_of(model: Model, form: Form) -> Model:
    """The model with its draft as the form has it. One that may have been sent gets a new id when it changes."""
    texts = dict(zip(FORM_FIELDS, (one.text for one in form.buffers), strict=True))
    draft = replace(model.draft, **texts)
    if draft == model.draft:
        return model
    if draft.tried:
        model, fresh = fresh_draft(model)
        draft = replace(draft, id=fresh.id, tried=False)
    return replace(model, draft=draft)


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
    return model, (SaveDraft(model.draft),) if form.saving else ()


def close(model: Model) -> Result:
    model, effects = save(model)
    model = replace(model, overlay=None)
    return (model if model.draft.empty else say(model, "draft kept; `n` opens it again")), effects


def discard(model: Model, form: Form) -> Result:
    """Empty the form at the second press; the first one warns."""
    if all(not one.size for one in form.buffers):
        return model, ()
    if not form.emptying:
        warned = replace(model, overlay=replace(form, emptying=True))
        return say(warned, "press it again to empty the form", "warn"), ()
    empty = replace(form, buffers=tuple(Buffer() for _ in FORM_FIELDS), focus=0, top=0, emptying=False)
    return changed(say(model, "emptied"), empty)


def submit(model: Model, args: Mapping[str, Any]) -> Result:
    """Send what the form holds; or, for a program, what ``args`` give, apart from any draft that is kept."""
    form = model.overlay if isinstance(model.overlay, Form) else None
    if form is not None and not args:
        model = draft_of(model, form)
        draft = model.draft
    else:
        form = None
        model, draft = fresh_draft(model)
        draft = replace(draft, **{name: str(args[name]) for name in FORM_FIELDS if args.get(name)})
    if why := _refusal(model, draft):
        if form is None:
            return say(model, why, "warn"), ()
        return say(replace(model, overlay=replace(form, fault=why)), why, "warn"), (SaveDraft(draft),)
    draft = replace(draft, tried=True)
    model = say(replace(model, flying=model.flying | {draft.id}), f"sending “{draft.title}”")
    if form is None:
        return model, (Submit(draft),)
    return replace(model, draft=draft, overlay=None), (SaveDraft(draft), Submit(draft))


def _refusal(model: Model, draft: Draft) -> str:
    """Why the draft cannot be sent now, or nothing."""
    if not draft.title.strip():
        return "a task needs a title"
    if model.me.guest:
        return f"to send a task you need a person's grant: {model.me.mend}" if model.me.mend else (
            "the daemon has not let you in yet; the draft is kept"
        )  # fmt: skip
    return "it is on its way already" if draft.id in model.flying else ""


def focus(model: Model, form: Form, by: int) -> Result:
    return replace(model, overlay=replace(form, focus=(form.focus + by) % len(FORM_FIELDS), emptying=False)), ()


def with_text(form: Form, text: Buffer) -> Form:
    return replace(form, buffers=(*form.buffers[: form.focus], text, *form.buffers[form.focus + 1 :]))


def insert(model: Model, form: Form, text: str, cut: bool = False) -> Result:
    """Type or paste into the field in focus; what does not fit is left out, and that is said."""
    name = FORM_FIELDS[form.focus]
    new, over = buffers.insert(form.buffers[form.focus], text, LIMITS[name], multiline=name == "body")
    if cut or over:
        model = say(model, f"the {name} holds {LIMITS[name]:,} characters; the rest was left out", "warn")
    if new is form.buffers[form.focus]:
        return model, ()
    return changed(model, with_text(form, new))


def line(model: Model, form: Form, by: int) -> Result:
    """Up or down: in the body by lines, at its edge and elsewhere to the next field."""
    text = form.buffers[form.focus]
    if 0 <= text.row + by < len(text.lines) or abs(by) > 1:
        return replace(model, overlay=with_text(form, buffers.vertical(text, by))), ()
    next_field = form.focus + by
    return focus(model, form, by) if 0 <= next_field < len(FORM_FIELDS) else (model, ())


def enter(model: Model, form: Form) -> Result:
    return insert(model, form, "\n") if FORM_FIELDS[form.focus] == "body" else focus(model, form, 1)


def _in_form(step: Callable[[Model, Form], Result]) -> Handler:
    return lambda model, _: step(model, model.overlay) if isinstance(model.overlay, Form) else (model, ())


HANDLERS: Handlers = {
    "new": open_form,
    "submit": submit,
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
