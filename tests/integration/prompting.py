"""Agents that ask and people that answer, one signed command at a time, for the integration tests of prompts."""

from __future__ import annotations

import time
from typing import Any

from bzzzd.slurp.asking import answer_params, ask_params, new_nonce, settle_params
from bzzzd.slurp.commands import Begin, Finish, Seen, Withdraw, new_prompt_id
from bzzzd.slurp.question import PROMPT_TYPE, VALUE_TYPE, Action, Question, To, action_digest, check_digest, write_value
from bzzzd.slurp.question import prompt_address as _prompt_address
from bzzzd.slurp.question import value_address as _value_address
from tests.integration.sessions import Session

RM = {"argv": ["rm", "-r", "build"]}
EVERYBODY = To(roles=("admin", "operator"))


class Asking:
    """A task in the hands of a scripted agent, and its question."""

    def __init__(self, agent: Session, task: str, **question: Any) -> None:
        self.agent = agent
        self.claimed = agent.claim(task)
        self.task = task
        self.token = tuple(self.claimed["token"])
        self.action = Action("command", RM, task)
        self.asked: Any = {}
        self.params = self.question(**question)

    def question(self, **fields: Any) -> dict[str, Any]:
        now = time.time()
        made = {
            "id": new_prompt_id(now), "mesh": self.agent.mesh_id, "task": self.task, "by": self.agent.id,
            "to": EVERYBODY, "kind": "approve", "title": "May I remove the build folder?", "action": self.action,
            "expires": now + 300, "nonce": new_nonce(), **fields,
        }  # fmt: skip
        question = Question(**made)
        address = _prompt_address(self.agent.id, self.agent.role, "default", self.task, question.id)
        prepared = self.agent.call("context.prepare", address=address, content_type=PROMPT_TYPE)
        return ask_params(
            self.agent.writer(), question, token=self.token, project="default", readers=prepared["readers"], at=now
        )  # type: ignore[arg-type]

    def ask(self) -> str:
        self.asked = self.agent.call("prompt.ask", **self.params)["prompt"]
        return str(self.asked["id"])

    def begin(self, action: Action | None = None) -> Any:
        digest = action_digest(action or self.action, self.task)
        command = self.agent.command(Begin, self.task, token=self.token, prompt=self.asked["id"], action=digest)
        return self.agent.call("prompt.begin", **command)

    def finish(self, result: str = "executed") -> Any:
        command = self.agent.command(Finish, self.task, token=self.token, prompt=self.asked["id"], result=result)
        return self.agent.call("prompt.finish", **command)

    def withdraw(self) -> Any:
        command = self.agent.command(Withdraw, self.task, token=self.token, prompt=self.asked["id"])
        return self.agent.call("prompt.withdraw", **command)


def answer_of(person: Session, prompt: str, choice: str = "approve", value: Any = None, **changed: Any) -> Any:
    """The parameters of a person's answer to what the node shows them, its digest computed anew."""
    shown = person.call("prompt.show", id=prompt)
    found = shown["prompt"]
    fields: dict[str, Any] = {
        "prompt": prompt, "task": found["task"], "digest": found["digest"], "choice": choice, "at": time.time(),
    }  # fmt: skip
    if value is not None:
        question = check_digest(shown["document"], found["digest"])
        address = _value_address(person.id, person.role, "default", found["task"], prompt)
        prepared = person.call("context.prepare", address=address, content_type=VALUE_TYPE)
        fields |= {"choice": "value", "value": write_value(question, value), "readers": prepared["readers"]}
    return answer_params(person.writer(), **{**fields, **changed})


def answer(person: Session, prompt: str, choice: str = "approve", value: Any = None, **changed: Any) -> Any:
    return person.call("prompt.answer", **answer_of(person, prompt, choice, value, **changed))


def see(person: Session, prompt: Any) -> Any:
    return person.call("prompt.seen", **person.command(Seen, prompt["task"], prompt=prompt["id"]))


def settle(person: Session, prompt: Any, result: str) -> Any:
    params = settle_params(person.writer(), prompt=prompt["id"], task=prompt["task"], result=result, at=time.time())
    return person.call("prompt.settle", **params)


def state_of(person: Session, prompt: str) -> str:
    return str(person.call("prompt.show", id=prompt)["prompt"]["state"])
