from __future__ import annotations

import json
from typing import Any

import pytest

from bzzzd.errors import BadInput
from bzzzd.hap.lines import headless, plain
from bzzzd.hap.messages import Act, Answered, Prompts, SendAnswer
from bzzzd.hap.update import update
from bzzzd.hap.values.model import Model

from .builders import CHOICES, FIELDS, after, online, prompt_page, prompted


def _typed(model: Model, line: str) -> SendAnswer | None:
    act = plain.command(line, model)
    _, effects = update(model, Act(act.action, {**act.args, "now": True}))
    return next((effect for effect in effects if isinstance(effect, SendAnswer)), None)


def test_new_questions_are_told_in_a_line_and_numbered_in_the_inbox() -> None:
    model = prompted(online(tasks=()))
    said = plain.changes(online(tasks=()), model, Prompts(()))
    assert "prompt p-0003 from worker-1, high risk, 2h left: Reboot host-3 for the new kernel" in said
    listing = plain.listing(after(model, Act("inbox")))
    assert listing[0] == "inbox, 4:"
    assert listing[2].startswith("2. Which of them?, from worker-1, time left 42s")


def test_an_opened_question_is_read_out_with_what_to_type() -> None:
    page = prompt_page(online())
    before = after(page, Act("back"))
    said = plain.changes(before, page, Answered(("prompt", "p-0001"), page.asked["p-0001"]))
    assert "what will be done: delete on host-3:/srv/backup" in said
    assert said[-1] == "to answer it type answer approve; or deny"
    assert not any("│" in line or "▲" in line for line in said)


@pytest.mark.parametrize(
    ("fields", "line", "choice"),
    [
        ({}, "answer approve", "approve"),
        ({}, "deny", "deny"),
        ({"risk": "high"}, "answer delete", "approve"),
        ({"kind": "choose", "choices": CHOICES}, "answer drop", "drop"),
        ({"kind": "text"}, "answer keep the mail", "value"),
        ({"kind": "form", "form": FIELDS}, 'answer {"days": "30", "where": "disk"}', "value"),
    ],
)
def test_a_typed_answer_says_what_it_answers(fields: dict[str, Any], line: str, choice: str) -> None:
    sent = _typed(prompt_page(online(), **fields), line)
    assert sent is not None
    assert sent.sending.choice == choice


@pytest.mark.parametrize(
    ("fields", "line", "words"),
    [
        ({}, "answer", "type answer approve; or deny"),
        ({}, "answer yes", "type answer approve"),
        ({"risk": "high"}, "answer approve", "type answer delete"),
        ({"kind": "form", "form": FIELDS}, "answer days=30", "the fields are JSON"),
    ],
)
def test_what_is_no_answer_says_what_to_type(fields: dict[str, Any], line: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        plain.command(line, prompt_page(online(), **fields))


def test_an_answer_needs_an_opened_prompt() -> None:
    with pytest.raises(BadInput, match="open a prompt first"):
        plain.command("answer approve", online())


def test_programs_get_prompts_questions_and_receipts_and_answer_in_one_line() -> None:
    page = prompt_page(online(), risk="high")
    told = headless.lines(online(), page, Prompts(()))
    assert "prompt" in [line["type"] for line in told]
    question = next(line["question"] for line in told if line["type"] == "question")
    assert (question["op"], question["target"], question["fault"]) == ("delete", "host-3:/srv/backup", "")
    act, _ = headless.read(json.dumps({"action": "answer", "word": "delete", "now": True}).encode(), page)
    model, effects = update(page, act)
    assert any(isinstance(effect, SendAnswer) for effect in effects)
    receipts = [line for line in headless.lines(page, model, act) if line["type"] == "receipt"]
    assert [line["receipt"]["choice"] for line in receipts] == ["approve"]


def test_a_program_opens_a_prompt_from_any_view() -> None:
    act, _ = headless.read(b'{"action": "open", "prompt": "p-0002"}', prompted(online()))
    model = after(prompted(online()), act)
    assert (model.view, model.page and model.page.id) == ("inbox", "p-0002")
