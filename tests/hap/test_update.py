from __future__ import annotations

from msgspec.structs import replace

from bzzzd.hap.feeds import events as event_feed
from bzzzd.hap.feeds import tasks as task_feed
from bzzzd.hap.messages import (
    Act,
    Answered,
    Ask,
    Attach,
    Came,
    Due,
    Key,
    Later,
    Offline,
    Online,
    Order,
    Paste,
    Quit,
    Refused,
    Resized,
    SaveCache,
    Saved,
    SaveDrafts,
    Snapshot,
    Submit,
    Tick,
    Unsaved,
)
from bzzzd.hap.rows import plain
from bzzzd.hap.ticking import next_tick
from bzzzd.hap.update import update
from bzzzd.hap.values.model import UNDO_S, Filter, Form, Help, Model, Palette
from bzzzd.hap.values.things import Fault, Progress, Task
from bzzzd.hap.view import view
from bzzzd.hap.views.overlays import help_lines

from .builders import (
    ADDRESS,
    DECISION,
    EARLIER,
    GUEST,
    LENA,
    NOW,
    STATUS,
    TASKS,
    after,
    blank,
    effects_of,
    keys,
    online,
    opened,
)


def _chosen(model: Model) -> str:
    return model.lists[model.view].chosen


# Lists


def test_tasks_stand_newest_first_and_the_first_is_chosen() -> None:
    model = online()
    assert model.order == ("t-0005", "t-0004", "t-0003", "t-0002", "t-0001")
    assert _chosen(model) == "t-0005"


def test_the_choice_stays_with_its_task_when_new_ones_push_it_down() -> None:
    model = after(online(), *keys("j j"))
    model = after(model, Came("tasks", (task_feed.TaskChanged(Task("t-0009", created=NOW)),), 1043))
    assert model.order[0] == "t-0009"
    assert _chosen(model) == "t-0003"


def test_a_window_smaller_than_the_list_scrolls_with_the_choice() -> None:
    many = tuple(Task(f"t-{n:03}", created=NOW - n) for n in range(100))
    model = after(online(tasks=many), *keys("G"))
    assert _chosen(model) == "t-099"
    assert model.lists["tasks"].top == 80
    model = after(model, *keys("pgup g"))
    assert (_chosen(model), model.lists["tasks"].top) == ("t-000", 0)


def test_a_filter_shows_rows_with_all_its_words_while_it_is_typed() -> None:
    model = after(online(), *keys("/ o t t o"))
    assert isinstance(model.overlay, Filter)
    assert model.order == ("t-0003", "t-0002")
    model = after(model, Key("space", " "), *keys("p a r s e r enter"))
    assert model.overlay is None
    assert model.order == ("t-0002",)
    assert after(model, *keys("esc")).order == online().order


def test_leaving_a_filter_brings_the_one_before_back() -> None:
    model = after(online(), Act("filter", {"text": "lena"}), *keys("/ x x esc"))
    assert model.lists["tasks"].filter == "lena"


def test_no_more_tasks_are_kept_than_fit_and_open_ones_stay() -> None:
    done = tuple(Task(f"d-{n}", state="completed", created=NOW - n) for n in range(2500))
    model = online(tasks=(*done, Task("open", created=NOW - 9999)))
    assert len(model.tasks) == 2000
    assert "open" in model.tasks


def test_keys_move_between_the_views() -> None:
    model = after(online(), *keys("tab tab"))
    assert model.view == "context"
    assert after(model, *keys("shift+tab")).view == "threads"
    assert after(model, *keys("7")).view == "health"


def test_the_inbox_holds_my_tasks_that_wait_and_opens_them() -> None:
    model = after(online(), *keys("1"))
    assert [need.target for need in model.needs] == ["t-0001"]
    opened = after(model, Key("enter"))
    assert (opened.view, opened.page and opened.page.id) == ("tasks", "t-0001")


def test_what_needs_me_is_told_in_every_view_and_moves_nobody() -> None:
    model = after(online(tasks=TASKS[:1]), *keys("5"))
    shown = after(model, Came("tasks", (task_feed.TaskChanged(TASKS[4]),), 1043))
    assert shown.view == "agents"
    assert "1 needs you" in plain(view(shown, 80, 24).rows[-1])


# What comes in


