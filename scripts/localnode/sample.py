"""The sample: a real task from the keyboard to its decision, through the ``bzzz`` command."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps import Steps

from bzzzd.agent.handlers.prose import prose, shorten
from bzzzd.errors import BzzzError, UnknownOutcome
from localnode.folder import ROOT, Folder

TITLE = "Summarise this in two sentences"
TEXT_CHARS = 1200
LIMIT_S = 180.0
FINAL = ("completed", "failed", "canceled", "rejected")


@dataclass(frozen=True)
class Decision:
    """What came back. ``trailer`` names the model that answered, and what it read and wrote."""

    task: str
    address: str
    text: str
    agent: str
    trailer: str


def opening(page: Path) -> str:
    """The first section of a Markdown page that has prose, as prose of at most 1,200 characters."""
    sections = re.split(r"(?m)^##+ .*$", page.read_text(encoding="utf-8"))
    return next((shorten(text, TEXT_CHARS) for section in sections if (text := prose(section))), "")


def run_sample(folder: Folder, steps: Steps) -> Decision:
    """Submit the opening of README.md, follow the task, read its decision. Raises ``BzzzError`` when it fails."""
    with steps.step("submitting, signed by you") as step:
        text = opening(ROOT / "README.md")
        answer = _bzzz(folder, "task", "submit", TITLE, "--body", "-", "--capability", "summarise", body=text)
        task = str(answer["task"]["id"])
        step.note(task)
    with _watching(folder, task) as changes:
        with steps.step("matching it to an agent") as step:
            now = _next(changes)
            while now["state"] == "submitted":
                now = _next(changes)
            agent = str(now.get("agent") or "")
            step.note(f"claimed by {agent}" if agent else now["state"])
        with steps.step("the agent works") as step:
            while now["state"] not in FINAL:
                step.note(str(now.get("note") or now["state"]))
                now = _next(changes)
            step.note(now["state"])
    if now.get("state") != "completed":
        why = now.get("reason") or "no reason was given"
        raise BzzzError(f"the sample task {task} is {now.get('state')}: {why}; see {folder.command} task trace {task}")
    with steps.step("decrypting the decision") as step:
        address = str(now["address"])
        found = _bzzz(folder, "context", "get", address)
        step.note(f"version {found.get('number', 1)}")
    text, _, trailer = str(found["content"]).strip().partition("\n---\n")
    return Decision(task, address, text.strip(), agent, trailer.strip())


@contextmanager
def _watching(folder: Folder, task: str) -> Iterator[Iterator[dict[str, Any]]]:
    """The task at each change, and in between with a ``note`` of how far the work is."""
    command = [str(folder.command), "task", "watch", task, "--json", "--timeout", str(LIMIT_S)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as watch:
        assert watch.stdout is not None
        try:
            yield _changes(watch.stdout)
        finally:
            watch.terminate()


def _changes(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    task: dict[str, Any] = {"state": "submitted"}
    for line in lines:
        item = json.loads(line)
        if isinstance(item.get("task"), dict):
            task = item["task"]
            yield task
        elif isinstance(item.get("progress"), dict):
            yield {**task, "note": item["progress"].get("note", "")}


def _next(changes: Iterator[dict[str, Any]]) -> dict[str, Any]:
    found = next(changes, None)
    if found is None:
        raise UnknownOutcome(f"the task did not end within {LIMIT_S:.0f} s, or bzzzd stopped answering")
    return found


def _bzzz(folder: Folder, *arguments: str, body: str | None = None) -> Any:
    """Run ``bzzz ... --json`` and give what it printed. Raises ``BzzzError`` with its own words."""
    done = subprocess.run(
        [str(folder.command), *arguments, "--json"], input=body, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BzzzError(f"`bzzz {' '.join(arguments[:2])}` failed: {done.stderr.strip().removeprefix('bzzz: ')}")
    return json.loads(done.stdout)
