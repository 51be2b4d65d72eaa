"""How the window's rows are shared out; the same numbers serve the views and the scrolling."""

from __future__ import annotations

from msgspec import Struct

from bzzzd.hap.values import standing
from bzzzd.hap.values.model import Bare, Filter, Model

WIDE = 120
"""Columns from which a list has the chosen row's facts beside it."""

ROOMY = 16
"""Rows from which what is told may take more than one."""

FORM_LABEL = 13


class Layout(Struct, frozen=True):
    """Rows from the top: header, banner, body, hints, status; a part that has no room is left out."""

    header: int
    banner: int
    body: int
    hints: int
    status: int

    @property
    def body_top(self) -> int:
        return self.header + self.banner


def layout(model: Model) -> Layout:
    height = model.height
    if isinstance(model.overlay, Bare):
        return Layout(header=0, banner=0, body=height, hints=0, status=0)
    header = int(height >= 3)
    status = int(height >= 2)
    banner = min(len(standing.lines(model, model.width)), 2 if height >= ROOMY else int(height >= 5))
    hints = int(height >= 8)
    return Layout(
        header=header,
        banner=banner,
        body=max(0, height - header - banner - hints - status),
        hints=hints,
        status=status,
    )


def filter_shown(model: Model) -> bool:
    return bool(model.lists[model.view].filter) or isinstance(model.overlay, Filter)


def list_columns(model: Model) -> int:
    """Columns of the list in view: in a wide window the chosen row's facts stand beside it."""
    wide = model.width >= WIDE and bool(model.lists[model.view].chosen)
    return model.width - (min(60, model.width * 2 // 5) if wide else 0)


def head_rows(model: Model) -> int:
    """Rows above the health list that tell about the node."""
    if model.view != "health" or layout(model).body < 9 or not model.status.node_id:
        return 0
    return 3 + len(standing.warned(model, list_columns(model)))


def list_rows(model: Model) -> int:
    """Rows of a list that can be seen: the body without what stands above it."""
    body = layout(model).body
    titles = int(body >= 4) * (1 + int(filter_shown(model)))
    return max(1, body - titles - head_rows(model))


def page_rows(model: Model) -> int:
    """Rows by which a page scrolls."""
    return max(1, layout(model).body - 2)
