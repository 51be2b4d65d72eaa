"""Threads: the list, an opened conversation, walking through its messages, and what they refer to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from bzzzd.hap.feeds.talk import Spoke
from bzzzd.hap.handlers.opened import onward, open_task
from bzzzd.hap.handlers.soon import soon
from bzzzd.hap.handling import Args, Handler, Handlers, Result
from bzzzd.hap.messages import Ask, Effects, Tag
from bzzzd.hap.orders import say
from bzzzd.hap.values import lists, talk
from bzzzd.hap.values.chronicle import Event
from bzzzd.hap.values.layout import layout
from bzzzd.hap.values.model import Model, Page, mode_below
from bzzzd.hap.values.talk import MOST_THREADS, Said, Spoken, Talk, Thread, Threads
from bzzzd.hap.values.things import Fault
from bzzzd.hap.views import conversation, threads
from bzzzd.hap.writing import composing

PAGE = 200
MOST_SAID = 1000


# The list


def entering(model: Model) -> Result:
    """The view is shown: ask for the threads."""
    return model, listing(model, "")


def listing(model: Model, after: str) -> Effects:
    """Ask for threads, behind the one with the id ``after``."""
    if not model.let_in:
        return ()
    params: dict[str, Any] = {"limit": PAGE}
    if after:
        params["after"] = after
    return (Ask("hmmm.list", params, ("threads", after)),)


def with_talk(model: Model, changed: Talk) -> Model:
    return lists.with_needs(lists.settled(replace(model, talk=changed), "threads"))


def listed(model: Model, tag: Tag, value: Threads) -> Result:
    """A page of the list has come."""
    model = with_talk(model, talk.with_threads(model.talk, value.threads))
    more = value.next and len(model.talk.threads) < MOST_THREADS
    return model, listing(model, value.next) if more else ()


def spoke(model: Model, items: Iterable[Spoke]) -> tuple[Model, list[Event]]:
    """Messages as they come; gives what the list of events says of them too."""
    found = model.talk
    events: list[Event] = []
    opened = model.page.id if model.page is not None and model.page.kind == "threads" else ""
    for item in items:
        found = talk.with_threads(found, (item.thread,))
        if item.said.id:
            found = talk.heard(found, item.thread.id, (item.said,))
            events.append(_event(model, found.threads.get(item.thread.id, item.thread), item.said))
    newest = [one.id for one in model.talk.spoken.get(opened, ())][-1:]
    at_end = model.page is not None and model.page.at in ("", *newest)
    model = with_talk(model, found)
    if opened and at_end and newest != [one.id for one in found.spoken.get(opened, ())][-1:]:
        model = to_newest(model)
    return model, events


def _event(model: Model, thread: Thread, said: Said) -> Event:
    mine = talk.calls(said, model.me.id, model.me.role)
    level = "warn" if mine or said.kind in ("objection", "escalation") else "info"
    text = f"{said.by}: {said.kind} on “{threads.name(model, thread)}”{', for me' if mine else ''}"
    return Event("", said.at, "threads", said.kind, text, level, thread.id)


# An opened thread


def opening(model: Model, id: str) -> Result:
    """Open a thread, also one on which nothing was said yet."""
    if id not in model.talk.threads and id not in model.tasks:
        return say(model, f"no thread {id} is known here" if id else "there is nothing to open", "warn"), ()
    model = replace(model, talk=talk.heard(model.talk, id, model.talk.spoken.get(id, ()), opening=True))
    model = replace(onward(model), view="threads", page=Page(kind="threads", id=id, tab=""), overlay=None)
    return to_newest(model), questions(model)


def questions(model: Model) -> Effects:
    """What the opened thread shows."""
    if model.page is None or not model.let_in:
        return ()
    return (messages(model.page.id, ""),)


def messages(thread: str, after: str) -> Ask:
    """Ask for what was said on a thread, after the message ``after``."""
    params: dict[str, Any] = {"thread": thread, "limit": PAGE}
    if after:
        params["after"] = after
    return Ask("hmmm.show", params, ("spoken", thread, after))


def came(model: Model, tag: Tag, value: Spoken) -> Result:
    """Messages of a thread have come; the rest is asked for while somebody may read it."""
    thread = tag[1]
    found = talk.with_threads(model.talk, (value.thread,)) if value.thread.id else model.talk
    wanted = model.page is not None and model.page.id == thread
    newest = model.page is not None and model.page.at in ("", *(one.id for one in said_on(model, thread)[-1:]))
    model = with_talk(model, talk.heard(found, thread, value.said, opening=wanted))
    model = _unfaulted(model, thread)
    if model.page is not None and model.page.kind == "threads" and wanted and newest:
        model = to_newest(model)
    more = value.next and wanted and len(said_on(model, thread)) < MOST_SAID
    return model, (messages(thread, value.next),) if more else ()


def said_on(model: Model, thread: str) -> tuple[Said, ...]:
    """What is known of a thread's messages, by time."""
    return model.talk.spoken.get(thread, ())


