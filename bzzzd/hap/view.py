"""The window as a value: ``view(model, width, height)`` gives its rows and its cursor, and nothing else."""

from __future__ import annotations

from msgspec.structs import replace

from bzzzd.hap.rows import Frame, Row, frame
from bzzzd.hap.values.layout import head_rows, layout
from bzzzd.hap.values.model import Answering, Bare, Chooser, Filter, Form, Help, Model, Naming, Palette, Secret
from bzzzd.hap.views import chrome
from bzzzd.hap.views.answer import panel, room
from bzzzd.hap.views.bare import bare_view
from bzzzd.hap.views.filing import naming_rows
from bzzzd.hap.views.form import form_view
from bzzzd.hap.views.listing import filter_cursor, listing
from bzzzd.hap.views.overlays import chooser_rows, help_view, palette
from bzzzd.hap.views.page import page_view
from bzzzd.hap.views.secret import secret_rows


def view(model: Model, width: int, height: int) -> Frame:
    """The picture of ``model`` in a window of this size, from one cell up."""
    if (width, height) != (model.width, model.height):
        model = replace(model, width=width, height=height)
    parts = layout(model)
    body, cursor = _body(model, width, parts.body)
    rows: list[Row] = []
    if parts.header:
        rows.append(chrome.header(model, width))
    rows += chrome.banner(model, width, parts.banner)
    rows += body
    if parts.hints:
        rows.append(chrome.hints(model, width))
    if parts.status:
        rows.append(chrome.status(model, width))
    if parts.status and (long := chrome.long_notice(model, width)):
        rows[-len(long) :] = long
    if cursor is not None:
        cursor = (cursor[0], cursor[1] + parts.body_top)
    return frame(rows, width, height, cursor)


def _body(model: Model, width: int, height: int) -> tuple[tuple[Row, ...], tuple[int, int] | None]:
    match model.overlay:
        case Form() as form:
            rows, cursor = form_view(model, form, width, height)
            return rows + ((),) * (height - len(rows)), cursor
        case Help() as help:
            return help_view(model, help, width, height), None
        case Bare(scroll=scroll):
            return bare_view(model, scroll, width, height), None
        case Palette() as overlay:
            rows, column, row = palette(model, overlay, _below(model, width, height), width)
            return rows, (column, row)
        case Chooser() as chooser:
            rows, column, row = chooser_rows(model, chooser, _below(model, width, height), width)
            return rows, (column, row)
        case Naming() as naming:
            line, place = naming_rows(naming, width, height)
            above = _below(model, width, height - len(line)) if height > len(line) else ()
            return (*above, *line), (place[0], place[1] + len(above))
        case Secret() as secret:
            line, place = secret_rows(model, secret, width, height)
            above = _below(model, width, height - len(line)) if height > len(line) else ()
            return (*above, *line), (place[0], place[1] + len(above))
        case Answering() as answer:
            below, at = panel(model, answer, width, min(height, room(model)))
            above = _below(model, width, height - len(below)) if height > len(below) else ()
            return (*above, *below), (at[0], at[1] + len(above)) if at is not None else None
        case Filter():
            found = filter_cursor(model, width)
            cursor = (found, head_rows(model)) if found is not None and height >= 4 else None
            return _below(model, width, height), cursor
    return _below(model, width, height), None


def _below(model: Model, width: int, height: int) -> tuple[Row, ...]:
    if model.page is not None:
        return page_view(model, width, height)
    return listing(model, width, height)
