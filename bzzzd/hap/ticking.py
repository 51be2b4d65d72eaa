"""When what is shown changes by the passing of time alone. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from bzzzd.hap.handlers.pulse import SILENT_S
from bzzzd.hap.values.asked import WAITING
from bzzzd.hap.values.model import Model

_BY_SECONDS = 60.0
"""A time that is left is shown to the second from here on."""


def next_tick(model: Model) -> float | None:
    """Seconds until what is shown changes by itself; None when nothing does."""
    waits = [model.notice.until - model.now] if model.notice.text else []
    if model.pending or model.answers:
        waits.append(1.0)
    if model.view == "inbox":
        waits += _ends(model)
    if model.link.state == "online" and model.link.asked:
        waits.append(model.link.asked + SILENT_S - model.now)
    if model.link.state != "online":
        waits.append(5.0)
    elif model.tasks and model.view == "tasks":
        newest = max(model.tasks[id].created for id in model.order[:1]) if model.order else 0.0
        waits.append(5.0 if model.now - newest < 60 else 30.0)
    elif model.view != "tasks":
        waits.append(30.0)
    return max(0.05, min(waits)) if waits else None


def _ends(model: Model) -> Iterator[float]:
    """For each prompt that waits for the person: a second in its last minute, else the time until that begins."""
    for prompt in model.prompts.values():
        left = prompt.expires - model.now
        if prompt.for_me and prompt.state in WAITING and left > 0:
            yield 1.0 if left <= _BY_SECONDS else left - _BY_SECONDS
