"""The agent's part in a talk, by a thread that the test plays: plans, objections, questions, the end."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from bzzzd.agent.handlers.base import Job, Product
from bzzzd.agent.handlers.model import Answering, Summarise
from bzzzd.agent.talk import discussion as module
from bzzzd.agent.talk import words
from bzzzd.agent.talk.discussion import Discussion
from bzzzd.agent.talk.ears import Ears
from bzzzd.agent.work import Completed, Failed, Outcome, Released
from bzzzd.errors import NotAllowed, NotFound, Unavailable
from bzzzd.hmmm.message import Kind
from bzzzd.hmmm.thread import Said, Speaker, thread_of
from tests.agent.helpers import ScriptedModel, job

READERS = ["operator", "worker"]
ME, ALICE = Speaker("bob", "agent", "worker", b"b"), Speaker("alice", "person", "operator", b"a")
CLAIM = {"task": {"id": "t-1", "project": "default", "capability": "x", "author": "alice"}, "readers": READERS}
MODEL: Any = Answering(ScriptedModel(), None, 100)  # type: ignore[arg-type]
SUMMARY: Any = Summarise(ScriptedModel(), None, 100)  # type: ignore[arg-type]


class Plain:
    """A handler that heeds nothing."""

    general, unusable = True, ""

    async def run(self, job: Job) -> Product:
        return Product(b"done")


class Thread:
    """One thread with a clock of its own; ``react`` hears of what the agent says and may let others speak."""

    me = "bob"

    def __init__(self) -> None:
        self.now = 1000.0
        self.said: list[Said] = []
        self.texts: dict[str, dict[str, Any]] = {}
        self.react: Callable[[Mapping[str, Any]], None] = lambda message: None
        self.fail: dict[str, Exception] = {}
        self.kept: list[str] = []
        self._numbers = itertools.count(1)
        self.ears = Ears(lambda: None)  # type: ignore[arg-type, return-value]
        self.ears.wait = self._wait  # type: ignore[method-assign]

    async def _wait(self, thread: str, seconds: float) -> None:
        self.now += max(seconds, 0.1)
        await asyncio.sleep(0)

    def add(
        self, by: Speaker, kind: Kind, text: str, *, reply_to: str | None = None, window_s: float = 0.0,
        readers: Sequence[str] = READERS, **more: Any,
    ) -> dict[str, Any]:  # fmt: skip
        self.now += 0.01
        said = Said(f"h-{next(self._numbers)}", kind, self.now, by, reply_to, window_s)
        self.said.append(said)
        self.texts[said.id] = {"text": text, "readers": list(readers), **more}
        self.ears.heard(["t-1"])
        return self.show(said)

    def show(self, said: Said) -> dict[str, Any]:
        state = thread_of(self.said)
        proposal = state.proposals.get(said.id)
        return {
            "id": said.id, "kind": said.kind, "at": said.at, "reply_to": said.reply_to, "readable": True,
            "by": {"id": said.by.id, "kind": said.by.kind, "role": said.by.role}, "aside": "",
            "standing": proposal.standing(self.now) if proposal else None,
            "objections": list(proposal.objections) if proposal else [],
            "window_ends": proposal.ends if proposal else None, **self.texts[said.id],
        }  # fmt: skip

    # What the agent has for a voice.

    async def say(self, task: Mapping[str, Any], kind: Kind, text: str, **more: Any) -> dict[str, Any]:
        if kind in self.fail:
            raise self.fail[kind]
        assert more.pop("after") <= self.now
        message = self.add(ME, kind, text, **more)
        self.react(message)
        return message

    async def read(self, thread: str) -> list[dict[str, Any]]:
        if not self.said:
            raise NotFound("nothing was said")
        return [self.show(said) for said in self.said]

    async def keep_summary(self, task: Mapping[str, Any], make: Callable[[Sequence[str]], str]) -> tuple[str, str]:
        self.kept.append(make(READERS))
        return self.kept[-1], "f" * 64

    def kinds(self, by: Speaker = ME) -> list[str]:
        return [said.kind for said in self.said if said.by == by]

    def discussion(self, *, plan_s: float = 10.0, ask_s: float = 30.0, policy: float = 0.0) -> Discussion:
        return Discussion(
            self, self.ears, {**CLAIM, "plan_s": policy}, plan_s=plan_s, ask_s=ask_s, wall=lambda: self.now,  # type: ignore[arg-type]
        )  # fmt: skip

    def on(self, kind: str, then: Callable[[Mapping[str, Any]], Any]) -> None:
        """Let somebody else speak when the agent says something of this kind."""
        before = self.react

        def react(message: Mapping[str, Any]) -> None:
            before(message)
            if message["kind"] == kind:
                then(message)

        self.react = react


@pytest.fixture
def thread() -> Thread:
    return Thread()


async def test_without_a_plan_to_show_nothing_is_said(thread: Thread) -> None:
    talk, work = thread.discussion(plan_s=0.0), job("Title", "Body")
    assert await talk.before(MODEL, work) is work
    await talk.after(Completed(Product(b"x")), "completed", "ucxl://x")
    assert thread.said == []


async def test_the_plan_stands_for_its_window_before_the_agent_acts(thread: Thread) -> None:
    began = thread.now
    assert isinstance(await thread.discussion().before(MODEL, job("Title")), Job)
    assert thread.now >= began + 10.0
    assert thread.kinds() == ["proposal", "answer"]
    assert thread.texts["h-1"]["to"] == ("alice",)


@pytest.mark.parametrize(("own", "policy", "expected"), [(5.0, 20.0, 20.0), (20.0, 5.0, 20.0), (0.0, 3.0, 3.0)])
async def test_the_longer_of_two_windows_counts(thread: Thread, own: float, policy: float, expected: float) -> None:
    await thread.discussion(plan_s=own, policy=policy).before(MODEL, job("Title"))
    assert thread.said[0].window_s == expected


async def test_an_objection_that_can_be_heeded_goes_into_the_next_plan_once(thread: Thread) -> None:
    thread.on("proposal", lambda plan: thread.add(ALICE, "objection", "Never so.", reply_to=plan["id"]))
    outcome = await thread.discussion().before(MODEL, job("Title"))
    assert isinstance(outcome, Failed)
    assert outcome.reason == "objected"
    assert thread.kinds() == ["proposal", "answer", "proposal", "escalation", "answer"]
    assert "Never so." in thread.texts["h-4"]["text"]


async def test_a_plan_that_cannot_be_changed_waits_for_the_withdrawal(thread: Thread) -> None:
    thread.on("proposal", lambda plan: thread.add(ALICE, "objection", "No.", reply_to=plan["id"]))
    thread.on("escalation", lambda cry: thread.add(ALICE, "agreement", "Well.", reply_to=cry["reply_to"]))
    assert isinstance(await thread.discussion().before(Plain(), job("Title")), Job)
    assert thread.kinds() == ["proposal", "escalation", "answer"]
    assert "gone" in thread.texts[thread.said[-1].id]["text"]


async def test_an_objection_that_stands_is_the_end(thread: Thread) -> None:
    thread.on("proposal", lambda plan: thread.add(ALICE, "objection", "No.", reply_to=plan["id"]))
    talk = thread.discussion()
    outcome = await talk.before(Plain(), job("Title"))
    assert isinstance(outcome, Failed)
    assert not outcome.retryable
    assert outcome.product is not None
    assert b"No." in outcome.product.content
    await talk.after(outcome, "failed", "")
    assert thread.kinds()[-1] == "summary"
    assert "objected" in thread.kept[0]


async def test_what_was_said_before_the_agent_came_is_heard(thread: Thread) -> None:
    thread.add(ALICE, "concern", "Mind the gap.")
    thread.add(ALICE, "concern", "For workers alone.", readers=["worker"])
    work = await thread.discussion(plan_s=0.0).before(MODEL, job("Title"))
    assert isinstance(work, Job)
    assert work.remarks == ("alice (operator), concern: Mind the gap.",)


async def test_a_plan_that_cannot_be_shown_is_no_plan(thread: Thread) -> None:
    thread.fail["proposal"] = NotAllowed("may not write thread")
    with pytest.raises(NotAllowed):
        await thread.discussion().before(MODEL, job("Title"))


async def test_other_words_that_cannot_be_said_stop_nothing(thread: Thread) -> None:
    thread.fail |= {"answer": Unavailable("away"), "question": Unavailable("away"), "summary": Unavailable("away")}
    talk = thread.discussion()
    assert isinstance(await talk.before(SUMMARY, job("Title", "")), Job)
    await talk.after(Completed(Product(b"x")), "completed", "ucxl://x")
    assert thread.kinds() == ["proposal"]


async def test_a_question_is_asked_and_its_answer_used(thread: Thread) -> None:
    thread.add(ALICE, "answer", "An answer to something else.")
    thread.on("question", lambda asked: thread.add(ALICE, "answer", "The text.", reply_to=asked["id"]))
    work = await thread.discussion(plan_s=0.0).before(SUMMARY, job("Title", ""))
    assert isinstance(work, Job)
    assert work.brief.args["text"] == "The text."
    assert thread.kinds() == ["question", "agreement"]


async def test_nobody_answers_and_the_agent_says_so(thread: Thread) -> None:
    began = thread.now
    work = await thread.discussion(plan_s=0.0).before(SUMMARY, job("Title", ""))
    assert isinstance(work, Job)
    assert "text" not in work.brief.args
    assert 30.0 <= thread.now - began < 40.0
    assert thread.kinds() == ["question", "concern"]


async def test_nothing_is_asked_where_that_is_switched_off(thread: Thread) -> None:
    await thread.discussion(plan_s=0.0, ask_s=0.0).before(SUMMARY, job("Title", ""))
    assert thread.said == []


@pytest.mark.parametrize(
    ("outcome", "ending", "kind"),
    [
        (Completed(Product(b"x")), "completed", "summary"),
        (Failed("bad_input", False, Product(b"why")), "failed", "summary"),
        (Failed("model_failed", True), "failed", "concern"),
        (Released("the agent stops"), "released", "concern"),
        (Completed(Product(b"x")), "lost", ""),
        (None, "refused", ""),
    ],
)
async def test_the_end_is_told_and_only_a_final_one_closes(
    thread: Thread, outcome: Outcome | None, ending: str, kind: str
) -> None:
    thread.add(ALICE, "concern", "Well?")
    talk = thread.discussion(plan_s=0.0)
    await talk.before(MODEL, job("Title"))
    await talk.after(outcome, ending, "ucxl://bob:worker@default:t-1/*^/decision")
    assert thread.kinds() == ([kind] if kind else [])
    assert bool(thread.kept) is (kind == "summary")


def message(text: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "h-1", "kind": "concern", "at": 1.0, "by": {"id": "alice", "role": "operator"}, "readable": True,
        "aside": "", "text": text, "readers": READERS, "reply_to": None, **more,
    }  # fmt: skip


def test_remarks_are_few_short_and_clean() -> None:
    found = words.remarks_of([message(f"\x1b[31m{'word ' * 500}{n}\u202e\n\n") for n in range(50)], "bob", READERS)
    assert len(found) == 12
    assert all(len(line) < 400 and line.isprintable() for line in found)


def test_a_summary_quotes_nothing_that_its_readers_may_not_read() -> None:
    said = [message("For all."), message("For workers.", readers=["worker"]), message("Void.", aside="closed")]
    text = words.summary_of("Title\n# not a heading", said, READERS, "Completed.", "ucxl://x")
    assert "For all." in text
    assert "For workers." not in text
    assert "Void." not in text
    assert "(for some roles only)" in text
    assert "\n# not" not in text


async def test_ears_wake_whoever_waits_and_forget_the_oldest() -> None:
    ears = Ears(lambda: None)  # type: ignore[arg-type, return-value]
    waiting = asyncio.create_task(ears.wait("t-1", 30.0))
    await asyncio.sleep(0)
    ears.heard(["t-1"])
    await asyncio.wait_for(waiting, 5.0)
    assert ears.spoken("t-1")
    ears.heard(f"x-{number}" for number in range(10_000))
    assert not ears.spoken("t-1")
    assert module.GRACE_S < 2.0
