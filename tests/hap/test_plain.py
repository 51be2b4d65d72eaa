from __future__ import annotations

import pytest
from msgspec.structs import replace

from bzzzd.errors import BadInput
from bzzzd.hap.feeds import tasks as task_feed
from bzzzd.hap.lines import plain
from bzzzd.hap.messages import Act, Answered, Came, Message, Offline, Online, Snapshot
from bzzzd.hap.values.model import Draft, Model
from bzzzd.hap.values.sheets import TASK
from bzzzd.hap.values.things import Progress

from .builders import GUEST, LENA, NOW, STATUS, TASKS, after, blank, keys, online, opened


def _said(model: Model, message: Message) -> list[str]:
    return plain.changes(model, after(model, message), message)


def test_a_list_is_numbered_and_says_states_in_words() -> None:
    assert plain.listing(online())[:3] == [
        "tasks, 5:",
        "1. working, by worker-1, 60%, 10s ago: Summarise the opening of README.md in two sentences (t-0005)",
        "2. submitted, 1m ago: Review the firewall rules of the build machines (t-0004)",
    ]
    assert plain.listing(after(online(), *keys("5")))[1] == (
        "1. worker-1, busy, role worker, can do answer, summarise, load 1 of 2 slots"
    )
    assert plain.listing(after(online(), *keys("7")))[0].startswith("node node-1, mesh mesh-k3v7q2")


def test_there_is_no_box_no_sign_and_no_colour_in_it() -> None:
    model = opened()
    said = [
        *plain.listing(model), *plain.listing(after(model, *keys("esc 6"))), *plain.help_lines(model),
        *_said(online(), Act("open", {"id": "t-0003"})),
    ]  # fmt: skip
    signs = set("".join(said)) & set("●○✓✗■▲▌│─▰▱\x1b")
    assert not signs


@pytest.mark.parametrize(
    ("line", "act"),
    [
        ("tasks", Act("tasks")),
        ("tas", Act("tasks")),
        ("2", Act("open", {"id": "t-0004"})),
        ("open 3", Act("open", {"id": "t-0003"})),
        ("open t-0003", Act("open", {"id": "t-0003"})),
        ("cancel 2 not needed", Act("cancel", {"task": "t-0004", "reason": "not needed"})),
        ("filter otto  parser", Act("filter", {"text": "otto  parser"})),
        ("filter", Act("filter", {"text": ""})),
        ('submit {"title": "T"}', Act("submit", {"title": "T"})),
        ("  quit  ", Act("quit")),
    ],
)
def test_a_typed_line_is_a_command(line: str, act: Act) -> None:
    assert plain.command(line, online()) == act


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("fly", "no command 'fly'"),
        ("t", "may mean tasks, threads, theme, trace"),
        ("9", "there is no row 9; tasks has 5"),
        ("cancel", "which one"),
        ("quit now", "takes no arguments"),
        ("submit title", "as JSON"),
        ('submit {"tilte": "x"}', "no field 'tilte'"),
        ("submit " + "[" * 100_000, "as JSON"),
        ("999999999999999999999", "there is no row"),
        ("²", "no command"),
    ],
)
def test_a_line_that_is_no_command_says_what_to_type(line: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        plain.command(line, online())


def test_changes_of_the_connection_are_said() -> None:
    assert _said(blank(), Online(LENA, STATUS)) == ["online at node-1, as lena, role operator"]
    assert _said(blank(), Online(GUEST, STATUS))[1] == f"warning: {GUEST.mend}"
    assert _said(online(), Offline("no socket")) == [
        "offline: no socket; shown is what was seen up to number 1042",
    ]


def test_a_task_that_changes_its_state_is_a_line_and_progress_is_one_where_it_is_open() -> None:
    done = Came("tasks", (task_feed.TaskChanged(replace(TASKS[0], state="completed", updated=NOW)),), 7)
    assert _said(online(), done) == [
        "task completed, by worker-1, 10s ago: Summarise the opening of README.md in two sentences (t-0005)"
    ]
    progress = Came("tasks", (task_feed.TaskProgressed("t-0005", Progress(4, 5, "nearly")),), 8)
    assert _said(online(), progress) == []
    assert _said(after(online(), *keys("enter")), progress) == ["progress 80% nearly"]


def test_the_first_snapshot_is_not_told_line_by_line() -> None:
    assert plain.changes(blank(), after(blank(), Snapshot(TASKS, 1)), Snapshot(TASKS, 1)) == []


def test_an_opened_task_is_read_out_when_its_parts_are_there() -> None:
    said = _said(online(), Act("open", {"id": "t-0003"}))
    assert said[1] == "state: completed"
    page = after(online(), Act("open", {"id": "t-0003"}))
    task = opened().page
    assert task is not None
    said = _said(page, Answered(("decision", "t-0003", "0"), task.decision))
    assert said[0] == "decision, version 2 of 2, by worker-2:"
    assert said[1].startswith("BZZZ turns a group of Linux machines")
    assert _said(opened(), Act("trace"))[0] == "trace:"
    assert _said(opened(), Act("brief"))[:2] == ["brief:", "Summarise the opening of README.md in two sentences."]


def test_an_order_tells_how_to_take_it_back() -> None:
    assert _said(online(), Act("cancel", {"task": "t-0004"}))[-1] == "type undo within 5 seconds to take it back"


def test_a_new_task_is_asked_for_field_by_field() -> None:
    asked, question = plain.asking("task", TASK, {})
    assert asked is not None
    assert (asked.field.name, question) == ("title", "Title:")
    again, question, _ = plain.hear(asked, "  ")
    assert again == asked
    assert question == "Title is needed. Title:"
    body, _, _ = plain.hear(asked, "Check it")
    assert body is not None
    for line in ("one", "", "two"):
        body, question, given = plain.hear(body, line)
        assert body is not None
        assert question == ""
    assert given["body"] == "one\n\ntwo"
    role, question, _ = plain.hear(body, ".")
    assert question.startswith("Role")
    assert role is not None
    capability, _, _ = plain.hear(role, "worker")
    assert capability is not None
    end, question, given = plain.hear(capability, "")
    assert (end, question) == (None, "")
    assert given == {"title": "Check it", "body": "one\n\ntwo", "role": "worker", "capability": ""}


def test_what_a_kept_draft_holds_is_not_asked_again() -> None:
    model = replace(blank(), draft=Draft("d", values={"title": "Kept", "body": "text"}))
    kept = plain.kept(model, "task", {})
    assert kept is not None
    asked, question = plain.asking("task", TASK, kept.values)
    assert asked is not None
    assert (asked.field.name, asked.given["title"]) == ("role", "Kept")
    assert question.startswith("Role")
