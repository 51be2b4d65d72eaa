"""Who leaves a full node, and when one more member is tried."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bzzzd.mesh.enough import ENOUGH_MEMBERS, Neighbour, explores, leaving, most_members

NOW = 1000.0
_NEIGHBOURS = st.lists(
    st.builds(
        Neighbour,
        st.binary(min_size=1, max_size=4),
        st.floats(0, NOW),
        st.sampled_from(["static", "bootstrap", "mdns", "exchange", "book", "inbound"]),
    ),
    max_size=40,
    unique_by=lambda one: one.raw_id,
)


@settings(deadline=None)
@given(_NEIGHBOURS, st.integers(1, 40))
def test_no_more_leave_than_must_and_never_one_that_is_configured_or_new(here: list[Neighbour], most: int) -> None:
    gone = set(leaving(here, most, NOW))
    assert len(gone) <= max(len(here) - most, 0)
    by_id = {one.raw_id: one for one in here}
    for raw_id in gone:
        assert by_id[raw_id].how not in ("static", "bootstrap")
        assert NOW - by_id[raw_id].since >= 30.0
    if len(here) - len(gone) > most:  # then nobody else may go
        rest = [one for one in here if one.raw_id not in gone]
        assert all(one.how in ("static", "bootstrap") or NOW - one.since < 30.0 for one in rest)


def test_whoever_has_been_here_longest_goes_first() -> None:
    here = [Neighbour(bytes([n]), float(n), "exchange") for n in (5, 3, 9)]
    assert leaving(here, 2, NOW) == [bytes([3])]


def test_a_node_that_is_not_full_asks_nobody_to_go() -> None:
    assert leaving([Neighbour(b"a", 0.0, "inbound")], 1, NOW) == []


@given(st.integers(1, 10_000), st.integers(0, 10_000))
def test_members_are_never_nobody_and_leave_room_to_knock(connections: int, strangers: int) -> None:
    most = most_members(connections, strangers)
    assert 1 <= most <= connections
    if connections >= 2 * strangers:
        assert most == max(connections - strangers, 1)


@given(st.integers(0, ENOUGH_MEMBERS), st.floats(0, 1, exclude_max=True))
def test_a_node_with_no_more_than_enough_always_tries_one_more(members: int, chance: float) -> None:
    assert explores(members, chance)


@given(st.floats(0, 1, exclude_max=True), st.integers(ENOUGH_MEMBERS, 1000))
def test_the_more_members_the_more_seldom(chance: float, members: int) -> None:
    assert explores(members, chance) or not explores(members + 1, chance)
    assert explores(members, 0.0)
