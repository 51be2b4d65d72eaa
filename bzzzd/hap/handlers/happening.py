"""What the list of events is told: by the stream of events, by tasks and prompts that change, by conversations."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from bzzzd.hap.feeds.events import Happened
from bzzzd.hap.feeds.prompts import PromptChanged
from bzzzd.hap.orders import name_of
from bzzzd.hap.values import chronicle
from bzzzd.hap.values.chronicle import Event
from bzzzd.hap.values.lists import settled
from bzzzd.hap.values.model import Model
from bzzzd.hap.values.things import Task
from bzzzd.hap.words import called

_TASK_LEVELS = {"completed": "ok", "failed": "bad", "rejected": "bad", "input_required": "warn"}
_PROMPT_LEVELS = {"executed": "ok", "failed": "bad", "unknown": "bad", "asked": "warn", "escalated": "warn"}


def told(model: Model, events: Iterable[Event]) -> Model:
    """The model with more in its list of events; who stands on the newest goes on standing there."""
    found = chronicle.told(model.events, events)
    if found is model.events:
        return model
    state = model.lists["events"]
    if model.page is None and model.events and state.chosen == model.events[0].id:
        model = replace(model, lists={**model.lists, "events": replace(state, chosen="", top=0)})
    return settled(replace(model, events=found), "events")


def of_items(items: Iterable[object]) -> list[Event]:
    """What items of the stream of events tell."""
    return [item.event for item in items if isinstance(item, Happened) and item.event is not None]


def of_task(old: Task | None, new: Task) -> Event | None:
    """A change of a task's state; nothing when it has not changed."""
    if old is not None and (old.state, old.agent) == (new.state, new.agent):
        return None
    by = f" by {new.agent}" if new.agent and new.state in ("working", "completed", "failed", "input_required") else ""
    because = f": {new.reason}" if new.reason and new.reason != new.state else ""
    words = "waits for an answer" if new.state == "input_required" else f"is {new.state}"
    level = _TASK_LEVELS.get(new.state, "info")
    return Event("", new.updated, "tasks", new.state, f"{name_of(new)} {words}{by}{because}", level, new.id)


def of_prompt(item: PromptChanged) -> Event | None:
    """A step of a prompt's life; looking at one is none."""
    prompt, what = item.prompt, item.what
    if what in ("", "seen") or not prompt.id:
        return None
    by = item.by.partition(":")[2] or item.by or prompt.by
    verdict = f" with {prompt.verdict}" if what == "answered" and prompt.verdict else ""
    level = _PROMPT_LEVELS.get(what, "info")
    text = f"{called(prompt.title, prompt.id)} {what.replace('_', ' ')}{verdict}{f' by {by}' if by else ''}"
    return Event("", prompt.updated or prompt.created, "prompts", what, text, level, prompt.id)
