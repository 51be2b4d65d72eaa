from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bzzzd.slurp import task as t
from bzzzd.slurp.matching import Matcher, Offer
from bzzzd.slurp.task import LedgerClock, Task


def made(id: str, priority: int = 5, created: float = 0.0, role: str = "", capability: str = "") -> Task:
    now = LedgerClock(0.0, created)
    return t.submit(
        id=id, author="a", author_kind="person", brief="b", now=now, priority=priority, role=role, capability=capability
    )


def matcher(**agents: int) -> Matcher:
    """``name=slots``; all are workers that can answer."""
    found = Matcher()
    for name, slots in agents.items():
        found.agent_here(name, "worker", ["answer"], slots)
    return found


def pairs(offers: list[Offer]) -> list[tuple[str, str]]:
    return [(offer.task, offer.agent) for offer in offers]


def test_an_open_task_is_offered_to_a_free_agent_until_it_expires() -> None:
    m = matcher(bob=1)
    m.task_open(made("t"), 10.0)
    assert m.offers(10.0) == [Offer("t", "bob", 15.0)]
    assert m.offers(11.0) == []


def test_tasks_go_by_priority_then_age_over_all_needs() -> None:
    m = matcher()
    m.task_open(made("old", 5, 1.0), 0)
    m.task_open(made("young", 5, 2.0, role="worker"), 0)
    m.task_open(made("urgent", 9, 3.0, capability="answer"), 0)
    m.task_open(made("idle", 0, 0.0), 0)
    m.agent_here("bob", "worker", ["answer"], 3)
    assert [task for task, _ in pairs(m.offers(0))] == ["urgent", "old", "young"]


def test_the_least_loaded_agent_is_asked_first() -> None:
    m = matcher(big=4, small=2)
    m.task_taken("x", "big")
    m.task_taken("y", "small")
    m.task_open(made("t"), 0)
    assert pairs(m.offers(0)) == [("t", "big")]


def test_equals_take_turns() -> None:
    m = matcher(a=1, b=1, c=1)
    seen = []
    for n in range(6):
        m.task_open(made(f"t{n}"), 0)
        [(task, name)] = pairs(m.offers(0))
        seen.append(name)
        m.task_taken(task, name)
        m.task_gone(task)
    assert seen == ["a", "b", "c", "a", "b", "c"]


def test_only_an_agent_with_the_role_and_the_capability_is_asked() -> None:
    m = matcher(bob=9)
    m.task_open(made("other-role", role="reviewer"), 0)
    m.task_open(made("other-capability", capability="command"), 0)
    m.task_open(made("half", role="worker", capability="command"), 0)
    assert m.offers(0) == []
    m.agent_here("dave", "worker", ["command"], 9)
    assert pairs(m.offers(0)) == [("half", "dave"), ("other-capability", "dave")]


def test_an_agent_gets_no_more_than_its_slots() -> None:
    m = matcher(bob=2)
    for n in range(4):
        m.task_open(made(f"t{n}", created=n), 0)
    assert pairs(m.offers(0)) == [("t0", "bob"), ("t1", "bob")]
    m.task_taken("t0", "bob")
    assert m.offers(0) == []
    m.task_gone("t0")
    assert pairs(m.offers(0)) == [("t2", "bob")]


def test_a_paused_agent_gets_nothing_until_it_has_slots() -> None:
    m = matcher(bob=0)
    m.task_open(made("t"), 0)
    assert m.offers(0) == []
    m.agent_here("bob", "worker", ["answer"], 1)
    assert pairs(m.offers(0)) == [("t", "bob")]


def test_an_offer_that_lapses_goes_to_another_agent_and_the_silent_one_rests() -> None:
    m = matcher(silent=5, willing=1)
    m.task_taken("x", "willing")
    m.task_open(made("t"), 0)
    assert pairs(m.offers(0)) == [("t", "silent")]
    assert m.next_time() == 5.0
    m.task_gone("x")
    assert pairs(m.offers(5.0)) == [("t", "willing")]
    m.task_taken("t", "willing")
    m.task_open(made("u"), 6.0)
    assert m.offers(14.9) == []
    assert pairs(m.offers(15.0)) == [("u", "silent")]


