from __future__ import annotations

from bzzzd.hap.messages import Copy, Edit, Edited, Key, Paste, Redraw, SaveDrafts, Told
from bzzzd.hap.rows import plain
from bzzzd.hap.update import update
from bzzzd.hap.values.model import Bare, Form
from bzzzd.hap.view import view

from .builders import ADDRESS, DECISION, after, effects_of, keys, online, opened


def test_copying_takes_the_opened_text_with_its_lines_whole() -> None:
    effect = effects_of(opened(40, 12), Key("y", "y"))[0]
    assert isinstance(effect, Copy)
    assert DECISION.text in effect.text


def test_copying_in_a_list_takes_what_is_known_of_the_row_and_its_id_alone() -> None:
    model = after(online(), *keys("j j"))
    whole, id = effects_of(model, Key("y", "y"))[0], effects_of(model, Key("Y", "Y"))[0]
    assert isinstance(whole, Copy)
    assert f"decision: {ADDRESS}" in whole.text.split("\n")
    assert id == Copy("t-0003")
    assert not effects_of(online(tasks=()), Key("y", "y"))


def test_the_bare_view_is_the_text_and_nothing_else() -> None:
    model, effects = update(opened(), Key("B", "B"))
    assert effects == (Redraw(),)
    shown = "\n".join(plain(row) for row in view(model, 80, 24).rows)
    assert "There is no central server" in shown
    assert "BZZZ " not in shown.split("\n")[0]
    assert "quit" not in shown
    assert after(model, *keys("esc")).overlay is None


def test_the_bare_view_scrolls_to_its_end_and_no_further() -> None:
    model = after(opened(30, 4), *keys("B space space space space space space"))
    assert isinstance(model.overlay, Bare)
    assert plain(view(model, 30, 4).rows[-1]).strip() == "tokens: 214"
    assert after(model, *keys("pgup pgup pgup pgup pgup pgup")).overlay == Bare()


def test_the_editor_gets_the_body_after_the_draft_is_saved() -> None:
    model = after(online(), *keys("n tab"), Paste("one\ntwo"), *keys("tab"))
    effects = effects_of(model, Key("ctrl+o"))
    assert [type(effect) for effect in effects] == [SaveDrafts, Edit]
    assert effects[-1] == Edit("one\ntwo")


def test_what_the_editor_leaves_becomes_the_body_and_can_be_taken_back() -> None:
    model = after(online(), *keys("n tab"), Paste("one"), *keys("ctrl+o"), Edited("one\nand more\x1b[31m"))
    assert isinstance(model.overlay, Form)
    assert model.overlay.buffers[1].text == "one\nand more"
    model = after(model, *keys("ctrl+_"))
    assert isinstance(model.overlay, Form)
    assert model.overlay.buffers[1].text == "one"


def test_what_the_editor_leaves_is_on_disk_at_once() -> None:
    model = after(online(), *keys("n tab"), Paste("one"), *keys("ctrl+o"))
    kept = [effect for effect in effects_of(model, Edited("one\nand more")) if isinstance(effect, SaveDrafts)]
    assert [draft.values["body"] for effect in kept for draft in effect.drafts] == ["one\nand more"]


def test_a_failed_editor_changes_nothing_and_is_told() -> None:
    model = after(online(), *keys("n tab"), Paste("one"), *keys("ctrl+o"))
    failed = after(model, Edited(None, "vi ended with status 1; the text is as before"))
    assert isinstance(failed.overlay, Form)
    assert failed.overlay.buffers[1].text == "one"
    assert "status 1" in failed.notice.text


def test_what_the_window_tells_stands_in_the_bottom_line() -> None:
    assert "12 characters" in plain(view(after(online(), Told("12 characters copied", "ok")), 80, 24).rows[-1])
