from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bzzzd.storage.messages.gaps import ASKS_PER_PEER
from bzzzd.storage.messages.order import Tracker
from bzzzd.storage.messages.sources import MAX_JOURNALS, MAX_SOURCES, Arrival, Ask, Held, Link, Lost, Source

N, M, P = b"n", b"m", b"p"
A, B = Source(N, "a"), Source(N, "b")


def arrival(number: int, source: Source = A, after: Link | None = None, text: str = "") -> Arrival:
    return Arrival(source, number, after, f"{source.journal}{number}{text}".encode(), number, 10)


def numbers(tracker: Tracker) -> list[tuple[str, int]]:
    return [(one.source.journal, one.number) for one in tracker.ready()]


def test_what_is_next_is_delivered_at_once_and_what_came_early_behind_it():
    tracker = Tracker()
    assert [tracker.take(arrival(number), 0.0) for number in (1, 3, 4, 3, 1)] == [
        "new", "held", "held", "repeated", "repeated",
    ]  # fmt: skip
    assert numbers(tracker) == [("a", 1)]
    assert tracker.take(arrival(2), 0.0) == "new"
    assert numbers(tracker) == [("a", 2), ("a", 3), ("a", 4)]
    assert (tracker.lagging, tracker.holding) == (False, 0)


def test_a_gap_is_asked_for_after_a_moment_from_the_sender_before_others():
    tracker = Tracker(grace_s=0.05)
    tracker.told(P, {A: Held(1, 9)}, 100.0)
    tracker.told(N, {A: Held(1, 9)}, 100.0)
    assert tracker.asks(100.01) == []
    (ask,) = tracker.asks(100.06)
    assert ask == Ask(N, A, 0)
    assert tracker.asks(200.0) == []
    tracker.failed(ask, 100.1)
    (ask,) = tracker.asks(100.2)
    assert ask.peer == P


def test_after_an_answer_that_helped_the_next_is_asked_for_at_once():
    tracker = Tracker()
    tracker.told(P, {A: Held(1, 9)}, 0.0)
    (ask,) = tracker.asks(1.0)
    for number in (1, 2, 3):
        tracker.take(arrival(number), 1.0)
    tracker.answered(ask, Held(1, 9), 1.0)
    assert tracker.asks(1.0) == [Ask(P, A, 3)]


def test_a_journal_waits_for_the_one_before_it():
    tracker = Tracker()
    tracker.take(arrival(1, B, Link("a", 2)), 0.0)
    tracker.take(arrival(1), 0.0)
    assert numbers(tracker) == [("a", 1)]
    tracker.take(arrival(2), 0.0)
    assert numbers(tracker) == [("a", 2), ("b", 1)]
    assert tracker.clones() == []


def test_two_that_follow_one_message_are_a_clone_and_both_are_delivered():
    for order in (0, 1):
        tracker = Tracker()
        tracker.know(A, 2, None, 0.0)
        both = [arrival(3), arrival(1, B, Link("a", 2))]
        for one in both[order:] + both[:order]:
            tracker.take(one, 0.0)
        assert sorted(numbers(tracker)) == [("a", 3), ("b", 1)]
        assert set(tracker.clones()) == {A}


def test_two_journals_after_one_are_a_clone():
    tracker = Tracker()
    tracker.know(A, 2, None, 0.0)
    tracker.take(arrival(1, B, Link("a", 2)), 0.0)
    assert tracker.clones() == []
    tracker.take(arrival(1, Source(N, "c"), Link("a", 1)), 0.0)
    assert tracker.clones() == [A]
    assert sorted(numbers(tracker)) == [("b", 1), ("c", 1)]


def test_one_number_with_two_messages_is_a_clone():
    tracker = Tracker()
    tracker.take(arrival(3), 0.0)
    assert tracker.take(arrival(3, text="other"), 0.0) == "clone"
    assert tracker.clones() == [A]