def test_an_older_picture_of_a_task_changes_nothing_and_a_newer_one_keeps_the_title() -> None:
    stale = replace(TASKS[0], state="submitted", updated=NOW - 500)
    newer = replace(TASKS[0], title="", state="completed", updated=NOW)
    model = after(online(), Came("tasks", (task_feed.TaskChanged(stale),), 1))
    assert model.tasks["t-0005"].state == "working"
    model = after(model, Came("tasks", (task_feed.TaskChanged(newer),), 2))
    assert model.tasks["t-0005"].state == "completed"
    assert model.tasks["t-0005"].title == TASKS[0].title
    assert model.counts["completed"] == 2


def test_progress_is_shown_until_the_task_goes_on() -> None:
    model = after(online(), Came("tasks", (task_feed.TaskProgressed("t-0005", Progress(4, 5)),), 7))
    assert model.tasks["t-0005"].progress == Progress(4, 5)
    done = replace(TASKS[0], state="completed", progress=None, updated=NOW)
    assert after(model, Came("tasks", (task_feed.TaskChanged(done),), 8)).tasks["t-0005"].progress is None


def test_a_task_that_a_new_snapshot_lacks_is_gone() -> None:
    model = after(online(), Snapshot(TASKS[:2], 2000))
    assert set(model.tasks) == {"t-0005", "t-0004"}
    assert model.link.number == 2000


def test_a_long_snapshot_keeps_what_lies_beyond_its_end() -> None:
    many = tuple(Task(f"t-{n:03}", created=NOW - n) for n in range(200))
    model = online(tasks=(*many, Task("old", created=NOW - 10_000)))
    assert "old" in after(model, Snapshot(many, 1)).tasks
    assert "t-050" not in after(model, Snapshot((*many[:50], *many[51:]), 1)).tasks


def test_news_of_the_mesh_asks_once_however_many_come() -> None:
    model, first = update(online(), Came("events", (event_feed.Happened("peer"),) * 500, 5))
    model, second = update(model, Came("events", (event_feed.Happened("peer"),), 6))
    assert [type(effect) for effect in (*first, *second)] == [Later]
    asked = effects_of(model, Due("ask", "events"))
    assert [effect.method for effect in asked if isinstance(effect, Ask)] == ["health", "peers", "agent.list", "status"]


def test_a_task_without_a_title_has_the_list_asked_for() -> None:
    model, effects = update(online(), Came("tasks", (task_feed.TaskChanged(Task("t-x", created=NOW)),), 5))
    assert effects == (Later(0.4, Due("ask", "tasks")),)
    assert effects_of(model, Due("ask", "tasks")) == (Ask("task.list", {"limit": 500}, ("tasks",)),)


def test_going_offline_keeps_everything_and_saves_it_once() -> None:
    model, effects = update(online(), Offline("no socket"))
    assert effects == (SaveCache(),)
    assert model.tasks == online().tasks
    model, effects = update(after(model, Tick(NOW + 60)), Offline("still no socket"))
    assert effects == ()
    assert model.link.since == NOW
    assert model.link.why == "still no socket"


def test_coming_online_asks_for_everything_and_for_the_opened_page() -> None:
    model = after(opened(), Offline("away"))
    asked = [effect.method for effect in effects_of(model, Online(LENA, STATUS)) if isinstance(effect, Ask)]
    assert asked[:5] == ["task.list", "status", "health", "agent.list", "peers"]
    assert asked[5:] == ["task.show", "task.trace", "context.get", "context.history", "prompt.list"]


def test_a_refresh_of_a_guest_asks_for_the_grant_too() -> None:
    model = after(blank(), Online(GUEST, STATUS))
    assert Attach() in effects_of(model, Key("ctrl+r"))
    assert Attach() not in effects_of(online(), Key("ctrl+r"))


# Reading


def test_opening_a_completed_task_shows_its_decision_and_asks_for_all_of_it() -> None:
    model, effects = update(after(online(), *keys("j j")), Key("enter"))
    assert model.page is not None
    assert model.page.tab == "decision"
    assert [(e.method, e.params) for e in effects if isinstance(e, Ask)] == [
        ("task.show", {"id": "t-0003"}),
        ("task.trace", {"id": "t-0003"}),
        ("context.get", {"address": ADDRESS}),
        ("context.history", {"address": ADDRESS}),
    ]


def test_an_open_task_shows_its_brief_first() -> None:
    model = after(online(), *keys("enter"))
    assert model.page is not None
    assert model.page.tab == "brief"


