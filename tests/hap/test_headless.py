from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from bzzzd.errors import BadInput, Conflict
from bzzzd.hap.feeds import feed
from bzzzd.hap.feeds import tasks as task_feed
from bzzzd.hap.lines import headless
from bzzzd.hap.messages import Act, Answered, Came, Key, Message, Offline, Online, Refused, Snapshot
from bzzzd.hap.values.asked import Reception
from bzzzd.hap.values.model import Model, Notice
from bzzzd.hap.values.things import Fault
from bzzzd.hap.views import chrome

from .builders import LENA, NOW, STATUS, TASKS, after, blank, online, opened, prompt_page


def _lines(model: Model, message: Message) -> list[dict[str, Any]]:
    found = headless.lines(model, after(model, message), message)
    return [json.loads(headless.encode(line)) for line in found]


def test_coming_online_tells_link_me_and_status() -> None:
    link, me, status = _lines(blank(), Online(LENA, STATUS))
    assert (link["type"], link["state"], link["socket"]) == ("link", "online", "/run/bzzz/bzzzd.sock")
    assert (me["type"], me["id"], me["role"]) == ("me", "lena", "operator")
    assert status["status"]["durability"] == "single"


def test_each_changed_task_is_one_line_and_a_lost_one_is_gone() -> None:
    done = replace(TASKS[0], state="completed", updated=NOW)
    (line,) = _lines(online(), Came("tasks", (task_feed.TaskChanged(done),), 7))
    assert (line["type"], line["task"]["id"], line["task"]["state"]) == ("task", "t-0005", "completed")
    gone = _lines(online(), Snapshot(TASKS[1:], 8))
    assert gone == [{"type": "gone", "id": "t-0005"}]


def test_an_opened_task_is_a_page_with_its_decision() -> None:
    (line,) = _lines(opened(), Answered(("trace", "t-0003"), ()))
    assert line["type"] == "page"
    assert line["page"]["decision"]["number"] == 2
    assert "scroll" not in line["page"]


def test_a_command_s_outcome_names_it() -> None:
    model = after(online(), Act("cancel", {"task": "t-0005", "now": True}))
    done = replace(TASKS[0], state="canceled", updated=NOW)
    lines = _lines(model, Answered(("order", "run-1"), done))
    assert lines[-1] == {"type": "outcome", "command": "run-1", "ok": True, "task": "t-0005"}
    lines = _lines(model, Refused(("order", "run-1"), Fault("FINAL_STATE", "too late")))
    assert lines[-1] == {
        "type": "outcome", "command": "run-1", "ok": False, "code": "FINAL_STATE", "message": "too late",
    }  # fmt: skip


def test_nothing_is_told_when_nothing_changed() -> None:
    assert _lines(online(), Key("f11")) == []


def test_a_line_in_becomes_an_action_and_its_answer_names_what_it_began() -> None:
    model = online()
    act, re = headless.read(b'{"action": "cancel", "task": "t-0004", "id": 17}', model)
    assert (act, re) == (Act("cancel", {"task": "t-0004"}), 17)
    line = headless.begun(model, after(model, act), act, re)
    assert line.pop("notice").startswith("canceling “Review the firewall")
    assert line == {
        "type": "handled", "re": 17, "action": "cancel", "commands": [], "pending": ["run-1"], "waits": ["run-1"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"not json", "not JSON"),
        (b"[1, 2]", "a line is an object"),
        (b'{"action": 7}', "a line is an object"),
        (b'{"action": "fly"}', "no action 'fly'"),
        (b'{"action": "cancel", "tsak": "x"}', "no argument 'tsak'; it takes now, reason, task"),
        (b'{"action": "quit", "now": true}', "it takes no arguments"),
        (b'{"action": "submit", "title": 7}', "title of submit is text"),
        (b"\xff\xfe", "not JSON"),
        (b'{"action": "\xff"}', "not JSON"),
    ],
)
def test_a_line_that_cannot_be_used_says_why(line: bytes, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        headless.read(line, online())


def test_the_first_lines_are_what_was_seen_last() -> None:
    kinds = [line["type"] for line in headless.first(after(online(), Offline("x")))]
    assert kinds == ["link", *["task"] * 5, "agents", "peers", "needs"]


def test_the_first_lines_hold_the_inbox_and_what_became_of_answers() -> None:
    kept = Reception("p-0009", "run-1", "approve", "kept", NOW)
    model = replace(prompt_page(online()), receptions={kept.prompt: kept})
    (receipt,) = [line for line in headless.first(model) if line["type"] == "receipt"]
    assert (receipt["receipt"]["prompt"], receipt["receipt"]["state"]) == ("p-0009", "kept")
    (needs,) = [line for line in headless.first(model) if line["type"] == "needs"]
    assert [need["id"] for need in needs["needs"]] == [need.id for need in model.needs]


def test_an_opened_prompt_is_told_again_when_its_text_was_read_before() -> None:
    model = prompt_page(online())
    assert model.page is not None
    kinds = [line["type"] for line in _lines(model, Act("open", {"prompt": model.page.id}))]
    assert kinds.count("question") == 1


def test_every_documented_argument_belongs_to_an_action() -> None:
    assert set(headless._ARGUMENTS) <= set(online().registry.by_name)


KINDS = ("joined", "left", "refused", "cut_off", "skew", "skew_ended", "join_requested", "replicated", "clone", "epoch")


@pytest.mark.parametrize("kind", KINDS)
def test_what_happens_on_the_mesh_is_a_line_with_a_sentence_and_stands_in_the_portal(kind: str) -> None:
    row = {"kind": kind, "peer_id": "12D3KooWabcdefgh", "id": "n7", "detail": "a reason\x1b[31m", "versions": 3}
    items = feed.items("events", [row])
    came = Came("events", items, 7)
    model = replace(online(), notice=Notice(""))
    told = after(model, came)
    (event,) = [line for line in headless.lines(model, told, came) if line["type"] == "event"]
    assert event["kind"] == kind
    assert event["level"] in ("ok", "info", "warn", "bad")
    assert "n7" in event["text"] or "reason" in event["text"] or "3 versions" in event["text"]
    assert "\x1b" not in event["text"]
    assert told.notice.text == event["text"]
    assert event["text"][:20] in "".join(text for _, text in chrome.status(told, 200))


def test_what_answers_a_person_is_not_displaced_by_the_mesh() -> None:
    model = replace(online(), notice=Notice("sent: it", "ok", NOW + 5))
    assert (
        after(model, Came("events", feed.items("events", [{"kind": "joined", "id": "n7"}]), 7)).notice == model.notice
    )


def test_an_answer_is_for_the_question_and_the_text_that_are_open() -> None:
    model = prompt_page(online())
    assert model.page is not None
    named = {"prompt": model.page.id, "digest": model.page.pinned}

    def read(**fields: Any) -> Act:
        return headless.read(json.dumps({"action": "answer", "choice": "approve", "id": 1, **fields}).encode(), model)[
            0
        ]

    assert read(**named) == Act("answer", {"choice": "approve", "now": False})
    for wrong in ({**named, "prompt": "p-9999"}, {**named, "digest": "0" * 64}):
        with pytest.raises(Conflict) as refused:
            read(**wrong)
        assert refused.value.data["re"] == 1
    with pytest.raises(BadInput):
        read(fields={"a": 1})
    before = after(model, read(**named))
    line = headless.begun(model, before, read(**named), 1)
    assert (line["waits"], line["commands"]) == (line["pending"], [])
    assert len(line["waits"]) == 1
