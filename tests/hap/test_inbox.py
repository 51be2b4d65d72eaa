from __future__ import annotations

import pytest
from msgspec.structs import replace

from bzzzd.hap.feeds import prompts as prompt_feed
from bzzzd.hap.feeds.prompts import PromptChanged
from bzzzd.hap.link.proof import prove
from bzzzd.hap.messages import (
    Act,
    Answered,
    Came,
    Due,
    Edit,
    Edited,
    Key,
    Later,
    Look,
    Offline,
    Open,
    Paste,
    Prompts,
    Refused,
    Resized,
    SaveAnswer,
    SaveCache,
    SendAnswer,
)
from bzzzd.hap.rows import plain, row_width
from bzzzd.hap.ticking import next_tick
from bzzzd.hap.update import update
from bzzzd.hap.values.asked import Asked, Prompt, Reception
from bzzzd.hap.values.model import Answering, Model, Notice
from bzzzd.hap.values.talk import Thread, Threads
from bzzzd.hap.values.things import Fault, Task
from bzzzd.hap.view import view
from bzzzd.slurp.question import Action, Choice, Field, To

from .asking import TRUST, Asking
from .builders import NOW, after, effects_of, keys, online, prompt_page


def _row(asking: Asking, **more: object) -> Prompt:
    return replace(prompt_feed.prompt(asking.row()), **more)


def _asked(asking: Asking) -> Asked:
    found = prove(asking.shown(), TRUST, NOW)
    assert not found.fault
    return found


def _told(*askings: Asking, model: Model | None = None) -> Model:
    return after(model or online(tasks=()), Prompts(tuple(_row(one) for one in askings)))


def _opened(asking: Asking, *, ready: bool = True) -> Model:
    """The prompt's page with its proven text, after the dead time."""
    model = after(_told(asking), *keys("1 enter"), Answered(("prompt", asking.prompt.id), _asked(asking)))
    return after(model, Due("ready", f"{asking.prompt.id} {asking.prompt.digest}")) if ready else model


def _seen(model: Model) -> str:
    return "\n".join(plain(row) for row in view(model, model.width, model.height).rows)


def _sent(model: Model, *messages: Key) -> SendAnswer | None:
    for message in messages:
        model, effects = update(model, message)
        for effect in effects:
            if isinstance(effect, SendAnswer):
                return effect
    return None


# The list


def test_the_inbox_is_sorted_by_what_is_unknown_then_by_the_time_left_then_by_risk() -> None:
    late = Asking("p-late", now=NOW, expires=NOW + 900)
    soon = Asking("p-soon", now=NOW, expires=NOW + 45)
    risky = Asking("p-risky", now=NOW, expires=NOW + 900, risk="high")
    lost = Asking("p-lost", now=NOW)
    lost.prompt = replace(lost.prompt, state="unknown")
    model = _told(late, soon, risky, lost)
    assert [need.id for need in model.needs] == ["p-lost", "p-soon", "p-risky", "p-late"]
    assert "45s" in _seen(after(model, Key("1")))


def test_a_prompt_to_my_role_is_mine_and_one_to_others_is_not() -> None:
    mine = Asking("p-role", now=NOW, to=To(roles=("operator",)))
    other = Asking("p-other", now=NOW, to=To(people=("otto",)))
    model = after(online(tasks=()), Prompts(tuple(_row(one, for_me=False) for one in (mine, other))))
    assert [need.id for need in model.needs] == ["p-role"]


def test_a_new_question_raises_the_badge_in_every_view_and_takes_no_focus() -> None:
    asking = Asking(now=NOW)
    model = after(online(tasks=()), *keys("n"), Paste("half a task"))
    told = after(model, Came("prompts", (PromptChanged(_row(asking, title=""), "asked", 7, "agent:worker-1"),), 7))
    assert told.overlay == model.overlay
    assert "▲ 1 needs you" in _seen(told)


def test_a_question_without_its_title_has_the_list_asked_for_once() -> None:
    item = PromptChanged(_row(Asking(now=NOW), title=""), "asked", 7)
    model, effects = update(online(), Came("prompts", (item, item), 7))
    assert effects == (Later(0.4, Due("ask", "prompts")),)
    assert effects_of(model, Came("prompts", (item,), 8)) == ()


