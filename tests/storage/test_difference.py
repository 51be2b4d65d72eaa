from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from bzzzd.storage.versions.difference import MAX_TEXT_BYTES, difference

texts = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "d"]), max_size=30).map("".join)


def apply(before: str, diff: str) -> str:
    """Follow a unified diff, checking every line it quotes."""
    lines = before.split("\n")
    old = [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    new: list[str] = []
    at = 0
    shown = diff.replace("\n\\ No newline at end of file\n", "\r").splitlines(keepends=True)[2:]
    for line in shown:
        body = line[1:].rstrip("\r") if line.endswith("\r") else line[1:]
        if line.startswith("@@"):
            start, _, length = line.split()[1][1:].partition(",")
            first = int(start) - (length != "0")
            new += old[at:first]
            at = first
        elif line[0] == "+":
            new.append(body)
        else:
            assert old[at] == body
            at += 1
            new += [body] if line[0] == " " else []
    return "".join(new + old[at:])


@given(texts, texts)
@settings(max_examples=200, deadline=None)
def test_following_the_diff_gives_the_other_text(a, b):
    diff = difference(a.encode(), b.encode(), "a", "b")
    assert (apply(a, diff) if diff else a) == b


def test_a_change_is_shown_with_its_surroundings():
    before = "".join(f"{number}\n" for number in range(20))
    after = before.replace("10\n", "ten\n")
    assert difference(before.encode(), after.encode(), "*~1", "*~2") == (
        "--- *~1\n+++ *~2\n@@ -8,7 +8,7 @@\n 7\n 8\n 9\n-10\n+ten\n 11\n 12\n 13\n"
    )


def test_equal_content_has_no_difference():
    assert difference(b"\0\xff", b"\0\xff", "a", "b") == ""


def test_a_missing_end_of_line_is_shown():
    diff = difference(b"one\ntwo", b"one\ntwo\n", "a", "b")
    assert "-two\n\\ No newline at end of file\n+two\n" in diff


def test_binary_content_only_differs():
    shown = difference(b"text", b"\0\1", "*~1", "*~2")
    assert shown == "binary content differs: *~1 has 4 bytes, *~2 has 2 bytes\n"
    assert difference(b"\xff\xfe", b"text", "a", "b").startswith("binary content differs")


def test_texts_made_to_be_slow_are_compared_in_bounded_time():
    a = "".join(f"{number * 7 % 13}\n" for number in range(60_000)).encode()
    b = "".join(f"{number * 5 % 11}\n" for number in range(60_000)).encode()
    began = time.process_time()
    diff = difference(a, b, "a", "b")
    assert time.process_time() - began < 10
    assert apply(a.decode(), diff) == b.decode()


def test_text_over_the_limit_only_differs():
    assert difference(b"a" * (MAX_TEXT_BYTES + 1), b"b", "a", "b").startswith("text over")
