from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from bzzzd.errors import DiskFull
from bzzzd.hap.files.state import StateFolder, seen_of
from bzzzd.hap.messages import Answered
from bzzzd.hap.values.model import Draft

from .builders import TASKS, after, blank, keys, online, prompt_page


def test_what_was_seen_comes_back_for_the_same_socket_alone(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    seen = seen_of(online())
    state.save_seen(seen)
    again = StateFolder(tmp_path)
    assert again.seen("/run/bzzz/bzzzd.sock") == seen
    assert again.seen("/another/socket") is None
    assert seen.tasks == TASKS


@pytest.mark.parametrize("data", [b"", b"\xc1 not ours", b"\x81\xa6socket\x03", b"\x81\xa6socket\xa1\xff"])
def test_a_damaged_or_missing_cache_counts_as_nothing_seen(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "portal").mkdir()
    (tmp_path / "portal" / "seen.msgpack").write_bytes(data)
    assert StateFolder(tmp_path).seen("/run/bzzz/bzzzd.sock") is None


def test_damaged_drafts_and_answers_count_as_none(tmp_path: Path) -> None:
    for name in ("drafts/0.json", "answers/p-1.json"):
        (tmp_path / "portal" / name).parent.mkdir(parents=True)
        (tmp_path / "portal" / name).write_bytes(b'["\xff"]')
    state = StateFolder(tmp_path)
    assert (state.take_drafts(), state.written()) == ((), {})


def test_files_are_closed_to_others(tmp_path: Path) -> None:
    os.umask(0o022)
    state = StateFolder(tmp_path / "new" / "folder")
    state.take_drafts()
    state.save_drafts((Draft("d", values={"title": "secret"}),))
    state.save_seen(seen_of(blank()))
    for path in (tmp_path / "new" / "folder" / "portal").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_draft_is_kept_over_a_restart_and_dropped_when_sent(tmp_path: Path) -> None:
    first = StateFolder(tmp_path)
    first.take_drafts()
    first.save_drafts((Draft("d-1", values={"title": "Half a thought"}, tried=True),))
    first.close()
    second = StateFolder(tmp_path)
    assert second.take_drafts() == (Draft("d-1", values={"title": "Half a thought"}, tried=True),)
    second.save_drafts(())
    second.close()
    assert StateFolder(tmp_path).take_drafts() == ()


def test_two_portals_of_one_person_have_a_draft_each(tmp_path: Path) -> None:
    one, two = StateFolder(tmp_path), StateFolder(tmp_path)
    one.take_drafts()
    assert two.take_drafts() == ()
    one.save_drafts((Draft("a", values={"title": "one"}),))
    two.save_drafts((Draft("b", values={"title": "two"}),))
    one.close()
    two.close()
    third, fourth = StateFolder(tmp_path), StateFolder(tmp_path)
    assert {third.take_drafts()[0].title, fourth.take_drafts()[0].title} == {"one", "two"}


def test_a_full_disk_raises_and_leaves_the_draft_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = StateFolder(tmp_path)
    state.take_drafts()
    state.save_drafts((Draft("d", values={"title": "before"}),))

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull, match="no space left"):
        state.save_drafts((Draft("d", values={"title": "after"}),))
    state.close()
    assert StateFolder(tmp_path).take_drafts()[0].title == "before"


def test_a_folder_that_cannot_be_written_gives_an_empty_draft(tmp_path: Path) -> None:
    (tmp_path / "portal").write_text("a file where the folder should be")
    assert StateFolder(tmp_path).take_drafts() == ()


def test_the_chosen_theme_is_kept(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    assert state.theme() == ""
    state.save_theme("light")
    assert StateFolder(tmp_path).theme() == "light"
    # Whether there is a theme of that name only the configuration knows.
    (tmp_path / "portal" / "theme").write_text("night" + "x" * 1000)
    assert len(state.theme()) <= 256


def test_prompts_their_proven_texts_and_the_person_s_answers_are_there_at_the_next_start(tmp_path: Path) -> None:
    model = after(prompt_page(online()), *keys("a Y"), Answered(("kept", "run-1", "p-0001"), None))
    state = StateFolder(tmp_path)
    state.save_seen(seen_of(model))
    found = state.seen("/run/bzzz/bzzzd.sock")
    assert found is not None
    assert found.prompts == tuple(model.prompts.values())
    assert found.asked == tuple(model.asked.values())
    assert [(one.prompt, one.state) for one in found.receptions] == [("p-0001", "kept")]


def test_answers_that_were_begun_are_kept_by_prompt_and_no_name_leaves_the_folder(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.save_answer("p-1", ("half an\nanswer",))
    state.save_answer("../../p-2", ("x",))
    assert StateFolder(tmp_path).written() == {"p-1": ("half an\nanswer",)}
    for number in range(80):
        state.save_answer(f"q-{number}", ("x",))
    assert len(state.written()) <= 64
    state.save_answer("q-79", ())
    assert "q-79" not in state.written()
