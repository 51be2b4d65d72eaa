"""An opened task with its brief, decision and trace; an opened agent, peer or service with its facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bzzzd.hap import words
from bzzzd.hap.rows import Row, Segment, clip, joined, row_width, spread
from bzzzd.hap.text import fit, wrap
from bzzzd.hap.values.layout import ROOMY, layout
from bzzzd.hap.values.model import TABS, Model, Page
from bzzzd.hap.values.things import FINAL, Content, Task
from bzzzd.hap.views import asking, book, conversation, prompt
from bzzzd.hap.views.facts import fact_rows, facts_of
from bzzzd.hap.views.prose import prose, told

_DOT: Segment = ("dim", " · ")


def page_view(model: Model, columns: int, height: int) -> tuple[Row, ...]:
    """The page in exactly ``height`` rows: its head, then its text from where it is scrolled to."""
    assert model.page is not None
    head = _head(model, model.page, columns, height)
    text = page_text(model, model.page, columns)
    room = max(0, height - len(head))
    top = min(model.page.scroll, max(0, len(text) - room))
    shown = [*head, *text[top : top + room]]
    if len(text) > room > 0:
        below = len(text) - room - top
        mark = f" ↓ {below} more " if below else " end "
        shown[-1] = spread(shown[-1], (("dim", mark),), columns)
    shown += [()] * (height - len(shown))
    return tuple(clip(row, columns) for row in shown[:height])


def last_scroll(model: Model) -> int:
    """How far the page in view can be scrolled."""
    assert model.page is not None
    height = layout(model).body
    room = max(0, height - len(_head(model, model.page, model.width, height)))
    return max(0, len(page_text(model, model.page, model.width)) - room)


def _head(model: Model, page: Page, columns: int, height: int) -> list[Row]:
    if page.kind in _HEADS:
        return _HEADS[page.kind](model, page, columns, height)
    title, _ = facts_of(model, page.kind, page.id)
    lines = wrap(title or page.id, max(1, columns - 2))[: 2 if height >= 12 else 1]
    rows: list[Row] = [(("strong", " " + line),) for line in lines]
    if page.kind != "tasks":
        return [*rows, ()]
    task = model.tasks.get(page.id)
    if task is None:
        return [*rows, (("warn", " this task is not known here any more"),)]
    if height >= 5:
        rows.append(_state(model, task))
    if height >= 9:
        rows += [_way(model, task), ()]
    if height >= 3:
        rows.append(_tabs(model, page, task))
    return rows


def _state(model: Model, task: Task) -> Row:
    sign = words.task_sign(task.state)
    parts: list[Row] = [((sign.style, f" {sign.sign} {sign.word}"),)]
    if order := next((one for one in model.pending if one.task == task.id), None):
        parts.append((("warn", f"▲ {order.kind} in {max(0, round(order.due - model.now))} s, u takes it back"),))
    if task.reason and task.reason != task.state:
        parts.append((("warn", task.reason),))
    if task.agent:
        parts.append((("base", task.agent),))
    if task.state == "working" and task.progress is not None:
        bar = words.bar(task.progress.done, task.progress.total, 10)
        share = words.percent(task.progress.done, task.progress.total)
        parts.append((("accent", bar), ("base", f" {share}"))) if bar else None
        parts.append((("dim", task.progress.note),) if task.progress.note else ())
    if task.strikes:
        parts.append((("warn", f"strike {task.strikes} of 3"),))
    return joined(parts, _DOT)


def _way(model: Model, task: Task) -> Row:
    asked = f"by {task.author} " if task.author else ""
    when = words.ago(model.now - task.created) if task.created else ""
    parts: list[Row] = [
        (("dim", f" asked {asked}{when}"),),
        (("dim", f"for {task.role}"),) if task.role else (),
        (("dim", f"to {task.capability}"),) if task.capability else (),
        (("dim", f"priority {task.priority}"),),
        (("dim", f"retry of {task.retry_of}"),) if task.retry_of else (),
        (("dim", task.id),),
    ]
    return joined(parts, _DOT)


def _tabs(model: Model, page: Page, task: Task) -> Row:
    decision = page.decision
    of = max(decision.of if decision else 0, len(page.history.versions))
    count = f" {page.wanted or (decision.number if decision else 0) or of} of {of}" if of > 1 else ""
    said = model.talk.threads[task.id].count if task.id in model.talk.threads else 0
    asked = len(asking.of_task(model, task.id))
    labels = {
        "brief": "Brief",
        "decision": f"Decision{count}",
        "trace": "Trace",
        "talk": f"Talk {said}" if said else "Talk",
        "prompts": f"Prompts {asked}" if asked else "Prompts",
    }
    parts: list[Segment] = [("base", " ")]
    for name in TABS:
        style = "tab" if name == page.tab else "dim" if name == "decision" and not task.address else "base"
        parts += [(style, f" {labels[name]} "), ("base", " ")]
    return tuple(parts)


def page_text(model: Model, page: Page, columns: int) -> list[Row]:
    """The whole text of the page, every row of it."""
    if page.kind in _TEXTS:
        return _TEXTS[page.kind](model, page, columns)
    if page.kind != "tasks":
        _, facts = facts_of(model, page.kind, page.id)
        return list(fact_rows(facts, columns)) or [(("warn", " it is not there any more"),)]
    tab = {"brief": _brief, "decision": _decision, "trace": _trace, "talk": conversation.text, "prompts": asking.text}[
        page.tab
    ]
    return [(), *tab(model, page, columns)]


def _missing(model: Model, page: Page, tag: str, columns: int, waiting: str) -> list[Row]:
    """What stands in the place of a text that is not there: the fault, or why."""
    if tag in page.faults:
        return told(f"▲ {page.faults[tag]}", columns, "warn")
    if model.me.guest and model.link.state == "online":
        return told(f"▲ reading a task needs a person's grant. {model.me.mend}", columns, "warn")
    return told(waiting if model.link.state == "online" else "Not seen before bzzzd went away.", columns)


def _brief(model: Model, page: Page, columns: int) -> list[Row]:
    if page.brief is None:
        return _missing(model, page, "show", columns, "reading…")
    return list(prose(page.brief.text or "(only the title)", columns))


def _decision(model: Model, page: Page, columns: int) -> list[Row]:
    task = model.tasks.get(page.id)
    if page.decision is None:
        if task is not None and not task.address and "decision" not in page.faults:
            ended = words.task_sign(task.state).word
            if task.state not in FINAL:
                return told("No decision yet.", columns)
            rows = told(f"No decision: the task is {ended}.", columns)
            return rows if page.explanation is None else [*rows, (), *prose(page.explanation.text, columns)]
        return _missing(model, page, "decision", columns, "reading…")
    rows = [*_provenance(model, page.decision, columns), ()]
    if "decision" in page.faults:
        rows = [*told(f"▲ {page.faults['decision']}", columns, "warn"), *rows]
    if page.decision.conflict or page.history.conflict:
        rows.insert(0, (("warn", " ▲ two writers at once: both versions are kept, [ and ] show them"),))
    if page.wanted and page.wanted != page.decision.number and "decision" not in page.faults:
        rows.insert(0, (("dim", f" reading version {page.wanted}…"),))
    return [*rows, *prose(page.decision.text, columns)]


def _provenance(model: Model, content: Content, columns: int) -> list[Row]:
    """Which version it is and whose; who reads it in a row of its own where one is too short."""
    parts: list[Row] = [
        (("dim", f" version {content.number}"),) if content.number else (("dim", " decided"),),
        (("base", content.author),) if content.author else (),
        (("dim", words.clock(content.at, model.now, model.utc_offset)),) if content.at else (),
    ]
    readers = f"read by {', '.join(content.readers)}" if content.readers else ""
    whole = joined([*parts, (("dim", readers),) if readers else ()], _DOT)
    if not readers or row_width(whole) <= columns or model.height < ROOMY:
        return [whole]
    return [joined(parts, _DOT), *told(readers, columns)]


def _trace(model: Model, page: Page, columns: int) -> list[Row]:
    if page.trace is None:
        return _missing(model, page, "trace", columns, "reading…")
    rows: list[Row] = []
    start = page.trace[0].at if page.trace else 0.0
    for step in page.trace:
        after = step.at - start
        lead = f" {words.clock(step.at, model.now, model.utc_offset)} {fit(f'+{after:.2f}s', 10, 'right')}  "
        detail = " ".join(part for part in (step.by and f"by {step.by}", step.detail) if part)
        room = max(8, columns - len(lead) - 18)
        for number, line in enumerate(wrap(detail, room)):
            if number == 0:
                rows.append((("dim", lead), ("accent", fit(step.what, 16)), ("base", " " + line)))
            else:
                rows.append((("base", " " * (len(lead) + 17) + line),))
    return rows or told("Nothing is recorded.", columns)


_TABS: Mapping[str, Callable[[Model, Page, int], list[Row]]] = {
    "brief": _brief,
    "decision": _decision,
    "trace": _trace,
    "talk": conversation.text,
    "prompts": asking.text,
}

# Pages of the rooms that have a head and a text of their own.
_HEADS: Mapping[str, Callable[[Model, Page, int, int], list[Row]]] = {
    "inbox": prompt.head,
    "context": book.head,
    "threads": conversation.head,
}
_TEXTS: Mapping[str, Callable[[Model, Page, int], list[Row]]] = {
    "inbox": prompt.text,
    "context": book.text,
    "threads": conversation.text,
}
