"""What keys, answers and streams do in the rooms of threads, context, events and the log."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from bzzzd.hap.feeds import context, feed, talk
from bzzzd.hap.lines import headless, plain
from bzzzd.hap.messages import Act, Answered, Ask, Came, Due, Key, Later, Offline, Online, Paste, Refused
from bzzzd.hap.rows import plain as words
from bzzzd.hap.update import update
from bzzzd.hap.values.model import Model
from bzzzd.hap.values.shelf import Branch, Entry
from bzzzd.hap.values.things import Fault
from bzzzd.hap.view import view
from bzzzd.hap.views import browser
from bzzzd.hap.views.conversation import plain as spoken

from .builders import (
    BRIEF,
    DECISION,
    GUEST,
    LENA,
    NOW,
    STATUS,
    TRACE,
    after,
    blank,
    effects_of,
    keys,
    online,
    opened,
)  # fmt: skip
from .rooms import (
    ENTRIES,
    HIDE,
    HISTORY,
    LOG,
    MESSAGES,
    TEXTS,
    THREADS,
    book,
    conversation,
    eventful,
    logged,
    shelved,
    talking,
    unfolded,
)  # fmt: skip


def asked(model: Model, name: str) -> list[tuple[str, dict[str, object]]]:
    """The questions that one key asks."""
    (key,) = keys(name)
    return [(effect.method, dict(effect.params)) for effect in effects_of(model, key) if isinstance(effect, Ask)]


# Context


def test_showing_the_context_asks_for_it_page_by_page() -> None:
    assert asked(online(), "4") == [("context.list", {"limit": 500})]
    first = context.listing({"entries": ENTRIES[:1], "next": HIDE})
    model, effects = update(after(online(), *keys("4")), Answered(("context", ""), first))
    assert effects == (Ask("context.list", {"limit": 500, "after": HIDE}, ("context", HIDE)),)
    model, effects = update(model, Answered(("context", HIDE), context.listing({"entries": ENTRIES[1:]})))
    assert (len(model.shelf.entries), effects) == (4, ())


def test_a_guest_and_an_absent_daemon_are_asked_for_nothing() -> None:
    guest = after(blank(), Online(GUEST, STATUS))
    assert asked(guest, "4") == []
    assert asked(guest, "9") == []
    assert asked(after(online(), Offline("gone")), "3") == []


def test_folding_goes_to_what_the_row_is_below() -> None:
    model = after(unfolded(), *keys("h"))
    assert model.shelf.rows[model.lists["context"].chosen].name.startswith("worker-2")
    assert len(after(model, *keys("h")).shelf.rows) == 3


def test_an_opened_address_asks_for_its_history_then_for_the_text_in_view() -> None:
    model, effects = update(unfolded(), Key("enter"))
    assert [effect.method for effect in effects if isinstance(effect, Ask)] == ["context.history"]
    model, effects = update(model, Answered(("editions", HIDE), context.editions(HISTORY)))
    wanted = Ask("context.get", {"address": HIDE.replace("*^", "*~3")}, ("reading", HIDE, "3"))
    assert effects == (wanted,)


def test_comparing_asks_for_the_text_that_is_missing() -> None:
    model = after(unfolded(), *keys("enter"))
    model = after(model, Answered(("editions", HIDE), context.editions(HISTORY)))
    assert [params["address"] for _, params in asked(model, "=")] == [
        HIDE.replace("*^", "*~3"), HIDE.replace("*^", "*~2"),
    ]  # fmt: skip


def test_what_is_too_large_to_show_is_not_asked_for() -> None:
    large = {**HISTORY, "versions": [{**row, "size": 10**9} for row in HISTORY["versions"]]}  # type: ignore[attr-defined]
    model = after(unfolded(), *keys("enter"))
    _, effects = update(model, Answered(("editions", HIDE), context.editions(large)))
    assert effects == ()


def test_versions_are_walked_and_holders_asked_for_where_they_are_shown() -> None:
    bare = {**HISTORY, "versions": [{k: v for k, v in row.items() if k != "holders"} for row in HISTORY["versions"]]}  # type: ignore[attr-defined]
    model = after(unfolded(), *keys("enter"), Answered(("editions", HIDE), context.editions(bare)))
    held = [params for method, params in asked(model, "p") if method == "context.history"]
    assert held == [{"address": HIDE, "after": 0, "limit": 50, "holders": True}]
    model = after(book(), *keys("["))
    assert model.shelf.books[HIDE].shown == model.shelf.books[HIDE].editions[1]
    model = after(model, *keys("[ ["))
    assert model.notice.text == "this is the first version"


def test_a_version_that_cannot_be_read_says_why_where_it_would_stand() -> None:
    model = after(unfolded(), *keys("enter"), Answered(("editions", HIDE), context.editions(HISTORY)))
    model = after(model, Refused(("reading", HIDE, "3"), Fault("NOT_ALLOWED", "it is for worker")))
    assert model.page is not None
    assert dict(model.page.faults) == {"version 3": "it is for worker (NOT_ALLOWED)"}


def test_a_pattern_shows_only_what_it_finds() -> None:
    pattern = "ucxl://any:any@parser:any/*^/"
    model, effects = update(shelved(), Act("look", {"pattern": pattern}))
    assert effects == (Ask("context.list", {"limit": 500, "pattern": pattern}, ("context", "")),)
    assert model.shelf.entries == {}
    assert "is no UCXL address" in after(shelved(), Act("look", {"pattern": "ucxl://nothing"})).notice.text


def test_what_was_read_stays_readable_without_the_daemon() -> None:
    model = after(book(), *keys("esc"), Offline("gone"), *keys("enter"))
    assert model.page is not None
    assert model.shelf.books[HIDE].texts["3f" * 32] == TEXTS[3]


def test_an_address_in_the_filter_asks_the_mesh_and_another_key_shows_all_again() -> None:
    model = after(shelved(), *keys("/"), Paste("ucxl://any:any@parser:any/"))
    model, effects = update(model, Key("enter"))
    assert Ask("context.list", {"limit": 500, "pattern": "ucxl://any:any@parser:any/*^/"}, ("context", "")) in effects
    assert model.lists["context"].filter == ""
    none = after(model, Answered(("context", ""), context.listing({"entries": [], "next": None, "complete": True})))
    shown = "\n".join(words(row) for row in view(none, 80, 24).rows)
    assert "Nothing is found by ucxl://any:any@parser:any/*^/. = shows everything again." in shown
    assert "found by ucxl://any" in shown.split("\n")[-1]
    model, effects = update(none, Key("="))
    assert Ask("context.list", {"limit": 500}, ("context", "")) in effects
    assert after(shelved(), *keys("/"), Paste("ucxl://an address")).shelf.pattern == ""


@pytest.mark.parametrize(("room", "wanted"), [
    (60, "  worker-1 / worker / parser / t-0002 / notes / decision"),
    (45, "  worker-1 / … / t-0002 / notes / decision"),
    (30, "  worker-1 / … / decision"), (12, "  … / decision"),
])  # fmt: skip
def test_a_name_that_is_too_long_keeps_its_group_and_its_end(room: int, wanted: str) -> None:
    row = Branch("x", "worker-1 / worker / parser / t-0002 / notes / decision", 0, 1, NOW, entry=Entry("x"))
    assert browser._name(row, room) == wanted


# Threads


def test_an_opened_thread_stands_at_its_newest_message_and_walks_in_reading_order() -> None:
    model = conversation()
    assert model.page is not None
    assert model.page.at == "h-6"
    walked = []
    for _ in range(6):
        walked.append(model.page.at)
        model = after(model, *keys("["))
        assert model.page is not None
    assert walked == ["h-6", "h-5", "h-4", "h-3", "h-2", "h-1"]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_until_when_a_plan_may_be_objected_to_is_told_in_a_narrow_window_too(width: int) -> None:
    plan = {**MESSAGES[0], "standing": "running", "to": ["lena"]}
    model = after(conversation(width), Came("hmmm", feed.items("hmmm", [{"thread": THREADS[0], "message": plan}]), 8))
    model = after(model, *keys("[ [ [ [ [ ["))
    rows = [words(row) for row in view(model, width, 24).rows]
    assert any("may be objected to until 08:57:30" in row for row in rows)
    assert model.page is not None
    told = spoken(model, model.talk.spoken[model.page.id])
    assert any("may be objected to until 08:57:30" in line for line in told)


@pytest.mark.parametrize("height", [12, 24, 60])
def test_the_chosen_message_is_always_in_sight(height: int) -> None:
    model = conversation(60, height)
    for _ in range(6):
        rows = [words(row) for row in view(model, 60, height).rows]
        assert any(row.startswith("▌") for row in rows)
        model = after(model, *keys("["))


def test_a_reference_opens_and_the_way_back_leads_to_the_thread() -> None:
    model = after(conversation(), *keys("[ [ [ [ [ [ o"))
    assert model.page is not None
    assert (model.view, model.page.kind, model.page.id) == ("context", "context", HIDE)
    model = after(model, *keys("esc"))
    assert model.page is not None
    assert (model.view, model.page.id, model.page.at) == ("threads", "t-0001", "h-1")
    assert after(model, *keys("esc")).page is None


def test_a_version_is_looked_for_and_opened_at_its_address() -> None:
    model, effects = update(after(conversation(), *keys("[ [ [ [ [ [ O")), Key("o"))
    assert effects == (Ask("context.find", {"version_id": "ab" * 32}, ("found", "ab" * 32)),)
    found = feed.parse("context.find", "found", {"address": HIDE, "number": 2, "version_id": "ab" * 32})
    model = after(model, Answered(("found", "ab" * 32), found))
    assert model.page is not None
    assert (model.page.id, model.shelf.books[HIDE].number) == (HIDE, 2)
    refused = Refused(("found", "ab" * 32), Fault("NOT_FOUND", "it is not here"))
    assert "was not found" in after(conversation(), refused).notice.text


def test_what_is_said_on_the_opened_thread_appears_and_is_an_event() -> None:
    new = {**MESSAGES[2], "id": "h-7", "at": NOW - 1, "text": "Well?"}
    model = after(conversation(), Came("hmmm", feed.items("hmmm", [{"thread": THREADS[0], "message": new}]), 8))
    assert model.page is not None
    assert (model.page.at, model.events[0].text) == ("h-7", "keeper: question on “Delete the old backups”, for me")
    reading = after(conversation(), *keys("["))
    model = after(reading, Came("hmmm", feed.items("hmmm", [{"thread": THREADS[0], "message": new}]), 8))
    assert model.page is not None
    assert model.page.at == "h-5", "who reads further up is not moved"


def test_a_text_that_the_stream_does_not_carry_is_asked_for() -> None:
    new = {**MESSAGES[2], "id": "h-7", "at": NOW - 1, "text": None, "readable": False}
    model, effects = update(
        conversation(), Came("hmmm", feed.items("hmmm", [{"thread": THREADS[0], "message": new}]), 8)
    )
    assert Later(0.4, Due("ask", "thread")) in effects
    assert [effect.method for effect in effects_of(model, Due("ask", "thread")) if isinstance(effect, Ask)] == [
        "hmmm.show"
    ]


def test_a_task_shows_what_is_said_about_it() -> None:
    model, effects = update(after(online(), *keys("2 G enter")), Key("s"))
    assert [effect.method for effect in effects if isinstance(effect, Ask)] == ["hmmm.show"]
    model = after(model, Answered(("spoken", "t-0001", ""), talk.spoken({"thread": THREADS[0], "messages": MESSAGES})))
    assert len(model.talk.spoken["t-0001"]) == 6
    assert after(model, *keys("o")).view == "threads"


def test_a_thread_on_which_nobody_spoke_is_empty_and_no_fault() -> None:
    model = after(online(), *keys("2 G enter o"), Refused(("spoken", "t-0001", ""), Fault("NOT_FOUND", "nobody")))
    assert model.page is not None
    assert (model.talk.spoken["t-0001"], dict(model.page.faults)) == ((), {})


# Events and the log


def test_an_event_opens_the_task_that_it_is_about() -> None:
    model = after(eventful(), Act("open", {"id": next(row.id for row in eventful().events if row.target == "t-0003")}))
    assert model.page is not None
    assert (model.view, model.page.kind, model.page.id) == ("tasks", "tasks", "t-0003")


def test_events_that_come_leave_who_stands_on_the_newest_at_the_newest() -> None:
    came = Came("events", feed.items("events", [{"source": "mesh", "kind": "left", "id": "n7", "at": NOW}]), 9)
    model = after(eventful(), came)
    assert model.lists["events"].chosen == model.events[0].id
    chosen = after(eventful(), *keys("j"))
    assert after(chosen, came).lists["events"].chosen == chosen.lists["events"].chosen


def test_a_task_that_changes_is_an_event() -> None:
    row = {"id": "t-0005", "state": "completed", "agent": "worker-1", "updated": NOW, "created": NOW - 12}
    model = after(online(), Came("tasks", feed.items("tasks", [{"task": row}]), 1043))
    assert (model.events[0].source, model.events[0].level, model.events[0].target) == ("tasks", "ok", "t-0005")


def test_the_log_is_read_on_while_it_is_in_view() -> None:
    assert asked(online(), "9") == [("logs.tail", {"lines": 1000, "after": 0})]
    model = logged()
    assert "logs" in model.soon
    assert [dict(effect.params) for effect in effects_of(model, Due("ask", "logs")) if isinstance(effect, Ask)] == [
        {"lines": 2000, "after": len(LOG)}
    ]
    assert effects_of(after(model, *keys("1")), Due("ask", "logs")) == ()
    stopped = after(model, *keys("f"), Due("ask", "logs"), Answered(("logs",), feed.parse("logs.tail", "logs", {})))
    assert "logs" not in stopped.soon


def test_who_reads_further_up_in_the_log_is_not_moved() -> None:
    more = feed.parse("logs.tail", "logs", {"lines": [LOG[0]], "number": 6})
    assert after(logged(), Answered(("logs",), more)).lists["logs"].chosen == "6"
    assert after(logged(), *keys("k"), Answered(("logs",), more)).lists["logs"].chosen == "4"


def test_a_log_that_cannot_be_read_says_why() -> None:
    model = after(online(), *keys("9"), Refused(("logs",), Fault("NOT_ALLOWED", "this is for people")))
    assert model.logbook.fault == "the log cannot be read: this is for people (NOT_ALLOWED)"


# What people were asked


def asked_about(model: Model) -> Model:
    rows = [
        {"id": "p-1", "task": "t-0001", "from": "keeper", "to": {"people": ["lena"]}, "kind": "approve", "risk": "high",
         "created": NOW - 90, "expires": NOW + 60, "state": "open", "title": "Delete 41 backups?", "for_me": True},
        {"id": "p-2", "task": "t-0001", "from": "keeper", "to": {"roles": ["operator"]}, "kind": "choose",
         "created": NOW - 400, "state": "executed", "answers": [{"by": "otto", "at": NOW - 300, "choice": "oldest"}]},
    ]  # fmt: skip
    return after(model, Answered(("prompts",), feed.parse("prompt.list", "prompts", {"prompts": rows})))


def test_a_task_shows_what_people_were_asked_about_it_and_opens_what_waits() -> None:
    model, effects = update(asked_about(after(online(), *keys("2 G enter"))), Key("p"))
    assert Ask("prompt.list", {"limit": 500}, ("prompts",)) in effects
    shown = "\n".join(words(row) for row in view(model, 80, 30).rows)
    assert "▲ open · approve · high risk · keeper" in shown
    assert "otto answered oldest" in shown
    opened = after(model, *keys("P"))
    assert opened.page is not None
    assert (opened.view, opened.page.id) == ("inbox", "p-1")


def test_a_prompt_that_changes_is_an_event_which_opens_it() -> None:
    item = {"kind": "answered", "number": 7, "at": NOW, "by": "person:otto",
            "prompt": {"id": "p-1", "task": "t-0001", "from": "keeper", "state": "answered", "verdict": "deny",
                       "updated": NOW}}  # fmt: skip
    model = after(asked_about(online()), Came("prompts", feed.items("prompts", [item]), 9))
    assert model.events[0].text == "“Delete 41 backups?” answered with deny by otto"
    model = after(model, *keys("8 enter"))
    assert model.page is not None
    assert (model.page.kind, model.page.id) == ("inbox", "p-1")


# Writing on a thread


def test_an_answer_is_written_below_the_message_that_was_chosen() -> None:
    model = after(conversation(), *keys("[ [ [ a"))
    assert (model.draft.form, model.draft.thread, model.draft.reply_to) == ("message", "t-0001", "h-3")
    assert model.overlay is not None
    assert plain.command("reply h-2", conversation()) == Act("reply", {"reply_to": "h-2"})


# What is kept for the time without bzzzd


def test_everything_that_was_seen_is_there_at_the_next_start(tmp_path: Path) -> None:
    from bzzzd.hap.files.state import StateFolder, seen_of

    for model in (book(), conversation(), eventful(), logged(), opened()):
        StateFolder(tmp_path).save_seen(seen_of(model))
        seen = StateFolder(tmp_path).seen(model.link.socket)
        assert seen == seen_of(model)
    again = seen_of(after(opened(), *keys("esc")))
    assert [page.decision for page in again.pages] == [DECISION]


def test_a_task_that_was_read_is_readable_without_the_daemon() -> None:
    model = after(opened(), *keys("esc"), Offline("gone"), *keys("enter"))
    assert model.page is not None
    assert (model.page.brief, model.page.decision, model.page.trace) == (BRIEF, DECISION, TRACE)


# In words, and for programs


def test_the_rooms_are_told_in_words() -> None:
    assert plain.listing(unfolded())[3:5] == [
        "3. worker-2 / worker / default / t-0003: 2 places, unfolded",
        f"4. decision: 3 versions, newest by worker-2, 214 B ({HIDE})",
    ]
    assert plain.listing(talking())[1] == (
        "1. for me, 6 messages, question by keeper 40s ago: Delete the old backups (t-0001)"
    )
    said = plain.changes(talking(), conversation(), Key("enter"))
    assert "  objection in reply by lena, 08:45:00 (h-2)" in said
    compared = plain.changes(book(), after(book(), *keys("=")), Key("="))
    assert "- Nothing is missing." in compared
    assert plain.listing(eventful())[1] == "1. 08:52:20 mesh: warning: node-9 was cut off: it forged a message"
    assert plain.listing(logged())[4].startswith("4. 08:53:29 error: service died")


def test_the_rooms_are_told_to_programs() -> None:
    lines = headless.lines(online(), conversation(), Key("enter"))
    kinds = [line["type"] for line in lines]
    assert (kinds.count("thread"), kinds.count("message")) == (3, 6)
    kinds = [line["type"] for line in headless.lines(online(), book(), Key("enter"))]
    assert (kinds.count("entry"), kinds.count("book")) == (4, 1)
    assert [line["type"] for line in headless.lines(online(), logged(), Key("9"))].count("log") == len(LOG)


@pytest.mark.parametrize("value", [None, 7, "x", [], {}, {"threads": 3}, {"entries": [7]}, {"lines": {"a": 1}},
                                   {"messages": [{"by": 7, "refs": "x", "at": "late"}]}])  # fmt: skip
def test_an_answer_of_another_shape_gives_nothing_and_breaks_nothing(value: object) -> None:
    for tag, method in (("context", "context.list"), ("editions", "context.history"), ("reading", "context.get"),
                        ("threads", "hmmm.list"), ("spoken", "hmmm.show"), ("logs", "logs.tail"),
                        ("found", "context.find")):  # fmt: skip
        after(replace(online(), me=LENA), Answered((tag, "", ""), feed.parse(method, tag, value)))


def test_the_tree_of_an_earlier_portal_is_grown_when_it_is_looked_at() -> None:
    kept = replace(shelved().shelf, tree=(), rows={})
    model = after(replace(blank(), shelf=kept), *keys("4"))
    assert len(model.shelf.rows) == 3


def test_a_decision_elsewhere_is_looked_for_while_the_context_is_in_view() -> None:
    item = {"source": "ledger", "kind": "decision", "task": "t-7", "agent": "worker-1", "at": NOW}
    came = Came("events", feed.items("events", [item]), 9)
    assert Later(2.0, Due("ask", "context")) in effects_of(book(), came)
    asked_for = [effect.method for effect in effects_of(book(), Due("ask", "context")) if isinstance(effect, Ask)]
    assert asked_for == ["context.list", "context.history"]
    assert Later(2.0, Due("ask", "context")) not in effects_of(online(), came)
    assert effects_of(online(), Due("ask", "context")) == ()
