"""The form in which something is written, and the preview of what would be sent."""

from __future__ import annotations

from bzzzd.hap.rows import Row, Segment, clip, row_width, spread
from bzzzd.hap.text import chunks, fit, width
from bzzzd.hap.values.buffer import Buffer
from bzzzd.hap.values.layout import FORM_LABEL, layout
from bzzzd.hap.values.model import Form, Model
from bzzzd.hap.values.sheets import KIND_HELP, Field
from bzzzd.hap.writing.composing import shown
from bzzzd.hap.writing.sending import composed

Cursor = tuple[int, int]

_ROOMY = 10
_LEAST_LINES = 3


def heights(model: Model, form: Form, height: int) -> dict[int, int]:
    """Rows of each field that is asked for, by its place: a text of lines in focus gets what the others leave."""
    places = shown(form)
    long = [place for place in places if form.sheet.fields[place].kind == "lines"]
    rows = dict.fromkeys(places, 1)
    if not long:
        return rows
    room = height - len(places) - (2 if height >= _ROOMY else 0) - 1
    wide = form.focus if form.focus in long else max(long, key=lambda place: form.buffers[place].size)
    for place in long:
        if place != wide:
            rows[place] = min(_LEAST_LINES, max(1, len(form.buffers[place].lines)), max(1, room))
            room -= rows[place] - 1
    rows[wide] = max(1, room + 1) if len(long) == 1 else max(_LEAST_LINES, room + 1)
    return rows


def _columns(model: Model) -> int:
    """Columns of a field; one is left for the cursor at a line's end."""
    return max(1, model.width - FORM_LABEL - 2)


def form_view(model: Model, form: Form, columns: int, height: int) -> tuple[tuple[Row, ...], Cursor | None]:
    """The form's rows, and where the cursor stands in them."""
    if form.preview:
        return preview_rows(model, form, columns, height), None
    head: list[Row] = [_title(model, form, columns), ()] if height >= _ROOMY else []
    foot: list[Row] = [_foot(model, form, columns)] if height > 1 else []
    rows: list[Row] = []
    cursor = (0, 0)
    for place, size in heights(model, form, height).items():
        area, at = _area(model, form, place, size)
        if place == form.focus:
            cursor = (FORM_LABEL + at[0], len(rows) + at[1])
        rows += [_row(model, form, place, offset, part, columns) for offset, part in enumerate(area)]
    room = max(1, height - len(head) - len(foot))
    top = min(max(0, cursor[1] - room + 1), max(0, len(rows) - room))
    rows = rows[top : top + room]
    cursor = (cursor[0], cursor[1] - top + len(head))
    whole = [*head, *rows, *(foot if height > len(head) + len(rows) else ())]
    return tuple(clip(row, columns) for row in whole[:height]), cursor


def _title(model: Model, form: Form, columns: int) -> Row:
    state = f"▲ not saved: {model.unsaved}" if model.unsaved else "kept as you type"
    where = f" · {model.draft.thread}" if model.draft.thread else ""
    left: Row = (("strong", f" {form.sheet.title}"), ("dim", where))
    return spread(left, (("warn" if model.unsaved else "dim", state + " "),), columns)


def _row(model: Model, form: Form, place: int, offset: int, part: str, columns: int) -> Row:
    field, focused = form.sheet.fields[place], place == form.focus
    label = _label(form, place, offset)
    if field.kind == "choice":
        return (*label, *_choices(field, form.buffers[place].text, columns - FORM_LABEL))
    note = _known(model, field) if field.kind in ("role", "person") else ""
    if note and not focused and not part.strip():
        return (*label, ("dim", note))
    return (*label, ("field", fit(part, columns - FORM_LABEL - 1)))


def _label(form: Form, place: int, offset: int) -> Row:
    field, text, focused = form.sheet.fields[place], form.buffers[place], place == form.focus
    mark = ("accent", "▌") if focused else ("base", " ")
    if offset == 0:
        name = f"{field.label}{' *' if field.required else ''}"
        said = ("accent" if focused else "dim", fit(name, FORM_LABEL - 1))
    elif offset == 1 and len(text.lines) > 1:
        said = ("faint", fit(f"{text.row + 1}/{len(text.lines)}", FORM_LABEL - 1))
    else:
        said = ("base", " " * (FORM_LABEL - 1))
    return (mark, said)


def _choices(field: Field, now: str, room: int) -> Row:
    """The values, the chosen one in brackets: colour alone says nothing. Too many are moved so that it is in sight."""
    parts: list[Segment] = [("strong", f"[{one}] ") if one == now else ("dim", f" {one}  ") for one in field.choices]
    if row_width(tuple(parts)) <= room:
        return tuple(parts)
    first, chosen = 0, field.choices.index(now) if now in field.choices else 0
    while first < chosen and row_width(tuple(parts[first : chosen + 2])) + 4 > room:
        first += 1
    found: Row = (("dim", "… "), *parts[first:]) if first else tuple(parts)
    return found if row_width(found) <= room else (*clip(found, max(1, room - 2)), ("dim", " …"))


