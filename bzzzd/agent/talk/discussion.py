r"""The agent's part in the talk about one task.

    claimed ─► asks for what is missing ─► proposes its plan ─► window over, nobody objects ─► acts
                    (an answer, or none          │                          ▲
                     in time: goes on)           └─ an objection:           │ withdrawn
                                                    it can be heeded ─► a new plan, once
                                                    else ─► escalates ──────┴─► still stands: does not act

    ended ─► says how and why; a task that has ended for good closes its thread with a summary, kept as context

A plan that must be shown and cannot be is no plan: then nothing is done. Everything else that goes wrong on a
thread is logged, and the work goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import structlog

from bzzzd.agent.handlers.base import Handler, Job, Product
from bzzzd.agent.talk import words
from bzzzd.agent.talk.ears import Ears
from bzzzd.agent.talk.voice import Voice
from bzzzd.agent.work import Completed, Failed, Outcome, Released
from bzzzd.errors import BzzzError

# How long a word that was said in time may be on its way from another node.
GRACE_S: Final = 0.75
# A wake-up may be missed while the session is away, so a waiting agent looks by itself as well.
_LOOK_S: Final = 2.0
_PLANS: Final = 2

log = structlog.get_logger()
Message = dict[str, Any]


class Discussion:
    """``plan_s`` and ``ask_s`` as in the configuration; ``claim`` is bzzzd's answer to the claim."""

    def __init__(
        self,
        voice: Voice,
        ears: Ears,
        claim: Mapping[str, Any],
        *,
        plan_s: float,
        ask_s: float,
        wall: Callable[[], float],
    ) -> None:
        self._voice = voice
        self._ears = ears
        self._task: Mapping[str, Any] = claim["task"]
        self._readers: list[str] = claim["readers"]
        self._plan_s = max(plan_s, float(claim.get("plan_s") or 0.0))
        self._ask_s = ask_s
        self._wall = wall
        self._thread = str(self._task["id"])
        self._title = ""
        self._plan: Message | None = None
        self._spoke = False
        self._last_at = 0.0

    async def before(self, handler: Handler, job: Job) -> Job | Failed:
        """The job with what was said about it; or a failure, because an objection to its plan stands.

        Raises when the plan has to be shown and cannot be.
        """
        self._title = job.brief.title
        job = await self._ask(handler, await self._listen(job))
        return await self._propose(handler, job) if self._plan_s > 0 else job

    async def after(self, outcome: Outcome | None, ending: str, decision: str) -> None:
        """Say how the task ended here; ``decision`` is the address of its decision."""
        if not self._spoke and not self._ears.spoken(self._thread):
            return
        try:
            if ending == "completed" and isinstance(outcome, Completed):
                await self._close(f"Completed by {self._voice.me}.", decision)
            elif ending == "failed" and isinstance(outcome, Failed) and not outcome.retryable:
                await self._close(f"Failed: {outcome.reason}. {_told(outcome.product)}", "")
            elif ending in ("failed", "released") and isinstance(outcome, Failed | Released):
                await self._say("concern", f"I give this task back: {words.one_line(outcome.reason)}.")
        except BzzzError as error:
            log.info("the thread was not closed", task=self._thread, why=error.message)
        finally:
            self._ears.leave(self._thread)

    # Listening and asking.

    async def _listen(self, job: Job) -> Job:
        if not self._spoke and not self._ears.spoken(self._thread):
            return job
        try:
            return self._heard(job, await self._read())
        except BzzzError as error:
            log.info("the thread was not read", task=self._thread, why=error.message)
            return job

    def _heard(self, job: Job, messages: list[Message]) -> Job:
        return replace(job, remarks=words.remarks_of(messages, self._voice.me, self._readers))

    async def _ask(self, handler: Handler, job: Job) -> Job:
        question = words.question_of(handler, job)
        if not question or not self._ask_s:
            return job
        asked = await self._say("question", question, to=self._author())
        if asked is None:
            return job
        job.progress(0, None, "waiting for an answer on the thread")
        until = self._wall() + self._ask_s
        while (left := until - self._wall()) > 0:
            await self._ears.wait(self._thread, min(left, _LOOK_S))
            messages = await self._messages()
            answer = words.answer_to(messages, asked, self._voice.me)
            if answer is not None:
                await self._say(
                    "agreement", f"I go on with what {words.names_of([answer])} answered.", reply_to=answer["id"]
                )
                return words.answered(self._heard(job, messages), str(answer["text"]))
        await self._say(
            "concern", f"Nobody answered within {self._ask_s:g} s, so I go on without.", reply_to=asked["id"]
        )
        return job

    # The plan.

    async def _propose(self, handler: Handler, job: Job) -> Job | Failed:
        for number in range(1, _PLANS + 1):
            plan = await self._show_plan(handler, job)
            job.progress(0, None, f"waiting {self._plan_s:g} s for objections to the plan")
            plan, messages = await self._await_end(plan, float(plan["window_ends"]))
            job = self._heard(job, messages)
            if plan["standing"] != "objected":
                await self._begin(plan, f"nobody objected within {self._plan_s:g} s", job)
                return job
            against = words.objections_of(messages, plan)
            if words.heeds(handler) and number < _PLANS:
                await self._say(
                    "answer", f"{words.names_of(against)} objected, so I take this into my plan and propose again.",
                    reply_to=_id(against),
                )  # fmt: skip
                continue
            return await self._insist(plan, against, job)
        raise AssertionError("the last plan was decided upon")

    async def _show_plan(self, handler: Handler, job: Job) -> Message:
        plan = await self._voice.say(
            self._task, "proposal", words.plan_of(handler, job), window_s=self._plan_s, subject=self._title,
            to=self._author(), reply_to=self._plan["id"] if self._plan is not None else None, after=self._last_at,
        )  # fmt: skip
        self._spoke, self._plan = True, plan
        return plan

    async def _await_end(self, plan: Message, end: float, *, withdrawn: bool = False) -> tuple[Message, list[Message]]:
        """The plan as it stands at the Unix time ``end``; with ``withdrawn`` also as soon as nobody objects."""
        end += GRACE_S
        messages: list[Message] = []
        while (left := end - self._wall()) > 0:
            await self._ears.wait(self._thread, min(left, _LOOK_S))
            if withdrawn:
                messages = await self._messages()
                plan = _found(plan, messages)
                if plan["standing"] != "objected":
                    return plan, messages
        # What counts is what is there at the end: reading it may not fail unnoticed.
        messages = await self._read()
        return _found(plan, messages), messages

    async def _insist(self, plan: Message, against: Sequence[words.Message], job: Job) -> Job | Failed:
        """Turn to the author; without a withdrawal nothing is done."""
        names = words.names_of(against)
        await self._say(
            "escalation", f"{names} objected to my plan, and I cannot do this task otherwise. I wait "
            f"{self._plan_s:g} s for the objection to be withdrawn (as an agreement by whoever objected).",
            to=(*self._author(), "role:coordinator"), reason="an objection to a plan stands", reply_to=_id(against),
        )  # fmt: skip
        plan, messages = await self._await_end(plan, self._wall() + self._plan_s, withdrawn=True)
        if plan["standing"] != "objected":
            job = self._heard(job, messages)
            await self._begin(plan, f"the objection of {names} is gone", job)
            return job
        text = f"I do not do this: the objection of {names} to my plan stands."
        await self._say("answer", text, reply_to=_id(against))
        quoted = words.remarks_of(against, self._voice.me, self._readers)
        return Failed("objected", False, Product("\n\n".join([text, *quoted]).encode()))

    async def _begin(self, plan: Message, why: str, job: Job) -> None:
        count = len(job.remarks)
        heard = f" I heard {count} remark{'s' * (count > 1)}." if count else ""
        await self._say("answer", f"I begin, because {why}.{heard}", reply_to=plan["id"])

    # The end.

    async def _close(self, ended: str, decision: str) -> None:
        messages = await self._messages()
        text, version = await self._voice.keep_summary(
            self._task, lambda readers: words.summary_of(self._title, messages, readers, ended, decision)
        )
        refs = [version, *([decision] if decision else [])]
        await self._voice.say(self._task, "summary", text, refs=refs, subject=self._title, after=self._last_at)

    async def _messages(self) -> list[Message]:
        try:
            return await self._read()
        except BzzzError as error:
            log.info("the thread was not read", task=self._thread, why=error.message)
            return []

    async def _read(self) -> list[Message]:
        messages = await self._voice.read(self._thread)
        self._last_at = max((float(message["at"]) for message in messages), default=0.0)
        return messages

    async def _say(self, kind: str, text: str, **more: Any) -> Message | None:
        """Say something that the work does not depend on."""
        try:
            said = await self._voice.say(self._task, kind, text, after=self._last_at, **more)
        except BzzzError as error:
            log.info("nothing could be said on the thread", task=self._thread, kind=kind, why=error.message)
            return None
        self._spoke = True
        return said

    def _author(self) -> tuple[str, ...]:
        author = self._task.get("author")
        return (str(author),) if author else ()


def _found(plan: Message, messages: list[Message]) -> Message:
    return next((message for message in messages if message["id"] == plan["id"]), plan)


def _id(messages: Sequence[words.Message]) -> str | None:
    return messages[-1]["id"] if messages else None


def _told(product: Product | None) -> str:
    return words.one_line(product.content.decode("utf-8", "replace")) if product is not None else ""
