"""What the daemon sends, turned into the model's values: the border where text is cleaned.

Nothing that came over the socket passes this file as it was: strings are cleaned and bounded, numbers
are numbers, and a field that is missing or of another type gives its default, so that a newer or an older
daemon, or a hostile title, cannot break a screen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bzzzd.hap.feeds import content, context, events, logs, mesh, prompts, talk, tasks
from bzzzd.hap.feeds.events import Happened
from bzzzd.hap.feeds.fields import mapping, rows
from bzzzd.hap.feeds.prompts import PromptChanged
from bzzzd.hap.feeds.talk import Spoke
from bzzzd.hap.feeds.tasks import TaskChanged, TaskProgressed
from bzzzd.hap.text import clean
from bzzzd.hap.values.model import Me
from bzzzd.hap.values.things import Fault

Item = TaskChanged | TaskProgressed | PromptChanged | Happened | Spoke


def me(caller: object, mend: str = "") -> Me:
    row = mapping(caller)
    return Me(
        id=clean(row.get("id"), 64),
        kind=clean(row.get("kind"), 16) or "guest",
        role=clean(row.get("role"), 64),
        mend=clean(mend, 500),
    )


def fault(error: Mapping[str, Any]) -> Fault:
    return Fault(code=clean(error.get("code"), 40) or "FAILED", message=clean(error.get("message"), 800))


def items(stream: str, values: Iterable[object]) -> tuple[Item, ...]:
    """Items of a stream; what is not understood is left out."""
    read = STREAMS[stream]
    found = (read(mapping(value)) for value in values)
    return tuple(item for item in found if item is not None)


STREAMS: Mapping[str, Callable[[Mapping[str, Any]], Item | None]] = {
    "tasks": tasks.item,
    "prompts": prompts.item,
    "events": events.event,
    "agents": events.agent,
    "hmmm": talk.item,
}
"""The streams that the portal follows, and what reads an item of each."""

BEFORE: Mapping[str, str] = {"events": "events"}
"""Streams that begin with what had happened before, and the name under which that comes."""


STATES: Mapping[str, tuple[tuple[str, ...], Callable[[object], Any]]] = {"hmmm": (("threads", ""), talk.threads)}
"""Streams that begin with a state: what reads it, and the tag of the question that it answers."""


def before(stream: str, state: object) -> tuple[Item, ...]:
    return items(stream, rows(state, BEFORE[stream]))


def parse(method: str, tag: str, value: object) -> Any:
    """The answer of a method as a value of the model; a room that reads it otherwise says so by its tag."""
    return (_TAGGED.get(tag) or PARSERS[method])(value)


PARSERS: Mapping[str, Callable[[object], Any]] = {
    "status": mesh.status,
    "health": mesh.health,
    "peers": mesh.peers,
    "agent.list": mesh.agents,
    "task.list": tasks.tasks,
    "task.show": tasks.shown,
    "task.trace": tasks.trace,
    "task.submit": tasks.one_task,
    "hmmm.post": talk.posted,
    "task.cancel": tasks.one_task,
    "task.retry": tasks.one_task,
    "prompt.list": prompts.prompts,
    "prompt.answer": prompts.one_prompt,
    "prompt.settle": prompts.one_prompt,
    "context.history": content.history,
    "context.get": content.content,
    "context.list": context.listing,
    "context.find": context.place,
    "logs.tail": logs.tail,
    "hmmm.list": talk.threads,
    "hmmm.show": talk.spoken,
}
"""What reads the answer of each method that the portal calls."""

_TAGGED: Mapping[str, Callable[[object], Any]] = {
    "editions": context.editions,
    "reading": context.reading,
}
