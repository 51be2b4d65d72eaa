"""What every engine of the ledger must do; an engine's own test module inherits ``LedgerConformance``.

A subclass provides the fixture ``world``: a ``World`` around its engine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bzzzd.errors import BadInput, Conflict, FinalState, NotAllowed, NotFound, Overloaded, StaleToken
from bzzzd.slurp.backup import check_backup
from bzzzd.slurp.ledger import Ledger, Outcome
from bzzzd.slurp.task import Task, Token

from .kit import BRIEF, MESH, RESULT, Clock, Maker, Member, agent, person, raw_of


class World:
    """A ledger, its clock and its members; ``do`` signs and executes one command."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self.ledger = ledger
        self.clock = clock
        self.maker = Maker(clock)
        self.alice = person()
        self.bob = agent("bob")
        self.carol = agent("carol")
        self.root = Member("root", "admin", "admin")

    async def do(self, who: Member, op: str, task: str, token: Token | None = None, **fields: Any) -> Outcome:
        command = self.maker.command(op, task, token, **fields)
        return await self.ledger.execute(who.author, command, raw_of(who, command))

    async def submit(self, who: Member | None = None, **fields: Any) -> Task:
        return (await self.do(who or self.alice, "submit", self.maker.new_task_id(), **fields)).task

    async def claim(self, who: Member, task: Task, **fields: Any) -> Token:
        token = (await self.do(who, "claim", task.id, **fields)).task.token
        assert token is not None
        return token

    async def held(self, **fields: Any) -> tuple[Task, Token]:
        task = await self.submit(**fields)
        return task, await self.claim(self.bob, task)

    async def lapse(self) -> None:
        """Let time pass until the next thing ends, and have it entered."""
        next_at = (await self.ledger.expire()).next_at
        assert next_at is not None
        self.clock.go(max(0.0, next_at - self.clock.boot) + 0.001)
        await self.ledger.expire()

    async def state(self, task: Task) -> str:
        return (await self.ledger.show(task.id)).state