def _unfaulted(model: Model, thread: str) -> Model:
    page = model.page
    if page is None or page.id != thread or "thread" not in page.faults:
        return model
    return replace(model, page=replace(page, faults={n: why for n, why in page.faults.items() if n != "thread"}))


def refused(model: Model, tag: Tag, fault: Fault) -> Result:
    """What could not be read is told where it would stand. A thread without a word is none to the daemon."""
    if tag[0] == "spoken":
        if fault.code == "NOT_FOUND":
            opening_ = model.page is not None and model.page.id == tag[1]
            return with_talk(model, talk.heard(model.talk, tag[1], (), opening=opening_)), ()
        page = model.page
        if page is None or page.id != tag[1]:
            return model, ()
        faults = {**page.faults, "thread": f"{fault.message} ({fault.code})"}
        return replace(model, page=replace(page, faults=faults)), ()
    if fault.code in ("UNREACHABLE", "NOT_FOUND") or model.me.guest:
        return model, ()  # the banner tells it, or this bzzzd knows no threads
    return say(model, f"could not read the threads: {fault.message} ({fault.code})", "warn"), ()


# In the conversation


def to_message(model: Model, id: str) -> Model:
    """Choose a message, and scroll so that it can be seen."""
    assert model.page is not None
    page = replace(model.page, at=id, ref=0)
    start, end = conversation.place_of(model, page, model.width, id)
    height = layout(model).body
    room = max(1, height - len(conversation.head(model, page, model.width, height)))
    scroll = end - room if end - page.scroll > room else page.scroll
    return replace(model, page=replace(page, scroll=max(0, min(scroll, start))))


def to_newest(model: Model) -> Model:
    assert model.page is not None
    said = said_on(model, model.page.id)
    return to_message(model, said[-1].id) if said else model


def on_thread(step: Callable[[Model, Page], Result]) -> Handler:
    """An action of an opened thread."""

    def apply(model: Model, _: Args) -> Result:
        if model.page is None or mode_below(model) != "thread page":
            return say(model, "open a thread first"), ()
        return step(model, model.page)

    return apply


def _walk(by: int) -> Handler:
    def step(model: Model, page: Page) -> Result:
        ids = conversation.order(model, page, model.width)
        if not ids:
            return model, ()
        index = ids.index(page.at) + by if page.at in ids else len(ids) - 1
        return to_message(model, ids[max(0, min(len(ids) - 1, index))]), ()

    return on_thread(step)


def chosen(model: Model, page: Page) -> Said | None:
    """The message in which the person stands."""
    return next((one for one in said_on(model, page.id) if one.id == page.at), None)


def _task_of(model: Model, page: Page) -> Result:
    thread = model.talk.threads.get(page.id)
    task = (thread.task if thread is not None else "") or page.id
    if task not in model.tasks:
        return say(model, "this thread belongs to no task that is known here"), ()
    return open_task(model, task)


def _thread_of(model: Model, args: Args) -> Result:
    """The conversation about a task."""
    id = str(args.get("task") or (model.page.id if model.page is not None else model.lists["tasks"].chosen))
    if id not in model.tasks:
        return say(model, "open a task first"), ()
    return opening(model, id)


def tell(model: Model, items: Iterable[Spoke]) -> tuple[Model, Effects, list[Event]]:
    """As ``spoke``; a text that the stream may not carry is asked for."""
    items = tuple(items)
    model, events = spoke(model, items)
    opened = model.page.id if model.page is not None and model.page.kind == "threads" else ""
    effects: Effects = ()
    if any(item.thread.id == opened and not item.said.readable for item in items):
        model, effects = soon(model, "thread")
    return model, effects, events


def asked(model: Model) -> Result:
    """The moment has come to read the opened thread again."""
    opened = model.page is not None and model.page.kind == "threads"
    return model, questions(model) if opened else ()


def _reply(model: Model, args: Args) -> Result:
    """Write an answer to the chosen message, or to the one that is named."""
    page = model.page
    if page is None or page.kind != "threads":
        return say(model, "open a thread first"), ()
    id = str(args.get("reply_to") or page.at)
    said = next((one for one in said_on(model, page.id) if one.id == id), None)
    if said is None:
        return say(model, f"message {id[:40]} is not on this thread" if id else "there is nothing to answer yet"), ()
    kind = talk.REPLIES.get(said.kind, "answer")
    place = {"form": "message", "thread": page.id, "reply_to": id}
    return composing.open_form(model, {"kind": kind, **args, **place})


HANDLERS: Handlers = {
    "reply": _reply,
    "message-before": _walk(-1),
    "message-after": _walk(1),
    "about": on_thread(_task_of),
    "conversation": _thread_of,
}
