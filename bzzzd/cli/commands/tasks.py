"""task: submit, list, show, cancel, retry, trace."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from bzzzd.cli.commands.watch import follow
from bzzzd.cli.output import clean, duration, mapping, rows_of, table, when
from bzzzd.cli.paging import listed
from bzzzd.cli.person import person_of
from bzzzd.cli.run import Run
from bzzzd.cli.shown import show_task
from bzzzd.errors import GrantRefused, NotAllowed, NotAttached, UnknownMethod
from bzzzd.slurp.brief import Brief
from bzzzd.ucxl.address import parse


def submit(run: Run) -> int:
    """With ``--wait`` exits 0 when the task completed, 1 when it ended otherwise, 6 when waiting took too long."""
    args: dict[str, Any] = {}
    if run.args["address"]:
        args["address"] = parse(run.args["address"]).canonical
    if run.args["tail"]:
        args["argv"] = run.args["tail"]
    body = "" if run.args["body"] is None else run.text("body").decode("utf-8", "replace")
    wanted = {
        "role": run.args["role"],
        "capability": run.args["capability"],
        "priority": run.args["priority"],
        "project": run.args["project"],
        "approve": run.args["approve"],
    }
    if run.args["deadline"] is not None:
        wanted["deadline_s"] = run.args["deadline"]
    try:
        person = person_of(run)
    except (GrantRefused, NotAttached) as refusal:
        return _ask(run, body, {name: value for name, value in wanted.items() if value is not None}, refusal)
    task, found = person.submit(Brief(run.args["title"], body, args), **wanted)
    if not run.args["wait"]:
        run.answer(found, lambda: run.print(f"{task}\n{_next(found, task)}"))
        return 0
    if not run.json:
        run.say(f"submitted {task}")
    return follow(run, person, task)


def _ask(run: Run, body: str, wanted: dict[str, Any], refusal: NotAllowed) -> int:
    """Submit as a guest, where policy lets guests do so; otherwise the ``refusal`` of the session stands."""
    grown = {"--wait": run.args["wait"], "--approve": wanted.pop("approve", False), "--address": run.args["address"],
             "a command to run": run.args["tail"]}  # fmt: skip
    too_much = [name for name, given in grown.items() if given]
    if too_much:
        raise type(refusal)(f"a guest's task goes without {' and '.join(too_much)}; {refusal.message}")
    try:
        found = mapping(run.client.call("task.ask", {"title": run.args["title"], "body": body, **wanted}))
    except (NotAttached, UnknownMethod):
        raise refusal from None
    task = clean(mapping(found.get("task")).get("id"))
    run.say(f"submitted as a guest, signed by the node; {clean(refusal.message)}")
    run.answer(found, lambda: run.print(task))
    return 0


def _next(found: object, task: str) -> str:
    shown = mapping(mapping(found).get("task"))
    if shown.get("state") == "waiting":
        return f"the coordinator is away: it waits on {clean(shown.get('waits_at'))} and goes there by itself"
    return f"follow it: bzzz task watch {task}"


def listing(run: Run) -> int:
    rows, following, _ = listed(
        person_of(run), "task.list", "tasks", run.args["limit"], state=run.args["state"], project=run.args["project"],
        dead_letters=run.args["dead"] or None,
    )  # fmt: skip
    head = ("ID", "STATE", "P", "AGE", "AGENT", "CAPABILITY", "TITLE")
    run.answer(
        {"tasks": rows, "next": following},
        lambda: table(head, [_row(row) for row in rows], run.out) if rows else run.print("no task is here"),
    )
    return 0


def _row(row: Mapping[str, Any]) -> tuple[object, ...]:
    age = duration(max(0.0, time.time() - _number(row.get("created"))))
    state = (
        f"{row.get('state')}, {mapping(row['refused']).get('command')} refused"
        if row.get("refused")
        else row.get("state")
    )
    return (
        row.get("id"), state, row.get("priority"), age, row.get("agent"), row.get("capability"),
        row.get("title"),
    )  # fmt: skip


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else time.time()


def show(run: Run) -> int:
    found = mapping(person_of(run).read("task.show", {"id": run.args["id"]}))
    run.answer(found, lambda: show_task(run, found))
    return 0


def cancel(run: Run) -> int:
    found = mapping(person_of(run).cancel(run.args["id"], run.args["reason"]))
    run.answer(found, lambda: run.print(f"{clean(run.args['id'])} is {_state(found)}"))
    return 0


def retry(run: Run) -> int:
    new, found = person_of(run).retry(run.args["id"])
    run.answer(found, lambda: run.print(f"{new}\nfollow it: bzzz task watch {new}"))
    return 0


def _state(found: Mapping[str, Any]) -> str:
    return clean(mapping(found.get("task")).get("state") or found.get("state") or "canceled")


def trace(run: Run) -> int:
    found = mapping(person_of(run).read("task.trace", {"id": run.args["id"]}))
    rows = [(when(row.get("at")), row.get("what"), row.get("by"), row.get("detail")) for row in rows_of(found, "steps")]
    run.answer(found, lambda: table(("AT", "WHAT", "BY", "DETAIL"), rows, run.out))
    return 0
