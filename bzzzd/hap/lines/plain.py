"""``--plain``: the portal in words, for screen readers, scripts, and terminals that cannot move their cursor.

Lines are only ever added: no boxes, no spinner, no colour. Lists are numbered, and a number opens its row.
What to print is computed from two models; this file writes nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from bzzzd.errors import UNREADABLE, BadInput
from bzzzd.hap import words
from bzzzd.hap.lines import plain_prompts, plain_rooms
from bzzzd.hap.lines.plain_prompts import answer_args
from bzzzd.hap.messages import Act, Message
from bzzzd.hap.values import lists
from bzzzd.hap.values.model import Draft, Model, Page
from bzzzd.hap.values.sheets import BUILT_IN, Field, Sheet
from bzzzd.hap.values.things import Content, Task
from bzzzd.hap.views.facts import facts_of
from bzzzd.hap.writing.choosing import offered, thread_in_view
from bzzzd.hap.writing.composing import PLACE, sheet_of
from bzzzd.hmmm import forms

GREETING = "BZZZ portal, plain mode. Type help for the commands, quit to leave."
MOST_LOG = 100
_LEVELS = {"ok": "", "info": "", "warn": "warning: ", "bad": "error: "}
WRITING = frozenset({"new", "write", "message", "reply"})


# Commands that may have one argument, and its name.
_ONE_ARGUMENT: Mapping[str, str] = {
    "theme": "name",
    "look": "pattern",
    "group": "by",
    "level": "level",
    "reference": "to",
    "conversation": "task",
}


class Asking(Struct, frozen=True):
    """A form being asked for field by field; ``lines`` collects those of a text of lines."""

    form: str
    sheet: Sheet
    given: Mapping[str, str]
    field: Field
    lines: tuple[str, ...] = ()

    @property
    def so_far(self) -> Mapping[str, str]:
        """Every text that was given, the one being written too."""
        return {**self.given, self.field.name: "\n".join(self.lines)} if self.lines else self.given


def command(line: str, model: Model) -> Act:
    """The action that a typed line means; raises ``BadInput`` with what to type instead."""
    first, _, rest = line.strip().partition(" ")
    rest = rest.strip()
    if _is_number(first):
        return Act("open", {"id": _by_number(first, model)})
    known = [action for action in model.registry.actions if action.typed]
    fitting = [action for action in known if action.name.startswith(first)]
    exact = [action for action in fitting if action.name == first]
    if len(exact or fitting) != 1:
        found = ", ".join(action.name for action in fitting)
        shown = repr(first[:40])
        raise BadInput(f"{shown} may mean {found}" if fitting else f"there is no command {shown}; try help")
    name = (exact or fitting)[0].name
    match name:
        case "open":
            return Act(name, {"id": _target(rest, model)})
        case "cancel" | "retry":
            target, _, reason = rest.partition(" ")
            if not target and model.page is not None:
                return Act(name, {})
            return Act(name, {"task": _target(target, model), "reason": reason.strip()})
        case "filter":
            return Act(name, {"text": rest})
        case _ if name in _ONE_ARGUMENT:
            return Act(name, {_ONE_ARGUMENT[name]: rest} if rest else {})
        case "submit":
            return Act(name, _fields(rest, model))
        case "new":
            return Act(name, {"title": rest} if rest else {})
        case "write":
            return Act(name, {"form": rest} if rest else {})
        case "message":
            return Act(name, {"text": rest} if rest else {})
        case "save":
            return Act(name, {"path": rest} if rest else {"typed": "yes"})
        case "reply":
            return Act(name, {"reply_to": rest} if rest else {})
        case "answer":
            return Act(name, answer_args(rest, model))
        case "deny":
            return Act(name, {"choice": "deny"})
    if rest:
        raise BadInput(f"{name} takes no arguments")
    return Act(name, {})


def _fields(text: str, model: Model) -> dict[str, Any]:
    try:
        given = msgspec.json.decode(text, type=dict[str, str])
    except UNREADABLE as error:
        raise BadInput('submit takes its fields as JSON: submit {"title": "…"}; `new` asks for them') from error
    form = given.get("form") or "task"
    if (sheet := sheet_of(model, form)) is None:
        raise BadInput(f"there is no form {form[:40]!r}; `write` lists them")
    names = [field.name for field in sheet.fields]
    if unknown := sorted(set(given) - {*names, *PLACE}):
        raise BadInput(f"the form {form} has no field {unknown[0][:40]!r}; it has {', '.join(names)}")
    return dict(given)


def _target(word: str, model: Model) -> str:
    if not word:
        raise BadInput("which one? Give its number in the list, or its id")
    return _by_number(word, model) if _is_number(word) else word


def _is_number(word: str) -> bool:
    """Whether a word is a row's number; other scripts have digits that Python's ``int`` does not take."""
    return word.isascii() and word.isdigit()


def _by_number(word: str, model: Model) -> str:
    rows = lists.ids(model)
    number = int(word) if len(word) < 9 else 0
    if not 1 <= number <= len(rows):
        raise BadInput(f"there is no row {word[:40]}; {model.view} has {len(rows)}. `{model.view}` lists them")
    return rows[number - 1]


def wanted(act: Act, model: Model) -> tuple[str, Sheet, dict[str, str]]:
    """The form that an action of ``WRITING`` means, and the thread that it goes to; raises ``BadInput``."""
    names = [name for name, _ in offered(model, "")]
    place = {"thread": thread} if (thread := str(act.args.get("thread") or thread_in_view(model))) else {}
    if act.action == "reply":
        return "message", BUILT_IN["message"], _answered(model, act)
    form = str(act.args.get("form") or {"new": "task", "message": "message" if place else "thread"}.get(act.action, ""))
    sheet = sheet_of(model, form) if form else None
    if sheet is None:
        raise BadInput(f"which form? There are {', '.join(names)}" if not form else f"there is no form {form[:40]!r}")
    return form, sheet, {} if sheet.sends == "task" or form == "thread" else place


def _answered(model: Model, act: Act) -> dict[str, str]:
    """The message that is replied to: the one that is named, or the newest of the thread in view."""
    page = model.page
    if page is None or page.kind != "threads":
        raise BadInput("open a thread first; its messages have the ids in brackets")
    id = str(act.args.get("reply_to") or page.at)
    if id not in (one.id for one in model.talk.spoken.get(page.id, ())):
        raise BadInput(f"there is no message {id[:40]!r} on this thread" if id else "nothing was said here yet")
    return {"thread": page.id, "reply_to": id}


def kept(model: Model, form: str, place: Mapping[str, str]) -> Draft | None:
    """The draft of this form that is kept, if it says something."""
    wanted_place = (form, place.get("thread", ""))
    drafts = (model.draft, *model.put_by)
    return next((one for one in drafts if (one.form, one.thread) == wanted_place and not one.empty), None)


def asking(form: str, sheet: Sheet, given: Mapping[str, str]) -> tuple[Asking | None, str]:
    """Begin to ask for the fields of a form; what a kept draft holds is not asked again."""
    return _next(form, sheet, {name: text for name, text in given.items() if text}, "")


def _next(form: str, sheet: Sheet, given: Mapping[str, str], after: str) -> tuple[Asking | None, str]:
    names = [field.name for field in sheet.fields]
    begin = names.index(after) + 1 if after else 0
    for field in forms.shown(sheet, given):
        if names.index(field.name) >= begin and field.name not in given:
            return Asking(form, sheet, given, field), question(field)
    return None, ""


def question(field: Field) -> str:
    """What is asked for a field; the hint says what an empty line means."""
    if field.kind == "lines":
        return f"{field.label}; end it with a line that holds only a dot:"
    if field.kind == "choice":
        usual = f" (empty: {field.default})" if field.default else ""
        return f"{field.label}, one of {', '.join(field.choices)}{usual}:"
    if field.required:
        return f"{field.label}:"
    return f"{field.label}, or an empty line for {'any' if field.kind == 'role' else field.default or 'none'}:"


def hear(asked: Asking, line: str) -> tuple[Asking | None, str, Mapping[str, str]]:
    """One line of an answer: what is asked next, the question, and the fields so far."""
    field = asked.field
    if field.kind == "lines" and line.strip() != ".":
        more = replace(asked, lines=(*asked.lines, line))
        return more, "", more.so_far
    value = "\n".join(asked.lines) if field.kind == "lines" else line.strip() or field.default
    if why := forms.fault_of(field, value):
        return replace(asked, lines=()), f"{why}. {question(field)}", asked.given
    given = {**asked.given, field.name: value}
    following, asks = _next(asked.form, asked.sheet, given, field.name)
    return following, asks, given


# What to print


def listing(model: Model) -> list[str]:
    """The list in view, numbered."""
    rows = lists.ids(model)
    filter = model.lists[model.view].filter
    wording = f" with the words {filter}" if filter else ""
    found = [f"{model.view}, {len(rows)}{wording}:" if rows else f"{model.view}: none{wording}"]
    if model.view == "health" and model.status.node_id:
        node = model.status
        found.insert(0, f"node {node.node_id}, mesh {node.mesh_id}, phase {node.phase}, durability {node.durability}")
        found[1:1] = [f"warning: {warning}" for warning in node.warnings]
    numbered = list(enumerate(rows, 1))
    if len(rows) > MOST_LOG and model.view == "logs":
        found.append(f"the last {MOST_LOG}:")
        numbered = numbered[-MOST_LOG:]
    return [*found, *(f"{number}. {_row(model, id)}" for number, id in numbered)]


def _row(model: Model, id: str) -> str:
    if model.view == "tasks":
        return task_line(model, model.tasks[id])
    if model.view in plain_rooms.ROWS:
        return plain_rooms.ROWS[model.view](model, id)
    _, facts = facts_of(model, model.view, id)
    told = dict(reversed([(label, value) for label, (_, value) in facts if value]))
    state = told.get("state", "").partition(" ")[2]
    if model.view == "inbox":
        kept = [f"{label} {told[label]}" for label in ("from", "time left", "risk") if label in told]
        return ", ".join([next(need.title for need in model.needs if need.id == id), *kept])
    keys = {"agents": ("role", "can do", "load"), "peers": ("node", "found by", "address", "round trip")}
    rest = [f"{label} {told[label]}" for label in keys.get(model.view, ()) if label in told]
    if model.view == "health" and told.get("detail"):
        rest = [told["detail"]]
    return ", ".join([f"{id}, {state}", *rest])


def task_line(model: Model, task: Task) -> str:
    """One task in one line."""
    parts = [task.state]
    if task.agent:
        parts.append(f"by {task.agent}")
    if task.state == "working" and task.progress is not None and task.progress.total:
        parts.append(words.percent(task.progress.done, task.progress.total))
    if task.created:
        parts.append(words.ago(model.now - task.created))
    if task.reason:
        parts.append(task.reason)
    return f"{', '.join(parts)}: {task.title or task.id}" + (f" ({task.id})" if task.title else "")


def help_lines(model: Model) -> list[str]:
    """The typed commands, from the registry."""
    rows = [(action.typed, action.help) for action in model.registry.actions if action.typed]
    size = max(len(typed) for typed, _ in rows)
    return ["commands; the beginning of a name is enough:", *(f"  {typed:<{size}}  {help}" for typed, help in rows),
            f"  {'NUMBER':<{size}}  open that row of the list"]  # fmt: skip


def changes(old: Model, new: Model, message: Message) -> list[str]:
    """What is worth a line."""
    found: list[str] = []
    if (old.link.state, old.link.why, old.me) != (new.link.state, new.link.why, new.me):
        found += _link(new)
    if old.tasks is not new.tasks and old.link.seen:
        found += _tasks(old, new)
    if new.page is not None and new.page != old.page:
        found += _page(old, new, new.page)
    found += plain_prompts.changes(old, new)
    found += plain_rooms.changes(old, new)
    if new.notice.text and new.notice != old.notice:
        found.append(_LEVELS.get(new.notice.level, "") + new.notice.text)
    if len(new.pending) > len(old.pending) or len(new.answers) > len(old.answers):
        found.append("type undo within 5 seconds to take it back")
    return found


def _link(model: Model) -> list[str]:
    if model.link.state == "online":
        who = "as a guest" if model.me.guest else f"as {model.me.id}, role {model.me.role or model.me.kind}"
        return [f"online at {model.status.node_id or model.link.socket}, {who}"] + (
            [f"warning: {model.me.mend}"] if model.me.mend else []
        )
    if model.link.state == "offline":
        seen = f"; shown is what was seen up to number {model.link.number}" if model.link.seen else ""
        return [f"offline: {model.link.why}{seen}"]
    return []


def _tasks(old: Model, new: Model) -> list[str]:
    found = []
    opened = new.page.id if new.page is not None else ""
    for row in new.tasks.values():
        before = old.tasks.get(row.id)
        if before is None or (before.state, before.agent) != (row.state, row.agent):
            found.append(f"task {task_line(new, row)}")
        elif row.id == opened and row.progress is not None and row.progress != before.progress:
            share = words.percent(row.progress.done, row.progress.total)
            found.append(f"progress {' '.join(part for part in (share, row.progress.note) if part)}")
    return found


def _page(old: Model, new: Model, page: Page) -> list[str]:
    """What is new on the opened page: its facts when it opens, its text when it is there."""
    before = old.page if old.page is not None and (old.page.kind, old.page.id) == (page.kind, page.id) else None
    found: list[str] = []
    if before is None:
        title, facts = facts_of(new, page.kind, page.id)
        # A state's sign is for the eye; its word stands behind it.
        told = [(label, value.partition(" ")[2] if label == "state" else value) for label, (_, value) in facts]
        found += [title, *(f"{label}: {value}" for label, value in told if value)]
    for tag, why in page.faults.items():
        if before is None or before.faults.get(tag) != why:
            found.append(f"warning: {tag}: {why}")
    if page.kind != "tasks" or page.tab in ("talk", "prompts"):
        return found
    turned = before is None or before.tab != page.tab
    part = getattr(page, page.tab)
    if part is not None and (turned or before is None or getattr(before, page.tab) != part):
        found += {"brief": _brief, "decision": _decision, "trace": _trace}[page.tab](new, part)
    elif part is None and turned and before is not None:
        found.append(f"{page.tab}: not there yet")
    return found


def _brief(model: Model, brief: Content) -> list[str]:
    return ["brief:", *brief.text.split("\n")]


def _decision(model: Model, decision: Content) -> list[str]:
    version = f", version {decision.number} of {decision.of}" if decision.of else ""
    by = f", by {decision.author}" if decision.author else ""
    conflict = ["warning: two writers at once: both versions are kept"] if decision.conflict else []
    return [*conflict, f"decision{version}{by}:", *decision.text.split("\n")]


def _trace(model: Model, steps: Any) -> list[str]:
    found = ["trace:"]
    for step in steps:
        by = f" by {step.by}" if step.by else ""
        detail = f": {step.detail}" if step.detail else ""
        found.append(f"  {words.clock(step.at, model.now, model.utc_offset)} {step.what}{by}{detail}")
    return found
