"""The bare view: the text of what is open, and nothing around it, for selecting with the terminal's own mouse."""

from __future__ import annotations

from msgspec.structs import replace

from bzzzd.hap.rows import Row, clip, plain
from bzzzd.hap.values import lists
from bzzzd.hap.values.model import Model, chosen_id
from bzzzd.hap.views.facts import facts_of
from bzzzd.hap.views.listing import list_view
from bzzzd.hap.views.page import page_text

_UNBROKEN = 10_000
"""Columns in which lines are copied: only a line longer than that is broken."""


def bare_view(model: Model, scroll: int, columns: int, height: int) -> tuple[Row, ...]:
    """The rows from where it is scrolled to."""
    rows = bare_rows(model, columns)
    return tuple(clip(row, columns) for row in rows[min(scroll, max(0, len(rows) - height)) :][:height])


def bare_rows(model: Model, columns: int) -> tuple[Row, ...]:
    """The whole text of the opened page, or every row of the list."""
    if model.page is not None:
        return tuple(page_text(model, model.page, columns))
    state = model.lists[model.view]
    whole = lists.with_list(model, model.view, replace(state, top=0, chosen=""))
    return list_view(whole, columns, len(lists.ids(model)) + 12)


def text_in_view(model: Model) -> str:
    """What is copied: the opened page's text with its lines whole, or what is known about the chosen row."""
    if model.page is not None:
        lines = [plain(row)[1:].rstrip() for row in page_text(model, model.page, _UNBROKEN)]
        return "\n".join(lines).strip("\n")
    title, facts = facts_of(model, model.view, chosen_id(model))
    if not title:
        return ""
    return "\n".join([title, *(f"{label}: {value}" for label, (_, value) in facts if value)])
