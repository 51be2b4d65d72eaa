"""Writing an answer: a text or the fields of a form, kept as it is typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from bzzzd.hap.handling import Handlers, Result
from bzzzd.hap.messages import Due, Edit, Edited, Later, SaveAnswer
from bzzzd.hap.orders import say
from bzzzd.hap.values import buffer as buffers
from bzzzd.hap.values.asked import Asked
from bzzzd.hap.values.buffer import Buffer
from bzzzd.hap.values.model import Answering, Model
from bzzzd.hap.writing.answering import checked, in_step

SAVE_AFTER_S: Final = 0.5
LIMIT: Final = 100_000
"""Code points of one text or field: in UTF-8 and JSON it stays under what a value may have."""


def _show(model: Model, overlay: Answering) -> Result:
    return replace(model, overlay=overlay), ()


def with_text(overlay: Answering, text: Buffer) -> Answering:
    """The overlay with another text in the field, or the word, that has the focus."""
    if overlay.step == "word":
        return replace(overlay, word=text, fault="")
    fields = (*overlay.buffers[: overlay.focus], text, *overlay.buffers[overlay.focus + 1 :])
    return replace(overlay, buffers=fields, fault="")


def text_of(overlay: Answering) -> Buffer | None:
    """The text that typing goes into, where it goes anywhere."""
    if overlay.step == "word":
        return overlay.word
    return overlay.buffers[overlay.focus] if overlay.step == "write" else None


def _lines(asked: Asked, overlay: Answering) -> bool:
    return overlay.what == "text" or asked.form[overlay.focus].kind == "lines"


def changed(model: Model, overlay: Answering, text: Buffer) -> Result:
    """Something was typed: keep it, and have it saved soon."""
    shown = with_text(overlay, text)
    if shown.step != "write" or text.lines == (text_of(overlay) or text).lines:
        return replace(model, overlay=shown), ()
    written = {**model.written, shown.prompt: tuple(one.text for one in shown.buffers)}
    model = replace(model, overlay=replace(shown, saving=True), written=written)
    return model, () if overlay.saving else (Later(SAVE_AFTER_S, Due("save answer", shown.prompt)),)


def insert(model: Model, overlay: Answering, text: str, cut: bool = False) -> Result:
    """Type or paste into what has the focus."""
    model = checked(model)
    if not isinstance(model.overlay, Answering):
        return model, ()
    overlay, old = model.overlay, text_of(model.overlay)
    if old is None:
        return model, ()
    asked = model.asked[overlay.prompt]
    several = overlay.step == "write" and _lines(asked, overlay)
    new, over = buffers.insert(old, text, LIMIT if overlay.step == "write" else 100, multiline=several)
    if cut or over:
        model = say(model, f"an answer holds {LIMIT:,} characters; the rest was left out", "warn")
    return (model, ()) if new is old else changed(model, overlay, new)


def edit(model: Model, overlay: Answering, name: str, apply: Callable[[Buffer], Buffer]) -> Result:
    """An edit of what has the focus; in a choice, left and right go through its values."""
    text, asked = text_of(overlay), model.asked.get(overlay.prompt)
    if text is None or asked is None:
        return model, ()
    field = asked.form[overlay.focus] if overlay.step == "write" and asked.kind == "form" else None
    if field is not None and field.choices and name in ("left", "right"):
        at = field.choices.index(text.text) if text.text in field.choices else -1 if name == "right" else 0
        return changed(
            model, overlay, buffers.of(field.choices[(at + (1 if name == "right" else -1)) % len(field.choices)])
        )
    return changed(model, overlay, apply(text))


def _editor(model: Model, overlay: Answering, asked: Asked) -> Result:
    """Give the text in focus to the person's own editor."""
    if not _lines(asked, overlay):
        return say(model, "only a text of several lines goes to the editor"), ()
    return model, (
        SaveAnswer(overlay.prompt, tuple(one.text for one in overlay.buffers)),
        Edit(overlay.buffers[overlay.focus].text),
    )


def edited(model: Model, overlay: Answering, message: Edited) -> Result:
    """The editor has ended: its text becomes the answer's, as one step that can be taken back."""
    if message.told:
        model = say(model, message.told, "warn", 60.0)
    if message.text is None or overlay.step != "write":
        return model, ()
    new, cut = buffers.changed_to(overlay.buffers[overlay.focus], message.text, LIMIT)
    if cut:
        model = say(model, f"an answer holds {LIMIT:,} characters; the rest was left out", "warn")
    model, effects = changed(model, overlay, new)
    # The editor's file is gone by now: what was written is nowhere else.
    return model, (*effects, SaveAnswer(overlay.prompt, model.written.get(overlay.prompt, ())))


def _field(model: Model, overlay: Answering, by: int) -> Result:
    return _show(model, replace(overlay, focus=(overlay.focus + by) % max(1, len(overlay.buffers)), fault=""))


def _enter(model: Model, overlay: Answering, asked: Asked) -> Result:
    if _lines(asked, overlay):
        return insert(model, overlay, "\n")
    return _field(model, overlay, 1)


def _line(model: Model, overlay: Answering, by: int) -> Result:
    text = overlay.buffers[overlay.focus]
    if 0 <= text.row + by < len(text.lines):
        return _show(model, with_text(overlay, buffers.vertical(text, by)))
    following = overlay.focus + by
    return _field(model, overlay, by) if 0 <= following < len(overlay.buffers) else (model, ())


def save(model: Model, prompt: str) -> Result:
    """The time to keep what is being written has come."""
    overlay = model.overlay
    if isinstance(overlay, Answering) and overlay.prompt == prompt:
        model = replace(model, overlay=replace(overlay, saving=False))
    return model, (SaveAnswer(prompt, model.written.get(prompt, ())),)


HANDLERS: Handlers = {
    "answer-next-field": in_step("write")(lambda model, overlay, _: _field(model, overlay, 1)),
    "answer-previous-field": in_step("write")(lambda model, overlay, _: _field(model, overlay, -1)),
    "answer-enter": in_step("write")(_enter),
    "answer-editor": in_step("write")(_editor),
    "answer-line-down": in_step("write")(lambda model, overlay, _: _line(model, overlay, 1)),
    "answer-line-up": in_step("write")(lambda model, overlay, _: _line(model, overlay, -1)),
}
