"""Prompts as the tests' daemon keeps them: the real rules over one prompt a task, answered by the test itself."""

from __future__ import annotations

import time
from typing import Any

from msgspec import Struct

from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import Conflict, NotFound
from bzzzd.rpc.access import kinds
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.streams import Feed, Stream, StreamTable
from bzzzd.slurp import prompt as rule
from bzzzd.slurp.commands import Ask, Begin, Command, Finish, open_command
from bzzzd.slurp.prompt import Prompt, Reply
from bzzzd.slurp.question import Question, check_digest
from bzzzd.slurp.refusals import OutcomeOpen

PERSON = SigningKey.generate()


class Params(Struct, forbid_unknown_fields=True, kw_only=True):
    envelope: bytes = b""
    version: bytes | None = None
    content: bytes | None = None
    act: str = ""
    id: str = ""


class Prompts:
    """``rule`` is what policy says of every act; ``values`` are given with the prompt that is begun."""

    def __init__(self, daemon: Any) -> None:
        self._daemon = daemon
        self.rule: dict[str, Any] = {
            "by": ["operator"], "quorum": 1, "risk": "high", "expires_s": 300.0, "escalate": [],
        }  # fmt: skip
        self.kept: dict[str, Prompt] = {}
        self.questions: dict[str, Question] = {}
        self.values: dict[str, bytes] = {}
        self.holds = True
        self.log: list[str] = []
        self._done: dict[str, Prompt] = {}
        self._stream = Stream("prompts")

    @property
    def one(self) -> Prompt:
        (found,) = self.kept.values()
        return found

    def put(self, kind: str, prompt: Prompt) -> Prompt:
        self.kept[prompt.id] = prompt
        self.log.append(kind)
        self._stream.append({"kind": kind, "number": 0, "at": 0.0, "by": "", "prompt": self.map(prompt)})
        self._daemon.changed.set()
        return prompt

    def answer(self, choice: str = "approve", *, by: str = "dora", value: bytes | None = None) -> None:
        prompt = self.one
        if value is not None:
            self.values[prompt.id] = value
        reply = Reply(by, "operator", PERSON.public, time.time(), choice, None if value is None else "v" * 64)
        self.put("answered", rule.answer(prompt, reply, "person", prompt.digest, time.time()))

    def expire(self) -> None:
        prompt = self.one
        passed = rule.time_passed(prompt, prompt.expires + 1)
        assert passed is not None
        self.put(*passed)

    @staticmethod
    def map(prompt: Prompt) -> dict[str, Any]:
        return prompt.to_map() | {"title": None, "for_me": False}

    # The agent's side.

    def _run(self, name: str, kind: type[Command], act: Any) -> Any:
        async def run(call: Any, params: Params) -> dict[str, Any]:
            waits = self._daemon.before(name)
            if waits is not None:
                await waits
            _, command = open_command(params.envelope, self._daemon.mesh_id)
            assert isinstance(command, kind)
            if command.id not in self._done:
                self._done[command.id] = act(call.caller, command, params)
            prompt = self._done[command.id]
            if name in self._daemon.lose:
                self._daemon.lose.remove(name)
                call.session.close()
            return {"prompt": self.map(prompt), "value": self.values.get(prompt.id)}

        return run

    def _ask(self, caller: Any, command: Ask, params: Params) -> Prompt:
        assert params.content is not None
        question = check_digest(params.content, command.digest)
        known = next((p for p in self.kept.values() if (p.task, p.action) == (command.task, command.action)), None)
        if known is not None and known.state in ("claimed", "unknown"):
            raise OutcomeOpen("begun before", prompt=known.id)
        if known is not None and (known.pending or known.denied or known.state == "expired"):
            return self.put("adopted", rule.adopted(known, command.token, time.time()))
        self.questions[command.prompt] = question
        prompt = Prompt(
            command.prompt, command.task, caller.id, caller.key, command.version, command.digest, command.action,
            command.to, command.quorum, command.kind, command.risk, command.choices, time.time(), command.expires,
            command.default, command.escalation, None, "open", time.time(),
        )  # fmt: skip
        return self.put("asked", rule.asked(prompt, command.token))

    def _begin(self, caller: Any, command: Begin, params: Params) -> Prompt:
        after = rule.begin(
            self.kept[command.prompt], by=caller.id, key=caller.key, token=command.token, action=command.action,
            holds=lambda reply: self.holds, now=time.time(),
        )  # fmt: skip
        return self.put("begun" if after.state == "claimed" else "reopened", after)

    def _finish(self, caller: Any, command: Finish, params: Params) -> Prompt:
        now = time.time()
        after = rule.finish(self.kept[command.prompt], caller.key, command.token, command.result, now)
        return self.put(command.result, after)

    def _show(self, call: Any, params: Params) -> dict[str, Any]:
        if params.id not in self.kept:
            raise NotFound("no such prompt")
        return {"prompt": self.map(self.kept[params.id])}

    def _rule(self, call: Any, params: Params) -> dict[str, Any]:
        if not params.act:
            raise Conflict("no act")
        return self.rule

    def _feed(self, call: Any, name: str, filter: dict[str, Any]) -> Feed:
        only = filter["id"]

        def view(item: dict[str, Any]) -> dict[str, Any] | None:
            return item if item["prompt"]["id"] == only else None

        return Feed(self._stream, view, lambda: {"prompts": [self.map(self.kept[only])] if only in self.kept else []})

    def register(self, registry: Registry, streams: StreamTable) -> None:
        agents = kinds("agent")
        for name, kind, act in (
            ("prompt.ask", Ask, self._ask),
            ("prompt.begin", Begin, self._begin),
            ("prompt.finish", Finish, self._finish),
        ):
            registry.add(name, agents, Params, self._run(name, kind, act), doc="x")
        registry.add("prompt.show", agents, Params, self._show, doc="x", reads=True)
        registry.add("prompt.rule", agents, Params, self._rule, doc="x")
        streams.add("prompts", agents, self._feed, "x")