def test_a_silent_agent_rests_longer_each_time_and_a_claim_wakes_it() -> None:
    m = matcher(silent=1)
    m.task_open(made("t"), 0)
    now, rests = 0.0, []
    for _ in range(6):
        assert pairs(m.offers(now)) == [("t", "silent")]
        now += 5.0
        assert m.offers(now) == []
        woken = m.next_time()
        assert woken is not None
        rests.append(woken - now)
        now = woken
    assert rests == [10.0, 20.0, 40.0, 60.0, 60.0, 60.0]
    assert pairs(m.offers(now)) == [("t", "silent")]
    m.offers(now + 5)
    m.task_taken("t", "silent")
    m.task_gone("t")
    m.task_open(made("u"), now + 6)
    assert pairs(m.offers(now + 6)) == [("u", "silent")]


def test_a_task_that_an_agent_handed_back_goes_to_somebody_else_at_once() -> None:
    m = matcher(bob=1, carol=1)
    m.task_taken("t", "bob")
    m.task_open(made("t"), 0)
    assert pairs(m.offers(0)) == [("t", "carol")]


def test_a_task_that_the_only_agent_handed_back_comes_again_after_a_while() -> None:
    m = matcher(bob=1)
    m.task_taken("t", "bob")
    m.task_open(made("t"), 0)
    assert m.offers(0) == []
    assert m.next_time() == 10.0
    assert pairs(m.offers(10.0)) == [("t", "bob")]


def test_a_task_that_was_handed_back_does_not_hold_up_those_behind_it() -> None:
    m = matcher(bob=1)
    m.task_taken("first", "bob")
    m.task_open(made("first", 9), 0)
    m.task_open(made("second", 1), 0)
    assert pairs(m.offers(0)) == [("second", "bob")]


def test_a_task_that_the_free_agents_refused_goes_to_the_next_one_that_gets_free() -> None:
    m = matcher(bob=1, carol=1)
    m.task_taken("x", "carol")
    m.task_open(made("t"), 0)
    assert pairs(m.offers(0)) == [("t", "bob")]
    m.refused("t", "bob", 1.0)
    assert m.offers(1.0) == []
    m.task_gone("x")
    assert pairs(m.offers(2.0)) == [("t", "carol")]


def test_a_parked_task_comes_back_with_the_first_refusal_that_lapses() -> None:
    m = matcher(bob=1, carol=1)
    m.task_open(made("t"), 0)
    m.refused("t", "carol", 0)
    assert pairs(m.offers(0)) == [("t", "bob")]
    m.task_taken("x", "carol")
    m.refused("t", "bob", 5.0)
    assert m.offers(5.0) == []
    m.task_gone("x")
    assert m.offers(7.0) == []
    assert pairs(m.offers(10.0)) == [("t", "carol")]


def test_the_offers_of_an_agent_that_goes_away_are_made_to_others() -> None:
    m = matcher(bob=2, carol=1)
    m.task_open(made("t"), 0)
    assert pairs(m.offers(0)) == [("t", "bob")]
    m.agent_gone("bob")
    assert pairs(m.offers(0)) == [("t", "carol")]


def test_an_agent_that_comes_back_still_has_what_it_holds() -> None:
    m = matcher(bob=1)
    m.task_taken("t", "bob")
    m.agent_gone("bob")
    m.agent_here("bob", "worker", [], 1)
    m.task_open(made("u"), 0)
    assert m.offers(0) == []


def test_a_task_claimed_by_another_than_it_was_offered_to_frees_the_one_that_was_asked() -> None:
    m = matcher(bob=1, carol=1)
    m.task_open(made("t"), 0)
    assert pairs(m.offers(0)) == [("t", "bob")]
    m.task_taken("t", "carol")
    m.task_open(made("u"), 0)
    assert pairs(m.offers(0)) == [("u", "bob")]


def test_a_ledgers_states_are_followed() -> None:
    m, now = matcher(bob=1), LedgerClock(0, 0)
    task = made("t")
    m.follow(task, 0)
    assert pairs(m.offers(0)) == [("t", "bob")]
    held = t.claim(task, agent="bob", key=b"k", term=1, lease_s=30, now=now)
    m.follow(held, 0)
    m.follow(t.pause(held, b"k", (1, 1), now), 0)
    m.follow(made("u"), 0)
    assert m.offers(0) == []
    m.follow(t.complete(held, b"k", (1, 1), result="r", address="a", now=now), 0)
    assert pairs(m.offers(0)) == [("u", "bob")]