def test_what_everybody_has_trimmed_is_given_up_and_said():
    tracker = Tracker()
    tracker.know(A, 2, None, 0.0)
    tracker.told(P, {A: Held(8, 9)}, 10.0)
    (ask,) = tracker.asks(10.1)
    tracker.take(arrival(8), 10.2)
    tracker.take(arrival(9), 10.2)
    tracker.answered(ask, Held(8, 9), 10.2)
    assert tracker.losses(10.3) == []
    assert tracker.losses(11.5) == [Lost(A, 3, 7, "trimmed", False)]
    assert numbers(tracker) == [("a", 8), ("a", 9)]


def test_what_one_peer_still_has_is_not_given_up():
    tracker = Tracker()
    tracker.told(P, {A: Held(8, 9)}, 0.0)
    tracker.told(M, {A: Held(3, 9)}, 0.0)
    assert tracker.asks(1.0) == [Ask(M, A, 0)]


def test_a_gap_waits_long_for_a_sender_that_is_away_and_not_at_all_for_one_that_denies():
    tracker = Tracker()
    tracker.take(arrival(2), 0.0)
    assert tracker.losses(59.0) == []
    assert tracker.losses(61.0) == [Lost(A, 1, 1, "unreachable", True)]
    assert numbers(tracker) == [("a", 2)]

    tracker.take(arrival(4), 100.0)
    tracker.told(N, {A: Held(1, 4)}, 100.0)
    (ask,) = tracker.asks(100.1)
    tracker.answered(ask, Held(1, 4), 100.2)
    assert tracker.losses(101.5) == [Lost(A, 3, 3, "refused", False)]
    assert numbers(tracker) == [("a", 4)]


def test_a_peer_that_boasts_makes_nobody_give_anything_up():
    tracker = Tracker()
    tracker.know(A, 2, None, 0.0)
    tracker.told(P, {A: Held(1, 10**9)}, 0.0)
    for turn in range(5):
        for ask in tracker.asks(float(turn)):
            tracker.answered(ask, Held(1, 10**9), float(turn))
        assert tracker.losses(1000.0 * turn) == []
    tracker.take(arrival(3), 9999.0)
    assert numbers(tracker) == [("a", 3)]


def test_what_is_held_is_bounded_and_what_found_no_room_is_asked_for_again():
    tracker = Tracker(hold_items=3)
    verdicts = [tracker.take(arrival(number), 0.0) for number in (3, 4, 5, 6, 7)]
    assert verdicts == ["held"] * 3 + ["full"] * 2
    assert tracker.take(arrival(1), 0.0) == "new"
    assert tracker.take(arrival(2), 0.0) == "new"
    tracker.told(P, {A: Held(1, 7)}, 0.0)
    assert tracker.asks(1.0) == [Ask(P, A, 5)]


def test_a_node_cannot_fill_memory_with_journals():
    tracker = Tracker()
    for number in range(3 * MAX_JOURNALS):
        tracker.take(arrival(2, Source(N, f"j{number}")), 0.0)
    assert len(tracker._chains) == MAX_JOURNALS
    assert tracker.holding == MAX_JOURNALS


def test_a_journal_is_not_forgotten_for_the_one_that_it_goes_on_from():
    tracker = Tracker()
    names = [f"j{number}" for number in range(MAX_JOURNALS)]
    for name in names:
        tracker.take(arrival(5, Source(A.node, name)), 0.0)
    tracker.take(arrival(1, Source(A.node, names[0]), Link("before", 3)), 0.0)
    # The oldest of the others made room.
    assert Source(A.node, names[0]) in tracker.held()
    assert Source(A.node, names[1]) not in tracker.held()
    tracker.told(A.node, {}, 0.0)
    assert tracker.asks(10.0)


def test_what_could_not_be_kept_comes_again():
    tracker = Tracker()
    for number in (1, 2, 3):
        tracker.take(arrival(number), 0.0)
    tracker.ready()
    tracker.rewind(A, 1, 0.0)
    assert tracker.lagging
    assert tracker.take(arrival(2), 0.0) == "new"
    assert numbers(tracker) == [("a", 2)]


