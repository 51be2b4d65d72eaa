from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from bzzzd.errors import Conflict, FinalState, NotAllowed, StaleToken
from bzzzd.slurp import task as t
from bzzzd.slurp.task import FINAL, LEASED, STATES, LedgerClock, State, Task

NOW = LedgerClock(boot=100.0, wall=1_000_000.0)
KEY, OTHER = b"k" * 32, b"o" * 32


def later(seconds: float) -> LedgerClock:
    return LedgerClock(NOW.boot + seconds, NOW.wall + seconds)


def new(**fields: object) -> Task:
    return replace(t.submit(id="t-1", author="alice", author_kind="person", brief="b", now=NOW), **fields)


def working(deadline_s: float | None = None) -> Task:
    task = t.submit(id="t-1", author="alice", author_kind="person", brief="b", now=NOW, deadline_s=deadline_s)
    return t.claim(task, agent="bob", key=KEY, term=7, lease_s=30.0, now=NOW)


def in_state(state: State) -> Task:
    if state == "submitted":
        return new()
    if state == "working":
        return working()
    if state == "input_required":
        return t.pause(working(), KEY, (7, 1), NOW)
    if state == "completed":
        return t.complete(working(), KEY, (7, 1), result="r", address="a", now=NOW)
    if state == "failed":
        return t.fail(working(), KEY, (7, 1), reason="x", retryable=False, detail=None, limit=3, now=NOW)
    if state == "canceled":
        return t.cancel(working(), "x", NOW)
    return t.reject(new(), "x", NOW)


@dataclass(frozen=True)
class Move:
    run: Callable[[Task], Task]
    allowed: dict[State, State]


