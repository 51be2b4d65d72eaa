"""The rules of threads: the state is a function of the messages, whatever the order in which they came."""

from __future__ import annotations

from itertools import permutations
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzzzd.errors import (
    HopLimit,
    NotAllowed,
    NotFound,
    ParticipantCap,
    ThreadClosed,
    ThreadFull,
    ThreadRefused,
    WindowClosed,
)
from bzzzd.hmmm.message import Kind
from bzzzd.hmmm.thread import EMPTY, Bounds, Said, Thread, check_post, thread_of
from tests.hmmm.kit import ALICE, BOB, CAROL, said, speaker

SMALL = Bounds(hops=2, participants=3, messages=12, ttl_s=100.0)


def test_a_window_in_which_nobody_objects_settles_the_proposal() -> None:
    plan = said(BOB, "proposal", 10.0, window_s=5.0)
    thread = thread_of([plan])
    assert thread.state(12.0) == "closing"
    assert thread.window_ends(12.0) == 15.0
    assert thread.proposals[plan.id].standing(12.0) == "running"
    assert thread.proposals[plan.id].standing(15.0) == "settled"
    assert thread.state(15.0) == "open"


def test_an_objection_in_time_stands_until_its_author_agrees() -> None:
    plan = said(BOB, "proposal", 10.0, window_s=5.0)
    no = said(CAROL, "objection", 12.0, reply_to=plan)
    other = said(ALICE, "agreement", 13.0, reply_to=plan)
    yes = said(CAROL, "agreement", 30.0, reply_to=no)
    thread = thread_of([plan, no, other])
    assert thread.proposals[plan.id].standing(20.0) == "objected"
    assert thread.proposals[plan.id].objections == (no.id,)
    assert thread.state(12.5) == "open"
    assert thread_of([plan, no, other, yes]).proposals[plan.id].standing(31.0) == "settled"


def test_an_objection_after_the_window_is_refused_and_set_aside_where_it_comes_from_elsewhere() -> None:
    plan = said(BOB, "proposal", 10.0, window_s=5.0)
    late = said(CAROL, "objection", 16.0, reply_to=plan)
    with pytest.raises(WindowClosed):
        check_post(thread_of([plan]), late, 16.0)
    thread = thread_of([plan, late])
    assert thread.aside == {late.id: "window"}
    assert thread.proposals[plan.id].standing(16.0) == "settled"


def test_a_message_dated_back_does_not_open_a_window_again_where_it_is_posted() -> None:
    plan = said(BOB, "proposal", 10.0, window_s=5.0)
    with pytest.raises(WindowClosed):
        check_post(thread_of([plan]), said(CAROL, "objection", 12.0, reply_to=plan), 40.0)


def test_a_later_proposal_of_the_same_author_supersedes_the_earlier() -> None:
    first = said(BOB, "proposal", 10.0, window_s=50.0)
    second = said(BOB, "proposal", 20.0, window_s=50.0)
    thread = thread_of([second, first])
    assert thread.proposals[first.id].standing(21.0) == "superseded"
    assert thread.proposals[second.id].standing(21.0) == "running"
    with pytest.raises(WindowClosed):
        check_post(thread, said(CAROL, "objection", 21.0, reply_to=first), 21.0)


def test_a_summary_closes_and_what_was_said_at_the_same_time_is_set_aside() -> None:
    plan = said(BOB, "proposal", 10.0)
    end = said(BOB, "summary", 20.0)
    late = said(CAROL, "concern", 21.0)
    thread = thread_of([late, end, plan])
    assert thread.state(22.0) == "closed"
    assert thread.closed_by == end.id
    assert thread.aside == {late.id: "closed"}
    with pytest.raises(ThreadClosed):
        check_post(thread, said(ALICE, "question", 23.0), 23.0)


def test_only_those_who_took_part_and_people_close_a_thread() -> None:
    plan = said(BOB, "proposal", 10.0)
    end = said(CAROL, "summary", 11.0)
    assert thread_of([plan, end]).closed_by is None
    with pytest.raises(NotAllowed):
        check_post(thread_of([plan]), end, 11.0)
    check_post(thread_of([plan]), said(ALICE, "summary", 11.0), 11.0)
    with pytest.raises(NotAllowed):
        check_post(EMPTY, said(ALICE, "summary", 11.0), 11.0)


def test_a_silent_thread_closes_by_its_time() -> None:
    thread = thread_of([said(BOB, "question", 10.0)], SMALL)
    assert thread.state(110.0) == "open"
    assert thread.state(110.5) == "closed"


