"""Which room answers for what: the view that is shown, the row that is opened, the answer that has come.

A room is a module with the updates of one view; this table is how ``arrivals.py`` and ``moving.py`` find it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from bzzzd.hap.handlers import browsing, following, inbox, naming, referring, talking
from bzzzd.hap.handlers.opened import onward, open_task
from bzzzd.hap.handling import Result
from bzzzd.hap.messages import Effects, Tag
from bzzzd.hap.orders import say
from bzzzd.hap.values.model import Model, Page
from bzzzd.hap.values.things import Fault
from bzzzd.hap.writing import unlocking


def _open_event(model: Model, id: str) -> Result:
    """The task, thread or prompt that an event is about, or what is known of the event."""
    event = next((row for row in model.events if row.id == id), None)
    if event is None:
        return say(model, "there is nothing to open", "warn"), ()
    if event.target in model.tasks:
        return talking.opening(model, event.target) if event.source == "threads" else open_task(model, event.target)
    if event.target in model.talk.threads:
        return talking.opening(model, event.target)
    if event.target in model.prompts:
        return inbox.open_prompt(model, event.target)
    return replace(onward(model), page=Page(kind="events", id=id), overlay=None), ()


ENTERING: Mapping[str, Callable[[Model], Result]] = {
    "threads": talking.entering,
    "context": browsing.entering,
    "logs": following.entering,
}
"""What a view does when it is shown."""

OPENING: Mapping[str, Callable[[Model, str], Result]] = {
    "inbox": inbox.opening,
    "threads": talking.opening,
    "context": browsing.opening,
    "events": _open_event,
}
"""What opening a row of a view means, where it is more than showing its facts."""

QUESTIONS: Mapping[str, Callable[[Model], Effects]] = {
    "inbox": inbox.questions,
    "threads": talking.questions,
    "context": browsing.questions,
}
"""What an opened page asks for, when it opens and when the daemon is back."""

TURNING: Mapping[str, Callable[[Model, int], Result]] = {"context": browsing.turn}
"""The tab before or after, by the kind of page; a task's own stand in ``reading.py``."""

VERSIONS: Mapping[str, Callable[[Model, int], Result]] = {"context": browsing.version}
"""The version before or after, by the kind of page."""

ANSWERS: Mapping[str, Callable[[Model, Tag, Any], Result]] = {
    **dict.fromkeys(("prompts", "prompt", "kept", "reply", "outbox"), inbox.answered),
    "threads": talking.listed,
    "spoken": talking.came,
    **dict.fromkeys(("unlock", "protect"), unlocking.answered),
    "context": browsing.listed,
    "editions": browsing.came_editions,
    "reading": browsing.came_text,
    "logs": following.came,
    "save": naming.saved,
    "found": referring.found,
}
"""Who takes an answer, by the first word of its tag."""

REFUSALS: Mapping[str, Callable[[Model, Tag, Fault], Result]] = {
    **dict.fromkeys(("prompts", "prompt", "reply"), inbox.refused),
    "threads": talking.refused,
    "hmmm": talking.refused,
    "spoken": talking.refused,
    **dict.fromkeys(("unlock", "protect"), unlocking.refused),
    "context": browsing.refused,
    "editions": browsing.refused,
    "reading": browsing.refused,
    "logs": following.refused,
    "save": naming.refused,
    "found": referring.refused,
}
"""Who takes a refusal, by the first word of its tag."""

ASKED: Mapping[str, Callable[[Model], Result]] = {
    "prompts": inbox.asked,
    "logs": following.asked,
    "thread": talking.asked,
    "context": browsing.asked,
}
"""Questions that were put off (``soon.py``), by their name."""


def entered(model: Model) -> Result:
    """The view in which the person stands is shown, or shown again after the daemon was away."""
    step = ENTERING.get(model.view)
    return step(model) if step is not None else (model, ())
