from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bzzzd.errors import NotFound
from bzzzd.ucxl.address import parse
from bzzzd.ucxl.history import Entry, comes_last, heads, order, resolve


def temporal(text: str):
    return parse(f"ucxl://a:b@c:d/{text}/").temporal


@st.composite
def graphs(draw: st.DrawFn) -> list[Entry]:
    """Histories as they can be: each version may build on earlier ones, and clocks differ."""
    made: list[Entry] = []
    for number in range(draw(st.integers(0, 14))):
        parents = draw(st.sets(st.sampled_from(made).map(lambda entry: entry.id), max_size=3)) if made else set()
        if draw(st.integers(0, 9)) == 0:
            parents.add(hashlib.sha256(f"absent {number}".encode()).hexdigest())
        at = float(draw(st.integers(0, 6)))
        made.append(Entry(hashlib.sha256(f"{number}".encode()).hexdigest(), tuple(sorted(parents)), at))
    return made


@given(graphs(), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_any_arrival_gives_the_same_order_and_heads(entries, chance):
    shuffled = [*entries, *entries[:3]]
    chance.shuffle(shuffled)
    assert order(shuffled) == order(entries)
    assert heads(order(shuffled)) == heads(order(entries))


@given(graphs())
@settings(max_examples=150, deadline=None)
def test_parents_come_before_their_children_and_nothing_is_lost(entries):
    ordered = order(entries)
    place = {entry.id: number for number, entry in enumerate(ordered)}
    assert set(ordered) == set(entries)
    for entry in ordered:
        assert all(place[parent] < place[entry.id] for parent in entry.parents if parent in place)


@given(graphs())
@settings(max_examples=150, deadline=None)
def test_heads_are_what_nothing_builds_on(entries):
    named = {parent for entry in entries for parent in entry.parents}
    assert set(heads(order(entries))) == {entry.id for entry in entries} - named
    assert bool(heads(order(entries))) == bool(entries)


@given(graphs(), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_what_comes_last_is_told_without_ordering(entries, chance):
    chance.shuffle(entries)
    for count in range(len(entries)):
        here, new = order(entries[:count]), entries[count]
        known = {entry.id for entry in here}
        awaited = any(parent not in known for entry in here for parent in entry.parents)
        latest = max((entry.key for entry in here), default=None)
        if comes_last(new, latest, heads(here), awaited):
            assert order(entries[: count + 1]) == (*here, new)


@given(st.integers(2, 6), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_a_cycle_loses_nothing_and_is_ordered_the_same_everywhere(size, chance):
    ids = [hashlib.sha256(f"{number}".encode()).hexdigest() for number in range(size)]
    ring = [Entry(ids[number], (ids[number - 1],), float(number % 3)) for number in range(size)]
    after = Entry("f" * 64, (ids[0],), 0.0)
    shuffled = [*ring, after]
    chance.shuffle(shuffled)
    ordered = order(shuffled)
    assert ordered == order([*ring, after])
    assert len(ordered) == size + 1
    assert ordered[0].key == min(entry.key for entry in ring)
    assert heads(ordered)


def test_two_writers_at_once_are_both_kept_by_time_and_then_by_id():
    first = Entry("1" * 64, (), 1.0)
    late, early, tied = Entry("a" * 64, ("1" * 64,), 3.0), Entry("c" * 64, ("1" * 64,), 2.0), Entry("b" * 64, (), 2.0)
    assert order([late, tied, first, early]) == (first, tied, early, late)
    assert heads(order([late, tied, first, early])) == (tied.id, early.id, late.id)


def test_a_version_that_unites_the_heads_ends_the_conflict():
    versions = [Entry("a" * 64, (), 1.0), Entry("b" * 64, (), 2.0), Entry("0" * 64, ("a" * 64, "b" * 64), 0.0)]
    assert heads(order(versions)) == ("0" * 64,)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("*^", [5]),
        ("~~0", [5]),
        ("~~1", [4]),
        ("~~4", [1]),
        ("^^0", [1]),
        ("^^4", [5]),
        ("*~1", [1]),
        ("*~5", [5]),
        ("*~", [1, 2, 3, 4, 5]),
    ],
)
def test_a_temporal_part_picks_by_number_from_1(text, numbers):
    assert list(resolve(temporal(text), 5)) == numbers


@pytest.mark.parametrize("text", ["*~0", "*~6", "~~5", "^^5", "~~999999999", "^^999999999"])
def test_what_is_beyond_the_history_is_not_found(text):
    with pytest.raises(NotFound, match="has 5 versions"):
        resolve(temporal(text), 5)


def test_an_empty_history_has_no_latest_but_can_be_listed():
    with pytest.raises(NotFound, match="holds nothing"):
        resolve(temporal("*^"), 0)
    assert list(resolve(temporal("*~"), 0)) == []


def test_a_long_history_is_ordered_quickly():
    entries = [Entry(f"{number:064x}", (f"{number - 1:064x}",) if number else (), 1.0) for number in range(20_000)]
    assert [entry.id for entry in order(reversed(entries))] == [entry.id for entry in entries]
