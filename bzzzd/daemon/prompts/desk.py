"""Prompts over RPC: what agents ask and begin, what people answer, as signed commands to the ledger.

Whoever may connect may call what answers: the desk itself refuses those without a person grant, so that
every attempt leaves a line in the log (``daemon/ledger/audit.py``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import Struct

from bzzzd.daemon.gate import Gate
from bzzzd.daemon.ledger import audit
from bzzzd.daemon.ledger.clerk import Clerk, Waits
from bzzzd.daemon.ledger.params import CommandParams, OptionalVersionParams, VersionedParams
from bzzzd.daemon.prompts.questions import Questions
from bzzzd.daemon.prompts.view import PromptView
from bzzzd.daemon.work.taskview import TaskView
from bzzzd.errors import BadInput, BzzzError, GrantRefused, InvalidEnvelope
from bzzzd.identity.caller import Caller
from bzzzd.rpc.access import guest, kinds
from bzzzd.rpc.registry import Registry
from bzzzd.slurp.commands import (
    Answer,
    Ask,
    Author,
    Begin,
    Finish,
    Id,
    PromptCommand,
    Seen,
    Settle,
    Withdraw,
)
from bzzzd.slurp.ledger import Outcome
from bzzzd.slurp.question import Question, action_digest, check_digest
from bzzzd.slurp.refusals import ActionChanged, NeedsPerson
from bzzzd.storage.versions.context import ContextStore, Pending

C = TypeVar("C", bound=PromptCommand)


class _Params(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class RuleParams(_Params, frozen=True):
    act: Id


class PromptDesk:
    def __init__(
        self,
        clerk: Clerk,
        contexts: ContextStore,
        questions: Questions,
        view: PromptView,
        tasks: TaskView,
        gate: Gate,
        mesh_id: str,
    ) -> None:
        self._clerk = clerk
        self._contexts = contexts
        self._questions = questions
        self._view = view
        self._tasks = tasks
        self._gate = gate
        self._mesh_id = mesh_id

    # What agents do.

    def rule(self, call: Any, params: RuleParams) -> dict[str, Any]:
        """How people are asked before an act of the caller's: whom, how many, at what risk, until when."""
        rule = self._gate.approval(params.act)
        return {
            "by": list(rule.by), "quorum": rule.quorum, "risk": rule.risk, "expires_s": rule.expires_s,
            "escalate": [{"after_s": step.after_s, "to": list(step.to)} for step in rule.escalate],
        }  # fmt: skip

    async def ask(self, call: Any, params: VersionedParams) -> dict[str, Any]:
        """Ask people and wait; gives the prompt, which is the one of the owner before when it asked the same."""
        author, command = self._open(call.caller, params.envelope, Ask)
        pending: Pending | None = None
        try:
            question = check_digest(params.content, command.digest)
            _check_same(question, command, author, self._mesh_id)
            pending = await self._contexts.check(params.version, params.content, author)
        except BzzzError as error:
            audit.command_refused(error, command, _by(author))
            raise
        self._questions.remember(pending.id, question, frozenset({*pending.header.readers, author.role}))
        outcome = await self._run(author, command, params.envelope, pending)
        return self._shown(call, outcome)

    async def begin(self, call: Any, params: CommandParams) -> dict[str, Any]:
        """Begin the action that was asked about: everything is checked again. Gives the value of a text or form.

        Only when the prompt that comes back is ``claimed`` may the action be done.
        """
        author, command = self._open(call.caller, params.envelope, Begin)
        outcome = await self._run(author, command, params.envelope)
        values = [reply.value for reply in outcome.prompt.replies if reply.value] if outcome.prompt else []
        value = await self._questions.value(values[0], author.role) if values else None
        return {**self._shown(call, outcome), "value": value}

    # What people do.

    async def answer(self, call: Any, params: OptionalVersionParams) -> dict[str, Any]:
        """Answer a prompt; the receipt says ``entered``, or ``waiting`` when this node keeps it for the coordinator."""
        author, command = self._open(call.caller, params.envelope, Answer)
        pending: Pending | None = None
        try:
            _check_person(call.caller, author)
            if params.version is not None:
                pending = await self._contexts.check(params.version, params.content or b"", author)
        except BzzzError as error:
            audit.command_refused(error, command, _by(author))
            raise
        return await self._received(call, author, command, params.envelope, pending)

    async def seen(self, call: Any, params: CommandParams) -> dict[str, Any]:
        """Say that a prompt is on a person's screen."""
        author, command = self._open(call.caller, params.envelope, Seen)
        return self._shown(call, await self._run(author, command, params.envelope))

    async def settle(self, call: Any, params: CommandParams) -> dict[str, Any]:
        """Say what became of an action whose outcome is unknown."""
        author, command = self._open(call.caller, params.envelope, Settle)
        return await self._received(call, author, command, params.envelope, None)

    async def _received(
        self, call: Any, author: Author, command: Answer | Settle, raw: bytes, pending: Pending | None
    ) -> dict[str, Any]:
        try:
            outcome = await self._run(author, command, raw, pending)
        except Waits as waits:
            prompt = {
                "id": command.prompt,
                "task": command.task,
                "state": "waiting",
                "waits_at": waits.shown["waits_at"],
            }
            return {"prompt": prompt, "receipt": {"command": command.id, "state": "waiting", "at": time.time()}}
        receipt = {"command": command.id, "state": "entered", "at": time.time()}
        return {"prompt": self._shown(call, outcome)["prompt"], "receipt": receipt}

    # Both.

    def _open(self, caller: Caller, raw: bytes, kind: type[C]) -> tuple[Author, C]:
        try:
            return self._clerk.open(raw, kind)
        except BzzzError as error:
            found: BzzzError = error
            if caller.kind == "guest" and isinstance(error, GrantRefused):
                found = NeedsPerson(
                    f"prompts are answered by people of this mesh, and uid {caller.uid} has shown no grant; "
                    "an administrator gives one with: sudo bzzz mesh admin add USER"
                )
            audit.refused(found, op=kind.__name__.lower(), by=f"{caller.kind}:{caller.id or caller.uid}")
            raise found from error

    async def _run(self, author: Author, command: PromptCommand, raw: bytes, pending: Pending | None = None) -> Outcome:
        try:
            outcome = await self._clerk.run(author, command, raw, pending)
        except BzzzError as error:
            audit.command_refused(error, command, _by(author))
            raise
        if pending is not None and outcome.adopted:
            await self._contexts.discard(pending)
        return outcome

    def _shown(self, call: Any, outcome: Outcome) -> dict[str, Any]:
        assert outcome.prompt is not None
        return {
            "prompt": self._view.map(outcome.prompt, call.caller), "task": self._tasks.map(outcome.task, call.caller)
        }  # fmt: skip

    def _plain(self, kind: type[PromptCommand]) -> Callable[[Any, CommandParams], Any]:
        async def run(call: Any, params: CommandParams) -> dict[str, Any]:
            author, command = self._open(call.caller, params.envelope, kind)
            return self._shown(call, await self._run(author, command, params.envelope))

        return run

    def register(self, registry: Registry) -> None:
        # Guests are let in to be refused by the desk, with a line in the log.
        anybody, agents, members = guest(), kinds("agent"), kinds("person", "admin", "agent")
        both, received = "{prompt, task}", "{prompt, receipt}"
        registry.add("prompt.rule", agents, RuleParams, self.rule, result="{by, quorum, risk, expires_s, escalate}")
        registry.add("prompt.ask", agents, VersionedParams, self.ask, result=both)
        registry.add("prompt.begin", agents, CommandParams, self.begin, result="{prompt, task, value}")
        registry.add(
            "prompt.finish", agents, CommandParams, self._plain(Finish), result=both,
            doc="Say what came of the action that was begun.",
        )  # fmt: skip
        registry.add(
            "prompt.withdraw", members, CommandParams, self._plain(Withdraw), result=both,
            doc="Take a question back: by the owner of its task, or by the task's author.",
        )  # fmt: skip
        registry.add("prompt.seen", anybody, CommandParams, self.seen, result=both)
        registry.add("prompt.answer", anybody, OptionalVersionParams, self.answer, result=received)
        registry.add("prompt.settle", anybody, CommandParams, self.settle, result=received)


