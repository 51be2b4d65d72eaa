"""What comes in: the connection, the streams, and answers to questions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from bzzzd.hap.feeds.events import Happened
from bzzzd.hap.feeds.prompts import PromptChanged
from bzzzd.hap.feeds.talk import Spoke
from bzzzd.hap.feeds.tasks import TaskChanged, TaskProgressed
from bzzzd.hap.handlers import happening, inbox, opened, pulse, rooms, talking
from bzzzd.hap.handlers.soon import soon
from bzzzd.hap.handling import Result
from bzzzd.hap.messages import (
    Answered,
    Ask,
    Began,
    Came,
    Effects,
    Message,
    Offline,
    Online,
    Prompts,
    Refused,
    SaveCache,
    Snapshot,
    Tag,
)
from bzzzd.hap.orders import name_of, say
from bzzzd.hap.values.chronicle import Event
from bzzzd.hap.values.lists import settled, with_needs, with_tasks
from bzzzd.hap.values.model import Link, Model
from bzzzd.hap.values.things import Task
from bzzzd.hap.writing import composing

TASK_LIMIT = 500
_WHOLE_BELOW = 100

_STATUS = Ask("status", {}, ("status",))
_HEALTH = Ask("health", {}, ("health",))
_PEERS = Ask("peers", {}, ("peers",))
_AGENTS = Ask("agent.list", {}, ("agents",))
_TASKS = Ask("task.list", {"limit": TASK_LIMIT}, ("tasks",))
# What to ask for again after news of a stream.
_NEWS: Mapping[str, Effects] = {
    "agents": (_AGENTS,),
    "events": (_HEALTH, _PEERS, _AGENTS, _STATUS),
    "tasks": (_TASKS,),
}


# Events after which there is more context, and how long it is waited for more of them.
_KEPT = frozenset({"decision", "replicated"})
_LATER_S = 2.0
# So many addresses are asked for again now and then; more would cost an idle portal too much.
_FEW_ENTRIES = 500


def refresh() -> Effects:
    """Ask for everything; the list of tasks brings titles that the stream may leave out."""
    return (_TASKS, _STATUS, _HEALTH, _AGENTS, _PEERS)


def ask(model: Model, what: str) -> Result:
    """The moment has come."""
    model = replace(model, soon=model.soon - {what})
    if model.link.state != "online":
        return model, ()
    if what == "page":
        task = model.tasks.get(model.page.id) if model.page is not None else None
        return model, opened.questions(model, task) if task is not None else ()
    if what in rooms.ASKED:
        return rooms.ASKED[what](model)
    return model, _NEWS.get(what, ())


def online(model: Model, message: Online) -> Result:
    link = replace(model.link, state="online", since=model.now, why="", asked=0, silent=False)
    same = model.status.node_id == message.status.node_id
    status = replace(model.status, phase=message.status.phase, build=message.status.build) if same else message.status
    model = replace(model, link=link, me=message.me, status=status)
    effects = refresh()
    if model.page is not None and model.page.kind == "tasks" and model.page.id in model.tasks:
        effects += opened.questions(model, model.tasks[model.page.id])
    elif model.page is not None and model.page.kind in rooms.QUESTIONS:
        effects += rooms.QUESTIONS[model.page.kind](model)
    if not message.me.guest:
        effects += (inbox.QUESTION,)
    model, more = rooms.entered(settled(with_needs(model)))
    effects += more
    model, more = pulse.begin(model)
    return model, effects + more


def heard(model: Model, message: Message) -> Result:
    """Take note that bzzzd is there; if it was taken for away, it is back."""
    if not pulse.is_sign(message):
        return model, ()
    if model.link.silent:
        return online(model, Online(model.me, model.status))
    return replace(model, link=replace(model.link, asked=0, seen=_seen(model.link, model.now))), ()


def beat(model: Model) -> Result:
    """Ask for a sign of life; and for the context in view, of which no stream tells."""
    model, effects = pulse.beat(model)
    if model.view == "context" and len(model.shelf.entries) <= _FEW_ENTRIES:
        model, more = soon(model, "context")
        effects += more
    return model, effects


def silent(model: Model) -> Result:
    """Bzzzd owes an answer for too long: it is away until something comes from it."""
    asked = model.link.asked
    model, effects = offline(model, Offline(pulse.WHY))
    return replace(model, link=replace(model.link, silent=True, since=asked, asked=asked)), effects


def offline(model: Model, message: Offline) -> Result:
    was = model.link
    since = was.since if was.state == "offline" else model.now
    # Until it went, everything was heard; a silent one had said its last before it was asked.
    seen = _seen(was, model.now) if was.state == "online" and not was.asked else was.seen
    link = replace(was, state="offline", since=since, why=message.why, seen=seen, asked=0, silent=False)
    return settled(replace(model, link=link)), (SaveCache(),) if was.state == "online" else ()


def _seen(link: Link, now: float) -> float:
    """When something was heard last; before the first tasks nothing counts as seen."""
    return now if link.seen else 0.0


def merged(old: Task | None, new: Task) -> Task:
    """The newer of two pictures of one task; what only one of them tells is kept.

    Streams tell every member the same, so they may leave out a title that this person can read; and
    progress is live state that a list does not repeat.
    """
    if old is None:
        return new
    if new.updated < old.updated:
        old, new = new, old
    return replace(
        new,
        title=new.title or old.title,
        progress=new.progress or (old.progress if new.state == "working" and new.agent == old.agent else None),
    )


def _heard(link: Link, number: int, now: float) -> Link:
    return replace(link, number=max(number, 0), seen=now)


def snapshot(model: Model, message: Snapshot) -> Result:
    """The newest tasks. What is missing among them is gone; what is older than all of them lies beyond the list."""
    oldest = min((row.created for row in message.tasks), default=0.0)
    whole = len(message.tasks) < _WHOLE_BELOW
    tasks = {} if whole else {row.id: row for row in model.tasks.values() if row.created < oldest}
    for new in message.tasks:
        tasks[new.id] = merged(model.tasks.get(new.id), new)
    number = message.number if message.number >= 0 else model.link.number
    return with_tasks(replace(model, link=_heard(model.link, number, model.now)), tasks), ()


def prompts(model: Model, message: Prompts) -> Result:
    """All prompts that are not over, as the stream's snapshot has them."""
    return inbox.snapshot(model, message.prompts), ()


