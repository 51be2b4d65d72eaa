"""Forms of the portal on a real node: a proposal from a template, an answer on its thread, a task, a faulty file."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.integration.conftest import ROOT, Node, Program, wait_for

pytestmark = pytest.mark.integration


class Portal:
    """``bzzz-hap --headless`` of the node's person."""

    def __init__(self, node: Node) -> None:
        self._said = node.folder / "portal.jsonl"
        with self._said.open("wb") as out:
            self.program: Program = node.run(
                "bzzz-hap", "--config", str(node.folder / "hap.yaml"), "--headless", stdin=subprocess.PIPE, stdout=out
            )

    def lines(self, **wanted: Any) -> list[dict[str, Any]]:
        """The whole lines so far that have these values."""
        rows = [json.loads(line) for line in self._said.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [row for row in rows if wanted.items() <= row.items()]

    def tell(self, action: str, **arguments: Any) -> None:
        assert self.program.process.stdin is not None
        self.program.process.stdin.write(json.dumps({"action": action, **arguments}).encode() + b"\n")
        self.program.process.stdin.flush()

    def submit(self, id: str, **fields: str) -> dict[str, Any]:
        """Send with a form; gives the outcome of its command."""
        self.tell("submit", id=id, **fields)
        wait_for("the line to be handled", lambda: self.lines(type="handled", re=id) or self.lines(type="error", re=id))
        assert not self.lines(type="error", re=id), self.lines(type="error", re=id)
        (handled,) = self.lines(type="handled", re=id)
        assert handled["commands"], handled
        (command,) = handled["commands"]
        wait_for("its outcome", lambda: self.lines(type="outcome", command=command))
        return self.lines(type="outcome", command=command)[0]


@pytest.fixture
def portal(node: Node) -> Iterator[Portal]:
    path = node.folder / "hap.yaml"
    templates = node.folder / "templates"
    templates.mkdir()
    for file in (ROOT / "etc" / "templates").glob("*.yaml"):
        (templates / file.name).write_text(file.read_text())
    (templates / "broken.yaml").write_text("version: 1\ntitle: [\n")
    settings = yaml.safe_load(path.read_text())
    settings["interface"] = {"message_templates_path": str(templates)}
    path.write_text(yaml.safe_dump(settings))
    node.start()
    found = Portal(node)
    wait_for("the portal to be let in", lambda: found.lines(type="me", kind="admin") or found.lines(type="me"))
    wait_for("the portal to be online", lambda: found.lines(type="link", state="online"))
    yield found
    assert found.program.process.stdin is not None
    found.program.process.stdin.close()
    assert found.program.ended() == 0


def test_what_is_written_with_forms_is_said_and_asked(node: Node, portal: Portal) -> None:
    told = portal.submit("1", form="proposal", what="Move the queue", steps="stop\nmove\nstart", window="30")
    assert told["ok"], told
    (thread,) = node.json("hmmm", "list")["threads"]
    assert (thread["subject"], thread["count"], thread["last_kind"]) == ("Move the queue", 1, "proposal")
    (plan,) = node.json("hmmm", "show", thread["id"])["messages"]
    assert plan["id"] == told["message"]
    assert plan["text"] == "stop\nmove\nstart\n\nRisk: low"
    assert plan["window_ends"] - plan["at"] == 1800

    doubt = {"form": "message", "thread": thread["id"], "reply_to": plan["id"], "kind": "objection"}
    assert portal.submit("2", **doubt, text="Not on a Friday.")["ok"]
    messages = node.json("hmmm", "show", thread["id"])["messages"]
    assert [(one["kind"], one["text"]) for one in messages[1:]] == [("objection", "Not on a Friday.")]

    asked = portal.submit("3", form="task-request", what="Count the mails", why="to know", capability="nobody")
    assert asked["ok"], asked
    task = node.json("task", "show", asked["task"])
    assert (task["task"]["title"], task["task"]["capability"]) == ("Count the mails", "nobody")
    assert task["brief"]["body"] == "Why: to know"


def test_a_faulty_template_is_told_with_its_line_and_the_others_work(node: Node, portal: Portal) -> None:
    portal.tell("write", id="w")
    wait_for("the list of forms", lambda: portal.lines(type="handled", re="w"))
    (said,) = [row["text"] for row in portal.lines(type="notice") if "left out" in row["text"]]
    assert "broken.yaml:3:1: this is not YAML" in said
    told = portal.submit("1", form="decision-record", decision="Keep it", context="It works.")
    assert told["ok"], told
