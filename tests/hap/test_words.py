"""How things are written: whatever is said of them, there are words for it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bzzzd.hap import words
from bzzzd.hap.feeds.fields import number

NUMBERS = st.floats().map(number)


def test_progress_is_a_share_of_the_whole() -> None:
    assert (words.percent(1, 3), words.bar(1, 4, 8)) == ("33%", "▰▰▱▱▱▱▱▱")
    assert (words.percent(1, 0), words.bar(1, 0, 8)) == ("", "")


@given(NUMBERS, NUMBERS)
def test_any_progress_that_an_agent_reports_can_be_shown(done: float, total: float) -> None:
    assert words.percent(done, total) in ("", *(f"{share}%" for share in range(101)))
    assert len(words.bar(done, total, 5)) in (0, 5)


@given(NUMBERS, NUMBERS)
def test_any_time_can_be_shown(at: float, now: float) -> None:
    words.since(at, now)
    words.left(at - now)
    words.clock(at, now, 3600)