def test_what_was_answered_by_me_or_is_over_needs_me_no_more() -> None:
    for state in ("answered", "expired", "canceled", "superseded", "executed"):
        asking = Asking(now=NOW)
        asking.prompt = replace(asking.prompt, state=state)
        assert not _told(asking).needs


def test_a_task_whose_prompt_was_answered_waits_for_its_agent_and_not_for_me() -> None:
    waiting = Task("t-0001", state="input_required", title="Tidy up", author="lena", created=NOW)
    model = online(tasks=(waiting,))
    assert [need.kind for need in model.needs] == ["task"]
    asking = Asking(now=NOW)
    asking.prompt = replace(asking.prompt, state="answered")
    assert not _told(asking, model=model).needs


def test_seconds_are_counted_only_where_they_are_shown() -> None:
    model = _told(Asking(now=NOW, expires=NOW + 50))
    assert next_tick(model) is None
    assert next_tick(after(model, Key("1"))) == 1.0
    longer = _told(Asking(now=NOW, expires=NOW + 70))
    assert next_tick(after(longer, Key("1"))) == 10.0


# Mentions


def _thread(**more: object) -> Thread:
    told = {
        "id": "t-7",
        "subject": "Which disk?",
        "last_kind": "question",
        "last_by": "worker-1",
        "last_at": NOW - 5,
        "for_me": True,
        **more,
    }
    return Thread(**told)  # type: ignore[arg-type]


def test_a_thread_that_names_me_is_in_the_inbox_until_i_have_looked() -> None:
    model = after(online(tasks=()), Answered(("threads", ""), Threads((_thread(),))))
    assert [(need.kind, need.title) for need in model.needs] == [("mention", "question: Which disk?")]
    opened = after(model, *keys("1 enter"))
    assert (opened.view, opened.page and opened.page.id) == ("threads", "t-7")
    assert not opened.needs
    again = after(opened, *keys("esc"), Answered(("threads", ""), Threads((_thread(last_at=NOW),))))
    assert [need.kind for need in again.needs] == ["mention"]


def test_a_thread_in_which_i_spoke_last_or_that_is_closed_needs_nothing() -> None:
    for more in ({"last_by": "lena"}, {"state": "closed"}, {"for_me": False}):
        assert not after(online(tasks=()), Answered(("threads", ""), Threads((_thread(**more),)))).needs


# Opening


def test_opening_reads_the_document_and_says_that_it_is_seen_once() -> None:
    asking = Asking(now=NOW)
    model, effects = update(after(_told(asking), Key("1")), Key("enter"))
    assert effects == (Open("p-0001"), Look("p-0001", "t-0001"))
    assert model.page is not None
    again = after(model, Answered(("prompts",), (_row(asking, seen_by=("lena",), state="seen"),)), Key("esc"))
    assert effects_of(again, Key("enter")) == (Open("p-0001"),)


def test_the_page_shows_exactly_what_will_be_done_and_that_it_is_proven() -> None:
    shown = _seen(replace(_opened(Asking(now=NOW)), height=40))
    for words in ("May I delete the old backups?", "delete", "host-3:/srv/backup", '"/srv/backup/2025-01"',
                  '"force": true', "✓ text, signature and grant of worker-1", "role worker", "medium"):  # fmt: skip
        assert words in shown


def test_invisible_characters_of_an_action_are_written_out() -> None:

    action = Action("delete", {"path": "a\u202egpj.exe"}, "host\u200b-3\x1b[2J")
    asked = _asked(Asking(now=NOW, action=action))
    assert "\\u202e" in asked.args
    assert asked.target == "host\\u200b-3\\u001b[2J"


def test_no_key_answers_before_the_text_has_been_in_view_for_a_moment() -> None:
    asking = Asking(now=NOW)
    model = after(_told(asking), *keys("1 enter"))
    assert "not arrived" in after(model, Key("a")).notice.text
    model, effects = update(model, Answered(("prompt", "p-0001"), _asked(asking)))
    assert effects == (Later(0.7, Due("ready", f"p-0001 {asking.prompt.digest}")), SaveCache())
    early = after(model, Key("a"))
    assert early.overlay is None
    assert "a moment" in early.notice.text
    ready = after(model, Due("ready", f"p-0001 {asking.prompt.digest}"), Key("a"))
    assert isinstance(ready.overlay, Answering)


