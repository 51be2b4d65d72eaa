from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bzzzd.hap import text
from bzzzd.hap.feeds import feed
from bzzzd.hap.feeds import tasks as task_feed
from bzzzd.hap.messages import Came, Snapshot
from bzzzd.hap.rows import plain
from bzzzd.hap.view import view

from .builders import NOW, after, online

NASTY = st.text(
    alphabet=st.one_of(
        st.characters(),
        st.sampled_from("\x1b\x9b\x90\x07\r\n\t\u202e\u2066\u200f\u200d\ufe0f\u0301\u2028漢👩"),
    ),
    max_size=60,
)
FORBIDDEN = {"Cc", "Cs", "Zl", "Zp"}
BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@given(NASTY)
def test_a_cleaned_line_has_no_control_escape_or_bidirectional_character(nasty: str) -> None:
    cleaned = text.clean(nasty)
    assert not [char for char in cleaned if unicodedata.category(char) in FORBIDDEN]
    assert not BIDI & set(cleaned)
    assert text.clean(cleaned) == cleaned


@given(NASTY)
def test_a_cleaned_block_controls_nothing_but_its_line_breaks(nasty: str) -> None:
    cleaned = text.clean_block(nasty)
    assert not [char for char in cleaned if unicodedata.category(char) in FORBIDDEN and char != "\n"]
    assert not BIDI & set(cleaned)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;another title\x07name", "name"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jgone", "gone"),
        ("\x1bPq~\x1b\\after", "after"),
        ("invoice\u202egnp.exe", "invoicegnp.exe"),
        ("two\r\nlines\tand a tab", "two lines and a tab"),
        ("e" + "\u0301" * 400 + "nd", "e" + "\u0301" * 4 + "nd"),
        ("half \ud800 surrogate", "half \ufffd surrogate"),
        (None, ""),
        (17, "17"),
        ("\x1b]unterminated and then\nnext line", "next line"),
    ],
)
def test_sequences_and_tricks_are_taken_out_as_a_whole(given: object, kept: str) -> None:
    assert text.clean(given) == kept


def test_a_message_with_every_control_and_format_character_leaves_the_screen_whole() -> None:
    every = "".join(chr(n) for n in range(0x110000) if unicodedata.category(chr(n)) in ("Cc", "Cf"))
    row = {"id": "t-9", "state": "working", "title": f"before{every}after", "created": NOW, "agent": every}
    model = after(online(), Snapshot(task_feed.tasks([row]), 1))
    for line in view(model, 80, 24).rows:
        assert text.width(plain(line)) == 80
        assert not [char for char in plain(line) if unicodedata.category(char) in FORBIDDEN or char in BIDI]


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(["id", "title", "agent", "state", "reason", "author"]), NASTY))
def test_whatever_a_daemon_sends_gives_rows_of_the_window_s_width(row: dict[str, str]) -> None:
    items = feed.items("tasks", [{"task": {"id": "t", **row}}])
    model = after(online(), Came("tasks", items, 1))
    assert {text.width(plain(line)) for line in view(model, 80, 24).rows} == {80}


def test_a_title_of_500_kB_is_cut_before_it_costs_anything() -> None:
    assert len(text.clean("x" * 500_000)) == 1000
    assert text.clean("漢" * 500_000).endswith("…")


@given(st.text(alphabet="ab 漢字👩\u200d\u0301é…", max_size=40), st.integers(0, 30))
def test_fitting_gives_exactly_the_columns_asked_for(given: str, columns: int) -> None:
    cleaned = text.clean(given)
    assert text.width(text.fit(cleaned, columns)) == columns
    assert text.width(text.fit(cleaned, columns, "right")) == columns
    assert text.width(text.take(cleaned, columns)) <= columns


@given(st.text(alphabet="abc 漢字👩é\n ", max_size=80), st.integers(2, 30))
def test_wrapping_fits_and_loses_no_word(given: str, columns: int) -> None:
    block = text.clean_block(given)
    lines = text.wrap(block, columns)
    assert all(text.width(line) <= columns for line in lines)
    assert "".join("".join(lines).split()) == "".join(block.split())


@given(st.text(alphabet="abc 漢字👩é ", max_size=80), st.integers(2, 30))
def test_breaking_a_line_hard_loses_nothing(given: str, columns: int) -> None:
    assert "".join(text.chunks(given, columns)) == given


def test_half_a_megabyte_in_one_line_is_wrapped_in_time_that_grows_with_its_length() -> None:
    lines = text.wrap(text.clean_block("漢字 dolor sit amet " * 25_000), 100)
    assert len(lines) > 4000


def test_a_terminal_without_utf8_gets_the_same_columns_in_ascii() -> None:
    assert text.ascii_only("● working 漢 é") == "* working ?? ?"


def test_right_to_left_words_are_kept_from_moving_what_stands_around_them() -> None:
    assert (
        text.guarded("100 to \u05e9\u05dc\u05d5\u05dd \u05dc\u05da 900")
        == "100 to \u200e\u05e9\u05dc\u05d5\u05dd \u05dc\u05da\u200e 900"
    )
    assert text.guarded("\u0633\u0644\u0627\u0645: 5 of 7") == "\u0633\u0644\u0627\u0645\u200e: 5 of 7"
    assert text.guarded("plain 漢字") == "plain 漢字"


@given(st.text(max_size=60))
def test_guarding_adds_marks_and_nothing_else(given_text: str) -> None:
    line = text.clean(given_text)
    assert text.guarded(line).replace("\u200e", "") == line
    assert text.width(line) == sum(text.width(part) for part in text.guarded(line).split("\u200e"))


@given(NASTY.map(text.clean_block), st.integers(8, 60), st.integers(1, 4))
def test_a_text_within_some_lines_is_whole_or_says_that_it_is_cut(block: str, columns: int, most: int) -> None:
    lines = text.within(block, columns, most)
    assert len(lines) <= most
    assert all(text.width(line) <= columns for line in lines)
    told = "".join("".join(lines).split())
    assert told.endswith(text.ELLIPSIS) or told == "".join(block.split())
