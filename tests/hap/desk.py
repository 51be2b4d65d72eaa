"""A daemon with a script: the real RPC server and real signatures, over a ledger of one dictionary."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from bzzzd.errors import BzzzError, GrantRefused
from bzzzd.identity.attach import open_attach
from bzzzd.identity.caller import Caller
from bzzzd.rpc.access import attached, guest
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.server import RpcServer
from bzzzd.rpc.streams import Feed, Stream, StreamTable
from bzzzd.slurp import prompt as rule
from bzzzd.slurp.brief import open_brief
from bzzzd.slurp.commands import Answer, Retry, Seen, Settle, open_command
from bzzzd.ucxl.version import open_version

from .asking import MESH, Asking, granted


class _Params(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class AttachParams(_Params, frozen=True):
    envelope: bytes
    chain: list[bytes] = []
    record: bytes | None = None


class CommandParams(_Params, frozen=True):
    envelope: bytes
    version: bytes | None = None
    content: bytes | None = None


class IdParams(_Params, frozen=True):
    id: str


class AddressParams(_Params, frozen=True):
    address: str


class PrepareParams(_Params, frozen=True):
    address: str
    content_type: str = "text/plain"


class ListParams(_Params, frozen=True):
    limit: int = 100
    live: bool = False


class Desk:
    """``refuse`` makes attach fail with its message; ``fault`` makes the next command fail."""

    def __init__(self) -> None:
        self.tasks: dict[str, dict[str, Any]] = {}
        self.briefs: dict[str, Any] = {}
        self.commands: list[str] = []
        self.calls: list[str] = []
        self.refuse = ""
        self.fault: BzzzError | None = None
        self.swallow = 0
        self.stream = Stream("one", keep=64)
        self.prompts: dict[str, Asking] = {}
        self.asked = Stream("one", keep=64)
        self.entries: dict[str, int] = {}
        self.values: dict[str, bytes] = {}
        self.events = Stream("one")

    def task(self, id: str, **fields: Any) -> dict[str, Any]:
        """Put a task on the ledger and tell the stream."""
        now = time.time()
        row = {"id": id, "state": "submitted", "title": f"Task {id}", "created": now, "author": "lena", "role": ""}
        self.tasks[id] = {**row, **self.tasks.get(id, {}), **fields, "updated": now}
        self.stream.append({"kind": "changed", "task": self.tasks[id]})
        return self.tasks[id]

    def _attach(self, call: Any, params: AttachParams) -> dict[str, Any]:
        envelope, proof = open_attach(params.envelope, MESH, call.session.take_nonce())
        if self.refuse:
            raise GrantRefused(self.refuse)
        peer = call.session.peer
        caller = Caller(peer.uid, peer.gid, peer.pid, kind="person", id=proof.id, role="operator", key=envelope.author)
        call.session.become(caller)
        return {
            "caller": {"kind": "person", "id": proof.id, "role": "operator", "capabilities": []},
            "mesh_id": MESH, "chain": [granted("person", proof.id, envelope.author, "operator")],
            "readers": {"brief": ["operator", "worker"]}, "epoch": 1,
        }  # fmt: skip

    async def _run(self, params: CommandParams) -> Any:
        _, command = open_command(params.envelope, MESH)
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault
        self.commands.append(command.id)
        if self.swallow:
            self.swallow -= 1
            await asyncio.sleep(3600)
        return command

    async def _submit(self, call: Any, params: CommandParams) -> dict[str, Any]:
        command = await self._run(params)
        assert params.version is not None
        assert params.content is not None
        _, header = open_version(params.version, MESH)
        assert header.matches(params.content)
        brief = open_brief(params.content)
        self.briefs[command.task] = {"title": brief.title, "body": brief.body, "args": brief.args}
        return {"task": self.task(command.task, title=brief.title, role=command.role, capability=command.capability)}

    async def _cancel(self, call: Any, params: CommandParams) -> dict[str, Any]:
        command = await self._run(params)
        return {"task": self.task(command.task, state="canceled", reason=command.reason)}

    async def _retry(self, call: Any, params: CommandParams) -> dict[str, Any]:
        command = await self._run(params)
        assert isinstance(command, Retry)
        return {"task": self.task(command.new_task, retry_of=command.task)}

    def _show(self, call: Any, params: IdParams) -> dict[str, Any]:
        return {"task": self.tasks[params.id], "brief": self.briefs.get(params.id, {"title": "T", "body": "the brief"})}

    # Prompts: the ledger's own rules over one dictionary.

    def ask(self, asking: Asking, what: str = "asked", by: str = "agent:worker-1") -> None:
        """Put a prompt, or a change of one, on the ledger and tell the stream."""
        self.prompts[asking.prompt.id] = asking
        number = self.entries[asking.prompt.id] = 1000 + len(self.entries) + len(self.commands)
        self.asked.append({
            "kind": what, "number": number, "at": time.time(), "by": by, "prompt": asking.prompt.to_map(),
        })  # fmt: skip

    def _list_prompts(self, call: Any, params: ListParams) -> dict[str, Any]:
        return {"prompts": [one.row() for one in self.prompts.values()], "next": None}

    def _show_prompt(self, call: Any, params: IdParams) -> dict[str, Any]:
        return self.prompts[params.id].shown()

    async def _about_prompt(self, call: Any, params: CommandParams) -> dict[str, Any]:
        known = open_command(params.envelope, MESH)[1]
        if known.id in self.commands:  # as the ledger does: the same again changes nothing
            return {"prompt": self.prompts[known.prompt].row(), "receipt": {"command": known.id, "state": "entered"}}
        command = await self._run(params)
        caller, now = call.session.caller, time.time()
        asking = self.prompts[command.prompt]
        match command:
            case Seen():
                asking.prompt, what = rule.seen(asking.prompt, caller.id, "person", "operator", now), "prompt_seen"
            case Answer():
                reply = rule.Reply(caller.id, "operator", caller.key, now, command.choice, command.value)
                asking.prompt = rule.answer(asking.prompt, reply, "person", command.digest, now)
                what = "prompt_answered"
                if params.content is not None:
                    self.values[command.prompt] = params.content
            case Settle():
                asking.prompt = rule.settle(asking.prompt, caller.id, "person", "operator", command.result, now)
                what = "prompt_settled"
        self.ask(asking, what.removeprefix("prompt_"), f"person:{caller.id}")
        return {"prompt": asking.row(), "receipt": {"command": command.id, "state": "entered", "at": time.time()}}

    def serve(self) -> RpcServer:
        registry, streams = Registry(), StreamTable()
        add, anybody = registry.add, guest()
        add("session.attach", anybody, AttachParams, self._attach)
        add("status", anybody, None, lambda call, _: {"node_id": "node-1", "mesh_id": MESH, "durability": "single"})
        add(
            "health",
            anybody,
            None,
            lambda call, _: {"ok": True, "services": [{"name": "ledger", "state": "ready", "ok": True}]},
        )
        add("peers", anybody, None, lambda call, _: {"peers": []})
        add(
            "agent.list",
            anybody,
            None,
            lambda call, _: {"agents": [{"id": "worker-1", "role": "worker", "attached": True}]},
        )
        add("task.list", anybody, ListParams, lambda call, _: {"tasks": list(self.tasks.values()), "next": None})
        add("task.show", anybody, IdParams, self._show)
        add("task.trace", anybody, IdParams, lambda call, p: {"id": p.id, "steps": [{"at": 1.0, "what": "submitted"}]})
        add("task.submit", attached(), CommandParams, self._submit)
        add("task.cancel", attached(), CommandParams, self._cancel)
        add("task.retry", attached(), CommandParams, self._retry)
        add("prompt.list", anybody, ListParams, self._list_prompts)
        add("prompt.show", attached(), IdParams, self._show_prompt)
        for name in ("seen", "answer", "settle"):
            add(f"prompt.{name}", attached(), CommandParams, self._about_prompt)
        add("context.prepare", attached(), PrepareParams, self._prepare)
        add("context.get", attached(), AddressParams, self._get)
        add("context.history", attached(), AddressParams, self._history)
        streams.add("tasks", anybody, self._feed)
        streams.add("prompts", anybody, self._prompts)
        streams.add("events", anybody, self.events)
        streams.add("agents", anybody, Stream("one"))
        streams.add("hmmm", anybody, Stream("one"))
        return RpcServer(
            registry,
            hello=lambda: {"build": "test", "node_id": "node-1", "mesh_id": MESH, "phase": "ready"},
            guest=lambda peer: Caller(peer.uid, peer.gid, peer.pid),
            streams=streams,
        )

    def _feed(self, call: Any, name: str, filter: dict[str, Any]) -> Feed:
        return Feed(self.stream, None, lambda: {"tasks": list(self.tasks.values())})

    def _prompts(self, call: Any, name: str, filter: dict[str, Any]) -> Feed:
        return Feed(self.asked, None, lambda: {"prompts": [one.prompt.to_map() for one in self.prompts.values()]})

    def _prepare(self, call: Any, params: PrepareParams) -> dict[str, Any]:
        return {"readers": ["operator", "worker"], "epoch": 1, "heads": []}

    def _get(self, call: Any, params: AddressParams) -> dict[str, Any]:
        number = 1 if "*~1" in params.address else 2
        return {
            "version_id": "ab" * 32, "address": params.address, "number": number, "of": 2, "author": "worker-1",
            "content": f"decision, version {number}".encode(), "content_type": "text/plain", "at": 1.0,
            "readers": ["operator"], "heads": [], "conflict": False,
        }  # fmt: skip

    def _history(self, call: Any, params: AddressParams) -> dict[str, Any]:
        return {"versions": [{"number": 1, "version_id": "a"}, {"number": 2, "version_id": "b"}], "conflict": False}


@asynccontextmanager
async def serving(desk: Desk, socket: Path) -> AsyncIterator[RpcServer]:
    server = desk.serve()
    await server.serve(socket)
    try:
        yield server
    finally:
        await server.close(grace_s=0)


async def until(condition: Callable[[], object], limit: float = 30.0) -> None:
    """Wait for a condition, looking often; fails after ``limit`` seconds."""
    async with asyncio.timeout(limit):
        while not condition():  # noqa: ASYNC110  the condition is anybody's
            await asyncio.sleep(0.005)