class Member:
    """A node of the simulation: what it delivered, in its order, is also what it can give to others."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.tracker = Tracker()
        self.delivered: list[Arrival] = []
        self.journal = 0
        self.last: Link | None = None

    def say(self) -> Arrival:
        source = Source(self.name, str(self.journal))
        number = self.last.number + 1 if self.last and self.last.journal == source.journal else 1
        said = Arrival(source, number, self.last if number == 1 else None, f"{source}{number}".encode(), None, 10)
        self.last = Link(source.journal, number)
        self.delivered.append(said)
        self.tracker.know(source, number, said.after, 0.0)
        return said

    def restart(self, now: float) -> None:
        """As after a kill: what was held is gone, what was delivered stays."""
        self.journal += 1
        self.tracker = Tracker()
        for one in self.delivered:
            self.tracker.know(one.source, one.number, one.after, now)

    def take(self, one: Arrival, now: float) -> None:
        self.tracker.take(one, now)
        self.delivered += self.tracker.ready()

    def heads(self) -> dict[Source, Held]:
        last, early = self.tracker.positions(), self.tracker.held()
        found = {}
        for source in {*last, *early}:
            given = [one.number for one in self.delivered if one.source == source]
            reached = last.get(source, 0)
            found[source] = Held(min(given, default=reached + 1), reached, early.get(source, 0))
        return found

    def give(self, ask: Ask, most: int = 3) -> list[Arrival]:
        found = [one for one in self.delivered if one.source == ask.source and one.number > ask.after][:most]
        return found or self.tracker.early(ask.source, ask.after)[:most]


def settle(members: list[Member], now: float) -> None:
    """Heads are told and asked after until nobody lacks anything that somebody has."""
    quiet = 0
    while quiet < 3:
        now += 0.5
        assert now < 500.0
        for one in members:
            for other in members:
                if other is not one:
                    one.tracker.told(other.name, other.heads(), now)
            by_name = {member.name: member for member in members}
            for ask in one.tracker.asks(now):
                peer = by_name[ask.peer]
                for found in peer.give(ask):
                    one.take(found, now)
                one.tracker.answered(ask, peer.heads().get(ask.source), now)
            one.tracker.losses(now)
            one.delivered += one.tracker.ready()
        quiet = 0 if any(member.tracker.lagging for member in members) else quiet + 1


steps = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(0, 2), st.integers(0, 7)),
        st.tuples(st.just("restart"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("echo"), st.integers(0, 2), st.integers(0, 40)),
    ),
    max_size=60,
)


@given(steps, st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_whatever_is_lost_repeated_or_reordered_every_message_comes_once_and_in_order(script, dies, chance):
    members = [Member(name) for name in (b"0", b"1", b"2")]
    on_the_way: list[tuple[int, Arrival]] = []
    said: list[Arrival] = []
    for what, who, which in script:
        if what == "say":
            said.append(members[who].say())
            on_the_way += [(other, said[-1]) for other in range(3) if other != who and which & (1 << other)]
        elif what == "restart":
            members[who].restart(0.0)
        elif on_the_way:
            member, one = on_the_way[which % len(on_the_way)]
            members[member].take(one, 0.0)
            if chance.random() < 0.7:
                on_the_way.remove((member, one))
    chance.shuffle(on_the_way)
    for member, one in on_the_way:
        members[member].take(one, 0.0)
    if dies:
        lost, members = members[0], members[1:]
        for member in members:
            member.tracker.gone(lost.name, 0.0)
    settle(members, 1.0)

    for member in members:
        keys = [(one.source, one.number) for one in member.delivered]
        assert len(keys) == len(set(keys))
        assert member.tracker.clones() == []
        by_node = defaultdict(list)
        for one in member.delivered:
            by_node[one.source.node].append((int(one.source.journal), one.number))
        assert all(order == sorted(order) for order in by_node.values())
        if not dies:
            assert len(keys) == len(said)
    assert len({frozenset((one.source, one.number) for one in member.delivered) for member in members}) == 1


def test_sources_that_are_only_claimed_leave_room_for_those_that_speak():
    tracker = Tracker()
    invented = {Source(number.to_bytes(8, "big"), "j"): Held(1, 9) for number in range(MAX_SOURCES)}
    tracker.told(P, invented, 0.0)
    assert tracker.take(arrival(1), 0.0) == "new"


def test_journals_that_are_only_claimed_do_not_push_out_one_that_was_heard():
    tracker = Tracker()
    tracker.know(A, 1000, None, 0.0)
    tracker.told(P, {Source(N, f"invented{number}"): Held(1, 9) for number in range(MAX_JOURNALS)}, 0.0)
    assert tracker.take(arrival(1001), 0.0) == "new"


def test_first_messages_of_journals_that_wait_for_one_before_them_are_held_within_the_bound_too():
    tracker = Tracker(hold_bytes=100)
    journals = [Source(N, f"j{number:02}") for number in range(50)]
    for source in journals:
        tracker.take(arrival(1, source, Link("a", 2)), 0.0)
        tracker.told(P, {source: Held(1, 1)}, 0.0)
    assert tracker.holding == 10
    assert tracker.losses(30.0) == []
    tracker.take(arrival(1), 1.0)
    tracker.take(arrival(2), 1.0)
    for now in range(2, 100):
        for ask in tracker.asks(float(now)):
            tracker.take(arrival(1, ask.source, Link("a", 2)), float(now))
            tracker.answered(ask, Held(1, 1), float(now))
    assert len(numbers(tracker)) == 52
    assert tracker.losses(1e6) == []


def lines_of(act: Callable[[], Any]) -> int:
    """How many lines of Python run: the cost of ``act``, on whatever machine and however busy."""
    count = 0

    def note(frame: Any, event: str, arg: Any) -> Any:
        nonlocal count
        count += event == "line"
        return note

    before = sys.gettrace()
    sys.settrace(note)
    try:
        act()
    finally:
        sys.settrace(before)
    return count


def invented(count: int) -> list[Source]:
    return [Source(b"i%d" % (number // 128), f"j{number}") for number in range(count)]


@pytest.mark.parametrize("peers", [1, 12])
def test_a_look_costs_the_same_however_many_sources_peers_invent(peers: int):
    def cost(count: int) -> int:
        tracker = Tracker()
        for peer in range(peers):
            tracker.told(b"p%d" % peer, dict.fromkeys(invented(count), Held(1, 9)), 0.0)
        return max(lines_of(lambda now=now: tracker.asks(now)) for now in range(1, 9))

    assert cost(8192) <= cost(2048) * 1.1


def test_to_give_up_costs_the_same_however_many_sources_lack_something():
    def cost(count: int) -> int:
        tracker = Tracker()
        for source in invented(count):
            tracker.take(arrival(2, source), 0.0)
        return max(lines_of(lambda now=now: tracker.losses(now)) for now in range(1, 9))

    assert cost(4096) <= cost(2048) * 1.1


def test_a_gap_is_asked_for_and_given_up_in_its_turn_among_invented_ones():
    tracker = Tracker()
    tracker.told(P, dict.fromkeys(invented(8000), Held(1, 9)), 0.0)
    tracker.told(M, {A: Held(1, 9)}, 0.0)
    asks = [ask for turn in range(8) for ask in tracker.asks(1.0 + turn / 100)]
    assert Ask(M, A, 0) in asks
    assert len(asks) == ASKS_PER_PEER + 1
    tracker = Tracker(hold_items=8192)
    for source in (*invented(8000), A):
        tracker.take(arrival(2, source), 0.0)
    lost = [lost for _ in range(8) for lost in tracker.losses(61.0)]
    assert Lost(A, 1, 1, "unreachable", True) in lost
    assert len(lost) == 8001


def test_what_an_answer_has_helped_is_gone_on_with_before_all_others():
    tracker = Tracker()
    tracker.told(M, {A: Held(1, 9)}, 0.0)
    (ask,) = tracker.asks(1.0)
    tracker.told(P, dict.fromkeys(invented(8192), Held(1, 9)), 1.0)
    tracker.take(arrival(1), 1.0)
    tracker.answered(ask, Held(1, 9), 1.0)
    assert Ask(M, A, 1) in tracker.asks(1.0)