def test_earlier_and_later_walk_through_the_versions_of_a_decision() -> None:
    model, effects = update(opened(), Key("["))
    (ask,) = effects
    assert isinstance(ask, Ask)
    assert ask.params == {"address": ADDRESS.replace("/*^/", "/*~1/")}
    model = after(model, Answered(ask.tag, EARLIER))
    assert model.page is not None
    assert model.page.decision == EARLIER
    assert after(model, Key("[")).notice.text == "this is the first version"
    (back,) = effects_of(model, Key("]"))
    assert isinstance(back, Ask)
    assert back.params == {"address": ADDRESS.replace("/*^/", "/*~2/")}


def test_an_answer_for_another_version_or_page_than_the_wanted_one_is_dropped() -> None:
    model = after(opened(), Key("["), Answered(("decision", "t-0003", "0"), DECISION))
    assert model.page is not None
    assert model.page.wanted == 1
    left = after(model, Key("esc"), Answered(("decision", "t-0003", "1"), EARLIER))
    assert left.page is None


def test_a_refusal_to_read_stands_where_the_text_would() -> None:
    fault = Fault("NOT_ALLOWED", "your role may not read it")
    model = after(online(), *keys("enter"), Refused(("show", "t-0005"), fault))
    assert model.page is not None
    assert model.page.faults == {"show": "your role may not read it (NOT_ALLOWED)"}


def test_a_page_scrolls_no_further_than_its_end() -> None:
    model = after(opened(80, 12), *keys("G"))
    assert model.page is not None
    end = model.page.scroll
    assert 0 < end < 30
    assert after(model, *keys("j j j")).page == model.page
    assert after(model, *keys("g")).page == replace(model.page, scroll=0)


def test_the_opened_task_is_read_again_when_it_has_moved_on() -> None:
    model = after(online(), *keys("enter"))
    moved = replace(TASKS[0], state="completed", address=ADDRESS, updated=NOW)
    model, effects = update(model, Came("tasks", (task_feed.TaskChanged(moved),), 5))
    assert effects == (Later(0.4, Due("ask", "page")),)
    assert len(effects_of(model, Due("ask", "page"))) == 4


# Cancel, retry, undo


def test_a_cancel_waits_until_it_cannot_be_undone_and_is_sent_then() -> None:
    model, effects = update(online(), Key("c"))
    assert effects == (Later(UNDO_S, Due("order", "run-1")),)
    assert model.notice.text.startswith("canceling “Summarise")
    model, effects = update(model, Due("order", "run-1"))
    assert effects == (Order("cancel", "t-0005", "run-1"),)
    assert model.flying == {"run-1"}
    canceled = replace(TASKS[0], state="canceled", updated=NOW + 5)
    model = after(model, Answered(("order", "run-1"), canceled))
    assert model.flying == frozenset()
    assert model.tasks["t-0005"].state == "canceled"


def test_an_undone_cancel_is_never_sent() -> None:
    model = after(online(), *keys("c u"))
    assert model.pending == ()
    assert effects_of(model, Due("order", "run-1")) == ()


def test_each_of_several_orders_has_its_own_undo() -> None:
    model = after(online(), *keys("c j c u"))
    assert [order.task for order in model.pending] == ["t-0005"]


def test_an_order_that_makes_no_sense_is_refused_before_it_is_sent() -> None:
    model = after(online(), *keys("j j c"))
    assert "is completed, and that is final" in model.notice.text
    assert "only a task that has ended can be retried" in after(online(), *keys("r")).notice.text
    assert "waiting already" in after(online(), *keys("c c")).notice.text
    guest = after(blank(), Snapshot(TASKS, 1), Online(GUEST, STATUS), Key("c"))
    assert "sudo bzzz mesh admin add lena" in guest.notice.text


def test_a_retry_tells_the_new_task() -> None:
    model = after(online(), *keys("j j r"), Due("order", "run-1"))
    new = Task("t-0010", retry_of="t-0003", created=NOW)
    model = after(model, Answered(("order", "run-1"), new))
    assert model.notice.text == "retried t-0003 as t-0010"
    assert "t-0010" in model.tasks


def test_a_refused_order_says_so() -> None:
    model = after(
        online(), Key("c"), Due("order", "run-1"), Refused(("order", "run-1"), Fault("FINAL_STATE", "too late"))
    )
    assert model.notice.text == "not done: too late (FINAL_STATE)"
    assert model.flying == frozenset()


def test_a_program_may_order_at_once_and_name_the_task() -> None:
    effects = effects_of(online(), Act("cancel", {"task": "t-0004", "now": True, "reason": "no need"}))
    assert effects == (Order("cancel", "t-0004", "run-1", "no need"),)


