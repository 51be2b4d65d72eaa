from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bzzzd.hap.web.ring import Ring


@given(
    lines=st.lists(st.binary(max_size=20), max_size=60), max_lines=st.integers(1, 20), max_bytes=st.integers(1, 100),
    at=st.integers(-3, 70),
)  # fmt: skip
def test_a_reader_gets_exactly_what_it_missed_or_is_told_that_some_is_gone(
    lines: list[bytes], max_lines: int, max_bytes: int, at: int
) -> None:
    ring = Ring("one", max_lines, max_bytes)
    for line in lines:
        ring.append(line)
    found = ring.after(at)
    if found is not None:
        assert found == list(enumerate(lines, 1))[at:]
        assert ring.number_of(ring.place(at)) == at
    else:
        assert ring.number_of(ring.place(at)) is None
        kept = ring.number - min(at, ring.number)
        assert at < 0 or at > len(lines) or kept > max_lines or sum(map(len, lines[at:])) > max_bytes


def test_the_newest_line_is_kept_however_large() -> None:
    ring = Ring("one", max_bytes=10)
    ring.append(b"x" * 100)
    assert ring.after(0) == [(1, b"x" * 100)]


def test_a_place_of_another_start_or_of_no_shape_is_not_known() -> None:
    ring = Ring("one")
    ring.append(b"x")
    assert ring.number_of("one.0") == 0
    for place in ("two.0", "one", "", "one.-1", "one.x", "one.2", "one.\u0661", "one." + "9" * 400):
        assert ring.number_of(place) is None
