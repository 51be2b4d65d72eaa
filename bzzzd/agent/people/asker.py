"""Asks people through the ledger and waits: ask → wait → begin → finish, each said again until it is answered.

Whoever calls is interrupted when the lease is lost, and the question stays for the next owner; so nothing
here needs a time limit of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Protocol

import structlog

from bzzzd.agent.handlers.base import Product
from bzzzd.agent.signer import Signer
from bzzzd.agent.work import Failed, Token, unanswered
from bzzzd.errors import BadInput, BzzzError, Conflict, NotAllowed, NotFound, unexpected
from bzzzd.rpc.client import Subscription
from bzzzd.rpc.follower import Items
from bzzzd.slurp.asking import ask_params
from bzzzd.slurp.commands import Begin, Finish
from bzzzd.slurp.question import DENY, PROMPT_TYPE, Question, action_digest, prompt_address

_ANSWER_S: Final = 10.0
_AGAIN_S: Final = 0.2
_AGAIN_MOST_S: Final = 5.0
# Faults of bzzzd that nobody expected, before the task is given back to be tried elsewhere or later.
_FAULTS: Final = 5
# A wake-up may be missed while the session is away, so a waiting agent looks by itself as well.
_LOOK_S: Final = 15.0

Step = Literal["wait", "begin", "default", "denied", "not_answered", "prompt_canceled", "outcome_unknown"]

log = structlog.get_logger()


class Link(Protocol):
    """The way to bzzzd."""

    async def call(self, method: str, params: Mapping[str, Any], *, timeout: float | None = None) -> Any: ...

    def subscribe(self, stream: str, *, filter: Mapping[str, Any] | None = None) -> Subscription: ...


class Refused(Exception):
    """People, or the ledger, do not let it be done; ``failure`` is what becomes of the task."""

    def __init__(self, failure: Failed) -> None:
        super().__init__(failure.reason)
        self.failure = failure


def step(prompt: Mapping[str, Any]) -> Step:
    """What a prompt's state asks of the agent that waits for it."""
    denied = prompt["verdict"] == DENY
    match prompt["state"]:
        case "open" | "seen":
            return "wait"
        case "answered":
            return "denied" if denied else "begin"
        case "expired":
            return "not_answered" if denied else "default"
        case "canceled" | "superseded":
            return "prompt_canceled"
        case _:
            # Begun under another lease, or ended: this agent has no part in that, and nobody does it a second time.
            return "outcome_unknown"


class Permit:
    """The right to do one action, once; ``answer`` is what people said (``value`` with a text or a form)."""

    def __init__(self, asker: Asker, task: str, token: Token, prompt: Mapping[str, Any], value: bytes | None) -> None:
        self._asker = asker
        self._task = task
        self._token = token
        self.prompt = prompt
        self.verdict = str(prompt["verdict"])
        self.value = value

    async def finish(self, *, executed: bool) -> None:
        """Say what came of it. A ``default`` was never begun, so there is nothing to say."""
        if self.prompt["state"] == "claimed":
            await self._asker.finish(self._task, self._token, str(self.prompt["id"]), executed=executed)


