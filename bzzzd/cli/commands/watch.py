"""task watch, and the end of ``task submit --wait``: a task's changes as they happen."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from bzzzd.cli.output import clean, mapping, number, to_json_line
from bzzzd.cli.person import Person, person_of
from bzzzd.cli.run import Run
from bzzzd.cli.shown import show_task
from bzzzd.errors import UnknownOutcome
from bzzzd.rpc.follower import Snapshot

FINAL = frozenset({"completed", "failed", "canceled", "rejected"})
_SEEN = ("state", "agent", "strikes", "reason", "address")


def run(run: Run) -> int:
    """Prints changes until Ctrl-C or ``--timeout``; those of one task until it has ended."""
    person = person_of(run)
    if run.args["id"] is not None:
        return follow(run, person, run.args["id"])
    for event in person.events("tasks", until=_until(run)):
        for item in () if isinstance(event, Snapshot) else event.items:
            _print(run, mapping(item))
    return 0


def follow(run: Run, person: Person, task: str) -> int:
    """Print the changes of ``task`` until it has ended: 0 when it completed, 1 otherwise.

    Raises ``UnknownOutcome`` when ``--timeout`` passed: the task goes on without us.
    """
    last: tuple[object, ...] = ()
    for item in _changes(person, task, _until(run)):
        found = task_of(item)
        seen = tuple(found.get(name) for name in _SEEN)
        if found and seen == last:
            continue
        last = seen if found else last
        _print(run, item)
        if found.get("state") in FINAL:
            return _ended(run, person, task, clean(found.get("state")))
    raise UnknownOutcome(
        f"task {task} had not ended when the time was over; it goes on: bzzz task show {task}", task=task
    )


def task_of(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """The task that an item of the stream carries; empty for one about progress."""
    return mapping(item.get("task")) or (item if "state" in item else {})


def _until(run: Run) -> float | None:
    timeout = run.args.get("timeout")
    return time.monotonic() + timeout if timeout else None


def _changes(person: Person, task: str, until: float | None) -> Iterator[Mapping[str, Any]]:
    """The task as it is, then every item about it; as it is again, wherever items may have been missed."""
    for event in person.events("tasks", filter={"task": task}, until=until):
        items = [] if isinstance(event, Snapshot) else [mapping(item) for item in event.items]
        if not items or any(item.get("kind") == "replaced" for item in items):
            # Asked for after the subscription stands, so nothing falls between the two.
            shown = mapping(person.read("task.show", {"id": task}))
            yield {"task": mapping(shown.get("task")) or shown}
        yield from (item for item in items if _about(item) == task)


def _about(item: Mapping[str, Any]) -> str:
    found = task_of(item)
    progress = item.get("progress")
    return clean(found.get("id") if found else item.get("task") or mapping(progress).get("task") or item.get("id"))


def _print(run: Run, item: Mapping[str, Any]) -> None:
    task = task_of(item)
    if run.json:
        if not run.args.get("wait"):
            run.print(to_json_line({**item, "task": task} if task else item))
            run.out.flush()
        return
    # With --wait the result is what goes to standard output; the way there goes beside it.
    line = _task_line(task) if task else _progress_line(item)
    (run.say if run.args.get("wait") else run.print)(f"{time.strftime('%H:%M:%S')}  {line}")
    run.out.flush()


def _task_line(task: Mapping[str, Any]) -> str:
    agent, reason = clean(task.get("agent")), clean(task.get("reason"))
    by = f" by {agent}" if agent else ""
    why = f" ({reason})" if reason else ""
    return f"{clean(task.get('id'))}  {clean(task.get('state'))}{by}{why}"


def _progress_line(item: Mapping[str, Any]) -> str:
    progress = mapping(item.get("progress"))
    done, total = number(progress.get("done")), number(progress.get("total"))
    share = f"{done:g}/{total:g} " if total else ""
    return f"{_about(item)}  {share}{clean(progress.get('note'))}"


def _ended(run: Run, person: Person, task: str, state: str) -> int:
    if run.args.get("wait"):
        found = mapping(person.read("task.show", {"id": task}))
        run.answer(found, lambda: show_task(run, found))
    return 0 if state == "completed" else 1
