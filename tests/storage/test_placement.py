from __future__ import annotations

import hashlib
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from bzzzd.storage.versions.placement import (
    Kept,
    holders,
    may_drop,
    over_retention,
    owed_to,
    present,
    ranked,
    substitute,
)

NODES = [hashlib.sha256(bytes([number])).digest() for number in range(20)]
nodes = st.sets(st.sampled_from(NODES), min_size=1)
addresses = st.integers(0, 10_000).map(lambda number: f"ucxl://a:b@c:t{number}/*^/")


@given(addresses, nodes, st.integers(1, 6))
def test_every_node_finds_the_same_holders_and_as_many_as_there_are(address, members, replicas):
    found = holders(address, members, replicas)
    assert found == holders(address, sorted(members, reverse=True), replicas)
    assert len(set(found)) == len(found) == min(replicas, len(members))
    assert set(found) <= members


@given(addresses, nodes, st.integers(1, 6), st.sampled_from(NODES))
def test_a_node_that_comes_or_goes_moves_one_holder_at_most(address, members, replicas, node):
    without = holders(address, members - {node} or {NODES[0]}, replicas)
    with_it = holders(address, members | {node}, replicas)
    assert len(set(without) - set(with_it)) <= 1
    assert set(with_it) - set(without) <= {node}


def test_addresses_are_spread_evenly():
    count = Counter(node for number in range(3000) for node in holders(f"ucxl://a:b@c:t{number}/*^/", NODES[:10], 3))
    assert min(count.values()) > 750
    assert max(count.values()) < 1050


@given(nodes, st.sets(st.sampled_from(NODES)), st.floats(0, 1000), st.floats(1, 100))
def test_whoever_is_connected_counts_and_whoever_is_gone_for_long_does_not(members, connected, now, away_s):
    seen = {node: float(number * 50) for number, node in enumerate(sorted(members))}
    found = present(seen, connected, now, away_s)
    assert found <= members
    assert members & connected <= found
    assert all(node in connected or now - seen[node] <= away_s for node in found)


@given(addresses, nodes, st.integers(1, 4), st.lists(st.sets(st.sampled_from(NODES), min_size=3), max_size=6))
def test_whatever_comes_and_goes_copies_reach_their_holders_and_none_is_dropped_before(
    address, members, replicas, changes
):
    """Holders act on the rules alone, each for itself, while nodes come and go; the last copy never goes."""
    have = {min(members)}
    for change in [members, *changes]:
        members = change | (have if not have & change else set())
        targets = holders(address, members, replicas)
        before = len(have & members)
        for node in sorted(have & members):
            have |= set(owed_to(node, targets, have))
            if may_drop(node, targets, frozenset(have & set(targets)), replicas):
                have.discard(node)
            assert len(have & members) >= min(before, replicas, len(members))
        assert set(targets) <= have


@given(addresses, nodes, st.sampled_from(NODES))
def test_whoever_has_no_room_is_replaced_by_the_next_in_order(address, members, refused):
    order = ranked(address, members | {refused})
    known = set(order[:2])
    found = substitute(order, refused, known)
    assert found not in {*known, refused}
    if found is None:
        assert set(order) <= known | {refused}


@given(
    st.lists(st.tuples(st.floats(0, 1000), st.booleans()), min_size=1, max_size=20),
    st.integers(0, 5),
    st.sampled_from([0.0, 100.0, 500.0]),
)
def test_retention_keeps_heads_the_newest_and_the_young(versions, keep_versions, keep_s):
    now = 1000.0
    kept = [Kept(number, at, head) for number, (at, head) in enumerate(versions, 1)]
    gone = set(over_retention(kept, now, keep_versions, keep_s))
    if not keep_versions and not keep_s:
        assert not gone
    for version in kept:
        newer = len(kept) - version.number
        spare = (not keep_versions or newer >= keep_versions) and (not keep_s or now - version.at > keep_s)
        wanted = bool(keep_versions or keep_s) and spare and not version.head
        assert (version.number in gone) == wanted
