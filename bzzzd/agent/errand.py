"""Carries out one task: claim, handler, report. What to do is ``work.py``'s to say; this does it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

import structlog

from bzzzd.agent.counters import Counters
from bzzzd.agent.handlers.base import TEXT, Handler, Job
from bzzzd.agent.handlers.registry import Handlers
from bzzzd.agent.people.approval import Approvals
from bzzzd.agent.people.asker import Refused
from bzzzd.agent.signer import Signer
from bzzzd.agent.talk.discussion import Discussion
from bzzzd.agent.text import words
from bzzzd.agent.work import (
    Action,
    Begin,
    Completed,
    Failed,
    Finish,
    Halt,
    Outcome,
    Released,
    Renew,
    Send,
    State,
    Work,
    outcome_of,
    outcome_of_error,
    unanswered,
)
from bzzzd.errors import BzzzError, Unreachable
from bzzzd.slurp.brief import open_brief, write_version
from bzzzd.slurp.commands import Claim, Complete, Fail, Release
from bzzzd.slurp.commands import Renew as RenewCommand

# Seconds to wait for an answer, and for each megabyte that has to be encrypted and stored first.
_ANSWER_S: Final = 10.0
_ANSWER_S_PER_MB: Final = 1.0
# Seconds for which an unanswered claim is asked again: the ledger may have given the lease.
_CLAIM_S: Final = 20.0
_PROGRESS_EVERY_S: Final = 0.5
_NOTE_CHARS: Final = 200
_DATES_APART_S: Final = 0.001

log = structlog.get_logger()


class Link(Protocol):
    """The way to bzzzd. ``call`` raises the answer's error, or ``UnknownOutcome`` and ``Unreachable`` without one."""

    async def call(self, method: str, params: Mapping[str, Any], *, timeout: float | None = None) -> Any: ...


Spawn = Callable[[Coroutine[Any, Any, None]], object]