class Asker:
    """``wall`` is Unix time in seconds."""

    def __init__(self, link: Link, signer: Signer, wall: Callable[[], float]) -> None:
        self._link = link
        self._signer = signer
        self._wall = wall

    async def obtain(self, question: Question, project: str, token: Token) -> Permit:
        """Ask, wait for people as long as it takes, and begin; raises ``Refused``."""
        try:
            prompt = await self._ask(question, project, token)
            action = action_digest(question.action, question.task)
            while True:
                prompt = await self._decided(prompt)
                match step(prompt):
                    case "begin":
                        answer = await self._begin(question.task, token, str(prompt["id"]), action)
                        prompt = answer["prompt"]
                        if prompt["state"] == "claimed":
                            return Permit(self, question.task, token, prompt, answer.get("value"))
                    case "default":
                        return Permit(self, question.task, token, prompt, None)
                    case "wait":
                        continue
                    case ended:
                        raise Refused(Failed(ended, False, Product(_told(ended, prompt).encode())))
        except BzzzError as error:
            # The ledger's own refusal, like PROMPT_EXPIRED or STALE_TOKEN: its code says why. A full disk, and what
            # nobody expected, refuse nothing: another try may find them mended.
            refused = isinstance(error, BadInput | NotAllowed | NotFound | Conflict)
            raise Refused(Failed(error.code.lower(), not refused, Product(error.message.encode()))) from error

    async def finish(self, task: str, token: Token, prompt: str, *, executed: bool) -> None:
        """Tell the ledger what came of it; what it does not take is in its own log."""
        result = "executed" if executed else "failed"
        params = {"envelope": self._signer.command(Finish, task, token=token, prompt=prompt, result=result)}
        try:
            await self._patiently("prompt.finish", params)
        except BzzzError as error:
            log.warning("the end of an action was not taken", task=task, prompt=prompt, why=error)

    async def _ask(self, question: Question, project: str, token: Token) -> Mapping[str, Any]:
        me = self._signer
        address = prompt_address(me.id, me.role, project, question.task, question.id)
        prepared = await self._patiently("context.prepare", {"address": address, "content_type": PROMPT_TYPE})
        params = ask_params(
            me.writer(prepared["epoch"]), question, token=token, project=project, readers=prepared["readers"],
            at=self._wall(),
        )  # fmt: skip
        prompt: Mapping[str, Any] = (await self._patiently("prompt.ask", params))["prompt"]
        log.info("people are asked", task=question.task, prompt=prompt["id"], adopted=prompt["id"] != question.id)
        return prompt

    async def _begin(self, task: str, token: Token, prompt: str, action: str) -> Mapping[str, Any]:
        params = {"envelope": self._signer.command(Begin, task, token=token, prompt=prompt, action=action)}
        answer: Mapping[str, Any] = await self._patiently("prompt.begin", params)
        return answer

    async def _patiently(self, method: str, params: Mapping[str, Any]) -> Any:
        """Say it until it is answered: the same bytes count once. An unexpected fault may be over the next time."""
        pause, faults = _AGAIN_S, 0
        while True:
            try:
                return await self._link.call(method, params, timeout=_ANSWER_S)
            except BzzzError as error:
                faults += unexpected(error)
                if not unanswered(error) and not (unexpected(error) and faults < _FAULTS):
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, _AGAIN_MOST_S)

    # Waiting.

    async def _decided(self, prompt: Mapping[str, Any]) -> Mapping[str, Any]:
        """The prompt once there is something to do about it."""
        id = str(prompt["id"])
        while step(prompt) == "wait":
            stream = self._link.subscribe("prompts", filter={"id": id})
            try:
                found = await self._heard(stream, id)
            except BzzzError as error:
                log.info("prompts are not heard", prompt=id, why=error.message)
                await asyncio.sleep(_AGAIN_S)
                found = await self._look(id)
            finally:
                stream.close()
            prompt = prompt if found is None else found
        return prompt

    async def _heard(self, stream: Subscription, id: str) -> Mapping[str, Any] | None:
        """What the stream says of the prompt when it is decided; ``None`` when it ends."""
        coming: asyncio.Task[Any] | None = None
        try:
            while True:
                coming = coming or asyncio.ensure_future(anext(stream))
                done, _ = await asyncio.wait({coming}, timeout=_LOOK_S)
                found = None
                if done:
                    try:
                        event, coming = coming.result(), None
                    except StopAsyncIteration:
                        return None
                    found = _latest(event)
                if found is None:  # the ledger is another, or nothing came for long
                    found = await self._look(id)
                if found is not None and step(found) != "wait":
                    return found
        finally:
            if coming is not None:
                coming.cancel()

    async def _look(self, id: str) -> Mapping[str, Any] | None:
        try:
            shown = await self._link.call("prompt.show", {"id": id}, timeout=_ANSWER_S)
        except BzzzError as error:
            if unanswered(error) or isinstance(error, NotFound):
                return None
            raise
        prompt: Mapping[str, Any] = shown["prompt"]
        return prompt


def _latest(event: Any) -> Mapping[str, Any] | None:
    """The prompt as an event of its stream leaves it; ``None`` where it does not say."""
    if not isinstance(event, Items):
        prompts = (event.state or {}).get("prompts") or ()
        return prompts[0] if prompts else None
    return event.items[-1].get("prompt") if event.items else None


def _told(ended: str, prompt: Mapping[str, Any]) -> str:
    """Why the action was not done, for the task's readers."""
    who = ", ".join(str(reply["by"]) for reply in prompt["answers"] if reply["choice"] == DENY)
    said = {
        "denied": f"{who or 'a person'} denied it (prompt {prompt['id']})",
        "not_answered": f"nobody answered prompt {prompt['id']} in time, and silence denies",
        "prompt_canceled": f"prompt {prompt['id']} was withdrawn or replaced ({prompt['reason'] or prompt['state']})",
        "outcome_unknown": f"the action was begun under prompt {prompt['id']} before, and it is not begun twice",
    }
    return said[ended]
