"""Two texts side by side: nothing of either is lost, except equal lines that are counted."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from bzzzd.hap.values.beside import Pair, pairs

TEXTS = st.lists(st.sampled_from(("one", "two", "three", "")), max_size=40).map("\n".join)


@given(TEXTS, TEXTS)
def test_each_side_reads_as_its_text(old: str, new: str) -> None:
    assume(old != new)
    found = pairs(old, new, around=1000)
    assert "\n".join(pair.old for pair in found if pair.left) == old
    assert "\n".join(pair.new for pair in found if pair.right) == new


@given(TEXTS, TEXTS)
def test_what_is_skipped_is_equal_and_counted(old: str, new: str) -> None:
    lines = sum(pair.left if pair.kind == "skipped" else bool(pair.left) for pair in pairs(old, new))
    assert lines == len(old.split("\n"))


def test_a_change_stands_beside_what_it_changed() -> None:
    old, new = "a\nb\nc\n", "a\nB\nc\nd\n"
    kinds = [(pair.kind, pair.old, pair.new) for pair in pairs(old, new)]
    assert kinds == [("same", "a", "a"), ("changed", "b", "B"), ("same", "c", "c"), ("new", "", "d"), ("same", "", "")]


def test_far_equal_lines_are_skipped() -> None:
    text = "\n".join(str(number) for number in range(100))
    found = pairs(text, text.replace("50", "fifty"))
    assert found[0] == Pair("skipped", 47)
    assert found[-1].kind == "skipped"
    assert sum(pair.kind == "changed" for pair in found) == 1


def test_two_texts_that_share_nothing_are_compared_at_once() -> None:
    old, new = "\n".join(map(str, range(20_000))), "\n".join(map(str, range(20_000, 40_000)))
    assert len(pairs(old, new)) == 20_000