def test_the_moment_of_a_page_that_was_left_counts_for_no_other() -> None:
    one, two = Asking("p-1", now=NOW, expires=NOW + 60), Asking("p-2", now=NOW)
    model = after(_told(one, two), *keys("1 enter"), Answered(("prompt", "p-1"), _asked(one)))
    model = after(model, *keys("esc j enter"), Answered(("prompt", "p-2"), _asked(two)))
    model = after(model, Due("ready", f"p-1 {one.prompt.digest}"))
    assert model.page is not None
    assert not model.page.ready


def test_another_text_under_the_same_id_is_answered_by_nobody() -> None:
    asking = Asking(now=NOW)
    other = _row(Asking(now=NOW, title="Something else entirely"), updated=NOW + 1)
    model = after(_opened(asking), Came("prompts", (PromptChanged(other, "seen", 9),), 9), Key("a"))
    assert model.overlay is None
    assert "not the one that the ledger has" in model.notice.text or "a moment" in model.notice.text


def test_what_is_not_proven_takes_no_answer_and_says_why() -> None:
    asking = Asking(now=NOW)
    forged = prove(asking.shown(document=asking.document + b" "), TRUST, NOW)
    model = after(_told(asking), *keys("1 enter"), Answered(("prompt", "p-0001"), forged))
    model = after(model, Due("ready", f"p-0001 {forged.digest}"), *keys("a d"))
    assert model.overlay is None
    assert "NOT PROVEN" in _seen(model)


# Answering


def test_approving_takes_another_key_to_confirm_and_waits_five_seconds() -> None:
    model = after(_opened(Asking(now=NOW)), Key("a"))
    assert "Approve: worker-1 may do delete on host-3:/srv/backup, once." in _seen(model)
    for wrong in keys("enter a l space"):
        assert _sent(model, wrong) is None
        assert isinstance(after(model, wrong).overlay, Answering)
    model, effects = update(model, Key("y"))
    (later,) = effects
    assert isinstance(later, Later)
    assert later.seconds == 5.0
    assert not model.needs
    model, effects = update(model, later.message)
    (sent,) = effects
    assert isinstance(sent, SendAnswer)
    assert (sent.sending.choice, sent.sending.prompt, sent.sending.task) == ("approve", "p-0001", "t-0001")


def test_an_answer_can_be_taken_back_while_it_waits() -> None:
    model = after(_opened(Asking(now=NOW)), *keys("a y u"))
    assert not model.answers
    assert "taken back" in model.notice.text
    assert [need.id for need in model.needs] == ["p-0001"]
    assert effects_of(model, Due("answer", "run-1")) == ()


def test_undo_takes_back_the_newest_thing_whatever_it_is() -> None:
    model = after(online(), Prompts((_row(asking := Asking(now=NOW)),)), Key("2"), *keys("c 1 enter"))
    model = after(model, Answered(("prompt", "p-0001"), _asked(asking)))
    model = after(model, Due("ready", f"p-0001 {asking.prompt.digest}"), *keys("a y u"))
    assert (len(model.pending), len(model.answers)) == (1, 0)
    assert not after(model, Key("u")).pending


def test_high_risk_means_typing_the_name_of_the_action_and_goes_at_once() -> None:
    model = after(_opened(Asking(now=NOW, risk="high")), Key("a"))
    assert _sent(model, *keys("y Y enter")) is None
    wrong = after(model, *keys("d e l enter"))
    assert "type delete" in _seen(wrong)
    sent = _sent(model, *keys("d e l e t e enter"))
    assert sent is not None
    assert sent.sending.choice == "approve"


def test_denying_needs_no_word_even_when_the_risk_is_high() -> None:
    sent = _sent(_opened(Asking(now=NOW, risk="high")), *keys("d Y"))
    assert sent is not None
    assert sent.sending.choice == "deny"