def began(model: Model, message: Began) -> Result:
    """What had happened before the stream was followed: told in its list, and nowhere else."""
    return happening.told(model, happening.of_items(message.items)), ()


def named(model: Model, item: PromptChanged) -> PromptChanged:
    """The item with the title that is known here: the stream tells everybody the same."""
    known = model.prompts.get(item.prompt.id)
    return replace(item, prompt=replace(item.prompt, title=known.title)) if known is not None else item


def came(model: Model, message: Came) -> Result:
    effects: Effects = ()
    if message.stream == "prompts":
        changes = [item for item in message.items if isinstance(item, PromptChanged)]
        model, untitled = inbox.came(model, changes)
        events = [event for item in changes if (event := happening.of_prompt(named(model, item))) is not None]
        model = happening.told(model, events)
        return soon(model, "prompts") if untitled else (model, ())
    if message.stream == "hmmm":
        model, effects, said = talking.tell(model, [item for item in message.items if isinstance(item, Spoke)])
        return happening.told(model, said), effects
    if message.stream != "tasks":
        model = happening.told(model, happening.of_items(message.items))
        told = [item.news for item in message.items if isinstance(item, Happened) and item.news is not None]
        # What answers a person's own doing stays until its time is over.
        if told and not model.notice.text:
            model = say(model, told[-1].text, told[-1].level)
        model, effects = soon(model, message.stream)
        if model.view == "context" and any(isinstance(item, Happened) and item.what in _KEPT for item in message.items):
            model, more = soon(model, "context", _LATER_S)
            effects += more
        return model, effects
    tasks = dict(model.tasks)
    untitled = moved = False
    turns: list[Event] = []
    for item in message.items:
        match item:
            case TaskChanged(task=new):
                old = tasks.get(new.id)
                tasks[new.id] = merged(old, new)
                if (turn := happening.of_task(old, tasks[new.id])) is not None:
                    turns.append(turn)
                untitled = untitled or not tasks[new.id].title
                if old is None or (old.state, old.agent, old.address) != (new.state, new.agent, new.address):
                    moved = moved or (model.page is not None and model.page.id == new.id)
            case TaskProgressed(id=id, progress=progress):
                if id in tasks:
                    tasks[id] = replace(tasks[id], progress=progress)
            case _:
                pass
    model = with_tasks(replace(model, link=_heard(model.link, message.number, model.now)), tasks)
    model = happening.told(model, turns)
    if untitled and not model.me.guest:
        model, effects = soon(model, "tasks")
    if moved:
        model, more = soon(model, "page")
        effects += more
    return model, effects