HOLDER_ENDS: dict[State, State] = {"working": "submitted", "input_required": "submitted"}
MOVES = {
    "claim": Move(lambda x: t.claim(x, agent="eve", key=OTHER, term=8, lease_s=9, now=NOW), {"submitted": "working"}),
    "renew": Move(lambda x: t.renew(x, KEY, (7, 1), NOW), {"working": "working", "input_required": "input_required"}),
    "pause": Move(lambda x: t.pause(x, KEY, (7, 1), NOW), {"working": "input_required"}),
    "resume": Move(lambda x: t.resume(x, KEY, (7, 1), NOW), {"input_required": "working"}),
    "release": Move(lambda x: t.release(x, KEY, (7, 1), NOW), HOLDER_ENDS),
    "complete": Move(
        lambda x: t.complete(x, KEY, (7, 1), result="r", address="a", now=NOW),
        {"working": "completed", "input_required": "completed"},
    ),
    "fail": Move(
        lambda x: t.fail(x, KEY, (7, 1), reason="r", retryable=False, detail=None, limit=3, now=NOW),
        {"working": "failed", "input_required": "failed"},
    ),
    "fail retryable": Move(
        lambda x: t.fail(x, KEY, (7, 1), reason="r", retryable=True, detail=None, limit=3, now=NOW), HOLDER_ENDS
    ),
    "cancel": Move(lambda x: t.cancel(x, "r", NOW), dict.fromkeys(set(STATES) - FINAL, "canceled")),
    "reject": Move(lambda x: t.reject(x, "r", NOW), dict.fromkeys(set(STATES) - FINAL, "rejected")),
    "deadline": Move(lambda x: t.deadline_passed(x, NOW), dict.fromkeys(set(STATES) - FINAL, "failed")),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", MOVES)
def test_each_move_leads_where_the_diagram_says_and_nowhere_else(name: str, state: State) -> None:
    move, before = MOVES[name], in_state(state)
    if state in move.allowed:
        assert move.run(before).state == move.allowed[state]
    else:
        with pytest.raises(Conflict) as caught:
            move.run(before)
        if state in FINAL and before.counter:
            assert isinstance(caught.value, FinalState)


@pytest.mark.parametrize("state", STATES)
def test_only_a_held_task_has_a_token_a_lease_and_a_key_in_force(state: State) -> None:
    task = in_state(state)
    assert (task.token is not None) == (state in LEASED)
    assert (task.lease_end is not None) == (state in LEASED)


def test_every_claim_raises_the_counter_and_takes_the_ledgers_term() -> None:
    task = t.release(working(), KEY, (7, 1), NOW)
    again = t.claim(task, agent="bob", key=KEY, term=9, lease_s=30.0, now=NOW)
    assert again.token == (9, 2)


def test_an_old_token_is_stale_whoever_shows_it() -> None:
    task = t.claim(t.release(working(), KEY, (7, 1), NOW), agent="eve", key=OTHER, term=7, lease_s=30.0, now=NOW)
    for key in (KEY, OTHER):
        with pytest.raises(StaleToken) as caught:
            t.renew(task, key, (7, 1), NOW)
        assert caught.value.data == {"task": "t-1", "token": [7, 1], "state": "working"}


def test_a_token_of_an_older_term_is_stale_even_with_a_higher_counter() -> None:
    with pytest.raises(StaleToken):
        t.renew(working(), KEY, (6, 99), NOW)


def test_a_token_nobody_got_is_a_conflict_and_another_key_is_not_allowed() -> None:
    with pytest.raises(Conflict, match="ever given"):
        t.renew(working(), KEY, (7, 2), NOW)
    with pytest.raises(Conflict, match="ever given"):
        t.renew(new(), KEY, (0, 0), NOW)
    with pytest.raises(NotAllowed):
        t.renew(working(), OTHER, (7, 1), NOW)


def test_a_renewal_counts_from_its_own_time_and_ends_the_grace() -> None:
    task = t.renew(t.lease_prolonged(working(), later(5)), KEY, (7, 1), later(10))
    assert (task.lease_end, task.grace) == (NOW.boot + 40, False)


def test_the_last_strike_makes_a_dead_letter_with_the_reason_of_its_end() -> None:
    task = replace(working(), strikes=2)
    ended = t.lease_ended(task, limit=3, now=NOW)
    assert (ended.state, ended.strikes, ended.dead, ended.reason) == ("failed", 3, True, "lease_ended")
    failed = t.fail(task, KEY, (7, 1), reason="oom", retryable=True, detail="v", limit=3, now=NOW)
    assert (failed.state, failed.dead, failed.reason, failed.detail) == ("failed", True, "oom", "v")


@pytest.mark.parametrize(
    "back",
    [
        lambda x: t.release(x, KEY, (7, 1), NOW),
        lambda x: t.lease_dropped(x, NOW),
        lambda x: t.lease_ended(t.lease_prolonged(x, NOW), limit=3, now=NOW),
    ],
    ids=["handed back", "term raised", "ended in the ledger's absence"],
)
def test_what_is_not_the_owners_fault_is_no_strike(back: Callable[[Task], Task]) -> None:
    task = back(replace(working(), strikes=2))
    assert (task.state, task.strikes, task.agent, task.agent_key) == ("submitted", 2, None, None)


def test_the_deadline_stands_still_while_a_person_is_asked() -> None:
    paused = t.pause(working(deadline_s=100.0), KEY, (7, 1), later(30))
    assert (paused.due, paused.left_s) == (None, 70.0)
    resumed = t.resume(paused, KEY, (7, 1), later(1000))
    assert (resumed.due, resumed.left_s) == (NOW.wall + 1070, None)


def test_the_deadline_runs_again_when_the_owner_is_lost_while_it_waits() -> None:
    paused = t.pause(working(deadline_s=100.0), KEY, (7, 1), later(30))
    lost = t.lease_ended(paused, limit=3, now=later(60))
    assert (lost.state, lost.due, lost.left_s) == ("submitted", NOW.wall + 130, None)


def test_a_task_paused_after_its_deadline_has_nothing_left() -> None:
    assert t.pause(working(deadline_s=10.0), KEY, (7, 1), later(30)).left_s == 0.0


@pytest.mark.parametrize("state", STATES)
def test_only_an_ended_task_is_retried_and_it_stays_as_it_is(state: State) -> None:
    task = in_state(state)
    if state not in FINAL:
        with pytest.raises(Conflict):
            t.retry(task, new_id="t-2", author="carol", author_kind="person", now=NOW)
        return
    again = t.retry(task, new_id="t-2", author="carol", author_kind="person", now=later(5))
    assert (again.id, again.retry_of, again.author, again.state) == ("t-2", "t-1", "carol", "submitted")
    assert (again.strikes, again.counter, again.agent, again.result) == (0, 0, None, None)


def test_the_map_for_members_shows_no_keys() -> None:
    shown = working().to_map()
    assert shown["token"] == [7, 1]
    assert KEY not in shown.values()