def test_agents_answer_each_other_up_to_the_hop_limit_and_a_person_begins_again() -> None:
    talk = [said(BOB, "question", 1.0)]
    for at, by in ((2.0, CAROL), (3.0, BOB)):
        new = said(by, "answer", at, reply_to=talk[-1])
        check_post(thread_of(talk, SMALL), new, at)
        talk.append(new)
    over = said(CAROL, "answer", 4.0, reply_to=talk[-1])
    with pytest.raises(HopLimit):
        check_post(thread_of(talk, SMALL), over, 4.0)
    assert thread_of([*talk, over], SMALL).aside == {over.id: "hops"}
    word = said(ALICE, "answer", 5.0, reply_to=talk[-1])
    check_post(thread_of(talk, SMALL), word, 5.0)
    again = said(CAROL, "answer", 6.0, reply_to=word)
    check_post(thread_of([*talk, word], SMALL), again, 6.0)
    assert thread_of([*talk, word, again], SMALL).hops[again.id] == 1


def test_no_more_than_so_many_take_part() -> None:
    talk = [said(speaker(number), "concern", float(number)) for number in (1, 2, 3)]
    new = said(speaker(4), "concern", 4.0)
    with pytest.raises(ParticipantCap):
        check_post(thread_of(talk, SMALL), new, 4.0)
    check_post(thread_of(talk, SMALL), said(speaker(2), "concern", 4.0), 4.0)
    assert thread_of([*talk, new], SMALL).aside == {new.id: "participants"}


def test_a_full_thread_takes_nothing_more() -> None:
    talk = [said(BOB, "concern", float(at)) for at in range(SMALL.messages)]
    with pytest.raises(ThreadFull):
        check_post(thread_of(talk, SMALL), said(BOB, "concern", 50.0), 50.0)


def test_a_reply_is_to_something_that_is_there() -> None:
    with pytest.raises(NotFound):
        check_post(EMPTY, said(BOB, "answer", 1.0, reply_to="h-nothing"), 1.0)
    with pytest.raises(NotFound):
        check_post(EMPTY, said(BOB, "objection", 1.0), 1.0)


def test_a_reply_that_came_before_its_parent_finds_its_place() -> None:
    first = said(BOB, "question", 5.0)
    reply = said(CAROL, "answer", 4.0, reply_to=first)  # by a clock that is behind
    assert thread_of([reply]).hops == {reply.id: 0}
    for order in permutations([first, reply]):
        assert thread_of(order).hops == {first.id: 0, reply.id: 1}


@st.composite
def talks(draw: st.DrawFn) -> list[Said]:
    """Messages of a few speakers, replying to each other or to nothing that is here."""
    found: list[Said] = []
    for salt in range(draw(st.integers(0, 14))):
        by = speaker(draw(st.integers(1, 5)), draw(st.sampled_from(["agent", "agent", "person"])))
        kind = draw(st.sampled_from(get_args(Kind)))
        target = draw(st.sampled_from([None, "h-elsewhere", *(one.id for one in found)]))
        window_s = draw(st.sampled_from([0.0, 3.0, 20.0])) if kind == "proposal" else 0.0
        found.append(said(by, kind, float(draw(st.integers(0, 30))), reply_to=target, window_s=window_s, salt=salt))
    return found


@given(talks(), st.randoms(use_true_random=False))
def test_the_state_does_not_depend_on_what_came_first(talk: list[Said], random: object) -> None:
    mixed = list(talk)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert thread_of(mixed, SMALL) == thread_of(talk, SMALL)


@given(talks())
def test_what_counts_keeps_every_bound(talk: list[Said]) -> None:
    thread = thread_of(talk, SMALL)
    counting = [one for one in thread.said if one.id not in thread.aside]
    assert len({one.by.name for one in counting}) == len(thread.participants) <= SMALL.participants
    assert all(thread.hops[one.id] <= SMALL.hops for one in counting)
    if thread.closed_by is not None:
        assert counting[-1].id == thread.closed_by
    for proposal in thread.proposals.values():
        for objection in proposal.objections:
            assert objection not in thread.aside
    assert set(thread.aside) <= {one.id for one in talk}


@given(talks())
def test_what_is_accepted_at_its_time_is_never_set_aside(talk: list[Said]) -> None:
    thread: Thread = thread_of([], SMALL)
    for one in sorted(talk, key=lambda one: one.place):
        try:
            check_post(thread, one, one.at)
        except (ThreadRefused, NotFound, NotAllowed):
            continue
        thread = thread_of([*thread.said, one], SMALL)
        assert not thread.aside
