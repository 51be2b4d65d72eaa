"""The list in view as a table, and beside it the facts of the chosen row."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bzzzd.hap.rows import Row, clip, spread
from bzzzd.hap.text import chunks, wrap
from bzzzd.hap.values import lists
from bzzzd.hap.values.layout import filter_shown, head_rows, list_columns
from bzzzd.hap.values.model import Filter, Model
from bzzzd.hap.views import browser, events, inbox, logs, mesh, tasks, threads
from bzzzd.hap.views.facts import fact_rows, facts_of
from bzzzd.hap.views.tables import Table, body_row, heading


def listing(model: Model, columns: int, height: int) -> tuple[Row, ...]:
    """The list in view; in a wide window the chosen row's facts stand beside it."""
    side = columns - list_columns(model)
    if not side:
        return list_view(model, columns, height)
    left = list_view(model, columns - side, height)
    right = _side(model, side - 2, height)
    return tuple((*row, ("faint", "│"), ("base", " "), *other) for row, other in zip(left, right, strict=True))


def _side(model: Model, columns: int, height: int) -> tuple[Row, ...]:
    title, facts = facts_of(model, model.view, model.lists[model.view].chosen)
    rows: list[Row] = [(("strong", " " + line),) for line in wrap(title, max(1, columns - 2))[:3]]
    rows += [(), *fact_rows(facts, columns)]
    rows += [()] * (height - len(rows))
    return tuple(clip(row, columns) for row in rows[:height])


def list_view(model: Model, columns: int, height: int) -> tuple[Row, ...]:
    """The list alone, without what may stand beside it."""
    table, cells = _TABLES[model.view](model, columns)
    state, ids = model.lists[model.view], lists.ids(model)
    rows: list[Row] = list(mesh.node(model, columns)) if head_rows(model) else []
    if height >= 4:
        if filter_shown(model):
            rows.append(filter_row(model, columns))
        rows.append(heading(table, columns))
    room = max(0, height - len(rows))
    for id in ids[state.top : state.top + room]:
        rows.append(body_row(tuple(table), tuple(cells(id)), columns, id == state.chosen))
    if not ids:
        rows += [(), *((("dim", "  " + line),) for line in wrap(_nothing(model), max(1, columns - 4)))]
    rows += [()] * (height - len(rows))
    return tuple(clip(row, columns) for row in rows[:height])


def filter_row(model: Model, columns: int) -> Row:
    words_ = model.overlay.text.text if isinstance(model.overlay, Filter) else model.lists[model.view].filter
    room = max(1, columns - 16)
    shown = chunks(words_, room)[-1]
    _, of = lists.position(model)
    of = max(of, model.shelf.found) if model.view == "context" else of
    return spread((("key", " / "), ("strong", shown)), (("dim", f"{of} found "),), columns)


def filter_cursor(model: Model, columns: int) -> int | None:
    """The column of the cursor in the filter line while it is typed."""
    if not isinstance(model.overlay, Filter):
        return None
    before = model.overlay.text.line[: model.overlay.text.column]
    return min(columns - 1, 3 + len(chunks(before, max(1, columns - 16))[-1]))


def _nothing(model: Model) -> str:
    filter = model.lists[model.view].filter
    if filter:
        return f"Nothing here has the words “{filter}”. Esc shows everything again."
    if model.link.state != "online":
        why = f" Now: {model.link.why}" if model.link.state == "offline" and model.link.why else ""
        return f"Nothing has been seen here yet. It fills when bzzzd answers.{why}"
    if model.view == "context" and model.shelf.pattern:
        return f"Nothing is found by {model.shelf.pattern}. = shows everything again."
    if model.me.guest and model.view in _FOR_MEMBERS:
        return "Nothing is shown to guests here. The line at the top says how you get a grant."
    return logs.empty(model) if model.view == "logs" else _EMPTY[model.view]


_TABLES: Mapping[str, Callable[[Model, int], Table]] = {
    "inbox": inbox.table,
    "tasks": tasks.table,
    "threads": threads.table,
    "context": browser.table,
    "agents": mesh.agents,
    "peers": mesh.peers,
    "health": mesh.health,
    "events": events.table,
    "logs": logs.table,
}
_FOR_MEMBERS = frozenset({"inbox", "tasks", "threads", "context"})
_EMPTY: Mapping[str, str] = {
    "inbox": inbox.EMPTY,
    "tasks": tasks.EMPTY,
    "threads": threads.EMPTY,
    "context": browser.EMPTY,
    "agents": mesh.NO_AGENTS,
    "peers": mesh.NO_PEERS,
    "health": mesh.NO_HEALTH,
    "events": events.EMPTY,
    "logs": logs.EMPTY,
}
