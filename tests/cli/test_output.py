"""What is printed: aligned, bounded, and unable to drive a terminal."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzzzd.cli.output import (
    clean,
    duration,
    facts,
    readable,
    rows_of,
    size,
    table,
    to_json,
    to_json_line,
    when,
    width,
    words,
)


def printed(act) -> str:
    out = io.StringIO()
    act(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x07", "[31mred"),
        ("a\nb\tc\r", "a b c "),
        ("x\u202egnp", "xgnp"),
        ("\x9b31m", "31m"),
        ("a\u00a0b", "a b"),
        ("\ud800x", "x"),
        ("Grüße 日本", "Grüße 日本"),
        (None, ""),
        (3, "3"),
    ],
)
def test_control_characters_and_overrides_are_taken_out(text, shown):
    assert clean(text) == shown


@given(st.text())
def test_cleaned_text_is_printable(text):
    assert clean(text).isprintable()
    assert all(line.isprintable() for line in clean(text, lines=True).split("\n"))


def test_lines_stay_where_they_are_wanted():
    assert clean("a\tb\r\nc\x1b\n", lines=True) == "a       b\nc\n"


def test_columns_line_up_also_with_wide_characters():
    text = printed(lambda out: table(("A", "B"), [("日本", "x"), ("é", "\x1by")], out))
    assert text == "A     B\n日本  x\ne\u0301     y\n".replace("e\u0301", "é")
    assert (width("日本"), width("e\u0301"), width("ab")) == (4, 1, 2)


def test_facts_leave_out_what_is_empty():
    assert printed(lambda out: facts([("a", "1"), ("long", ""), ("bb", None), ("c", 0)], out)) == "a  1\nc  0\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.44, "0.4 s"),
        (59, "59 s"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (90061, "1 d 1 h"),
        (None, "0.0 s"),
        (float("inf"), "0.0 s"),
    ],
)
def test_durations_have_two_units_at_most(seconds, text):
    assert duration(seconds) == text


def test_times_and_sizes_of_any_value_can_be_shown():
    assert when(0) == when(None) == when("x") == when(1e300) == when(float("nan")) == ""
    assert len(when(1.7e9)) == 19
    assert (size(10), size(2048), size(5 * 2**30)) == ("10 B", "2.0 KiB", "5.0 GiB")


def test_json_is_ascii_and_bytes_become_text_or_base64():
    value = {"a": b"\xff", "b": "\x1bü".encode(), 1: (b"x", None)}
    assert to_json(value).isascii()
    assert json.loads(to_json(value)) == {"a": {"base64": "/w=="}, "b": "\x1bü", "1": ["x", None]}
    assert "\x1b" not in to_json(value)
    assert "\n" not in to_json_line(value)


def test_rows_of_an_answer_are_only_maps():
    assert rows_of({"rows": [{"a": 1}, 2, None]}, "rows") == [{"a": 1}]
    assert rows_of({"rows": "x"}, "rows") == rows_of(None, "rows") == []
    assert words(["a", "b\x1b"]) == "a, b"


def test_content_becomes_readable_text():
    assert readable(b"a\x1bb\n", "text/plain") == "ab"
    assert readable({"argv": ["ls"], "body": ""}) == "argv: - ls"
