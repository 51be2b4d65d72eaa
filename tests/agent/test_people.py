"""The agent and people, against the tests' daemon: what is asked, what is waited for, and what is done at most once."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bzzzd.agent.handlers.base import Inquiry, Job, Product
from bzzzd.agent.people.asker import step
from bzzzd.errors import BadInput, BzzzError, DiskFull
from bzzzd.slurp.brief import Brief
from bzzzd.slurp.question import Field
from bzzzd.slurp.refusals import PromptExpired
from tests.agent.daemon import Daemon, Held
from tests.agent.rig import Make, Scripted, ended, gives

APPROVE = {"answer": "free", "command": "free", "external": "approve"}


async def asked(daemon: Daemon, make: Make, handler: Scripted, *, count: int = 1, **args: Any) -> Held:
    """A task whose handler needs approval, once it has asked for it."""
    daemon.acts = APPROVE
    await make(handler)
    task = daemon.submit(brief=Brief("Tidy up", "", args))
    await daemon.until(lambda: len(daemon.prompts.kept) == count)
    return task


async def test_a_handler_that_policy_leaves_to_the_agent_asks_nobody(daemon: Daemon, make: Make) -> None:
    await make(gives(Product(b"x")))
    task = daemon.submit()
    await ended(daemon, task)
    assert (task.state, daemon.prompts.log) == ("completed", [])


async def test_an_act_that_policy_allows_in_no_way_is_not_done(daemon: Daemon, make: Make) -> None:
    daemon.acts = {}
    handler = gives(Product(b"x"))
    await make(handler)
    task = daemon.submit()
    await ended(daemon, task)
    assert (task.state, task.reason, handler.jobs) == ("failed", "not_allowed", [])


async def test_an_approved_act_is_begun_done_and_finished_in_this_order(daemon: Daemon, make: Make) -> None:
    order: list[str] = []

    async def run(job: Job) -> Product:
        order.extend([*daemon.prompts.log, "run"])
        return Product(b"done")

    task = await asked(daemon, make, Scripted(run), argv=["rm", "-r", "build"])
    question = daemon.prompts.questions[daemon.prompts.one.id]
    assert (question.kind, question.risk, question.to.roles, question.by) == ("approve", "high", ("operator",), "a1")
    assert question.action.args["argv"] == ["rm", "-r", "build"]
    assert question.title == "May I run rm -r build for “Tidy up”?"
    assert question.expires == pytest.approx(daemon.prompts.one.created + 300, abs=5)
    daemon.prompts.answer()
    await ended(daemon, task)
    assert (task.state, daemon.prompts.one.state) == ("completed", "executed")
    assert order == ["asked", "answered", "begun", "run"]
    assert daemon.prompts.log[-1] == "executed"


async def test_a_task_whose_author_wants_approval_asks_whatever_policy_says(daemon: Daemon, make: Make) -> None:
    handler = gives(Product(b"x"))
    await make(handler)
    task = daemon.submit(offer=False)
    task.approve = True
    daemon.offer(task)
    await daemon.until(lambda: bool(daemon.prompts.kept))
    assert daemon.prompts.questions[daemon.prompts.one.id].title == "May I begin “Title”?"
    assert handler.jobs == []
    daemon.prompts.answer()
    await ended(daemon, task)
    assert (task.state, len(handler.jobs)) == ("completed", 1)


async def test_a_no_ends_the_task_with_who_said_it(daemon: Daemon, make: Make) -> None:
    handler = gives(Product(b"x"))
    task = await asked(daemon, make, handler)
    daemon.prompts.answer("deny")
    await ended(daemon, task)
    assert (task.state, task.reason, task.retryable, handler.jobs) == ("failed", "denied", False, [])
    assert task.content is not None
    assert b"dora denied it" in task.content


async def test_silence_denies(daemon: Daemon, make: Make) -> None:
    handler = gives(Product(b"x"))
    task = await asked(daemon, make, handler)
    daemon.prompts.expire()
    await ended(daemon, task)
    assert (task.state, task.reason, handler.jobs) == ("failed", "not_answered", [])


async def test_the_lease_is_renewed_while_the_agent_waits(daemon: Daemon, make: Make) -> None:
    daemon.lease_s = 0.6
    task = await asked(daemon, make, gives(Product(b"x")))
    await daemon.until(lambda: daemon.calls.count("task.renew") >= 4)
    daemon.prompts.answer()
    await ended(daemon, task)
    assert task.state == "completed"


async def test_an_answer_that_is_void_when_it_is_begun_is_waited_for_anew(daemon: Daemon, make: Make) -> None:
    handler = gives(Product(b"x"))
    task = await asked(daemon, make, handler)
    daemon.prompts.holds = False
    daemon.prompts.answer()
    await daemon.until(lambda: "reopened" in daemon.prompts.log)
    assert handler.jobs == []
    daemon.prompts.holds = True
    daemon.prompts.answer()
    await ended(daemon, task)
    assert (task.state, len(handler.jobs)) == ("completed", 1)


@pytest.mark.parametrize("lost", ["prompt.ask", "prompt.begin", "prompt.finish"])
async def test_a_lost_answer_of_the_ledger_is_asked_for_again_and_nothing_is_done_twice(
    daemon: Daemon, make: Make, lost: str
) -> None:
    handler = gives(Product(b"x"))
    daemon.lose = [lost]
    task = await asked(daemon, make, handler)
    daemon.prompts.answer()
    await ended(daemon, task)
    assert (task.state, len(handler.jobs)) == ("completed", 1)
    assert [word for word in daemon.prompts.log if word != "adopted"] == ["asked", "answered", "begun", "executed"]


@pytest.mark.parametrize(("fault", "retryable"), [(DiskFull("full"), True), (PromptExpired("late"), False)])
async def test_what_refuses_nothing_may_work_at_another_try(
    daemon: Daemon, make: Make, fault: BzzzError, retryable: bool
) -> None:
    def before(method: str) -> None:
        if method == "prompt.ask":
            raise fault

    daemon.acts, daemon.before = APPROVE, before
    await make(gives(Product(b"x")))
    task = daemon.submit()
    await ended(daemon, task)
    assert (task.reason, task.retryable) == (fault.code.lower(), retryable)


@pytest.mark.parametrize("method", ["prompt.ask", "prompt.begin", "prompt.finish"])
async def test_a_fault_of_bzzzd_that_nobody_expected_refuses_nothing_and_is_tried_again(
    daemon: Daemon, make: Make, method: str
) -> None:
    faults = iter([BzzzError("an unexpected fault")] * 2)

    def before(called: str) -> None:
        if called == method and (fault := next(faults, None)) is not None:
            raise fault

    daemon.before = before
    handler = gives(Product(b"x"))
    task = await asked(daemon, make, handler)
    daemon.prompts.answer()
    await ended(daemon, task)
    assert (task.state, len(handler.jobs)) == ("completed", 1)
    await daemon.until(lambda: daemon.prompts.one.state == "executed")


async def test_a_fault_that_stays_gives_the_task_back_and_the_answer_is_for_its_next_owner(
    daemon: Daemon, make: Make
) -> None:
    def before(called: str) -> None:
        if called == "prompt.begin":
            raise BzzzError("an unexpected fault")

    handler = gives(Product(b"x"))
    daemon.before = before
    task = await asked(daemon, make, handler)
    daemon.prompts.answer()
    await ended(daemon, task)
    assert (task.reason, task.retryable, handler.jobs) == ("failed", True, [])
    assert daemon.prompts.one.state == "answered"


async def test_what_somebody_else_began_is_not_done_and_the_task_says_so(daemon: Daemon, make: Make) -> None:
    handler = gives(Product(b"x"))
    task = await asked(daemon, make, handler)
    prompt = daemon.prompts.one
    daemon.prompts.put("unknown", msgspec.structs.replace(prompt, state="unknown"))
    await ended(daemon, task)
    assert (task.state, task.reason, handler.jobs) == ("failed", "outcome_unknown", [])


async def test_a_handler_that_fails_or_crashes_is_finished_as_failed(daemon: Daemon, make: Make) -> None:
    async def crash(job: Job) -> Product:
        raise RuntimeError("boom")

    handler = Scripted(crash)
    await asked(daemon, make, handler)
    daemon.prompts.answer()
    await daemon.until(lambda: daemon.prompts.log[-1] == "failed")
    assert len(handler.jobs) == 1


async def test_an_action_that_cannot_be_described_is_not_asked_about(daemon: Daemon, make: Make) -> None:
    class Picky(Scripted):
        def action(self, job: Job) -> dict[str, Any]:
            raise BadInput("this brief cannot be used")

    daemon.acts = APPROVE
    handler = Picky(gives(Product(b"x"))._run)
    await make(handler)
    task = daemon.submit()
    await ended(daemon, task)
    assert (task.reason, daemon.prompts.log, handler.jobs) == ("bad_input", [], [])


async def test_a_brief_whose_arguments_have_no_order_is_not_asked_about(daemon: Daemon, make: Make) -> None:
    daemon.acts = APPROVE
    await make(gives(Product(b"x")))
    task = daemon.submit(brief=Brief("Tidy up", "", {"deep": {7: "x"}}))
    await ended(daemon, task)
    assert (task.reason, task.retryable, daemon.prompts.log) == ("bad_input", False, [])


async def test_arguments_that_are_too_long_are_named_by_their_digest(daemon: Daemon, make: Make) -> None:
    task = await asked(daemon, make, gives(Product(b"x")), short="s", long="x" * 100_000)
    args = daemon.prompts.questions[daemon.prompts.one.id].action.args
    assert args["short"] == "s"
    assert args["long"]["bytes"] > 100_000
    assert len(args["long"]["sha256"]) == 64
    daemon.prompts.answer()
    await ended(daemon, task)


@pytest.mark.parametrize(
    ("inquiry", "choice", "value", "told"),
    [
        (Inquiry(kind="text", title="Name?"), "value", '"Ada"', "value Ada"),
        (Inquiry(kind="choose", title="Which?", choices={"a": "A", "b": "B"}), "b", None, "b None"),
        (
            Inquiry(kind="form", title="Where?", form=(Field("place", "Place"),)),
            "value",
            '{"place":"here"}',
            "value {'place': 'here'}",
        ),
    ],
    ids=["text", "choose", "form"],
)
async def test_a_handler_asks_people_for_what_it_needs_to_know(
    daemon: Daemon, make: Make, inquiry: Inquiry, choice: str, value: str | None, told: str
) -> None:
    async def run(job: Job) -> Product:
        answered = await job.ask(inquiry)
        return Product(f"{answered.choice} {answered.value}".encode())

    await make(Scripted(run))
    task = daemon.submit()
    await daemon.until(lambda: bool(daemon.prompts.kept))
    daemon.prompts.answer(choice, value=None if value is None else value.encode())
    await ended(daemon, task)
    assert (task.state, task.content) == ("completed", told.encode())
    assert daemon.prompts.one.state == "executed"


async def test_a_choice_with_a_default_goes_on_when_nobody_answers(daemon: Daemon, make: Make) -> None:
    async def run(job: Job) -> Product:
        answered = await job.ask(Inquiry(kind="choose", title="Which?", choices={"a": "A"}, default="a"))
        return Product(answered.choice.encode())

    await make(Scripted(run))
    task = daemon.submit()
    await daemon.until(lambda: bool(daemon.prompts.kept))
    daemon.prompts.expire()
    await ended(daemon, task)
    assert (task.state, task.content) == ("completed", b"a")


@pytest.mark.parametrize(
    ("state", "verdict", "wanted"),
    [
        ("open", None, "wait"),
        ("seen", None, "wait"),
        ("answered", "approve", "begin"),
        ("answered", "deny", "denied"),
        ("expired", "deny", "not_answered"),
        ("expired", "later", "default"),
        ("canceled", None, "prompt_canceled"),
        ("superseded", None, "prompt_canceled"),
        ("claimed", "approve", "outcome_unknown"),
        ("unknown", "approve", "outcome_unknown"),
        ("executed", "approve", "outcome_unknown"),
        ("failed", "approve", "outcome_unknown"),
    ],
)
def test_what_each_state_asks_of_the_agent(state: str, verdict: str | None, wanted: str) -> None:
    assert step({"state": state, "verdict": verdict}) == wanted