def test_one_call_makes_a_bounded_number_of_offers() -> None:
    m = matcher(bob=10)
    for n in range(10):
        m.task_open(made(f"t{n}", created=n), 0)
    assert len(m.offers(0, limit=4)) == 4
    assert len(m.offers(0, limit=4)) == 4
    assert len(m.offers(0)) == 2


def test_what_one_call_left_is_offered_by_the_next() -> None:
    m = Matcher()
    m.agent_here("bob", "r1", [], 2)
    m.agent_here("carol", "r2", [], 1)
    m.task_open(made("first", role="r1", created=1), 0)
    m.task_open(made("second", role="r2", created=2), 0)
    assert pairs(m.offers(0, limit=1)) == [("first", "bob")]
    assert m.next_time() == 0.0
    assert pairs(m.offers(0, limit=1)) == [("second", "carol")]
    m.offers(0)
    assert m.next_time() == 5.0


def test_only_the_best_tasks_of_a_need_are_in_memory_and_the_rest_are_asked_for() -> None:
    m = Matcher(keep=10)
    ledger = [made(f"t{n:03}", priority=5, created=n) for n in range(100)]
    for task in ledger:
        m.task_open(task, 0)
    assert len(m._tasks) < 20
    m.task_open(made("urgent", priority=9, created=200), 0)
    m.agent_here("bob", "worker", [], 1)
    done = []
    for _ in range(101):
        for need, limit in m.hungry():
            left = sorted((x for x in ledger if x.id not in done), key=lambda x: x.created)
            m.refill(need, left[:limit], limit, 0)
        [(task, _)] = pairs(m.offers(0))
        done.append(task)
        m.task_taken(task, "bob")
        m.task_gone(task)
        assert len(m._tasks) < 20
    assert done == ["urgent", *(task.id for task in ledger)]
    assert m.hungry() == []


def test_a_refill_that_was_read_before_a_claim_does_not_open_the_task_again() -> None:
    m = Matcher(keep=2)
    m.agent_here("bob", "worker", [], 5)
    m.task_taken("t", "bob")
    m.refill(("", ""), [made("t")], 10, 0)
    assert m.offers(0) == []


def test_a_ledger_that_was_replaced_starts_over_with_the_same_agents() -> None:
    m = matcher(bob=1, carol=1)
    m.task_taken("held", "bob")
    m.task_open(made("offered"), 0)
    m.offers(0)
    m.forget_tasks()
    m.refill(("", ""), [made("held"), made("offered")], 10, 1.0)
    assert pairs(m.offers(1.0)) == [("held", "bob"), ("offered", "carol")]
    assert m.next_time() == 6.0


def test_a_need_without_tasks_leaves_nothing_behind() -> None:
    m = matcher(bob=1)
    for n in range(50):
        m.task_open(made(f"t{n}", role=f"role-{n}"), 0)
    for n in range(50):
        m.task_gone(f"t{n}")
    assert (m._tasks, m._queues) == ({}, {})