def test_a_choice_is_made_with_arrows_or_its_number_and_confirmed_apart() -> None:
    asking = Asking(now=NOW, kind="choose", choices=(Choice("keep", "Keep all"), Choice("drop", "Drop the old ones")))
    model = after(_opened(asking), *keys("a j"))
    assert _sent(model, *keys("y")) is None
    sent = _sent(model, *keys("enter Y"))
    assert sent is not None
    assert sent.sending.choice == "drop"
    numbered = _sent(after(_opened(asking), Key("a")), *keys("1 enter Y"))
    assert numbered is not None
    assert numbered.sending.choice == "keep"


def test_a_text_has_several_lines_is_kept_while_typed_and_sent_whole() -> None:
    model = after(_opened(Asking(now=NOW, kind="text")), Key("a"))
    model, effects = update(model, Paste("All but\nthe mail"))
    assert effects == (Later(0.5, Due("save answer", "p-0001")),)
    model, effects = update(model, Due("save answer", "p-0001"))
    assert effects == (SaveAnswer("p-0001", ("All but\nthe mail",)),)
    back = after(model, Key("esc"), Key("a"))
    assert "the mail" in _seen(back)
    sent = _sent(back, Key("ctrl+s"), Key("Y", "Y"))
    assert sent is not None
    assert (sent.sending.choice, sent.sending.text) == ("value", "All but\nthe mail")


def test_a_form_says_what_is_missing_or_wrong_and_where() -> None:
    fields = (
        Field("days", "Days", "number"),
        Field("where", "Where", "choice", choices=("disk", "tape")),
        Field("why", "Why", "lines", required=False),
    )
    model = after(_opened(Asking(now=NOW, kind="form", form=fields)), Key("a"))
    assert "Days is needed" in _seen(after(model, Key("ctrl+s")))
    assert "Days is a number" in _seen(after(model, *keys("x tab"), Paste("disk"), Key("ctrl+s")))
    assert "Days is a number" in _seen(after(model, *keys("i n f tab"), Paste("disk"), Key("ctrl+s")))
    filled = after(model, *keys("3 0 tab"), Paste("tape"), *keys("tab space"))
    sent = _sent(filled, Key("ctrl+s"), Key("Y", "Y"))
    assert sent is not None
    assert sent.sending.fields == {"days": "30", "where": "tape"}


def test_left_and_right_go_through_the_values_of_a_choice() -> None:
    fields = (Field("where", "Where", "choice", choices=("disk", "tape")),)
    model = after(_opened(Asking(now=NOW, kind="form", form=fields)), *keys("a right right"))
    sent = _sent(model, Key("ctrl+s"), Key("Y", "Y"))
    assert sent is not None
    assert sent.sending.fields == {"where": "tape"}


def test_a_text_goes_to_the_person_s_editor_and_comes_back_as_one_step() -> None:
    model = after(_opened(Asking(now=NOW, kind="text")), Key("a"), Paste("a first try"))
    model, effects = update(model, Key("ctrl+o"))
    assert effects == (SaveAnswer("p-0001", ("a first try",)), Edit("a first try"))
    model, effects = update(model, Edited("much\nbetter", ""))
    assert effects[-1] == SaveAnswer("p-0001", ("much\nbetter",))
    assert model.written["p-0001"] == ("much\nbetter",)
    assert after(model, Key("ctrl+_")).written["p-0001"] == ("a first try",)
    assert "did not start" in after(model, Edited(None, "vi did not start")).notice.text


def test_an_unknown_outcome_is_closed_by_saying_what_was_found() -> None:
    asking = Asking(now=NOW)
    asking.prompt = replace(asking.prompt, state="unknown")
    sent = _sent(after(_opened(asking), Key("a")), *keys("j enter Y"))
    assert sent is not None
    assert (sent.sending.settle, sent.sending.choice) == (True, "failed")