# Writing


def _written(model: Model) -> Model:
    return after(model, *keys("n"), Paste("Check the mail"), *keys("tab"), Paste("all of it\nnow"))


def test_the_form_sends_what_was_written() -> None:
    model = after(_written(online()), *keys("tab w o r k e r"))
    model, effects = update(model, Key("ctrl+s"))
    (saved, sent) = effects
    assert isinstance(sent, Submit)
    assert saved == SaveDrafts((model.draft,))
    assert (sent.task.title, sent.task.body, sent.task.role) == ("Check the mail", "all of it\nnow", "worker")
    assert model.overlay is None
    model, effects = update(model, Answered(("submit", sent.id), Task("t-0011", title="Check the mail", created=NOW)))
    assert effects == (SaveDrafts(()),)
    assert _chosen(model) == "t-0011"
    assert model.draft.empty


def test_what_could_not_be_sent_is_kept_and_opened_again_with_the_same_id() -> None:
    model = after(_written(online()), Key("ctrl+s"))
    id = model.draft.id
    model = after(model, Refused(("submit", id), Fault("UNKNOWN_OUTCOME", "no answer")), Key("n"))
    assert "the draft is kept" in model.notice.text
    (_, sent) = effects_of(model, Key("ctrl+s"))
    assert isinstance(sent, Submit)
    assert sent.id == id
    (_, changed) = effects_of(after(model, *keys("x")), Key("ctrl+s"))
    assert isinstance(changed, Submit)
    assert changed.id != id


def test_a_task_without_a_title_is_not_sent() -> None:
    model, effects = update(after(online(), *keys("n tab x")), Key("ctrl+s"))
    assert not [effect for effect in effects if isinstance(effect, Submit)]
    assert isinstance(model.overlay, Form)
    assert model.overlay.fault == "Title is needed"


def test_a_program_s_task_has_nothing_of_a_draft_that_is_kept_and_leaves_it_alone() -> None:
    model = after(_written(online()), Key("esc"))
    model, effects = update(model, Act("submit", {"title": "Another"}))
    (sent,) = effects
    assert isinstance(sent, Submit)
    assert (sent.task.title, sent.task.body) == ("Another", "")
    model, effects = update(model, Answered(("submit", sent.id), Task("t-0012", created=NOW)))
    assert effects == ()
    assert model.draft.title == "Check the mail"


def test_typing_saves_the_draft_soon_and_once() -> None:
    model, first = update(after(online(), Key("n")), Key("a", "a"))
    model, second = update(model, Key("b", "b"))
    assert (first, second) == ((Later(0.5, Due("save")),), ())
    model, effects = update(model, Due("save"))
    (saved,) = effects
    assert isinstance(saved, SaveDrafts)
    assert [draft.title for draft in saved.drafts] == ["ab"]


def test_closing_the_form_saves_what_is_not_saved_yet_and_opening_brings_it_back() -> None:
    model, effects = update(_written(online()), Key("esc"))
    assert isinstance(effects[0], SaveDrafts)
    model = after(model, Key("n"))
    assert isinstance(model.overlay, Form)
    assert [one.text for one in model.overlay.buffers[:2]] == ["Check the mail", "all of it\nnow"]


def test_letters_in_the_form_are_text_and_no_commands() -> None:
    model = after(online(), *keys("n q c u ? : /"))
    assert isinstance(model.overlay, Form)
    assert model.overlay.buffers[0].text == "qcu?:/"
    assert model.pending == ()


def test_emptying_the_form_takes_two_presses() -> None:
    once = after(_written(online()), Key("ctrl+x"))
    assert isinstance(once.overlay, Form)
    assert once.overlay.buffers[0].text == "Check the mail"
    twice = after(once, Key("ctrl+x"))
    assert isinstance(twice.overlay, Form)
    assert not twice.overlay.buffers[0].text
    between = after(once, Key("left"), Key("ctrl+x"))
    assert isinstance(between.overlay, Form)
    assert between.overlay.buffers[0].text == "Check the mail"


def test_a_full_disk_keeps_the_draft_in_memory_and_says_so_until_it_is_saved() -> None:
    model = after(_written(online()), Unsaved("draft", "no space left"))
    assert "memory only: no space left" in model.notice.text
    assert isinstance(model.overlay, Form)
    assert model.overlay.buffers[0].text == "Check the mail"
    assert model.unsaved == "no space left"
    assert after(model, Saved()).unsaved == ""