def answered(model: Model, message: Answered) -> Result:
    tag, value = message.tag, message.value
    match tag[0]:
        case "status":
            return replace(model, status=value), ()
        case "health":
            return settled(replace(model, health=value), "health"), ()
        case "peers":
            return settled(replace(model, peers=value), "peers"), ()
        case "agents":
            return settled(replace(model, agents=value), "agents"), ()
        case "tasks":
            return snapshot(model, Snapshot(tasks=value, number=-1))
        case "submit":
            return _submitted(model, tag[1], value)
        case "post":
            return _posted(model, tag[1])
        case "order":
            return _ordered(model, tag[1], value)
    if tag[0] in rooms.ANSWERS:
        return rooms.ANSWERS[tag[0]](model, tag, value)
    return _read(model, tag, value)


def _submitted(model: Model, id: str, task: Task) -> Result:
    model = replace(model, flying=model.flying - {id})
    model, effects = composing.sent(model, id)
    if task.id:
        model = with_tasks(model, {**model.tasks, task.id: merged(model.tasks.get(task.id), task)})
        if model.page is None:
            lists = {**model.lists, "tasks": replace(model.lists["tasks"], chosen=task.id)}
            model = settled(replace(model, lists=lists), "tasks")
    return say(model, f"sent: {name_of(model.tasks.get(task.id, task))}", "ok"), effects


def _posted(model: Model, id: str) -> Result:
    model, effects = composing.sent(replace(model, flying=model.flying - {id}), id)
    return say(model, "said", "ok"), effects


def _ordered(model: Model, id: str, task: Task) -> Result:
    model = replace(model, flying=model.flying - {id})
    if not task.id:
        return model, ()
    model = with_tasks(model, {**model.tasks, task.id: merged(model.tasks.get(task.id), task)})
    told = model.tasks.get(task.id, task)
    if told.retry_of:
        return say(model, f"retried {told.retry_of} as {told.id}", "ok"), ()
    return say(model, f"{told.state}: {name_of(told)}", "ok"), ()


def _read(model: Model, tag: Tag, value: Any) -> Result:
    """An answer for the opened page; one that comes after the page was left is dropped."""
    page = model.page
    if page is None or page.kind != "tasks" or page.id != tag[1]:
        return model, ()
    page = replace(page, faults={name: why for name, why in page.faults.items() if name != tag[0]})
    match tag[0]:
        case "show":
            model = with_tasks(model, {**model.tasks, value.task.id: merged(model.tasks.get(page.id), value.task)})
            page = replace(
                page, brief=value.brief, decision=page.decision or value.decision, explanation=value.explanation
            )
        case "trace":
            page = replace(page, trace=value)
        case "history":
            page = replace(page, history=value)
        case "decision":
            if tag[2] == str(page.wanted):
                page = replace(page, decision=value)
    return opened.kept(replace(model, page=page), page), ()


def refused(model: Model, message: Refused) -> Result:
    tag, fault = message.tag, message.fault
    text = f"{fault.message} ({fault.code})"
    if tag[0] in rooms.REFUSALS:
        return rooms.REFUSALS[tag[0]](model, tag, fault)
    match tag[0]:
        case "submit" | "post":
            model = replace(model, flying=model.flying - {tag[1]})
            kept = "; the draft is kept, `n` opens it" if model.draft.id == tag[1] else ""
            kept = kept.replace("`n`", "the same form") if model.draft.form != "task" else kept
            return say(model, f"not sent: {text}{kept}", "bad", 30.0), ()
        case "order":
            return say(replace(model, flying=model.flying - {tag[1]}), f"not done: {text}", "bad", 30.0), ()
        case "show" | "trace" | "history" | "decision":
            if model.page is None or model.page.id != tag[1]:
                return model, ()
            return replace(model, page=replace(model.page, faults={**model.page.faults, tag[0]: text})), ()
    if fault.code == "UNREACHABLE" or (model.me.guest and fault.code in ("NOT_ALLOWED", "NOT_ATTACHED")):
        return model, ()  # the banner tells it already
    return say(model, f"could not read {tag[0]}: {text}", "warn"), ()