@pytest.mark.parametrize(
    ("state", "words"),
    [("superseded", "another question stands in its place"), ("expired", "its time is over"), ("canceled", "canceled")],
)
def test_what_ends_under_ones_fingers_says_so_and_takes_no_key_but_esc(state: str, words: str) -> None:
    asking = Asking(now=NOW, kind="text")
    model = after(_opened(asking), Key("a"), Paste("nearly done"))
    over = _row(asking, state=state, updated=NOW + 1, superseded_by="p-0002")
    model = after(model, Came("prompts", (PromptChanged(over, state, 9),), 9))
    assert words in _seen(model)
    before = model.overlay
    for key in (*keys("y Y q d enter n"), Key("ctrl+s")):
        model, effects = update(model, key)
        assert effects == ()
    assert model.overlay == before
    left = after(model, Key("esc"))
    assert left.overlay is None
    assert left.written["p-0001"] == ("nearly done",)


def test_an_answer_that_waits_does_not_go_to_a_question_that_changed_meanwhile() -> None:
    asking = Asking(now=NOW)
    model = after(_opened(asking), *keys("a y"))
    over = _row(asking, state="superseded", updated=NOW + 1, superseded_by="p-0002")
    model = after(model, Came("prompts", (PromptChanged(over, "superseded", 9),), 9))
    model, effects = update(model, Due("answer", "run-1"))
    assert effects == ()
    assert "not sent: the question is superseded" in model.notice.text


def test_nobody_answers_twice() -> None:
    model = after(_opened(Asking(now=NOW)), *keys("a Y"), Answered(("kept", "run-1", "p-0001"), None), Key("a"))
    assert model.overlay is None
    assert "on its way" in model.notice.text


def test_the_receipt_tells_the_entry_and_what_came_of_it() -> None:
    asking = Asking(now=NOW)
    model = after(_opened(asking), *keys("a Y"))
    assert "run-1" in model.flying
    model = after(model, Answered(("kept", "run-1", "p-0001"), None))
    assert "on its way" in _seen(model)
    done = Reception("p-0001", "run-1", "approve", "done", NOW, entry=1044)
    model = after(model, Answered(("reply", "run-1"), done))
    assert not model.flying
    assert "you answered approve" in _seen(model)
    assert "entry 1044" in _seen(model)
    executed = PromptChanged(_row(asking, state="executed", updated=NOW + 2), "executed", 1046)
    assert "it was done" in _seen(after(model, Came("prompts", (executed,), 1046)))
    later = after(replace(model, notice=Notice("")), Came("prompts", (executed,), 1046))
    assert later.notice.text == "“May I delete the old backups?” was done"


def test_a_refusal_is_told_loudly_and_the_question_is_there_again() -> None:
    model = after(_opened(Asking(now=NOW)), *keys("a Y"))
    refused = Reception("p-0001", "run-1", "approve", "refused", NOW, why="your grant was revoked (GRANT_REFUSED)")
    model = after(model, Answered(("reply", "run-1"), refused))
    assert "not counted: your grant was revoked" in model.notice.text
    assert [need.id for need in model.needs] == ["p-0001"]


def test_an_answer_that_lies_in_the_outbox_is_on_its_way_and_one_that_does_not_is_not() -> None:
    asking, other = Asking(now=NOW), Asking("p-0002", now=NOW)
    cached = Reception("p-0002", "earlier-1", "approve", "kept", NOW)
    model = replace(_told(asking, other), receptions={"p-0002": cached})
    told = after(model, Answered(("outbox",), (Reception("p-0001", "earlier-2", "deny", "kept", NOW),)))
    assert [need.id for need in told.needs] == ["p-0002"]
    assert {id: (one.command, one.choice, one.state) for id, one in told.receptions.items()} == {
        "p-0001": ("earlier-2", "deny", "kept")
    }
    assert _sent(after(told, *keys("1 enter")), *keys("a Y")) is None


def test_the_outbox_takes_nothing_back_that_this_portal_or_the_ledger_has_said() -> None:
    asking, other = Asking(now=NOW), Asking("p-0002", now=NOW)
    model = replace(
        _told(asking, other),
        receptions={
            "p-0001": Reception("p-0001", "run-7", "approve", "kept", NOW),
            "p-0002": Reception("p-0002", "earlier-1", "approve", "done", NOW, entry=7),
        },
    )
    lying = (Reception("p-0002", "earlier-2", "deny", "kept", NOW),)
    assert after(model, Answered(("outbox",), lying)).receptions == model.receptions


