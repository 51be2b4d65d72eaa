"""What a press of the mouse means: found in what the window shows at that place, and made the action of a key.

A press on a view's or a tab's name goes there, on a row chooses it, on the chosen row opens it, on a key in the
bottom line is that key. The wheel moves what is under it. Nothing can be done by mouse alone.
"""

from __future__ import annotations

from bzzzd.hap import actions, offers
from bzzzd.hap.messages import Act, Mouse
from bzzzd.hap.rows import Row, plain
from bzzzd.hap.text import width
from bzzzd.hap.values import lists
from bzzzd.hap.values.layout import filter_shown, head_rows, layout
from bzzzd.hap.values.model import LISTS, TABS, Filter, Form, Help, Model, Palette, mode, mode_below

WHEEL_ROWS = 3

# What the wheel moves in each mode, by the actions of one step down and one step up.
_WHEEL = {"form": ("form-down", "form-up"), "palette": ("palette-down", "palette-up"), "help": ("help-down", "help-up")}


def meaning(model: Model, mouse: Mouse, rows: tuple[Row, ...]) -> tuple[Act, ...]:
    """The actions of a press; ``rows`` are those of the window that was pressed on."""
    if mouse.button.startswith("wheel"):
        return _turned(model, down=mouse.button == "wheel-down")
    if mouse.button != "left" or not 0 <= mouse.row < len(rows):
        return ()
    parts = layout(model)
    row = rows[mouse.row]
    if parts.header and mouse.row == 0:
        return _named(row, mouse.column, LISTS)
    if parts.hints and mouse.row == len(rows) - 1 - parts.status:
        return _hinted(model, row, mouse.column)
    if not parts.body_top <= mouse.row < parts.body_top + parts.body:
        return ()
    return _on_body(model, mouse, row, mouse.row - parts.body_top)


def _turned(model: Model, *, down: bool) -> tuple[Act, ...]:
    here = mode(model)
    if here in _WHEEL:
        step = _WHEEL[here]
    elif "page" in actions.MODES[here]:
        step = ("scroll-down", "scroll-up")
    elif "list" in actions.MODES[here]:
        step = ("down", "up")
    else:
        return ()
    times = 1 if here == "palette" else WHEEL_ROWS
    return (Act(step[0] if down else step[1]),) * times


def _at(row: Row, column: int) -> tuple[int, str, str]:
    """The segment at a column: its place in the row, its style and its text."""
    used = 0
    for number, (style, text) in enumerate(row):
        used += width(text)
        if column < used:
            return number, style, text
    return -1, "", ""


def _named(row: Row, column: int, names: tuple[str, ...]) -> tuple[Act, ...]:
    """The action whose name stands at that place, such as a view's or a tab's."""
    said = _at(row, column)[2].casefold().split()
    return next((((Act(name),)) for name in names if name in said), ())


def _hinted(model: Model, row: Row, column: int) -> tuple[Act, ...]:
    """A key in the bottom line, or the word behind it."""
    number, style, text = _at(row, column)
    if style != "key" and number > 0:
        number, (style, text) = number - 1, row[number - 1]
    if style != "key":
        return ()
    action = model.registry.answer(mode(model), text.strip())
    return (Act(action.name),) if action is not None else ()


def _on_body(model: Model, mouse: Mouse, row: Row, line: int) -> tuple[Act, ...]:
    match model.overlay:
        case Palette() as overlay:
            return _palette(model, overlay, row)
        case Form() | Help():
            return ()
        case Filter():
            kept = (Act("filter-keep"),)
            return (*kept, *_on_list(model, line)) if model.page is None else kept
    if model.page is not None:
        return _named(row, mouse.column, TABS) if mode_below(model) == "task page" else ()
    return _on_list(model, line)


def _on_list(model: Model, line: int) -> tuple[Act, ...]:
    above = head_rows(model) + int(layout(model).body >= 4) * (1 + int(filter_shown(model)))
    state, shown = model.lists[model.view], lists.ids(model)
    index = state.top + line - above
    if line < above or not 0 <= index < len(shown):
        return ()
    if shown[index] == state.chosen:
        return (Act("open"),)
    by = index - shown.index(state.chosen) if state.chosen in shown else index
    return (Act("down", {"by": by}),)


def _palette(model: Model, overlay: Palette, row: Row) -> tuple[Act, ...]:
    """The action on whose name was pressed; it runs. Beside the box, the palette closes."""
    found = offers.found(model, overlay.query.text)
    said = plain(row)
    for number, action in enumerate(found):
        if f" {action.name} " in said and action.help[:20] in said:
            return (Act("palette-down", {"by": number - overlay.chosen}), Act("palette-run"))
    return (Act("palette-close"),)