class MatcherMachine(RuleBasedStateMachine):
    """Against a model without any cleverness: who is free, what is open, who was asked for what."""

    roles = st.sampled_from(["", "r1", "r2"])
    capabilities = st.sampled_from(["", "c1", "c2"])
    names = st.sampled_from(["a1", "a2", "a3"])

    def __init__(self) -> None:
        super().__init__()
        self.m = Matcher(keep=4)
        self.now = 0.0
        self.made = 0
        self.open: dict[str, Task] = {}
        self.holders: dict[str, str] = {}
        self.agents: dict[str, tuple[str, frozenset[str], int]] = {}
        self.offered: dict[str, Offer] = {}
        self.refusals: dict[tuple[str, str], float] = {}
        self.resting: set[str] = set()

    @rule(priority=st.integers(0, 2), role=roles, capability=capabilities)
    def opened(self, priority: int, role: str, capability: str) -> None:
        self.made += 1
        task = made(f"t{self.made:03}", priority, self.made, role, capability)
        self.open[task.id] = task
        self.m.task_open(task, self.now)

    @rule(
        name=names,
        role=st.sampled_from(["r1", "r2"]),
        caps=st.frozensets(st.sampled_from(["c1", "c2"])),
        slots=st.integers(0, 3),
    )
    def here(self, name: str, role: str, caps: frozenset[str], slots: int) -> None:
        self.agents[name] = (role, caps, slots)
        self.resting.discard(name)
        self.m.agent_here(name, role, sorted(caps), slots)

    @rule(name=names)
    def gone(self, name: str) -> None:
        self.agents.pop(name, None)
        self.resting.discard(name)
        self.offered = {task: offer for task, offer in self.offered.items() if offer.agent != name}
        self.m.agent_gone(name)

    @rule(data=st.data())
    def offered_task_is_claimed(self, data: st.DataObject) -> None:
        if self.offered:
            offer = self.offered.pop(data.draw(st.sampled_from(sorted(self.offered))))
            self.take(offer.task, offer.agent)

    @rule(data=st.data(), name=names)
    def any_task_is_claimed(self, data: st.DataObject, name: str) -> None:
        if self.open:
            task = data.draw(st.sampled_from(sorted(self.open)))
            self.offered.pop(task, None)
            self.take(task, name)

    def take(self, task: str, name: str) -> None:
        del self.open[task]
        self.holders[task] = name
        self.resting.discard(name)
        self.m.task_taken(task, name)

    @rule(data=st.data(), back=st.booleans())
    def held_task_ends_or_comes_back(self, data: st.DataObject, back: bool) -> None:
        if not self.holders:
            return
        task = data.draw(st.sampled_from(sorted(self.holders)))
        name = self.holders.pop(task)
        if back:
            self.open[task] = made(task, 1, 0)
            self.refusals[task, name] = self.now + 10.0
            self.m.task_open(self.open[task], self.now)
        else:
            self.m.task_gone(task)
            self.forget(task)

    @rule(data=st.data())
    def offer_is_refused(self, data: st.DataObject) -> None:
        if self.offered:
            offer = self.offered.pop(data.draw(st.sampled_from(sorted(self.offered))))
            self.refusals[offer.task, offer.agent] = self.now + 10.0
            self.m.refused(offer.task, offer.agent, self.now)

    @rule(data=st.data())
    def open_task_is_canceled(self, data: st.DataObject) -> None:
        if self.open:
            task = data.draw(st.sampled_from(sorted(self.open)))
            del self.open[task]
            self.offered.pop(task, None)
            self.m.task_gone(task)
            self.forget(task)

    def forget(self, task: str) -> None:
        self.refusals = {key: until for key, until in self.refusals.items() if key[0] != task}

    @rule(seconds=st.floats(0, 30))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def offers(self) -> None:
        for task in [task for task, offer in self.offered.items() if offer.expires <= self.now]:
            self.offered.pop(task)
        for _ in range(20):
            for need, limit in self.m.hungry():
                best = sorted(self.asking(need), key=lambda x: (-x.priority, x.created))
                self.m.refill(need, best[:limit], limit, self.now)
            new = self.m.offers(self.now, limit=3)
            for offer in new:
                self.check(offer)
                self.offered[offer.task] = offer
            if not new and not self.m.hungry():
                break
        self.check_nothing_was_left()

    def asking(self, need: tuple[str, str]) -> list[Task]:
        return [task for task in self.open.values() if (task.role, task.capability) == need]

    def load(self, name: str) -> int:
        return list(self.holders.values()).count(name) + sum(o.agent == name for o in self.offered.values())

    def serves(self, name: str, task: Task) -> bool:
        role, caps, slots = self.agents[name]
        fits = task.role in ("", role) and (not task.capability or task.capability in caps)
        return fits and self.load(name) < slots and self.refusals.get((task.id, name), 0.0) <= self.now

    def check(self, offer: Offer) -> None:
        assert offer.task in self.open, "offered what is not open"
        assert offer.task not in self.offered, "offered twice"
        assert self.serves(offer.agent, self.open[offer.task]), "offered to an agent that cannot take it"

    def check_nothing_was_left(self) -> None:
        resting = {name for name, agent in self.m._agents.items() if agent.rests_until is not None}
        for task in self.open.values():
            if task.id not in self.offered:
                idle = [name for name in self.agents if name not in resting and self.serves(name, task)]
                assert not idle, f"{task.id} waits while {idle} could take it"

    @invariant()
    def the_free_list_is_in_order_and_names_each_once(self) -> None:
        free: list[Any] = self.m._free
        assert free == sorted(free)
        assert len({entry[2] for entry in free}) == len(free)


TestMatcherMachine = MatcherMachine.TestCase
TestMatcherMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None, database=None)
