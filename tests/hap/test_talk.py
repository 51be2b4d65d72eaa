"""Conversations: replies stand below what they reply to, and what is kept is bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bzzzd.hap.values import talk
from bzzzd.hap.values.talk import Said, Talk, Thread

PLAN = Said("h-1", "proposal", "worker-1", at=1, text="I will remove the old ones.")
WORRY = Said("h-3", "objection", "lena", at=3, reply_to="h-1", text="Not the newest.")
ASK = Said("h-2", "question", "otto", at=2, text="Which ones?")
YES = Said("h-4", "agreement", "worker-1", at=4, reply_to="h-3", text="Right.")
ALL = (PLAN, ASK, WORRY, YES)


def test_replies_stand_below_what_they_reply_to() -> None:
    found = [(place.said.id, place.depth) for place in talk.placed(ALL)]
    assert found == [("h-1", 0), ("h-3", 1), ("h-4", 2), ("h-2", 0)]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=10, unique_by=lambda pair: pair[0]))
def test_every_message_is_placed_once_whatever_it_replies_to(links: list[tuple[int, int]]) -> None:
    said = tuple(Said(f"h-{id}", at=float(id), reply_to=f"h-{to}") for id, to in sorted(links))
    assert sorted(place.said.id for place in talk.placed(said)) == [one.id for one in said]


def test_the_newest_thread_is_the_first_and_keeps_a_subject_that_a_stream_leaves_out() -> None:
    found = talk.with_threads(Talk(), (Thread("t-1", subject="Backups", last_at=1), Thread("t-2", last_at=5)))
    found = talk.with_threads(found, (Thread("t-1", last_at=9),))
    assert found.order == ("t-1", "t-2")
    assert found.threads["t-1"].subject == "Backups"


def test_messages_of_unopened_threads_are_not_kept_and_a_text_is_not_forgotten() -> None:
    assert talk.heard(Talk(), "t-1", ALL).spoken == {}
    found = talk.heard(Talk(), "t-1", ALL, opening=True)
    again = talk.heard(found, "t-1", (Said("h-1", "proposal", "worker-1", at=1, standing="settled"),))
    first = again.spoken["t-1"][0]
    assert (first.text, first.standing) == (PLAN.text, "settled")


def test_what_is_kept_is_bounded() -> None:
    found = Talk()
    for number in range(100):
        found = talk.heard(found, f"t-{number}", (Said("h-1", text="x" * 100_000),), opening=True)
    assert "t-99" in found.spoken
    assert len(found.spoken) <= talk.MOST_SPOKEN
    threads = (Thread(f"t-{number}", last_at=number) for number in range(talk.MOST_THREADS + 5))
    assert len(talk.with_threads(found, threads).threads) == talk.MOST_THREADS


def test_a_message_calls_a_person_by_name_or_role() -> None:
    named = Said("h-9", to=("lena", "role:operator"))
    assert talk.calls(named, "lena", "worker")
    assert talk.calls(named, "otto", "operator")
    assert not talk.calls(named, "otto", "worker")
    assert not talk.calls(named, "", "operator")
