"""The panel in which a prompt is answered, below its page."""

from __future__ import annotations

from bzzzd.hap.rows import Row, clip, on
from bzzzd.hap.text import chunks, fit, width, within
from bzzzd.hap.values.asked import Asked, Field
from bzzzd.hap.values.buffer import Buffer
from bzzzd.hap.values.layout import layout
from bzzzd.hap.values.model import Answering, Model
from bzzzd.hap.writing.answering import SETTLED, word_of

Cursor = tuple[int, int]
_LABEL = 16


def panel(model: Model, overlay: Answering, columns: int, height: int) -> tuple[tuple[Row, ...], Cursor | None]:
    """The panel's rows, at most ``height`` of them, and the cursor within."""
    asked = model.asked.get(overlay.prompt)
    if asked is None:
        return (), None
    cursor: Cursor | None = None
    match overlay.step:
        case "pick":
            rows = _picking(overlay, asked, columns, height)
        case "write":
            rows, cursor = _writing(overlay, asked, columns, height)
        case "word":
            rows, cursor = _word(overlay, asked, columns)
        case "over":
            rows = [(("bad", f" ✗ {line}"),) for line in within(overlay.fault, max(1, columns - 4), 2)]
            rows.append(
                (("base", " Nothing was sent, and no key answers any more. "), ("key", "esc"), ("dim", " leaves"))
            )
        case _:
            rows = _confirming(overlay, asked, columns)
    if overlay.fault and overlay.step != "over":
        rows += [(("warn", f" ▲ {line}"),) for line in within(overlay.fault, max(1, columns - 4), 2)]
    kept = [on(clip(row, columns), "over") for row in rows[:height]]
    return tuple(kept), cursor if cursor is not None and cursor[1] < height else None


def room(model: Model) -> int:
    """Rows that the panel may take: it leaves the beginning of the page in view where the window has room."""
    body = layout(model).body
    return max(min(body, 3), body * 3 // 5)


def _picking(overlay: Answering, asked: Asked, columns: int, height: int) -> list[Row]:
    choices = SETTLED if overlay.what == "settle" else tuple((one.id, one.text) for one in asked.choices)
    title = "What became of it?" if overlay.what == "settle" else "Choose:"
    beside = max(1, columns - _LABEL - 5)
    # Only the chosen one is told in full: what somebody is about to say is never cut without a sign.
    chosen = within(choices[overlay.chosen][1], beside, 1 if height < 6 else 3)
    top = max(0, overlay.chosen + len(chosen) - max(1, height - 2))
    rows: list[Row] = [(("strong", f" {title}"),)]
    for number, (id, text) in enumerate(choices[top : top + max(1, height - 2)], top):
        lead = f" {number + 1} {fit(id, _LABEL)} "
        if number != overlay.chosen:
            rows.append((("base", lead), ("base", fit(text, beside))))
            continue
        for line in chosen:
            rows.append(on(clip((("accent", lead), ("base", line)), columns), "selected"))
            lead = " " * len(lead)
    return rows


def _writing(overlay: Answering, asked: Asked, columns: int, height: int) -> tuple[list[Row], Cursor | None]:
    if asked.kind == "text":
        area, cursor = _area(overlay.buffers[0], columns - 2, max(1, height - 2))
        return [(("strong", " Your answer:"),), *((("field", " " + fit(line, columns - 2)),) for line in area)], (
            cursor[0] + 1, cursor[1] + 1,
        )  # fmt: skip
    top = max(0, overlay.focus - max(1, height - 3) + 1)
    rows: list[Row] = [(("strong", " Your answer:"),)]
    at: Cursor | None = None
    for number in range(top, min(len(asked.form), top + max(1, height - 2))):
        field, text = asked.form[number], overlay.buffers[number]
        focused = number == overlay.focus
        line, column = _one_line(text, max(1, columns - _LABEL - 4))
        if focused:
            at = (_LABEL + 2 + column, len(rows))
        mark = "*" if field.required else " "
        rows.append((
            ("accent" if focused else "dim", f"{mark}{fit(field.label, _LABEL)} "),
            ("field", fit(line, max(1, columns - _LABEL - 3))),
        ))  # fmt: skip
        if focused and (help := _help(field)):
            rows.append((("dim", f" {help}"),))
    return rows, at


def _help(field: Field) -> str:
    kinds = {"number": "a number", "date": "a date, 2026-11-25", "address": "a UCXL address", "person": "a person's id"}
    offered = f"one of {', '.join(field.choices)}" if field.choices else kinds.get(field.kind, "")
    return "; ".join(part for part in (field.help, offered) if part)


def _one_line(text: Buffer, room_: int) -> tuple[str, int]:
    """The part of a field in which the cursor stands; several lines are shown one at a time."""
    start = 0
    for part in chunks(text.line, room_):
        if text.column <= start + len(part):
            return part, width(part[: text.column - start])
        start += len(part)
    return "", 0


def _area(text: Buffer, columns: int, height: int) -> tuple[list[str], Cursor]:
    """The lines around the cursor, and the cursor among them."""
    top = max(0, text.row - height + 1)
    lines: list[str] = []
    cursor = (0, 0)
    for number in range(top, len(text.lines)):
        start = 0
        for part in chunks(text.lines[number], max(1, columns - 1)):
            if number == text.row and start <= text.column <= start + len(part):
                cursor = (width(part[: text.column - start]), len(lines))
            lines.append(part)
            start += len(part)
    first = max(0, cursor[1] - height + 1)
    return lines[first : first + height], (cursor[0], cursor[1] - first)


def _confirming(overlay: Answering, asked: Asked, columns: int) -> list[Row]:
    rows = [(("strong", f" {line}"),) for line in within(_summary(overlay, asked), max(1, columns - 2), 3)]
    keys: Row = (("base", " "), ("key", "y"), ("base", " sends it (u takes it back for 5 s)   "), ("key", "Y"),
                 ("base", " sends it at once   "), ("key", "esc"), ("base", " leaves"))  # fmt: skip
    return [*rows, keys]


def _summary(overlay: Answering, asked: Asked) -> str:
    """In one sentence, what is about to be said."""
    match overlay.what:
        case "deny":
            return f"Deny: {asked.op}{f' on {asked.target}' if asked.target else ''} will not be done."
        case "settle":
            return f"Say of the action of {asked.by}: {SETTLED[overlay.chosen][1]}."
        case "choose":
            choice = asked.choices[overlay.chosen]
            return f"Answer {choice.id}: {choice.text}"
        case "text" | "form":
            size = sum(one.size for one in overlay.buffers)
            return f"Send this answer of {size} characters to {asked.by}."
    return f"Approve: {asked.by} may do {asked.op}{f' on {asked.target}' if asked.target else ''}, once."


def _word(overlay: Answering, asked: Asked, columns: int) -> tuple[list[Row], Cursor]:
    word = word_of(asked)
    rows: list[Row] = [(("strong", f" {line}"),) for line in within(_summary(overlay, asked), max(1, columns - 2), 3)]
    lead = f" This is of high risk. Type {word} and enter: "
    before = overlay.word.line[: overlay.word.column]
    rows.append((("bad", lead), ("field", fit(overlay.word.line, max(1, min(40, columns - len(lead) - 1))))))
    return rows, (min(columns - 1, len(lead) + width(before)), len(rows) - 1)
