"""One task with its brief and what came of it, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bzzzd.cli.output import clean, facts, mapping, readable, when
from bzzzd.cli.run import Run


def refusal(task: Mapping[str, Any]) -> str:
    """What the ledger refused of a task after it had waited for the coordinator; empty when nothing."""
    said = mapping(task.get("refused"))
    return f"{said.get('command')} of {when(said.get('at'))}: {clean(said.get('why'))}" if said else ""


def show_task(run: Run, found: Mapping[str, Any]) -> None:
    """A task's facts, then its brief and its decision as text."""
    task = mapping(found.get("task"))
    facts(
        (
            ("task", task.get("id")),
            ("title", task.get("title")),
            ("state", task.get("state")),
            ("reason", task.get("reason")),
            ("refused", refusal(task)),
            ("author", task.get("author")),
            ("asked by", task.get("asked_by")),
            ("agent", task.get("agent")),
            ("asks for", " ".join(clean(task.get(name)) for name in ("role", "capability")).strip()),
            ("project", task.get("project")),
            ("created", when(task.get("created"))),
            ("updated", when(task.get("updated"))),
            ("strikes", task.get("strikes") or ""),
            ("retry of", task.get("retry_of")),
            ("decision", task.get("address")),
        ),
        run.out,
    )
    for name in ("brief", "decision", "explanation"):
        part = found.get(name)
        if isinstance(part, Mapping) and part:
            body = part["content"] if "content" in part else {key: part[key] for key in part if key != "title"}
            run.print(f"\n{name.upper()}\n{readable(body, clean(part.get('content_type')))}")