def _by(author: Author) -> str:
    return f"{author.kind}:{author.id}"


def _check_person(caller: Caller, author: Author) -> None:
    """An answer is forwarded for people alone; who signed it is for the ledger to judge."""
    if caller.kind == "guest":
        raise NeedsPerson(f"prompts are answered in a person's own session, and uid {caller.uid} has shown no grant")
    if author.kind == "node":
        raise NeedsPerson(f"prompts are answered by people, and {author.id} is a node")


def _check_same(question: Question, command: Ask, author: Author, mesh_id: str) -> None:
    """The document must say what the ledger is told, and what is to be done; raises ``BadInput``."""
    if question.mesh != mesh_id:
        raise InvalidEnvelope("this question was written for another mesh")
    if action_digest(question.action, question.task) != command.action:
        raise ActionChanged("the question describes another action than the one it is asked for", prompt=command.prompt)
    told = (
        command.prompt, command.task, author.id, command.to, command.kind, command.expires, command.quorum,
        command.risk, command.choices, command.default, command.escalation, command.supersedes,
    )  # fmt: skip
    said = (
        question.id, question.task, question.by, question.to, question.kind, question.expires, question.quorum,
        question.risk, question.choice_ids, question.default, question.escalation, question.supersedes,
    )  # fmt: skip
    if told != said:
        raise BadInput("the question's document and what the ledger is told of it differ", prompt=command.prompt)
