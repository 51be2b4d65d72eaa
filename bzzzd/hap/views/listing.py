"""The four lists as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bzzzd.hap import lists, words
from bzzzd.hap.layout import WIDE, filter_shown, head_rows
from bzzzd.hap.model import Agent, Filter, Model, Peer, Service, Task
from bzzzd.hap.rows import Row, Segment, clip, joined, spread
from bzzzd.hap.text import chunks, fit, wrap
from bzzzd.hap.views.facts import fact_rows, facts_of
from bzzzd.hap.views.tables import Column, body_row, heading

Table = tuple[Sequence[Column], Callable[[str], Sequence[Segment]]]


def listing(model: Model, columns: int, height: int) -> tuple[Row, ...]:
    """The list in view; in a wide window the chosen row's facts stand beside it."""
    if columns < WIDE or not model.lists[model.view].chosen:
        return _list(model, columns, height)
    side = min(60, columns * 2 // 5)
    left = _list(model, columns - side, height)
    right = _side(model, side - 2, height)
    return tuple((*row, ("faint", "│"), ("base", " "), *other) for row, other in zip(left, right, strict=True))


def _side(model: Model, columns: int, height: int) -> tuple[Row, ...]:
    title, facts = facts_of(model, model.view, model.lists[model.view].chosen)
    rows: list[Row] = [(("strong", " " + line),) for line in wrap(title, max(1, columns - 2))[:3]]
    rows += [(), *fact_rows(facts, columns)]
    rows += [()] * (height - len(rows))
    return tuple(clip(row, columns) for row in rows[:height])


def _list(model: Model, columns: int, height: int) -> tuple[Row, ...]:
    table, cells = _tables(model, columns)
    state, ids = model.lists[model.view], lists.ids(model)
    rows: list[Row] = list(_node(model)) if head_rows(model) else []
    if height >= 4:
        if filter_shown(model):
            rows.append(filter_row(model, columns))
        rows.append(heading(table, columns))
    room = max(0, height - len(rows))
    for id in ids[state.top : state.top + room]:
        rows.append(body_row(tuple(table), tuple(cells(id)), columns, id == state.chosen))
    if not ids:
        rows += [(), *((("dim", "  " + line),) for line in wrap(_empty(model), max(1, columns - 4)))]
    rows += [()] * (height - len(rows))
    return tuple(clip(row, columns) for row in rows[:height])


def _node(model: Model) -> tuple[Row, ...]:
    """Two lines about the node, its warnings, and a blank."""
    known = model.status
    names = (("node", known.node_id), ("mesh", known.mesh_id), ("build", known.build))
    state = (("phase", known.phase), ("durability", known.durability), ("coordinator", known.coordinator))
    lines: list[Row] = [
        (
            ("base", " "),
            *joined([(("dim", f"{name} "), ("base", value)) for name, value in row if value], ("dim", "   ")),
        )
        for row in (names, state)
    ]
    if known.development:
        lines.append((("warn", " ▲ development: processes share one uid, so approvals are not protected from agents"),))
    lines += [(("warn", f" ▲ {warning}"),) for warning in known.warnings[:3]]
    return (*lines, ())


def filter_row(model: Model, columns: int) -> Row:
    words_ = model.overlay.text.text if isinstance(model.overlay, Filter) else model.lists[model.view].filter
    room = max(1, columns - 16)
    shown = chunks(words_, room)[-1]
    _, of = lists.position(model)
    return spread((("key", " / "), ("strong", shown)), (("dim", f"{of} found "),), columns)


def filter_cursor(model: Model, columns: int) -> int | None:
    """The column of the cursor in the filter line while it is typed."""
    if not isinstance(model.overlay, Filter):
        return None
    before = model.overlay.text.line[: model.overlay.text.column]
    return min(columns - 1, 3 + len(chunks(before, max(1, columns - 16))[-1]))


def _empty(model: Model) -> str:
    filter = model.lists[model.view].filter
    if filter:
        return f"Nothing here has the words “{filter}”. Esc shows everything again."
    if model.link.state != "online":
        return "Nothing has been seen here yet. It fills when bzzzd answers."
    return {
        "tasks": "No tasks yet. Press n to write the first one.",
        "agents": "No agent is attached. `systemctl start bzzz-agent` starts one.",
        "peers": "No peers: this node is alone in its mesh.",
        "health": "bzzzd has not told how its services are.",
    }[model.view]


def _tables(model: Model, columns: int) -> Table:
    return {"tasks": _tasks, "agents": _agents, "peers": _peers, "health": _health}[model.view](model, columns)


def _state_column(word: bool, size: int) -> Column:
    """The state with its word, or in a narrow window its sign alone."""
    return Column("STATE", size) if word else Column("", 1)


def _with_sign(sign: words.Sign) -> Segment:
    return (sign.style, f"{sign.sign} {sign.word}")


def _tasks(model: Model, columns: int) -> Table:
    word, agent, progress = columns >= 56, columns >= 72, columns >= 64
    table = [_state_column(word, 16)]
    if agent:
        table.append(Column("AGENT", 14 if columns >= 90 else 11))
    table += [Column("AGE", 4, "right"), Column(" TASK")]
    if progress:
        table.append(Column("PROGRESS", 10 if columns < 90 else 18))
    waiting = {order.task: order for order in model.pending}

    def cells(id: str) -> Sequence[Segment]:
        task: Task = model.tasks[id]
        sign = words.task_sign(task.state)
        if order := waiting.get(id):
            left = max(0, round(order.due - model.now))
            sign = words.Sign("▲", "warn", f"{'cancel' if order.kind == 'cancel' else 'retry'} in {left}s")
        found: list[Segment] = [_with_sign(sign) if word else (sign.style, sign.sign)]
        if agent:
            found.append(("base", task.agent) if task.agent else ("faint", "-"))
        found.append(("dim", words.since(task.created, model.now)))
        found.append(("base", f" {task.title}") if task.title else ("dim", f" {task.id}"))
        if progress:
            found.append(_progress(task))
        return found

    return table, cells


def _progress(task: Task) -> Segment:
    if task.progress is None or task.state != "working":
        return ("base", "")
    bar = words.bar(task.progress.done, task.progress.total, 5)
    return ("accent", f"{bar} {words.percent(task.progress.done, task.progress.total)}" if bar else task.progress.note)


def _agents(model: Model, columns: int) -> Table:
    by_id = {row.id: row for row in model.agents}
    wide, word = columns >= 72, columns >= 56
    table = [_state_column(word, 11), Column("AGENT", 18 if columns >= 56 else 14)]
    if wide:
        table.append(Column("ROLE", 12))
    table += [Column("CAN DO"), Column("LOAD", 5, "right"), Column("SINCE", 5, "right")]

    def cells(id: str) -> Sequence[Segment]:
        row: Agent = by_id[id]
        sign = words.presence(row.attached, "attached")
        found: list[Segment] = [_with_sign(sign) if word else (sign.style, sign.sign), ("base", row.id)]
        if wide:
            found.append(("base", row.role))
        load = ("warn" if row.load >= row.slots else "base", f"{row.load:g}/{row.slots}")
        return [*found, ("dim", ", ".join(row.capabilities)), load, ("dim", words.since(row.since, model.now))]

    return table, cells


def _peers(model: Model, columns: int) -> Table:
    by_id = {row.id: row for row in model.peers}
    wide, word = columns >= 72, columns >= 56
    table = [_state_column(word, 11), Column("NODE", 16 if columns >= 56 else 12)]
    if wide:
        table.append(Column("FOUND BY", 9))
    table += [Column("ADDRESS"), Column("RTT", 7, "right"), Column("SINCE", 5, "right")]

    def cells(id: str) -> Sequence[Segment]:
        row: Peer = by_id[id]
        sign = words.presence(row.connected, "connected")
        found: list[Segment] = [
            _with_sign(sign) if word else (sign.style, sign.sign),
            ("base", row.name) if row.name else ("dim", fit(row.id, 12)),
        ]
        if wide:
            found.append(("base", row.how))
        rtt = f"{row.rtt_ms:.1f} ms" if row.rtt_ms is not None and row.rtt_ms < 1000 else "-"
        address = row.addresses[0] if row.addresses else ""
        return [*found, ("dim", address), ("base", rtt), ("dim", words.since(row.since, model.now))]

    return table, cells


def _health(model: Model, columns: int) -> Table:
    by_id = {row.id: row for row in model.health.services}
    table = [
        _state_column(columns >= 56, 10),
        Column("SERVICE", 14),
        Column("DETAIL"),
        Column("SINCE", 5, "right"),
    ]

    def cells(id: str) -> Sequence[Segment]:
        row: Service = by_id[id]
        sign = words.service_sign(row.state)
        return [
            _with_sign(sign) if columns >= 56 else (sign.style, sign.sign),
            ("base", row.id),
            ("base" if row.ok else "warn", row.detail),
            ("dim", words.since(row.since, model.now)),
        ]

    return table, cells
