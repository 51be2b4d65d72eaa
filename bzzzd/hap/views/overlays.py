"""What lies over the window: the command palette and the help, made from the registry, and the list of forms."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from bzzzd.hap import actions, offers
from bzzzd.hap.keymap.action import Action
from bzzzd.hap.rows import Row, Segment, clip, lay_over, on, spread
from bzzzd.hap.text import chunks, fit, width, wrap
from bzzzd.hap.values.model import Chooser, Help, Model, Palette, mode_below
from bzzzd.hap.writing.choosing import offered

_PALETTE_ROWS = 10
_NAME = 21
_KEYS = 22
# What somebody needs who is here for the first time; their keys and words stand in the registry.
_FIRST = ("new", "inbox", "open", "answer", "message", "palette", "quit")
_TWO_COLUMNS = 100


Laid = tuple[tuple[Row, ...], int, int]
"""Rows with a list laid over them, and the cursor's column and row."""


def palette(model: Model, overlay: Palette, rows: tuple[Row, ...], columns: int) -> Laid:
    """The actions that fit what was typed."""
    found = offers.found(model, overlay.query.text)
    offered_rows = [(action.name, action.help, action.keys[0] if action.keys else "") for action in found]
    return _laid_over(overlay, offered_rows, "no action is like that", rows, columns)


def chooser_rows(model: Model, overlay: Chooser, rows: tuple[Row, ...], columns: int) -> Laid:
    """The forms that fit what was typed."""
    offered_rows = [(sheet.title, sheet.help, sheet.sends) for _, sheet in offered(model, overlay.query.text)]
    return _laid_over(overlay, offered_rows, "no form is like that", rows, columns)


def _laid_over(
    overlay: Palette | Chooser, offers: Sequence[tuple[str, str, str]], none: str, rows: tuple[Row, ...], columns: int
) -> Laid:
    box = min(columns, max(20, min(72, columns - 8)))
    left = (columns - box) // 2
    room = max(1, min(_PALETTE_ROWS, len(rows) - 2))
    top = max(0, overlay.chosen - room + 1)
    query = chunks(overlay.query.line[: overlay.query.column], max(1, box - 6))[-1]
    rest = overlay.query.line[overlay.query.column :]
    lines: list[Row] = [on(clip((("key", " : "), ("strong", query + rest)), box), "over")]
    for number, (name, help, note) in enumerate(offers[top : top + room], top):
        about = fit(help, max(1, box - _NAME - 4 - width(note))) if box > 2 * _NAME else help
        told: tuple[Segment, ...] = (("strong", f" {fit(name, _NAME)} "), ("base", about))
        row = spread(told, (("key", f"{note} "),), box)
        lines.append(on(row, "selected" if number == overlay.chosen else "over"))
    if not offers:
        lines.append(on(clip((("dim", f" {none}"),), box), "over"))
    start = 1 if len(rows) > len(lines) + 1 else 0
    laid = list(rows)
    for offset, line in enumerate(lines[: len(rows) - start]):
        laid[start + offset] = lay_over(clip(rows[start + offset], columns), line, left, columns)
    return tuple(laid), left + 3 + width(query), start


def help_view(model: Model, overlay: Help, columns: int, height: int) -> tuple[Row, ...]:
    """Every key, by where it applies; what applies where the person stands comes first."""
    lines = help_lines(model, columns)
    top = min(overlay.scroll, max(0, len(lines) - height))
    shown = list(lines[top : top + height])
    if len(lines) > height > 0:
        below = len(lines) - height - top
        shown[-1] = spread(shown[-1], (("dim", f" ↓ {below} more " if below else " end "),), columns)
    shown += [()] * (height - len(shown))
    return tuple(clip(row, columns) for row in shown[:height])


def help_lines(model: Model, columns: int) -> tuple[Row, ...]:
    here = actions.MODES[mode_below(model)]
    contexts = [*here, *(name for name in actions.CONTEXT_TITLES if name not in here)]
    half = columns if columns < _TWO_COLUMNS else columns // 2
    named = {action.name: action for action in model.registry.actions}
    first = _rows("To begin with", [named[name] for name in _FIRST], half)
    blocks = [first, *(_block(model, context, half) for context in contexts)]
    if half == columns:
        return tuple(row for block in blocks for row in block)
    left: list[Row] = []
    right: list[Row] = []
    for block in blocks:
        (left if len(left) <= len(right) else right).extend(block)
    length = max(len(left), len(right))
    left += [()] * (length - len(left))
    right += [()] * (length - len(right))
    return tuple((*clip(one, half), *other) for one, other in zip(left, right, strict=True))


def _block(model: Model, context: str, columns: int) -> list[Row]:
    mine = [action for action in model.registry.actions if action.context == context]
    return _rows(actions.CONTEXT_TITLES[context], mine, columns)


def _rows(title: str, shown: Sequence[Action], columns: int) -> list[Row]:
    rows: list[Row] = [(("accent", f" {title}"),)]
    for action in shown:
        undo = " (can be taken back)" if action.risk == "undo" else ""
        keys = wrap(" ".join(action.keys), _KEYS)
        told = wrap(f"{action.help}{undo}", max(10, columns - _KEYS - 4))
        for key, line in itertools.zip_longest(keys, told, fillvalue=""):
            rows.append((("key", f"  {fit(key, _KEYS)} "), ("base", line)))
    return [*rows, ()]