def _known(model: Model, field: Field) -> str:
    """What the mesh's agents offer, to choose from."""
    if field.kind == "person":
        return ""
    if field.name == "capability":
        found = sorted({word for agent in model.agents for word in agent.capabilities})
    else:
        found = sorted({agent.role for agent in model.agents if agent.role})
    return "any" + (f"; there are {', '.join(found)}" if found else "")


def _foot(model: Model, form: Form, columns: int) -> Row:
    if form.fault:
        return (("warn", f" ▲ {form.fault}"),)
    field = form.field
    known = _known(model, field) if field.kind == "role" else ""
    hint = ": ".join(part for part in (field.help, known) if part)
    if field.kind == "choice":
        of_kind = KIND_HELP.get(form.buffers[form.focus].text, "") if field.name == "kind" else ""
        about = field.help or of_kind
        hint = f"{about + '; ' if about else ''}left and right choose"
    return (("dim", f" {hint}"),)


def preview_rows(model: Model, form: Form, columns: int, height: int) -> tuple[Row, ...]:
    """The message as its readers will see it, from line ``form.top`` on."""
    message = composed(form)
    lines: list[Row] = [(("strong", f" {message.title}"),)] if message.title else []
    told = [
        ("kind", message.sends),
        ("for role", message.role),
        ("capability", message.capability),
        ("to", ", ".join(message.to)),
        ("reason", message.reason),
        ("objections", f"within {message.window_s / 60:g} min" if message.window_s else ""),
        ("refers to", ", ".join(message.references)),
    ]
    lines += [(("dim", f" {fit(name, FORM_LABEL - 1)}"), ("base", value)) for name, value in told if value]
    lines.append(())
    for line in message.body.split("\n"):
        lines += [(("base", f" {part}"),) for part in chunks(line, max(1, columns - 2))]
    head = spread((("accent", " As it would be sent"),), (("dim", f"{len(message.body):,} characters "),), columns)
    top = min(form.top, max(0, len(lines) - height + 1))
    return tuple(clip(row, columns) for row in (head, *lines[top:])[:height])


def _one_line(text: Buffer, room: int) -> tuple[str, int]:
    """The part of a one-line field in which the cursor stands, and its column there."""
    parts = chunks(text.line, room)
    start = 0
    for part in parts:
        if text.column <= start + len(part):
            return part, width(part[: text.column - start])
        start += len(part)
    return parts[-1], width(parts[-1])


def _area(model: Model, form: Form, place: int, height: int) -> tuple[list[str], Cursor]:
    """The visible lines of a field, and the cursor in them."""
    text = form.buffers[place]
    if form.sheet.fields[place].kind != "lines":
        part, column = _one_line(text, _columns(model))
        return [part], (column, 0)
    if place != form.focus:
        text = Buffer(lines=text.lines, size=text.size)
    return lines_area(text, form.top if place == form.focus else 0, _columns(model), height)


def lines_area(text: Buffer, top: int, columns: int, height: int) -> tuple[list[str], Cursor]:
    """A text of lines from line ``top`` on, wrapped into rows, and the cursor in them."""
    rows: list[str] = []
    cursor = (0, 0)
    for number in range(top, len(text.lines)):
        parts = chunks(text.lines[number], columns)
        if number == text.row:
            start = 0
            for offset, part in enumerate(parts):
                if text.column <= start + len(part):
                    cursor = (width(part[: text.column - start]), len(rows) + offset)
                    break
                start += len(part)
        rows += parts
        if len(rows) > cursor[1] + height and number >= text.row:
            break
    over = max(0, cursor[1] - height + 1)  # one line that is taller than the field
    rows = rows[over : over + height]
    return rows + [""] * (height - len(rows)), (cursor[0], cursor[1] - over)


def scrolled(model: Model, form: Form) -> int:
    """The first visible line of the text in focus, moved just as far as the cursor needs."""
    if form.preview:
        return form.top
    if form.field.kind != "lines":
        return 0
    height = heights(model, form, layout(model).body)[form.focus] if form.focus in shown(form) else 1
    columns, text = _columns(model), form.buffers[form.focus]
    if text.row <= form.top:
        return text.row
    used, top = 0, text.row
    while top >= form.top:
        used += len(chunks(text.lines[top], columns))
        if used > height:
            return min(text.row, top + 1)
        top -= 1
    return form.top
