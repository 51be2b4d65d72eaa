"""Cancel and retry: commands that wait some seconds, so that they can be taken back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec.structs import replace

from bzzzd.hap.handling import Handlers, Result
from bzzzd.hap.messages import Due, Effects, Later, Order
from bzzzd.hap.values.model import UNDO_S, Model, Notice, Pending, chosen_id
from bzzzd.hap.values.things import FINAL, Task
from bzzzd.hap.words import called

NOTICE_S = 8.0


def say(model: Model, text: str, level: str = "info", seconds: float = NOTICE_S) -> Model:
    """The model with a notice in its bottom line."""
    return replace(model, notice=Notice(text=text, level=level, until=model.now + seconds))


def name_of(task: Task) -> str:
    """How a task is called in a sentence."""
    return called(task.title, task.id)


def target(model: Model, args: Mapping[str, Any]) -> Task | None:
    """The task that an action means: its argument, or else the chosen one."""
    return model.tasks.get(str(args.get("task") or chosen_id(model)))


def refusal(model: Model, kind: str, args: Mapping[str, Any]) -> str:
    """Why the order makes no sense now, or nothing."""
    task = target(model, args)
    if task is None:
        return f"no task {args['task']} is known here" if args.get("task") else "no task is chosen"
    if model.me.guest:
        return f"to {kind} a task you need a person's grant: {model.me.mend}" if model.me.mend else (
            f"to {kind} a task, the daemon must have let you in; it has not yet"
        )  # fmt: skip
    if kind == "cancel" and task.state in FINAL:
        return f"{name_of(task)} is {task.state}, and that is final"
    if kind == "retry" and task.state not in FINAL:
        return f"{name_of(task)} is {task.state}; only a task that has ended can be retried"
    if any(order.task == task.id and order.kind == kind for order in model.pending):
        return f"that {kind} is waiting already; `u` takes it back"
    return ""


def order(model: Model, kind: Literal["cancel", "retry"], args: Mapping[str, Any]) -> Result:
    """Put a cancel or retry on the waiting list; ``args`` may name ``task``, ``reason`` and ``now``."""
    if why := refusal(model, kind, args):
        return say(model, why, "warn"), ()
    task = target(model, args)
    assert task is not None
    number = model.counter + 1
    waiting = Pending(
        id=f"{model.run}-{number}", kind=kind, task=task.id, due=model.now + UNDO_S,
        reason=str(args.get("reason") or ""),
    )  # fmt: skip
    model = replace(model, counter=number)
    if args.get("now") is True:
        return perform(model, waiting)
    verb = "canceling" if kind == "cancel" else "retrying"
    model = say(replace(model, pending=(*model.pending, waiting)), f"{verb} {name_of(task)}", "warn", UNDO_S)
    return model, (Later(UNDO_S, Due("order", waiting.id)),)


def undo(model: Model) -> Result:
    """Take back the newest order that still waits."""
    if not model.pending:
        return say(model, "nothing to take back: an answer, a cancel or a retry waits 5 s before it is sent"), ()
    *rest, last = model.pending
    task = model.tasks.get(last.task)
    shown = name_of(task) if task else last.task
    return say(replace(model, pending=tuple(rest)), f"taken back: {last.kind} of {shown}", "ok"), ()


def due(model: Model, id: str) -> Result:
    """The waiting time of one order is over."""
    found = next((order for order in model.pending if order.id == id), None)
    if found is None:
        return model, ()
    return perform(replace(model, pending=tuple(order for order in model.pending if order.id != id)), found)


def perform(model: Model, order: Pending) -> Result:
    return (
        replace(model, flying=model.flying | {order.id}),
        (Order(kind=order.kind, task=order.task, id=order.id, reason=order.reason),),
    )


def flush(model: Model) -> Result:
    """Send every order that waits, because the person is leaving."""
    effects: Effects = ()
    for waiting in model.pending:
        model, more = perform(model, waiting)
        effects += more
    return replace(model, pending=()), effects


HANDLERS: Handlers = {
    "cancel": lambda model, args: order(model, "cancel", args),
    "retry": lambda model, args: order(model, "retry", args),
}
