"""The form in which a task is written."""

from __future__ import annotations

from bzzzd.hap.buffer import Buffer
from bzzzd.hap.layout import FORM_LABEL, form_area
from bzzzd.hap.model import FORM_FIELDS, Form, Model
from bzzzd.hap.rows import Row, clip, spread
from bzzzd.hap.text import chunks, fit, width

Cursor = tuple[int, int]


def form_view(model: Model, form: Form, columns: int, height: int) -> tuple[tuple[Row, ...], Cursor | None]:
    """The form's rows, and where the cursor stands in them."""
    roomy = height >= 10
    rows: list[Row] = []
    cursor: Cursor | None = None
    if roomy:
        rows += [_title(model, columns), ()]
    for number, name in enumerate(FORM_FIELDS):
        focused = number == form.focus
        text = form.buffers[number]
        if name == "body":
            area, at = body_area(model, form, text)
        else:
            line, x = _one_line(text, form_area(model)[0])
            area, at = [line], (x, 0)
        if focused:
            cursor = (FORM_LABEL + at[0], len(rows) + at[1])
        for offset, part in enumerate(area):
            label = _label(form, number, offset, text)
            note = (("dim", _known(model, name)),) if name in ("role", "capability") and not part.strip() else ()
            field = ("field", fit(part, columns - FORM_LABEL - 1))
            rows.append((*label, *((*note,) if note and not focused else (field,))))
    if height > len(rows):
        rows.append(_foot(model, form, columns))
    return tuple(clip(row, columns) for row in rows[:height]), cursor


def _title(model: Model, columns: int) -> Row:
    state = f"▲ not saved: {model.unsaved}" if model.unsaved else "kept as you type"
    return spread((("strong", " New task"),), (("warn" if model.unsaved else "dim", state + " "),), columns)


def _label(form: Form, number: int, offset: int, text: Buffer) -> Row:
    name = FORM_FIELDS[number]
    focused = number == form.focus
    mark = ("accent", "▌") if focused else ("base", " ")
    if offset == 0:
        shown = ("accent" if focused else "dim", fit(name.capitalize(), FORM_LABEL - 1))
    elif offset == 1 and len(text.lines) > 1:
        shown = ("faint", fit(f"{text.row + 1}/{len(text.lines)}", FORM_LABEL - 1))
    else:
        shown = ("base", " " * (FORM_LABEL - 1))
    return (mark, shown)


def _known(model: Model, name: str) -> str:
    """What the mesh's agents offer, to choose from."""
    if name == "role":
        found = sorted({agent.role for agent in model.agents if agent.role})
    else:
        found = sorted({word for agent in model.agents for word in agent.capabilities})
    return "any" + (f"; there are {', '.join(found)}" if found else "")


def _foot(model: Model, form: Form, columns: int) -> Row:
    if form.fault:
        return (("warn", f" ▲ {form.fault}"),)
    focused = FORM_FIELDS[form.focus]
    hint = {
        "title": "one line that says what is wanted",
        "body": "everything an agent needs to know; only its readers can decrypt it",
        "role": f"who may take it: {_known(model, 'role')}",
        "capability": f"what it takes: {_known(model, 'capability')}",
    }[focused]
    return (("dim", f" {hint}"),)


def _one_line(text: Buffer, room: int) -> tuple[str, int]:
    """The part of a one-line field in which the cursor stands, and its column there."""
    parts = chunks(text.line, room)
    start = 0
    for part in parts:
        if text.column <= start + len(part):
            return part, width(part[: text.column - start])
        start += len(part)
    return parts[-1], width(parts[-1])


def body_area(model: Model, form: Form, text: Buffer) -> tuple[list[str], Cursor]:
    """The visible lines of the body field, and the cursor in them."""
    columns, height = form_area(model)
    shown: list[str] = []
    cursor = (0, 0)
    for number in range(form.top, len(text.lines)):
        parts = chunks(text.lines[number], columns)
        if number == text.row:
            start = 0
            for offset, part in enumerate(parts):
                if text.column <= start + len(part):
                    cursor = (width(part[: text.column - start]), len(shown) + offset)
                    break
                start += len(part)
        shown += parts
        if len(shown) > cursor[1] + height and number >= text.row:
            break
    over = max(0, cursor[1] - height + 1)  # one line that is taller than the field
    shown = shown[over : over + height]
    return shown + [""] * (height - len(shown)), (cursor[0], cursor[1] - over)


def scrolled(model: Model, form: Form) -> int:
    """The body's first visible line, moved just as far as the cursor needs."""
    columns, height = form_area(model)
    text = form.buffers[FORM_FIELDS.index("body")]
    if text.row <= form.top:
        return text.row
    used, top = 0, text.row
    while top >= form.top:
        used += len(chunks(text.lines[top], columns))
        if used > height:
            return min(text.row, top + 1)
        top -= 1
    return form.top