class LedgerConformance:
    # The way of a task.

    async def test_a_task_goes_from_its_author_through_a_claim_to_its_result(self, world: World) -> None:
        task = await world.submit(role="worker", capability="answer", priority=7, project="p")
        assert (task.state, task.author, task.priority, task.token) == ("submitted", "alice", 7, None)
        outcome = await world.do(world.bob, "claim", task.id)
        assert (outcome.task.state, outcome.task.agent) == ("working", "bob")
        token = outcome.task.token
        done = (await world.do(world.bob, "complete", task.id, token)).task
        assert (done.state, done.result, done.agent, done.token) == ("completed", RESULT, "bob", None)
        assert await world.ledger.show(task.id) == done

    async def test_each_command_is_an_event_with_the_next_number(self, world: World) -> None:
        task = await world.submit()
        token = await world.claim(world.bob, task)
        await world.do(world.bob, "complete", task.id, token)
        page = await world.ledger.events(0)
        assert [event.number for event in page.events] == [1, 2, 3]
        assert [event.kind for event in page.events] == ["submitted", "claimed", "completed"]
        assert [event.task.state for event in page.events] == ["submitted", "working", "completed"]
        assert page.head == 3

    async def test_the_trace_keeps_who_did_what_and_the_bytes_they_signed(self, world: World) -> None:
        task = await world.submit()
        command = world.maker.command("claim", task.id)
        raw = raw_of(world.bob, command)
        await world.ledger.execute(world.bob.author, command, raw)
        steps = await world.ledger.trace(task.id)
        assert [(step.what, step.by) for step in steps] == [("submitted", "person:alice"), ("claimed", "agent:bob")]
        assert steps[1].raw == raw

    async def test_a_task_that_no_rule_allows_is_rejected_and_stays_so(self, world: World) -> None:
        task = await world.submit(person("eve", "observer"))
        assert (task.state, task.reason) == ("rejected", "not_allowed")
        with pytest.raises(FinalState):
            await world.claim(world.bob, task)

    async def test_an_unknown_task_is_not_found(self, world: World) -> None:
        with pytest.raises(NotFound):
            await world.do(world.bob, "claim", "t-none")
        with pytest.raises(NotFound):
            await world.ledger.show("t-none")

    async def test_a_task_id_is_used_once(self, world: World) -> None:
        task = await world.submit()
        with pytest.raises(Conflict):
            await world.do(world.alice, "submit", task.id)

    # Who may do what.

    async def test_only_agents_claim(self, world: World) -> None:
        task = await world.submit()
        with pytest.raises(NotAllowed):
            await world.do(world.alice, "claim", task.id)

    async def test_an_agent_of_another_role_or_without_the_capability_is_refused(self, world: World) -> None:
        for wanted in ({"role": "reviewer"}, {"capability": "command"}):
            task = await world.submit(**wanted)
            with pytest.raises(NotAllowed):
                await world.do(world.bob, "claim", task.id)
            assert await world.state(task) == "submitted"

    async def test_a_held_task_cannot_be_claimed_again(self, world: World) -> None:
        task, _ = await world.held()
        for who in (world.carol, world.bob):
            with pytest.raises(Conflict):
                await world.do(who, "claim", task.id)

    @pytest.mark.parametrize("op", ["renew", "ask", "complete", "fail", "release"])
    async def test_only_the_key_that_claimed_acts_on_the_lease(self, world: World, op: str) -> None:
        task, token = await world.held()
        with pytest.raises(NotAllowed):
            await world.do(world.carol, op, task.id, token)
        assert await world.state(task) == "working"

    async def test_a_namesake_with_another_key_is_not_the_holder(self, world: World) -> None:
        task, token = await world.held()
        with pytest.raises(NotAllowed):
            await world.do(Member("bob", "agent", "worker", seed=99), "complete", task.id, token)

    async def test_a_task_is_canceled_by_its_author_or_by_a_role_that_may(self, world: World) -> None:
        first, second = await world.submit(), await world.submit()
        with pytest.raises(NotAllowed):
            await world.do(person("mallory"), "cancel", first.id)
        with pytest.raises(NotAllowed):  # same id, another kind of subject
            await world.do(agent("alice"), "cancel", first.id)
        assert (await world.do(world.alice, "cancel", first.id)).task.state == "canceled"
        assert (await world.do(world.root, "cancel", second.id, reason="obsolete")).task.reason == "obsolete"

    async def test_the_owner_of_a_canceled_task_learns_it_from_its_next_command(self, world: World) -> None:
        task, token = await world.held()
        await world.do(world.alice, "cancel", task.id)
        with pytest.raises(FinalState):
            await world.do(world.bob, "complete", task.id, token)

    # Leases and tokens.

    async def test_a_renewed_lease_counts_from_the_renewal(self, world: World) -> None:
        task, token = await world.held()
        world.clock.go(20)
        await world.do(world.bob, "renew", task.id, token)
        world.clock.go(20)
        assert (await world.ledger.expire()).events == ()
        assert await world.state(task) == "working"

    async def test_a_lease_that_ends_takes_the_task_back_with_one_strike(self, world: World) -> None:
        task, _ = await world.held()
        await world.lapse()
        now = await world.ledger.show(task.id)
        assert (now.state, now.strikes, now.agent, now.token) == ("submitted", 1, None, None)

    async def test_the_end_of_a_lease_is_the_ledgers_entry_and_not_a_clock(self, world: World) -> None:
        task, token = await world.held()
        world.clock.go(31)
        await world.do(world.bob, "complete", task.id, token)
        assert await world.state(task) == "completed"

    async def test_a_former_owner_is_refused_even_while_nobody_holds_the_task(self, world: World) -> None:
        task, token = await world.held()
        await world.lapse()
        for op in ("renew", "complete", "fail", "release", "ask"):
            with pytest.raises(StaleToken):
                await world.do(world.bob, op, task.id, token)

    async def test_a_former_owner_is_refused_after_another_claim_and_after_its_own(self, world: World) -> None:
        task, first = await world.held()
        await world.lapse()
        second = await world.claim(world.carol, task)
        assert second > first
        with pytest.raises(StaleToken):
            await world.do(world.bob, "complete", task.id, first)
        await world.lapse()
        third = await world.claim(world.bob, task)
        with pytest.raises(StaleToken):
            await world.do(world.bob, "complete", task.id, first)
        assert (await world.do(world.bob, "complete", task.id, third)).task.state == "completed"

    async def test_a_token_that_was_never_given_is_refused(self, world: World) -> None:
        task, (term, counter) = await world.held()
        with pytest.raises(Conflict) as caught:
            await world.do(world.bob, "complete", task.id, (term, counter + 1))
        assert not isinstance(caught.value, StaleToken)

    async def test_a_lease_lasts_as_long_as_asked_for_within_the_rules(self, world: World) -> None:
        task = await world.submit()
        assert (await world.do(world.bob, "claim", task.id, lease_s=7200.0)).task.lease_s == 3600.0

    async def test_three_ended_leases_make_a_dead_letter(self, world: World) -> None:
        task = await world.submit()
        for _ in range(3):
            await world.claim(world.bob, task)
            await world.lapse()
        now = await world.ledger.show(task.id)
        assert (now.state, now.strikes, now.reason) == ("failed", 3, "lease_ended")
        assert [letter.id for letter in (await world.ledger.dead_letters()).tasks] == [task.id]

    async def test_retryable_failures_are_strikes_and_keep_their_reason(self, world: World) -> None:
        task = await world.submit()
        for expected in ("submitted", "submitted", "failed"):
            token = await world.claim(world.bob, task)
            now = (await world.do(world.bob, "fail", task.id, token, retryable=True)).task
            assert (now.state, now.reason) == (expected, "model_failed")
        assert now.dead

    async def test_a_failure_for_good_is_no_dead_letter(self, world: World) -> None:
        task, token = await world.held()
        now = (await world.do(world.bob, "fail", task.id, token, detail="e" * 64)).task
        assert (now.state, now.strikes, now.dead, now.detail) == ("failed", 0, False, "e" * 64)
        assert (await world.ledger.dead_letters()).tasks == ()

    async def test_a_task_that_is_handed_back_gets_no_strike(self, world: World) -> None:
        task = await world.submit()
        for _ in range(5):
            token = await world.claim(world.bob, task)
            await world.do(world.bob, "release", task.id, token)
        now = await world.ledger.show(task.id)
        assert (now.state, now.strikes) == ("submitted", 0)

    async def test_a_returning_ledger_gives_live_leases_a_full_period(self, world: World) -> None:
        task, token = await world.held()
        world.clock.go(300)
        world.clock.boot = 5.0  # the machine was booted meanwhile
        assert [event.kind for event in (await world.ledger.start()).events] == ["lease_prolonged"]
        world.clock.go(29)
        await world.ledger.expire()
        assert (await world.do(world.bob, "renew", task.id, token)).task.state == "working"

    async def test_a_lease_that_ended_while_the_ledger_was_away_is_no_strike(self, world: World) -> None:
        task, _ = await world.held()
        await world.ledger.start()
        await world.lapse()
        now = await world.ledger.show(task.id)
        assert (now.state, now.strikes) == ("submitted", 0)

    async def test_an_owner_that_renewed_after_the_return_can_be_struck_again(self, world: World) -> None:
        task, token = await world.held()
        await world.ledger.start()
        await world.do(world.bob, "renew", task.id, token)
        await world.lapse()
        assert (await world.ledger.show(task.id)).strikes == 1

    async def test_an_expiry_that_comes_far_too_late_means_that_the_ledger_was_frozen(self, world: World) -> None:
        task, token = await world.held()
        world.clock.go(600)
        assert [event.kind for event in (await world.ledger.expire()).events] == ["lease_prolonged"]
        assert (await world.do(world.bob, "complete", task.id, token)).task.state == "completed"

    # Waiting for a person, and the task's own deadline.

    async def test_an_owner_that_waits_for_a_person_keeps_its_lease_by_renewing(self, world: World) -> None:
        task, token = await world.held()
        assert (await world.do(world.bob, "ask", task.id, token)).task.state == "input_required"
        assert (await world.do(world.bob, "renew", task.id, token)).task.state == "input_required"
        await world.do(world.alice, "answer", task.id)
        assert (await world.do(world.bob, "begin", task.id, token)).task.state == "working"

    async def test_a_lease_ends_while_a_person_is_asked_as_well(self, world: World) -> None:
        task, token = await world.held()
        await world.do(world.bob, "ask", task.id, token)
        await world.lapse()
        assert await world.state(task) == "submitted"

    async def test_a_task_that_misses_its_deadline_fails(self, world: World) -> None:
        task = await world.submit(deadline_s=50.0)
        await world.lapse()
        now = await world.ledger.show(task.id)
        assert (now.state, now.reason, now.dead) == ("failed", "deadline", False)

    async def test_the_deadline_stands_still_while_a_person_is_asked(self, world: World) -> None:
        task = await world.submit(deadline_s=50.0)
        token = await world.claim(world.bob, task, lease_s=3600.0)
        world.clock.go(10)
        await world.do(world.bob, "ask", task.id, token)
        world.clock.go(1000)
        await world.ledger.expire()
        await world.do(world.alice, "answer", task.id)
        await world.do(world.bob, "begin", task.id, token)
        world.clock.go(39)
        await world.ledger.expire()
        assert await world.state(task) == "working"
        world.clock.go(2)
        await world.ledger.expire()
        assert await world.state(task) == "failed"

    async def test_next_at_is_none_when_nothing_can_expire(self, world: World) -> None:
        task, token = await world.held()
        assert (await world.ledger.expire()).next_at == world.clock.boot + 30
        await world.do(world.bob, "complete", task.id, token)
        assert (await world.ledger.expire()).next_at is None

    # Idempotency.

    async def test_a_repeated_command_gives_the_outcome_of_the_first(self, world: World) -> None:
        task = await world.submit()
        command = world.maker.command("claim", task.id)
        raw = raw_of(world.bob, command)
        first = await world.ledger.execute(world.bob.author, command, raw)
        await world.lapse()
        await world.claim(world.carol, task)
        again = await world.ledger.execute(world.bob.author, command, raw)
        assert again == Outcome(first.task, (), repeated=True)
        assert (await world.ledger.show(task.id)).agent == "carol"

    async def test_a_command_that_could_be_done_twice_is_done_once(self, world: World) -> None:
        task, token = await world.held()
        command = world.maker.command("renew", task.id, token=token)
        raw = raw_of(world.bob, command)
        first = await world.ledger.execute(world.bob.author, command, raw)
        world.clock.go(10)
        assert await world.ledger.execute(world.bob.author, command, raw) == Outcome(first.task, (), repeated=True)
        other = world.maker.command("renew", task.id, token=token, id=command.id, at=command.at + 1)
        with pytest.raises(Conflict):
            await world.ledger.execute(world.bob.author, other, raw_of(world.bob, other))
        assert (await world.ledger.show(task.id)).lease_end == first.task.lease_end
        assert len(await world.ledger.trace(task.id)) == 3

    async def test_an_id_used_for_something_else_is_a_conflict(self, world: World) -> None:
        await world.submit(id="mine")
        with pytest.raises(Conflict):
            await world.submit(id="mine")

    async def test_command_ids_belong_to_their_author(self, world: World) -> None:
        await world.submit(id="same")
        await world.submit(world.root, id="same")

    async def test_a_refused_command_may_succeed_when_it_comes_again(self, world: World) -> None:
        task, token = await world.held()
        command = world.maker.command("claim", task.id)
        raw = raw_of(world.carol, command)
        with pytest.raises(Conflict):
            await world.ledger.execute(world.carol.author, command, raw)
        await world.do(world.bob, "release", task.id, token)
        assert (await world.ledger.execute(world.carol.author, command, raw)).task.agent == "carol"

    async def test_ids_are_forgotten_after_their_time_and_too_old_commands_are_refused(self, world: World) -> None:
        task = world.maker.new_task_id()
        command = world.maker.command("submit", task)
        raw = raw_of(world.alice, command)
        await world.ledger.execute(world.alice.author, command, raw)
        world.clock.go(30 * 86400 + 60)
        assert await world.ledger.prune() == 1
        with pytest.raises(BadInput, match="days old"):
            await world.ledger.execute(world.alice.author, command, raw)
        await world.submit(id=command.id)

    async def test_ids_are_known_as_long_as_their_commands_are_accepted(self, world: World) -> None:
        command = world.maker.command("submit", world.maker.new_task_id(), at=world.clock.wall + 25)
        raw = raw_of(world.alice, command)
        await world.ledger.execute(world.alice.author, command, raw)
        world.clock.go(30 * 86400 + 20)
        await world.ledger.prune()
        assert (await world.ledger.execute(world.alice.author, command, raw)).repeated

    async def test_a_command_from_the_future_is_refused(self, world: World) -> None:
        with pytest.raises(BadInput, match="future"):
            await world.submit(at=world.clock.wall + 31)
        await world.submit(at=world.clock.wall + 29)

    # Retry.

    async def test_a_retry_is_a_new_task_that_asks_for_the_same(self, world: World) -> None:
        task = await world.submit(role="worker", priority=8, project="p", approve=True)
        await world.do(world.alice, "cancel", task.id)
        new = (await world.do(world.alice, "retry", task.id, new_task="t-new")).task
        assert (new.id, new.state, new.retry_of, new.brief) == ("t-new", "submitted", task.id, BRIEF)
        assert (new.role, new.priority, new.project, new.approve) == ("worker", 8, "p", True)
        assert await world.state(task) == "canceled"
        assert await world.ledger.retries(task.id) == ["t-new"]

    async def test_a_task_that_has_not_ended_is_not_retried(self, world: World) -> None:
        task = await world.submit()
        with pytest.raises(Conflict):
            await world.do(world.alice, "retry", task.id, new_task="t-new")
        with pytest.raises(Conflict):
            await world.submit(retry_of=task.id)

    async def test_strangers_do_not_retry_the_tasks_of_others(self, world: World) -> None:
        task = await world.submit()
        await world.do(world.alice, "cancel", task.id)
        with pytest.raises(NotAllowed):
            await world.do(person("mallory"), "retry", task.id, new_task="t-new")
        assert (await world.do(world.root, "retry", task.id, new_task="t-new")).task.author == "root"

    # Reading.

    async def test_lists_come_in_pages_newest_first(self, world: World) -> None:
        made = [(await world.submit(project="p" if n % 2 else "q")).id for n in range(7)]
        first = await world.ledger.list_tasks(limit=4)
        rest = await world.ledger.list_tasks(limit=4, after=first.next)
        assert [task.id for task in first.tasks + rest.tasks] == made[::-1]
        assert rest.next is None
        assert [task.id for task in (await world.ledger.list_tasks(project="p")).tasks] == made[5::-2]

    async def test_lists_are_filtered_by_state_and_project(self, world: World) -> None:
        kept = await world.submit(project="p")
        gone = await world.submit(project="p")
        await world.do(world.alice, "cancel", gone.id)
        assert (await world.ledger.list_tasks(state="submitted")).tasks == (kept,)
        assert [task.id for task in (await world.ledger.list_tasks(state="canceled", project="p")).tasks] == [gone.id]

    async def test_open_tasks_of_a_need_come_by_priority_then_age(self, world: World) -> None:
        ids = [(await world.submit(capability="answer", priority=p)).id for p in (1, 9, 5, 9)]
        await world.submit(role="worker")
        found = await world.ledger.open_tasks("", "answer", 10)
        assert [task.id for task in found] == [ids[1], ids[3], ids[2], ids[0]]
        assert sorted(await world.ledger.open_needs()) == [("", "answer"), ("worker", "")]

    async def test_a_subscriber_resumes_from_its_number(self, world: World) -> None:
        for _ in range(5):
            await world.submit()
        page = await world.ledger.events(2, limit=2)
        assert ([event.number for event in page.events], page.head, page.reset) == ([3, 4], 5, False)

    async def test_a_cursor_that_is_too_old_or_unknown_is_reset(self, world: World) -> None:
        for _ in range(1005):
            await world.submit()
        assert (await world.ledger.events(4)).reset
        assert not (await world.ledger.events(5)).reset
        assert (await world.ledger.events(1006)).reset

    async def test_an_event_shows_the_task_as_it_was_then(self, world: World) -> None:
        task, token = await world.held()
        await world.do(world.bob, "complete", task.id, token)
        claimed = (await world.ledger.events(0)).events[1].task
        assert (claimed.state, claimed.token, claimed.result) == ("working", token, None)

    async def test_the_status_counts_what_there_is(self, world: World) -> None:
        await world.submit()
        task, token = await world.held()
        await world.held()
        await world.do(world.bob, "fail", task.id, token)
        status = await world.ledger.status()
        assert {state: n for state, n in status.counts.items() if n} == {"submitted": 1, "working": 1, "failed": 1}
        assert (status.leases, status.head) == (1, 6)

    async def test_submits_over_the_bound_of_open_tasks_are_refused(self, crowded: World) -> None:
        task = await crowded.submit()
        await crowded.submit()
        with pytest.raises(Overloaded):
            await crowded.submit()
        await crowded.claim(crowded.bob, task)
        await crowded.submit()

    # Terms, backups.

    async def test_a_promotion_raises_the_term_and_takes_leases_back_without_a_strike(self, world: World) -> None:
        task, token = await world.held()
        before = await world.ledger.status()
        after = await world.ledger.promote()
        assert after.term > before.term
        assert after.incarnation != before.incarnation
        with pytest.raises(StaleToken):
            await world.do(world.bob, "complete", task.id, token)
        assert (await world.ledger.show(task.id)).strikes == 0
        assert await world.claim(world.bob, task) > token

    async def test_a_restored_ledger_is_as_it_was_but_nobody_holds_anything(self, world: World, tmp_path: Path) -> None:
        done, token = await world.held()
        await world.do(world.bob, "complete", done.id, token)
        held, token = await world.held()
        await world.ledger.backup(tmp_path / "backup")
        later = await world.submit()
        await world.do(world.bob, "complete", held.id, token)
        status = await world.ledger.restore(check_backup(tmp_path / "backup", MESH))
        assert await world.state(done) == "completed"
        assert (await world.ledger.show(held.id)).strikes == 0
        assert await world.state(held) == "submitted"
        with pytest.raises(NotFound):
            await world.ledger.show(later.id)
        with pytest.raises(StaleToken):
            await world.do(world.bob, "complete", held.id, token)
        assert {state: n for state, n in status.counts.items() if n} == {"completed": 1, "submitted": 1}

    async def test_the_same_backup_restored_twice_never_gives_the_same_token_twice(
        self, world: World, tmp_path: Path
    ) -> None:
        task = await world.submit()
        await world.ledger.backup(tmp_path / "backup")
        tokens = set()
        for _ in range(3):
            await world.ledger.restore(check_backup(tmp_path / "backup", MESH))
            tokens.add(await world.claim(world.bob, task))
        assert len(tokens) == 3

    async def test_commands_from_before_the_backup_stay_known_after_it(self, world: World, tmp_path: Path) -> None:
        command = world.maker.command("submit", world.maker.new_task_id())
        raw = raw_of(world.alice, command)
        await world.ledger.execute(world.alice.author, command, raw)
        await world.ledger.backup(tmp_path / "backup")
        await world.ledger.restore(check_backup(tmp_path / "backup", MESH))
        assert (await world.ledger.execute(world.alice.author, command, raw)).repeated

    async def test_a_backup_never_overwrites_a_file(self, world: World, tmp_path: Path) -> None:
        (tmp_path / "backup").write_text("mine")
        with pytest.raises(Conflict):
            await world.ledger.backup(tmp_path / "backup")
        assert (tmp_path / "backup").read_text() == "mine"
