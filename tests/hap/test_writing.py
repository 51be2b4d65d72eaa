"""Writing with forms: which one, what its fields take, the preview, the files that it quotes, and its drafts."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec.structs import replace

from bzzzd.hap.files.quoting import read_texts
from bzzzd.hap.messages import (
    Act,
    Answered,
    Due,
    FilesRead,
    Key,
    Later,
    Paste,
    Post,
    ReadFiles,
    Refused,
    SaveDrafts,
    Sheets,
    Submit,
)
from bzzzd.hap.rows import plain
from bzzzd.hap.update import update
from bzzzd.hap.values.model import Chooser, Form, Model
from bzzzd.hap.values.things import Fault
from bzzzd.hap.view import view
from bzzzd.hap.writing.choosing import offered
from bzzzd.hmmm.folders import read_forms
from bzzzd.hmmm.forms import FILE_LIMIT

from .builders import after, effects_of, keys, online, opened

SHIPPED, _ = read_forms([Path(__file__).parents[2] / "etc" / "templates"])


def ready(model: Model | None = None) -> Model:
    return after(model or online(), Sheets(SHIPPED, ()))


def form_of(model: Model) -> Form:
    assert isinstance(model.overlay, Form)
    return model.overlay


def window(model: Model) -> str:
    return "\n".join(plain(row) for row in view(model, model.width, model.height).rows)


def filled(name: str, **texts: str) -> Model:
    return after(ready(), Act("write", {"form": name, **texts}))


# Which form


def test_the_list_of_forms_is_narrowed_by_typing_and_opens_the_chosen_one() -> None:
    model = after(ready(), *keys("N"))
    assert isinstance(model.overlay, Chooser)
    assert "raise a doubt and say what it rests on" in window(model)
    model = after(model, *keys("i n c i d enter"))
    assert form_of(model).sheet.title == "Incident"


def test_a_message_needs_a_thread_in_view() -> None:
    names = [name for name, _ in offered(ready(), "")]
    assert "message" not in names
    assert "thread" in names
    assert "message" in [name for name, _ in offered(ready(opened()), "")]


def test_a_form_that_was_left_out_is_told_when_one_is_looked_for() -> None:
    model = after(online(), Sheets(SHIPPED, ("/etc/bzzz/templates/x.yaml:3:4: label: this key is unknown",)), Key("N"))
    assert model.notice.text.startswith("left out: /etc/bzzz/templates/x.yaml:3:4")
    assert "this key is unknown" in model.notice.text


def test_a_form_that_nobody_has_is_refused_by_name() -> None:
    model = after(ready(), Act("write", {"form": "nothing"}))
    assert model.notice.text.startswith("there is no form nothing; there are task, message, thread, concern")


# Fields


def test_a_choice_goes_through_its_values_by_arrows_space_and_letters() -> None:
    model = after(filled("proposal", what="x"), *keys("tab tab tab"))
    assert form_of(model).field.name == "risk"
    seen = []
    for key in (Key("right"), Key("right"), Key("left"), Key("space", " "), Key("l", "l"), Key("z", "z")):
        model = after(model, key)
        seen.append(form_of(model).values["risk"])
    assert seen == ["medium", "high", "medium", "high", "low", "low"]
    assert "[low]" in window(model)


def test_a_field_that_a_condition_hides_is_neither_shown_nor_reached_nor_asked_for() -> None:
    model = filled("proposal", what="x", steps="y", risk="low")
    assert "Way back" not in window(model)
    assert [type(one) for one in effects_of(model, Key("ctrl+s"))] == [SaveDrafts, Post]
    model = filled("proposal", what="x", steps="y", risk="high")
    assert "Way back" in window(model)
    model, effects = update(model, Key("ctrl+s"))
    assert form_of(model).fault == "Way back is needed"
    assert not [one for one in effects if isinstance(one, Post)]


def test_keys_lead_through_the_fields_that_are_shown_and_round_at_the_end() -> None:
    model = filled("proposal", what="x")
    names = []
    for _ in range(7):
        names.append(form_of(model).field.name)
        model = after(model, Key("tab"))
    assert names == ["what", "steps", "effect", "risk", "evidence", "window", "what"]
    assert form_of(after(model, Key("shift+tab"), Key("shift+tab"))).field.name == "window"


def test_a_field_holds_what_its_kind_holds() -> None:
    model = after(filled("task-request"), Paste("x" * 300))
    assert len(form_of(model).values["what"]) == 200
    assert model.notice.text == "the what holds 200 characters; the rest was left out"


def test_a_form_taller_than_the_window_keeps_the_field_in_focus_in_sight() -> None:
    model = replace(ready(), width=60, height=9)
    model = after(model, Act("write", {"form": "incident", "severity": "critical"}))
    for _ in range(len(form_of(model).sheet.fields)):
        assert f"▌{form_of(model).field.label}" in window(model)
        assert view(model, 60, 9).cursor is not None
        model = after(model, Key("tab"))


# Sending


def test_a_proposal_becomes_a_message_of_its_kind_with_its_window() -> None:
    model = filled("proposal", what="Move the queue", steps="one\ntwo", risk="low", window="30")
    (_, sent) = effects_of(model, Key("ctrl+s"))
    assert isinstance(sent, Post)
    assert (sent.thread, sent.message.sends, sent.message.title) == ("", "proposal", "Move the queue")
    assert sent.message.window_s == 1800
    assert sent.message.body == "one\ntwo\n\nRisk: low"


def test_an_incident_calls_its_lead_and_the_role() -> None:
    model = filled("incident", what="down", severity="major", affected="all", seen="503", lead="otto", call="operator")
    (_, sent) = effects_of(model, Key("ctrl+s"))
    assert isinstance(sent, Post)
    assert sent.message.to == ("otto", "role:operator")
    assert (sent.message.sends, sent.message.reason) == ("escalation", "down")


def test_the_chosen_value_is_in_sight_however_many_there_are() -> None:
    model = after(ready(opened()), *keys("m"))
    for value in form_of(model).field.choices * 2:
        chosen = form_of(model).buffers[0].text
        line = window(model).split("\n")[3]
        assert f"[{chosen}]" in line, value
        assert line.rstrip().endswith("…") == (chosen not in ("summary", "escalation"))
        model = after(model, Key("right"))


def test_the_line_below_says_what_a_kind_does() -> None:
    model = after(ready(opened()), *keys("m s"))
    assert "closes the thread, for everybody; left and right choose" in window(model)


def test_an_escalation_that_calls_nobody_stays_in_its_form() -> None:
    model = after(ready(opened()), *keys("m e tab"), Paste("Please decide"), *keys("tab tab"), Paste("we do not agree"))
    model, effects = update(model, Key("ctrl+s"))
    assert "names whom it calls" in form_of(model).fault
    assert not [effect for effect in effects if isinstance(effect, Post)]
    model = after(model, *keys("shift+tab"), Paste("role:operator"))
    (_, sent) = effects_of(model, Key("ctrl+s"))
    assert isinstance(sent, Post)
    assert sent.message.to == ("role:operator",)


def test_a_summary_has_words_and_goes_to_the_project_of_its_task() -> None:
    model = after(ready(opened()), *keys("m s"))
    model = after(model, Key("ctrl+s"))
    assert "says how the thread ended" in form_of(model).fault
    (_, sent) = effects_of(after(model, *keys("tab"), Paste("We move it.")), Key("ctrl+s"))
    assert isinstance(sent, Post)
    assert (sent.message.sends, sent.project) == ("summary", "default")


def test_a_task_request_becomes_a_task() -> None:
    model = filled("task-request", what="Check it", details="all", role="worker", by="2026-03-01")
    (_, sent) = effects_of(model, Key("ctrl+s"))
    assert isinstance(sent, Submit)
    assert (sent.task.title, sent.task.role) == ("Check it", "worker")
    assert sent.task.body == "all\n\nWanted by: 2026-03-01"


def test_what_is_written_on_an_opened_task_goes_to_its_thread() -> None:
    model = after(ready(opened()), *keys("m"))
    assert form_of(model).sheet.title == "Message"
    model = after(model, *keys("o tab"), Paste("not like this"), *keys("tab tab"))
    (_, sent) = effects_of(model, Key("ctrl+s"))
    assert isinstance(sent, Post)
    assert (sent.thread, sent.message.sends, sent.message.body) == ("t-0003", "objection", "not like this")


def test_elsewhere_a_message_begins_a_thread_that_needs_a_subject() -> None:
    model = after(ready(), *keys("m"))
    assert form_of(model).sheet.title == "New thread"
    assert form_of(after(model, Key("ctrl+s"))).fault == "Subject is needed"


def test_a_message_that_was_refused_is_kept_and_said() -> None:
    model = after(filled("proposal", what="x", steps="y"), Key("ctrl+s"))
    id = model.draft.id
    model = after(model, Refused(("post", id), Fault("THREAD_CLOSED", "the thread is closed")))
    assert model.notice.text == (
        "not sent: the thread is closed (THREAD_CLOSED); the draft is kept, the same form opens it"
    )
    assert form_of(after(model, Act("write", {"form": "proposal"}))).values["steps"] == "y"
    model, effects = update(model, Answered(("post", id), "h-1"))
    assert (effects, model.draft.empty) == ((SaveDrafts(()),), True)


# The preview


def test_the_preview_shows_the_message_and_leads_back_or_out() -> None:
    model = after(filled("proposal", what="Move the queue", steps="one"), Key("f3"))
    shown = window(model)
    assert "As it would be sent" in shown
    assert "within 60 min" in shown
    assert "Risk: low" in shown
    assert not form_of(after(model, Key("esc"))).preview
    assert isinstance(effects_of(model, Key("ctrl+s"))[-1], Post)


def test_letters_in_the_preview_change_nothing() -> None:
    model = after(filled("proposal", what="Move the queue"), Key("f3"), *keys("x j k"))
    assert form_of(model).values["what"] == "Move the queue"


# Files


def test_a_file_is_read_before_it_is_shown_or_sent() -> None:
    model = filled("concern", what="x", reason="y", excerpt="/var/log/app.log")
    assert effects_of(model, Key("f3")) == (ReadFiles(("/var/log/app.log",), "preview"),)
    model = after(model, Key("f3"), FilesRead({"/var/log/app.log": "line one"}, {}, "preview"))
    assert "line one" in window(model)
    sent = effects_of(model, Key("ctrl+s"))[-1]
    assert isinstance(sent, Post)
    assert sent.message.body.endswith("line one")


def test_a_file_that_cannot_be_read_is_named_and_nothing_is_sent() -> None:
    model = after(filled("concern", what="x", reason="y", excerpt="/gone"), Key("ctrl+s"))
    model, effects = update(model, FilesRead({}, {"/gone": "cannot be read: No such file or directory"}, "submit"))
    assert form_of(model).fault == "/gone: cannot be read: No such file or directory"
    assert effects == ()


def test_only_whole_text_files_are_quoted(tmp_path: Path) -> None:
    (tmp_path / "good").write_text("text \x1b[31mred\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    (tmp_path / "big").write_bytes(b"x" * (FILE_LIMIT + 1))
    os.mkfifo(tmp_path / "pipe")
    names = ("good", "bytes", "big", "pipe", "gone")
    texts, faults = read_texts(str(tmp_path / name) for name in names)
    assert set(texts) == {str(tmp_path / "good")}
    assert "\x1b" not in texts[str(tmp_path / "good")]
    assert "is not UTF-8 text" in faults[str(tmp_path / "bytes")]
    assert "can be quoted" in faults[str(tmp_path / "big")]
    assert faults[str(tmp_path / "pipe")] == "is not a file"
    assert "No such file" in faults[str(tmp_path / "gone")]


# Drafts


def test_each_form_keeps_a_draft_of_its_own() -> None:
    model = after(ready(), Key("n"), Paste("a task"), Key("esc"))
    model = after(model, Act("write", {"form": "incident"}), Paste("broken"), Key("esc"))
    model, effects = update(after(model, Key("n")), Key("b", "b"))
    assert effects == (Later(0.5, Due("save")),)
    (saved,) = effects_of(model, Due("save"))
    assert isinstance(saved, SaveDrafts)
    assert [(one.form, one.title) for one in saved.drafts] == [("task", "a taskb"), ("incident", "broken")]


def test_drafts_of_one_form_on_two_threads_are_two() -> None:
    model = after(ready(), Act("message", {"thread": "t-0001"}), *keys("tab"), Paste("one"), Key("esc"))
    model = after(model, Act("message", {"thread": "t-0002"}))
    assert form_of(model).values["text"] == ""
    model = after(model, *keys("esc"), Act("message", {"thread": "t-0001"}))
    assert form_of(model).values["text"] == "one"


def test_drafts_are_bounded() -> None:
    model = ready()
    for number in range(40):
        model = after(model, Act("message", {"thread": f"t-{number}"}), *keys("tab"), Paste("x"), Key("esc"))
    assert len(model.put_by) == 15