def test_an_answer_that_could_not_be_kept_on_disk_is_not_called_sent() -> None:
    model = after(_opened(Asking(now=NOW)), *keys("a Y"))
    model = after(model, Refused(("reply", "run-1"), Fault("DISK_FULL", "no space left")))
    assert "not sent: no space left" in model.notice.text
    assert not model.receptions


def test_leaving_sends_what_still_waits() -> None:
    model, effects = update(after(_opened(Asking(now=NOW)), *keys("a y")), Key("q", "q"))
    assert any(isinstance(effect, SendAnswer) for effect in effects)
    assert model.quitting


def test_without_the_daemon_everything_seen_is_still_there_and_can_be_answered() -> None:
    model = after(_opened(Asking(now=NOW)), Offline("away"), *keys("esc enter"))
    assert "May I delete" in _seen(model)
    assert model.page is not None
    model = after(model, Due("ready", f"p-0001 {model.page.pinned}"))
    sent = _sent(model, *keys("a Y"))
    assert sent is not None
    kept = after(model, *keys("a Y"), Answered(("kept", "run-1", "p-0001"), None))
    assert "it goes when bzzzd is back" in kept.notice.text


def test_a_program_answers_in_one_line_and_high_risk_needs_the_word() -> None:
    ready = _opened(Asking(now=NOW, risk="high"))
    refused, effects = update(ready, Act("answer", {"now": True}))
    assert effects == ()
    assert "high risk" in refused.notice.text
    _, effects = update(ready, Act("answer", {"now": True, "word": "delete"}))
    assert any(isinstance(effect, SendAnswer) for effect in effects)


# Windows


@pytest.mark.parametrize("kind", ["approve", "choose", "text", "form", "high"])
def test_an_answer_can_be_given_in_a_window_of_any_size(kind: str) -> None:
    fields: dict[str, object] = {"risk": "high"} if kind == "high" else {"kind": kind}
    if kind == "choose":
        fields["choices"] = tuple(Choice(f"c{number}", "a choice " * 5) for number in range(12))
    if kind == "form":
        fields["form"] = tuple(Field(f"f{number}", "a field " * 5, help="help " * 10) for number in range(12))
    model = after(_opened(Asking(now=NOW, **fields)), Key("a"), Paste("漢字 " * 30))
    for width, height in ((1, 1), (2, 2), (5, 3), (10, 5), (40, 12), (80, 24), (300, 80)):
        sized = after(model, Resized(width, height))
        for step in (sized, after(sized, Key("ctrl+s")), after(sized, Key("enter"))):
            frame = view(step, width, height)
            assert len(frame.rows) == height
            assert all(row_width(row) == width for row in frame.rows)


def test_what_is_about_to_be_said_is_told_in_full_or_says_that_it_is_cut() -> None:
    long = "Drop everything that is older than a year, except " + "what the auditors asked for, " * 3 + "and the keys"
    choices = (Choice("keep", long.replace("Drop", "Keep")), Choice("drop", long))
    model = after(prompt_page(online(), kind="choose", choices=choices), *keys("a j"))
    panel = [plain(row).strip() for row in view(model, 80, 24).rows][-8:]
    assert any(row.startswith("1 keep") and row.endswith("…") for row in panel)
    assert long in " ".join(row.removeprefix("2 drop").strip() for row in panel)
    action = Action("delete", {}, "host-3:/" + "srv/backup/" * 40)
    model = after(prompt_page(online(), action=action), *keys("a"))
    panel = [plain(row).strip() for row in view(model, 80, 24).rows][-6:]
    assert any(row.endswith("…") for row in panel)


def test_the_task_of_a_prompt_is_opened_from_it_after_its_evidence() -> None:
    model = after(prompt_page(online(), evidence=("ab" * 32,)), *keys("O"))
    assert model.notice.text == "next: t-0001"
    model = after(model, *keys("o"))
    assert (model.view, model.page.id if model.page is not None else "") == ("tasks", "t-0001")
    model = after(model, *keys("esc"))
    assert (model.view, model.page.id if model.page is not None else "") == ("inbox", "p-0001")
    assert after(prompt_page(online()), *keys("o")).view == "tasks"
