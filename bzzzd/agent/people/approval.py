"""What policy and a task's author want of people before an agent acts, and how they are asked for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from bzzzd.agent.handlers.base import Answered, Handler, Inquiry, Job, Product
from bzzzd.agent.people.asker import Asker, Link, Permit, Refused
from bzzzd.agent.signer import Signer
from bzzzd.agent.work import Failed, Token
from bzzzd.hmmm.library import Library, Said
from bzzzd.slurp.asking import new_nonce
from bzzzd.slurp.commands import new_prompt_id
from bzzzd.slurp.question import Action, Choice, Later, Question, To, canonical, open_question, open_value

_RULE_S: Final = 10.0
# What a question shows of an action's arguments; more of them is named by its digest.
_ARGS_BYTES: Final = 16_384


class Approvals:
    """One agent's way to people. ``library`` has the words; whom to ask, and how, is policy's."""

    def __init__(self, link: Link, signer: Signer, library: Library, wall: Callable[[], float]) -> None:
        self._link = link
        self._signer = signer
        self._library = library
        self._wall = wall
        self._asker = Asker(link, signer, wall)

    async def permit(self, handler: Handler, job: Job, claim: Mapping[str, Any], token: Token) -> Permit | None:
        """The right to run ``handler``: ``None`` when nobody needs to be asked. Raises ``Refused``."""
        task = job.task
        left = claim["acts"].get(handler.act, "no")
        if left == "no":
            why = f"policy lets role {self._signer.role} do no {handler.act}, with or without people's approval"
            raise Refused(Failed("not_allowed", False, Product(f"{why} (roles.yaml)".encode())))
        if left == "free" and not task.get("approve"):
            return None
        action = Action(handler.act, _bounded(handler.action(job), task), str(task["id"]))
        said = self._words(job, action, "approve_action" if left == "approve" else "approve_task")
        question = await self._question(action, said, task, kind="approve")
        return await self._asker.obtain(question, str(task["project"]), token)

    async def inquire(self, inquiry: Inquiry, job: Job, token: Token) -> Answered:
        """Ask people for something that a handler needs to know; raises ``Refused``."""
        action = Action("ask", {"inquiry": msgspec.to_builtins(inquiry)}, str(job.task["id"]))
        said = Said(inquiry.title, inquiry.body)
        choices = tuple(Choice(id, text) for id, text in inquiry.choices.items())
        default = {"default": inquiry.default} if inquiry.default else {}
        question = await self._question(
            action, said, job.task, kind=inquiry.kind, choices=choices, form=tuple(inquiry.form), **default
        )
        permit = await self._asker.obtain(question, str(job.task["project"]), token)
        await permit.finish(executed=True)
        value = None if permit.value is None else open_value(question, permit.value)
        return Answered(permit.verdict, value)

    async def _question(self, action: Action, said: Said, task: Mapping[str, Any], **fields: Any) -> Question:
        rule = await self._link.call("prompt.rule", {"act": action.op}, timeout=_RULE_S)
        now = self._wall()
        one = fields["kind"] in ("text", "form")
        brief = task.get("brief")
        question = Question(
            id=new_prompt_id(now), mesh=self._signer.mesh_id, task=str(task["id"]), by=self._signer.id,
            to=To(roles=tuple(rule["by"])), quorum=1 if one else rule["quorum"], title=said.title, body=said.body,
            action=action, risk="low" if action.op == "ask" else rule["risk"], expires=now + rule["expires_s"],
            nonce=new_nonce(), evidence=(brief,) if brief else (),
            escalation=tuple(Later(step["after_s"], To(roles=tuple(step["to"]))) for step in rule["escalate"]),
            **fields,
        )  # fmt: skip
        return open_question(msgspec.msgpack.encode(question))

    def _words(self, job: Job, action: Action, occasion: Any) -> Said:
        shown = json.dumps(action.args, ensure_ascii=False, indent=1, default=str)
        values = {
            "agent": self._signer.id, "task": str(job.task["id"]), "title": job.brief.title,
            "author": str(job.task.get("author") or ""), "action": _short(action), "detail": shown,
        }  # fmt: skip
        return self._library.say(occasion, values)


def _short(action: Action) -> str:
    """An action in a few words, for a title."""
    argv = action.args.get("argv")
    if isinstance(argv, list) and argv:
        words = " ".join(str(word) for word in argv)
        return f"run {words[:120]}{'…' if len(words) > 120 else ''}"
    return {"answer": "have the model answer"}.get(action.op, action.op)


def _bounded(args: Mapping[str, Any], task: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as a question shows them, with the brief they come from: what is too long is named by its digest."""
    shown: dict[str, Any] = {"brief": task.get("brief")}
    for name, value in args.items():
        said = canonical(value)
        whole = len(said) <= _ARGS_BYTES
        shown[name] = value if whole else {"sha256": hashlib.sha256(said).hexdigest(), "bytes": len(said)}
    return shown
