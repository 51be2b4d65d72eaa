"""What every engine of the ledger must do with prompts; an engine's own test module inherits ``PromptConformance``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bzzzd.errors import BadInput, Conflict, FinalState, NotAllowed, NotFound, StaleToken
from bzzzd.slurp.backup import check_backup
from bzzzd.slurp.prompt import Prompt
from bzzzd.slurp.question import Later, To
from bzzzd.slurp.refusals import (
    ActionChanged,
    AnsweredAlready,
    Denied,
    NeedsPerson,
    NotAddressed,
    OtherPrompt,
    OutcomeOpen,
    OwnQuestion,
    PromptExpired,
    ValueChanged,
)
from bzzzd.slurp.task import Task, Token

from .conformance import World
from .kit import MESH, Member, agent, person

OTHER = "9" * 64
OPERATORS = To(roles=("operator",))


async def asked(world: World, **fields: Any) -> tuple[Task, Token, Prompt]:
    """A task held by bob, who has asked about it."""
    task, token = await world.held()
    return task, token, await ask(world, task, token, **fields)


async def ask(world: World, task: Task, token: Token, who: Member | None = None, **fields: Any) -> Prompt:
    prompt = (await world.do(who or world.bob, "ask", task.id, token, **fields)).prompt
    assert prompt is not None
    return prompt


async def now(world: World, prompt: Prompt) -> Prompt:
    return await world.ledger.prompt(prompt.id)


async def lose(world: World, task: Task) -> None:
    """Let the lease of a task end, and nothing else."""
    while (await world.ledger.show(task.id)).state != "submitted":
        await world.lapse()


class PromptConformance:
    # The way of a prompt.

    async def test_a_prompt_is_asked_seen_answered_begun_and_finished(self, world: World) -> None:
        task, token, prompt = await asked(world)
        assert (prompt.state, prompt.by, await world.state(task)) == ("open", "bob", "input_required")
        await world.do(world.alice, "seen", task.id)
        assert (await now(world, prompt)).seen_by == ("alice",)
        answered = (await world.do(world.alice, "answer", task.id)).prompt
        assert answered is not None
        assert (answered.state, answered.verdict, answered.replies[0].by) == ("answered", "approve", "alice")
        begun = await world.do(world.bob, "begin", task.id, token)
        assert begun.prompt is not None
        assert (begun.prompt.state, begun.prompt.token, begun.task.state) == ("claimed", token, "working")
        done = await world.do(world.bob, "finish", task.id, token)
        assert done.prompt is not None
        assert (done.prompt.state, done.prompt.live) == ("executed", False)
        assert await now(world, prompt) == done.prompt
        assert (await world.do(world.bob, "complete", task.id, token)).task.state == "completed"

    async def test_each_step_is_an_event_and_a_step_of_the_tasks_trace(self, world: World) -> None:
        task, token, prompt = await asked(world)
        await world.do(world.alice, "answer", task.id)
        await world.do(world.bob, "begin", task.id, token)
        kinds = ["submitted", "claimed", "prompt_asked", "prompt_answered", "prompt_begun"]
        events = (await world.ledger.events(0)).events
        assert [event.kind for event in events] == kinds
        assert [event.prompt.state for event in events if event.prompt] == ["open", "answered", "claimed"]
        steps = await world.ledger.trace(task.id)
        assert [step.what for step in steps] == kinds
        assert steps[3].detail == f"{prompt.id}: approve"
        assert all(step.raw for step in steps)

    async def test_prompts_are_listed_newest_first_and_by_what_can_become_of_them(self, world: World) -> None:
        made = [(await asked(world))[2] for _ in range(3)]
        await world.do(world.alice, "answer", made[0].task)
        await world.do(world.alice, "cancel", made[1].task)
        page = await world.ledger.list_prompts(limit=2)
        assert [prompt.id for prompt in page.prompts] == [made[2].id, made[1].id]
        assert [p.id for p in (await world.ledger.list_prompts(limit=2, after=page.next)).prompts] == [made[0].id]
        assert [p.id for p in (await world.ledger.list_prompts(live=True)).prompts] == [made[2].id, made[0].id]
        assert [p.id for p in (await world.ledger.list_prompts(state="canceled")).prompts] == [made[1].id]
        assert [p.id for p in (await world.ledger.list_prompts(task=made[0].task)).prompts] == [made[0].id]

    async def test_a_command_that_comes_again_gives_what_it_gave(self, world: World) -> None:
        task, _, prompt = await asked(world, id="once")
        await world.do(world.alice, "answer", task.id, id="mine", at=world.clock.wall)
        again = await world.do(world.alice, "answer", task.id, id="mine", at=world.clock.wall)
        assert again.repeated
        assert again.prompt == await now(world, prompt)

    # Who may answer, and what.

    async def test_the_wrong_person_is_refused(self, world: World) -> None:
        task, _, prompt = await asked(world, to=To(people=("dora",)))
        with pytest.raises(NotAddressed):
            await world.do(world.alice, "answer", task.id)
        with pytest.raises(NotAddressed):
            await world.do(world.alice, "seen", task.id)
        assert (await now(world, prompt)).replies == ()

    async def test_the_asking_agent_is_refused_even_where_its_role_is_asked(self, world: World) -> None:
        task, _, _ = await asked(world, to=To(people=("bob",), roles=("worker",)))
        with pytest.raises(OwnQuestion):
            await world.do(world.bob, "answer", task.id)

    async def test_another_agent_and_a_person_with_the_asking_agents_key_are_refused(self, world: World) -> None:
        task, _, _ = await asked(world, to=To(roles=("worker", "operator")))
        with pytest.raises(NeedsPerson):
            await world.do(world.carol, "answer", task.id)
        impostor = Member("alice", "person", "operator")
        impostor.key, impostor.author = world.bob.key, type(world.bob.author)("alice", "person", "operator", (),
                                                                              world.bob.author.key)  # fmt: skip
        with pytest.raises(OwnQuestion):
            await world.do(impostor, "answer", task.id)

    async def test_a_person_whose_role_may_not_answer_is_refused(self, world: World) -> None:
        task, _, _ = await asked(world, to=To(people=("eve",)))
        with pytest.raises(NotAllowed):
            await world.do(person("eve", "observer"), "answer", task.id)

    async def test_an_answer_after_the_expiry_is_refused(self, world: World) -> None:
        task, token = await world.held(deadline_s=None)
        prompt = await ask(world, task, token, expires=world.clock.wall + 5)
        world.clock.go(5.5)
        with pytest.raises(PromptExpired):  # whether or not the ledger has entered it yet
            await world.do(world.alice, "answer", task.id)
        await world.ledger.expire()
        with pytest.raises(PromptExpired):
            await world.do(world.alice, "answer", task.id)
        assert (await now(world, prompt)).state == "expired"

    async def test_a_second_answer_is_refused(self, world: World) -> None:
        task, _, _ = await asked(world, quorum=2)
        await world.do(world.alice, "answer", task.id)
        with pytest.raises(AnsweredAlready):
            await world.do(world.alice, "answer", task.id)
        await world.do(person("dora"), "answer", task.id)
        with pytest.raises(AnsweredAlready):
            await world.do(person("emil"), "answer", task.id)

    async def test_an_answer_to_another_text_or_prompt_is_refused(self, world: World) -> None:
        task, _, prompt = await asked(world)
        other, _, _ = await asked(world)
        with pytest.raises(OtherPrompt):
            await world.do(world.alice, "answer", task.id, digest=OTHER)
        with pytest.raises(NotFound):
            await world.do(world.alice, "answer", other.id, prompt=prompt.id)

    async def test_a_value_that_the_prompt_does_not_take_is_refused(self, world: World) -> None:
        task, _, _ = await asked(world)
        for change in ({"choice": "blue"}, {"choice": "value"}, {"value": OTHER}, {"choice": "deny", "value": OTHER}):
            with pytest.raises(ValueChanged):
                await world.do(world.alice, "answer", task.id, **change)
        task, _, _ = await asked(world, kind="text")
        for change in ({"choice": "approve"}, {"choice": "value"}):
            with pytest.raises(ValueChanged):
                await world.do(world.alice, "answer", task.id, **change)
        answered = (await world.do(world.alice, "answer", task.id, choice="value", value=OTHER)).prompt
        assert answered is not None
        assert (answered.verdict, answered.replies[0].value) == ("value", OTHER)

    # What is begun.

    async def test_another_action_than_the_one_asked_about_cannot_be_begun(self, world: World) -> None:
        task, token, prompt = await asked(world)
        await world.do(world.alice, "answer", task.id)
        with pytest.raises(ActionChanged):
            await world.do(world.bob, "begin", task.id, token, action=OTHER)
        assert (await now(world, prompt)).state == "answered"

    async def test_nothing_begins_without_an_answer_or_after_a_no(self, world: World) -> None:
        task, token, prompt = await asked(world)
        with pytest.raises(Conflict):
            await world.do(world.bob, "begin", task.id, token)
        await world.do(world.alice, "answer", task.id, choice="deny")
        with pytest.raises(Denied):
            await world.do(world.bob, "begin", task.id, token)
        assert not (await now(world, prompt)).live

    async def test_nothing_begins_twice(self, world: World) -> None:
        task, token, _ = await asked(world)
        await world.do(world.alice, "answer", task.id)
        await world.do(world.bob, "begin", task.id, token)
        with pytest.raises(Conflict):
            await world.do(world.bob, "begin", task.id, token)
        await world.do(world.bob, "finish", task.id, token, result="failed")
        with pytest.raises(FinalState):
            await world.do(world.bob, "begin", task.id, token)

    async def test_nothing_begins_after_the_expiry_even_if_it_was_answered_in_time(self, world: World) -> None:
        task, token = await world.held()
        prompt = await ask(world, task, token, expires=world.clock.wall + 5)
        await world.do(world.alice, "answer", task.id)
        world.clock.go(5.5)
        with pytest.raises(PromptExpired):
            await world.do(world.bob, "begin", task.id, token)
        await world.ledger.expire()
        assert (await now(world, prompt)).state == "expired"

    async def test_only_the_lease_in_force_begins(self, world: World) -> None:
        task, token, _ = await asked(world)
        await world.do(world.alice, "answer", task.id)
        with pytest.raises(NotAllowed):
            await world.do(world.carol, "begin", task.id, token)
        await lose(world, task)
        with pytest.raises(StaleToken):
            await world.do(world.bob, "begin", task.id, token)

    async def test_an_answer_of_somebody_revoked_since_is_void_when_it_is_begun(self, revoking: World) -> None:
        task, token, prompt = await asked(revoking)
        mallory = person("mallory")
        await revoking.do(mallory, "answer", task.id)
        outcome = await revoking.do(revoking.bob, "begin", task.id, token)
        assert outcome.prompt is not None
        assert (outcome.prompt.state, outcome.prompt.replies, outcome.events[0].kind) == ("seen", (), "prompt_reopened")
        await revoking.do(revoking.alice, "answer", task.id)
        assert (await revoking.do(revoking.bob, "begin", task.id, token)).prompt == await now(revoking, prompt)

    # Several people, and time.

    async def test_a_quorum_needs_as_many_people_and_one_no_is_enough(self, world: World) -> None:
        task, _, prompt = await asked(world, quorum=2)
        await world.do(world.alice, "answer", task.id)
        assert (await now(world, prompt)).state == "seen"
        await world.do(person("dora"), "answer", task.id)
        assert (await now(world, prompt)).verdict == "approve"
        task, _, prompt = await asked(world, quorum=3)
        await world.do(world.alice, "answer", task.id)
        await world.do(person("dora"), "answer", task.id, choice="deny")
        assert (await now(world, prompt)).denied

    async def test_a_choice_counts_when_enough_people_made_the_same(self, world: World) -> None:
        task, _, prompt = await asked(world, kind="choose", choices=("blue", "green"), quorum=2)
        for name, choice in (("alice", "blue"), ("dora", "green")):
            await world.do(person(name), "answer", task.id, choice=choice)
        assert (await now(world, prompt)).state == "seen"
        await world.do(person("emil"), "answer", task.id, choice="green")
        assert (await now(world, prompt)).verdict == "green"

    async def test_a_prompt_expires_to_its_default_and_the_task_goes_on(self, world: World) -> None:
        task, token = await world.held(deadline_s=1000.0)
        prompt = await ask(
            world, task, token, expires=world.clock.wall + 5, kind="choose", choices=("later",), default="later"
        )
        world.clock.go(5.5)
        events = (await world.ledger.expire()).events
        assert [event.kind for event in events] == ["prompt_expired"]
        assert (await now(world, prompt)).verdict == "later"
        assert (await world.state(task), (await world.ledger.show(task.id)).due is None) == ("working", False)

    async def test_escalation_asks_more_people_when_its_time_has_come(self, world: World) -> None:
        steps = (Later(100.0, To(people=("dora",))), Later(200.0, To(roles=("admin",))))
        task, token = await world.held(), None
        task, token = task
        prompt = await ask(world, task, token, to=To(people=("alice",)), escalation=steps)
        with pytest.raises(NotAddressed):
            await world.do(person("dora"), "answer", task.id)
        for step, people in ((1, ("alice", "dora")), (2, ("alice", "dora"))):
            for _ in range(5):  # the owner keeps its lease meanwhile
                world.clock.go(20.001)
                await world.ledger.expire()
                await world.do(world.bob, "renew", task.id, token)
            found = await now(world, prompt)
            assert (found.step, found.asked.people) == (step, people)
        assert found.asked.roles == ("admin",)
        await world.do(person("dora"), "answer", task.id)
        assert (await now(world, prompt)).verdict == "approve"

    async def test_the_ledger_wakes_for_the_next_step_of_a_prompt(self, world: World) -> None:
        task, token = await world.held()
        await ask(world, task, token, escalation=(Later(3.0, OPERATORS),))
        next_at = (await world.ledger.expire()).next_at
        assert next_at is not None
        assert next_at - world.clock.boot == pytest.approx(3.0, abs=0.01)

    # Owners that die, tasks that end.

    async def test_the_next_owner_adopts_the_prompt_by_its_action(self, world: World) -> None:
        task, _, prompt = await asked(world)
        await lose(world, task)
        assert (await now(world, prompt)).state == "open"
        token = await world.claim(world.carol, task)
        adopted = await ask(world, task, token, world.carol, prompt="p-other", expires=world.clock.wall + 9999)
        assert (adopted.id, adopted.expires, adopted.by) == (prompt.id, prompt.expires, "bob")
        assert await world.state(task) == "input_required"
        await world.do(world.alice, "answer", task.id)
        await world.do(world.carol, "begin", task.id, token)
        assert (await now(world, prompt)).claimer == "carol"

    async def test_an_answer_is_adopted_too_whatever_it_was(self, world: World) -> None:
        for choice, waits in (("approve", "input_required"), ("deny", "working")):
            task, _, prompt = await asked(world)
            await world.do(world.alice, "answer", task.id, choice=choice)
            await lose(world, task)
            token = await world.claim(world.carol, task)
            adopted = await ask(world, task, token, world.carol, prompt=f"p-{choice}")
            assert (adopted.id, adopted.verdict, await world.state(task)) == (prompt.id, choice, waits)

    async def test_a_prompt_that_was_begun_by_an_owner_that_died_is_unknown_and_never_begun_again(
        self, world: World
    ) -> None:
        task, token, prompt = await asked(world)
        await world.do(world.alice, "answer", task.id)
        await world.do(world.bob, "begin", task.id, token)
        await lose(world, task)
        found = await now(world, prompt)
        assert (found.state, found.live, found.awaits("alice", "operator")) == ("unknown", True, True)
        second = await world.claim(world.carol, task)
        with pytest.raises(OutcomeOpen):
            await ask(world, task, second, world.carol, prompt="p-other")
        with pytest.raises(Conflict):
            await world.do(world.carol, "begin", task.id, second)
        with pytest.raises(NotAddressed):
            await world.do(Member("zoe", "person", "coordinator"), "settle", task.id)
        settled = (await world.do(world.alice, "settle", task.id, result="failed")).prompt
        assert settled is not None
        assert (settled.state, settled.settled_by) == ("failed", "alice")
        assert (await ask(world, task, second, world.carol, prompt="p-new")).id == "p-new"

    async def test_whoever_began_it_may_say_late_what_came_of_it(self, world: World) -> None:
        task, token, prompt = await asked(world)
        await world.do(world.alice, "answer", task.id)
        await world.do(world.bob, "begin", task.id, token)
        await world.do(world.alice, "cancel", task.id)
        assert (await now(world, prompt)).state == "unknown"
        with pytest.raises(NotAllowed):
            await world.do(world.carol, "finish", task.id, token)
        await world.do(world.bob, "finish", task.id, token)
        assert (await now(world, prompt)).state == "executed"

    @pytest.mark.parametrize("op", ["cancel", "fail", "complete"])
    async def test_a_prompt_ends_with_its_task(self, world: World, op: str) -> None:
        task, token, prompt = await asked(world)
        who = world.alice if op == "cancel" else world.bob
        await world.do(who, op, task.id, None if op == "cancel" else token)
        found = await now(world, prompt)
        assert (found.state, found.reason) == ("canceled", "task_ended")
        with pytest.raises(FinalState):
            await world.do(world.alice, "answer", task.id)

    async def test_a_promotion_makes_what_was_begun_unknown(self, world: World) -> None:
        task, token, prompt = await asked(world)
        await world.do(world.alice, "answer", task.id)
        await world.do(world.bob, "begin", task.id, token)
        waiting = (await asked(world))[2]
        await world.ledger.promote()
        assert (await now(world, prompt)).state == "unknown"
        assert (await now(world, waiting)).state == "open"

    # Other questions in its place.

    async def test_one_question_at_a_time_unless_it_replaces_the_other(self, world: World) -> None:
        task, token, first = await asked(world)
        with pytest.raises(Conflict):
            await ask(world, task, token, prompt="p-2", action=OTHER)
        second = await ask(world, task, token, prompt="p-2", action=OTHER, supersedes=first.id)
        found = await now(world, first)
        assert (found.state, found.superseded_by, second.supersedes) == ("superseded", "p-2", first.id)
        with pytest.raises(FinalState):
            await world.do(world.alice, "answer", task.id, prompt=first.id)
        assert await world.state(task) == "input_required"

    async def test_what_a_dead_owner_asked_for_another_action_is_replaced(self, world: World) -> None:
        task, _, first = await asked(world)
        await lose(world, task)
        token = await world.claim(world.carol, task)
        await ask(world, task, token, world.carol, prompt="p-2", action=OTHER)
        assert (await now(world, first)).superseded_by == "p-2"

    async def test_a_prompt_is_withdrawn_by_the_owner_or_by_the_tasks_author(self, world: World) -> None:
        task, token, prompt = await asked(world)
        with pytest.raises(NotAllowed):
            await world.do(person("mallory"), "withdraw", task.id)
        await world.do(world.bob, "withdraw", task.id, token)
        assert ((await now(world, prompt)).state, await world.state(task)) == ("canceled", "working")
        task, _, prompt = await asked(world)
        await world.do(world.alice, "withdraw", task.id)
        assert ((await now(world, prompt)).state, await world.state(task)) == ("canceled", "working")

    # What may be asked.

    async def test_only_the_holder_asks_and_only_if_its_role_may(self, world: World) -> None:
        task, token = await world.held()
        with pytest.raises(NotAllowed):
            await ask(world, task, token, world.carol)
        watcher = agent("watcher", "observer")
        task = await world.submit()
        token = await world.claim(watcher, task)
        with pytest.raises(NotAllowed):
            await ask(world, task, token, watcher)

    async def test_a_prompt_needs_a_time_that_is_not_over_and_an_id_of_its_own(self, world: World) -> None:
        task, token = await world.held()
        for expires in (world.clock.wall - 1, world.clock.wall + 367 * 86400):
            with pytest.raises(BadInput):
                await ask(world, task, token, expires=expires)
        await ask(world, task, token, prompt="p-mine")
        other, second = await world.held()
        with pytest.raises(Conflict):
            await ask(world, other, second, prompt="p-mine")

    # Copies.

    async def test_a_backup_has_the_prompts_and_a_restore_brings_them_back(self, world: World, tmp_path: Path) -> None:
        task, token, prompt = await asked(world)
        await world.do(world.alice, "answer", task.id)
        await world.ledger.backup(tmp_path / "saved")
        kept = await now(world, prompt)
        await world.do(world.bob, "begin", task.id, token)
        checked = check_backup(tmp_path / "saved", MESH)
        await world.ledger.restore(checked)
        assert await now(world, prompt) == kept
        with pytest.raises(StaleToken):
            await world.do(world.bob, "begin", task.id, token)