def test_a_paste_over_the_limit_is_cut_and_told() -> None:
    model = after(online(), *keys("n tab"), Paste("x" * 500_000, cut=True))
    assert isinstance(model.overlay, Form)
    assert model.overlay.buffers[1].size == 400_000
    assert "the rest was left out" in model.notice.text


def test_a_paste_outside_the_form_runs_no_commands() -> None:
    model = after(online(), Paste("quit\nc\nc"))
    assert not model.quitting
    assert model.pending == ()


def test_a_guest_s_form_is_not_sent_but_kept() -> None:
    model = _written(after(blank(), Online(GUEST, STATUS)))
    model, effects = update(model, Key("ctrl+s"))
    assert [type(effect) for effect in effects] == [SaveDrafts]
    assert isinstance(model.overlay, Form)
    assert "sudo bzzz mesh admin add lena" in model.overlay.fault


def test_the_body_s_window_follows_the_cursor() -> None:
    model = after(online(80, 12), *keys("n tab"), Paste("\n".join(str(n) for n in range(100))))
    assert isinstance(model.overlay, Form)
    assert model.overlay.top > 80
    model = after(model, *keys("pgup " * 12))
    assert isinstance(model.overlay, Form)
    assert model.overlay.top == 0


# Overlays, leaving, time


def test_the_palette_runs_the_action_that_was_found() -> None:
    model = after(online(), *keys(": a g e n t s enter"))
    assert (model.view, model.overlay) == ("agents", None)
    assert isinstance(after(online(), *keys(":")).overlay, Palette)


def test_the_help_opens_scrolls_and_closes() -> None:
    model = after(online(), *keys("? pgdn pgdn pgdn pgdn pgdn pgdn pgdn pgdn"))
    assert isinstance(model.overlay, Help)
    assert model.overlay.scroll < len(help_lines(model, model.width))
    assert after(model, *keys("?")).overlay is None


def test_leaving_sends_what_waits_and_stays_for_the_answer() -> None:
    model, effects = update(after(online(), Key("c")), Key("q"))
    assert effects == (Order("cancel", "t-0005", "run-1"), Later(3.0, Due("leave")))
    assert effects_of(model, Answered(("order", "run-1"), TASKS[0])) == (SaveCache(), Quit())
    assert effects_of(model, Due("leave")) == (SaveCache(), Quit())


def test_leaving_twice_does_not_wait() -> None:
    model = after(online(), *keys("c q"))
    assert effects_of(model, Key("q"))[-1] == Quit()


def test_leaving_from_the_form_saves_the_draft() -> None:
    effects = effects_of(_written(online()), Key("ctrl+c"))
    assert [type(effect) for effect in effects] == [SaveDrafts, SaveCache, Quit]


def test_what_a_guest_may_not_read_is_told_by_the_banner_alone() -> None:
    why = Fault("NOT_ATTACHED", "task.list needs a grant")
    for stream in ("tasks", "prompts", "hmmm"):
        assert after(blank(), Online(GUEST, STATUS), Refused((stream,), why)).notice.text == ""
    shown = "\n".join(plain(row) for row in view(after(blank(), Online(GUEST, STATUS)), 80, 24).rows)
    assert "Nothing is shown to guests here." in shown
    assert "could not read tasks" in after(online(), Refused(("tasks",), why)).notice.text


def test_an_unknown_key_or_action_changes_nothing() -> None:
    assert update(online(), Key("f11")) == (online(), ())
    assert "there is no action" in after(online(), Act("fly")).notice.text


def test_time_is_asked_for_only_where_something_ages() -> None:
    assert next_tick(online()) == 5.0
    assert next_tick(after(online(), Tick(NOW + 100))) == 30.0
    assert next_tick(after(online(), Key("c"))) == 1.0
    assert next_tick(after(online(), Offline("away"))) == 5.0


def test_a_notice_ends() -> None:
    model = after(online(), *keys("u"))
    assert model.notice.text
    assert after(model, Tick(NOW + 9)).notice.text == ""


def test_a_clock_that_is_an_hour_ahead_breaks_nothing() -> None:
    future = tuple(replace(task, created=task.created + 3600, updated=NOW + 3600) for task in TASKS)
    model = after(online(tasks=future), *keys("enter"), Tick(NOW - 3600))
    assert model.page is not None


def test_a_window_of_any_size_is_taken() -> None:
    for size in ((1, 1), (2, 40), (300, 80), (0, 0)):
        model = after(opened(), Resized(*size))
        assert model.width >= 1
        assert model.height >= 1
