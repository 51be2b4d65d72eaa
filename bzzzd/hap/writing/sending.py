"""Sending what a form holds: the message as it would be sent, the files that it quotes, and the way out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from bzzzd.hap.handling import Handler, Handlers, Result
from bzzzd.hap.messages import Effect, FilesRead, Post, ReadFiles, Submit
from bzzzd.hap.orders import say
from bzzzd.hap.values import buffer as buffers
from bzzzd.hap.values.model import Draft, Form, Model
from bzzzd.hap.writing.composing import draft_of, fresh_draft, keep, sheet_of
from bzzzd.hmmm import forms
from bzzzd.hmmm.forms import Composed


def composed(form: Form) -> Composed:
    """The message that the form would become now."""
    values = form.values
    paths = {field.name: values[field.name].strip() for field in form.sheet.fields if field.kind == "file"}
    return forms.compose(
        form.sheet, values, {name: form.files[path] for name, path in paths.items() if path in form.files}
    )


def submit(model: Model, args: Mapping[str, Any]) -> Result:
    """Send what the form holds; or, for a program, what ``args`` give, apart from any draft that is kept."""
    opened = model.overlay
    if isinstance(opened, Form) and not args:
        model = draft_of(model, opened)
        return _send(model, opened, model.draft, shown=True)
    name = str(args.get("form") or "task")
    sheet = sheet_of(model, name)
    if sheet is None:
        return say(model, f"there is no form {name[:40]}", "warn"), ()
    model, draft = fresh_draft(model, name, str(args.get("thread") or ""), str(args.get("reply_to") or ""))
    values = {
        **forms.start(sheet),
        **{field.name: str(args[field.name]) for field in sheet.fields if field.name in args},
    }
    draft = replace(draft, values=values)
    form = Form(sheet=sheet, buffers=tuple(buffers.of(values.get(field.name, "")) for field in sheet.fields))
    return _send(model, form, draft, shown=False)


def _send(model: Model, form: Form, draft: Draft, *, shown: bool) -> Result:
    if why := _refusal(model, form, draft):
        model = say(model, why, "warn")
        if not shown:
            return model, ()
        return replace(model, overlay=replace(form, fault=why, preview=False)), (keep(model),)
    if shown and (paths := _unread(form)):
        return model, (ReadFiles(paths, "submit"),)
    draft = replace(draft, tried=True)
    message = composed(form)
    effect: Effect
    if message.sends == "task":
        effect = Submit(draft.id, message)
    else:
        effect = Post(draft.id, message, draft.thread, draft.reply_to, _project(model, draft.thread))
    model = say(replace(model, flying=model.flying | {draft.id}), f"sending “{message.title or draft.title}”")
    if not shown:
        return model, (effect,)
    model = replace(model, draft=draft, overlay=None)
    return model, (keep(model), effect)


def _refusal(model: Model, form: Form, draft: Draft) -> str:
    """Why it cannot be sent now, or nothing."""
    wrong = forms.faults(form.sheet, {**form.values})
    if wrong:
        return next(iter(wrong.values()))
    message = composed(form)
    if message.sends == "escalation" and not message.to:
        return "To: an escalation names whom it calls, such as otto or role:operator"
    if message.sends == "summary" and not message.body.strip():
        return "a summary says how the thread ended; an empty one closes nothing"
    if model.me.guest:
        other = "; `bzzz task submit` gives it as a guest's" if message.sends == "task" and not model.locked else ""
        return f"to send it you need a person's grant: {model.me.mend}{other}" if model.me.mend else (
            "the daemon has not let you in yet; the draft is kept"
        )  # fmt: skip
    return "it is on its way already" if draft.id in model.flying else ""


def _project(model: Model, thread: str) -> str:
    """The project of the task that the thread is about; a free one has none of its own."""
    known = model.talk.threads.get(thread)
    task = model.tasks.get((known.task if known is not None else "") or thread)
    return (task.project if task is not None else "") or "default"


def _unread(form: Form) -> tuple[str, ...]:
    """Files that the message quotes and that were not read yet."""
    paths = [
        text.text.strip() for field, text in zip(form.sheet.fields, form.buffers, strict=True) if field.kind == "file"
    ]
    return tuple(path for path in dict.fromkeys(paths) if path and path not in form.files)


def preview(model: Model, _: Mapping[str, Any]) -> Result:
    """Show the message as it would be sent, or go back to the fields."""
    form = model.overlay
    if not isinstance(form, Form):
        return model, ()
    if not form.preview and (paths := _unread(form)):
        return model, (ReadFiles(paths, "preview"),)
    return replace(model, overlay=replace(form, preview=not form.preview, top=0, fault="")), ()


def read(model: Model, message: FilesRead) -> Result:
    """The files were read: go on with what wanted them, or say what is wrong with them."""
    form = model.overlay
    if not isinstance(form, Form):
        return model, ()
    form = replace(form, files={**form.files, **message.texts})
    if message.faults:
        why = next(f"{path}: {fault}" for path, fault in message.faults.items())
        return say(replace(model, overlay=replace(form, fault=why)), why, "warn"), ()
    model = replace(model, overlay=form)
    return submit(model, {}) if message.then == "submit" else preview(model, {})


def _scroll(by: int) -> Handler:
    def apply(model: Model, _: Mapping[str, Any]) -> Result:
        form = model.overlay
        if not isinstance(form, Form) or not form.preview:
            return model, ()
        return replace(model, overlay=replace(form, top=max(0, form.top + by))), ()

    return apply


HANDLERS: Handlers = {
    "submit": submit,
    "send-shown": submit,
    "preview": preview,
    "preview-close": preview,
    "preview-down": _scroll(1),
    "preview-up": _scroll(-1),
}