class Errand:
    """One task in this agent. ``run`` is its life, in an asyncio task of its own; the rest are events from outside.

    ``wake(errand)`` is called when its next ``tick`` may have come nearer. ``discuss(claim)`` gives its part in
    the talk on the task's thread; ``people`` asks for approval.
    """

    def __init__(
        self,
        task: str,
        *,
        link: Link,
        signer: Signer,
        handlers: Handlers,
        counters: Counters,
        clock: Callable[[], float],
        wall: Callable[[], float],
        spawn: Spawn,
        wake: Callable[[Errand], None],
        people: Approvals,
        discuss: Callable[[Mapping[str, Any]], Discussion] | None = None,
    ) -> None:
        self._people = people
        self.work = Work(task)
        self._link = link
        self._signer = signer
        self._handlers = handlers
        self._counters = counters
        self._clock = clock
        self._wall = wall
        self._spawn = spawn
        self._wake = wake
        self._discuss = discuss
        self._discussion: Discussion | None = None
        self._ending = ""
        self._running: asyncio.Task[Any] | None = None
        self._interruptible = False
        self._interrupted = False
        self._claim: Mapping[str, Any] = {}
        self._send: Send | None = None
        self._report: tuple[Outcome, str, dict[str, Any]] | None = None
        self._told_at = -_PROGRESS_EVERY_S
        self._telling = False
        self._dated = 0.0

    @property
    def task(self) -> str:
        return self.work.task

    def tick(self) -> None:
        self._do(self.work.tick(self._clock()))

    def hand_back(self, why: str) -> None:
        self._do(self.work.hand_back(why, self._clock()))

    async def run(self) -> None:
        self._running = asyncio.current_task()
        await self._take()
        if self.work.state is State.WORKING:
            outcome = await self._patiently(self._handle())
            if outcome is not None:
                self._do(self.work.worked(outcome, self._clock()))
        while self.work.state is State.REPORTING and self._send is not None:
            await self._patiently(self._tell(self._send))
        if self._discussion is not None:
            decision = self._signer.address(self._claim["task"]["project"], self.task, "decision")
            await self._discussion.after(self.work.outcome, self._ending, decision)

    def _do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Begin():
                    self._wake(self)
                case Renew():
                    self._spawn(self._renew())
                case Halt():
                    self._interrupt()
                case Send():
                    self._send = action
                case Finish(ending, why):
                    self._ending = ending
                    self._counters.endings[ending] += 1
                    self._interrupt()
                    if why:
                        log.info("task ended here", task=self.task, ending=ending, why=why)

    async def _patiently(self, step: Coroutine[Any, Any, Any]) -> Any:
        """Wait for a step that an event may interrupt; ``None`` when one did.

        Being cancelled by anybody else is passed on.
        """
        self._interruptible = True
        try:
            return await step
        except asyncio.CancelledError:
            if not self._interrupted:
                raise
            assert self._running is not None
            if self._running.uncancel():
                raise
            return None
        finally:
            self._interruptible = self._interrupted = False

    def _interrupt(self) -> None:
        if self._interruptible and not self._interrupted and self._running is not asyncio.current_task():
            assert self._running is not None
            self._interrupted = True
            self._running.cancel()

    # Claim.

    async def _take(self) -> None:
        """Claim the task; a claim without an answer is asked again with the same id, since it may have succeeded."""
        params = {"envelope": self._signer.command(Claim, self.task)}
        sent = self._clock()
        tries = 0
        while True:
            try:
                answer = await self._link.call("task.claim", params, timeout=_ANSWER_S)
                break
            except BzzzError as error:
                # What was never sent cannot have succeeded; the task is offered again.
                never_sent = isinstance(error, Unreachable) and not tries
                if never_sent or not unanswered(error) or self._clock() - sent > _CLAIM_S:
                    self._do(self.work.refused(error.message))
                    return
            tries += 1
            await asyncio.sleep(min(0.1 * 2**tries, 2.0))
        self._claim = answer
        term, counter = answer["token"]
        self._do(self.work.claimed(sent, float(answer["lease_s"]), (term, counter), self._clock()))

    # Handler.

    async def _handle(self) -> Outcome | None:
        """Run the handler; everything that it can raise becomes an outcome."""
        task = self._claim["task"]
        try:
            refusal = self._refusal(task)
            if refusal is not None:
                return refusal
            handler = self._handlers.find(task["capability"])
            assert handler is not None
            brief = open_brief(self._claim["brief"])
            job = Job(task, brief, self.work.lease, self._progress)
            if self._discuss is not None:
                self._discussion = self._discuss(self._claim)
                decided = await self._discussion.before(handler, job)
                if isinstance(decided, Failed):
                    return decided
                job = decided
            return await self._act(handler, job)
        except Refused as refused:
            log.info("people did not approve", task=self.task, reason=refused.failure.reason)
            return refused.failure
        except BzzzError as error:
            log.info("task failed", task=self.task, why=error)
            return outcome_of_error(error)
        except asyncio.CancelledError as error:
            assert self._running is not None
            if self._running.cancelling():
                raise
            return self._crashed(RuntimeError(f"the handler was cancelled from inside: {error}"))
        except Exception as error:  # a handler is a boundary: whatever it raises must not end the agent
            return self._crashed(error)

    async def _act(self, handler: Handler, job: Job) -> Outcome:
        """Run the handler, with people's approval where it is wanted: begun, done, and its end said, in that order."""
        token, people = self.work.token, self._people
        permit = await people.permit(handler, job, self._claim, token)
        if permit is not None and self._clock() >= self.work.lease.stop_at:
            # This process stood still meanwhile: somebody else may own the task, so nothing is done.
            await permit.finish(executed=False)
            return Released("the lease was over when the answer came")
        try:
            product = await handler.run(replace(job, ask=lambda inquiry: people.inquire(inquiry, job, token)))
        except Exception:
            if permit is not None:
                await permit.finish(executed=False)
            raise
        if permit is not None:
            await permit.finish(executed=not product.failure)
        return outcome_of(product)

    def _refusal(self, task: Mapping[str, Any]) -> Outcome | None:
        """Why this task is not begun, if there is a reason."""
        if self._handlers.find(task["capability"]) is None:
            return Released(self._handlers.unusable(task["capability"]))
        if self._claim.get("brief") is None:
            return Failed("brief_unreadable", True)
        return None

    def _crashed(self, error: Exception) -> Outcome:
        log.error("handler crashed", task=self.task, exc_info=error)
        return outcome_of_error(error)

    # Progress.

    def _progress(self, done: float, total: float | None, note: str) -> None:
        """Tell how far the work is, twice a second at most; what is not told then is not told."""
        now = self._clock()
        if self._telling or now - self._told_at < _PROGRESS_EVERY_S or self.work.state is not State.WORKING:
            return
        self._telling, self._told_at = True, now
        self._spawn(self._tell_progress(done, total, note))

    async def _tell_progress(self, done: float, total: float | None, note: str) -> None:
        params = {"task": self.task, "token": list(self.work.token), "done": done, "note": words(note, _NOTE_CHARS)}
        if total is not None:
            params["total"] = total
        try:
            await self._link.call("task.progress", params, timeout=_ANSWER_S)
        except BzzzError as error:
            log.debug("progress was not told", task=self.task, why=error)
        finally:
            self._telling = False

    # Lease.

    async def _renew(self) -> None:
        work = self.work
        # The ledger takes a lease's renewals in the order of their dates, and the wall clock may be set back.
        self._dated = max(self._wall(), self._dated + _DATES_APART_S)
        params = {"envelope": self._signer.command(RenewCommand, self.task, at=self._dated, token=work.token)}
        sent = self._clock()
        self._counters.renewals += 1
        try:
            answer = await self._link.call("task.renew", params, timeout=max(0.1, work.lease.ends - sent))
        except BzzzError as error:
            self._do(work.not_renewed(error, self._clock()))
            self._wake(self)
        else:
            self._do(work.renewed(sent, float(answer["lease_s"])))

    # Report.

    async def _tell(self, send: Send) -> None:
        """Send the report once; the same outcome is the same bytes every time."""
        if send.wait_s:
            await asyncio.sleep(send.wait_s)
        try:
            if self._report is None or self._report[0] is not send.outcome:
                self._report = (send.outcome, *await self._make_report(send.outcome))
            _, method, params = self._report
            seconds = _ANSWER_S + len(params.get("content") or b"") / 1_048_576 * _ANSWER_S_PER_MB
            await self._link.call(method, params, timeout=seconds)
        except BzzzError as error:
            self._do(self.work.not_answered(error, self._clock()))
        else:
            self._do(self.work.answered())

    async def _make_report(self, outcome: Outcome) -> tuple[str, dict[str, Any]]:
        token = self.work.token
        if isinstance(outcome, Released):
            log.info("task handed back", task=self.task, why=outcome.reason)
            return "task.release", {"envelope": self._signer.command(Release, self.task, token=token)}
        if outcome.product is None:
            return "task.fail", {"envelope": self._fail(outcome, None)}
        path = "decision" if isinstance(outcome, Completed) else "failure"
        address = self._signer.address(self._claim["task"]["project"], self.task, path)
        readers, epoch, heads = await self._readers(address, outcome.product.content_type)
        version = write_version(
            self._signer.writer(epoch), address=address, content=outcome.product.content, readers=readers,
            content_type=outcome.product.content_type, at=self._wall(), parents=heads,
        )  # fmt: skip
        params: dict[str, Any] = {"version": version.header, "content": version.content}
        if isinstance(outcome, Completed):
            command = self._signer.command(Complete, self.task, token=token, result=version.id, address=address)
            return "task.complete", {"envelope": command, **params}
        return "task.fail", {"envelope": self._fail(outcome, version.id), **params}

    def _fail(self, outcome: Failed, detail: str | None) -> bytes:
        log.info("task given up", task=self.task, reason=outcome.reason, retryable=outcome.retryable)
        return self._signer.command(
            Fail, self.task, token=self.work.token, reason=outcome.reason, retryable=outcome.retryable, detail=detail
        )

    async def _readers(self, address: str, content_type: str) -> tuple[list[str], int, list[str]]:
        """Who may read what is written at ``address``: the claim said so for text; for the rest bzzzd is asked."""
        claim = self._claim
        if content_type == TEXT:
            return claim["readers"], claim["epoch"], claim.get("heads") or []
        params = {"address": address, "content_type": content_type}
        answer = await self._link.call("context.prepare", params, timeout=_ANSWER_S)
        return answer["readers"], answer["epoch"], answer["heads"]
