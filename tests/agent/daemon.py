"""The daemon's side of the agent's conversation, served by the real RPC server over a real socket.

It verifies every signature with the real envelopes, and can be told to lose answers, to refuse, to
be silent and to go away. It keeps what it accepted, so that a test can ask who did what.
"""

import asyncio
import itertools
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from bzzzd.agent.lease import boottime
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import Conflict, FinalState, InvalidEnvelope, StaleToken
from bzzzd.identity.attach import open_attach
from bzzzd.identity.caller import Caller
from bzzzd.identity.grants import Grant, issue, mesh_id_of
from bzzzd.rpc.access import attached, guest, kinds
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.server import RpcServer
from bzzzd.rpc.streams import Feed, Stream, StreamTable
from bzzzd.slurp.brief import Brief
from bzzzd.slurp.commands import Claim, Complete, Fail, Release, Renew, open_command
from bzzzd.ucxl.version import open_version, version_id
from tests.agent.prompts import Prompts


class Params(Struct, forbid_unknown_fields=True, kw_only=True):
    envelope: bytes
    version: bytes | None = None
    content: bytes | None = None


class Attach(Struct, forbid_unknown_fields=True, kw_only=True):
    envelope: bytes
    chain: tuple[bytes, ...] = ()
    record: bytes | None = None


class Anything(Struct, forbid_unknown_fields=True, kw_only=True):
    task: str = ""
    token: tuple[int, int] = (0, 0)
    done: float = 0
    total: float | None = None
    note: str = ""
    address: str = ""
    content_type: str = ""


@dataclass
class Held:
    """One task of the test's ledger."""

    id: str
    brief: bytes | None
    capability: str
    state: str = "submitted"
    counter: int = 0
    lease_end: float = 0.0
    content: bytes | None = None
    content_type: str = ""
    address: str = ""
    reason: str = ""
    retryable: bool = False
    approve: bool = False
    readers: tuple[str, ...] = ()
    log: list[str] = field(default_factory=list)
    renewed: list[float] = field(default_factory=list)  # what the renewals are dated

    def map(self) -> dict[str, Any]:
        return {
            "id": self.id, "project": "default", "capability": self.capability, "role": "", "priority": 5,
            "author": "alice", "state": self.state, "approve": self.approve,
        }  # fmt: skip


class Daemon:
    """``lease_s`` is given to each claim. ``before(method)`` may raise, or wait; ``lose`` methods do their work and
    then cut the connection instead of answering."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.authority = SigningKey.generate()
        self.mesh_id = mesh_id_of(self.authority.public)
        self.tasks: dict[str, Held] = {}
        self.lease_s = 30.0
        self.grant_s = 3600.0
        self.acts = {"answer": "free", "command": "free", "external": "free"}
        self.prompts = Prompts(self)
        self.lose: list[str] = []
        self.before: Callable[[str], Any] = lambda method: None
        self.calls: list[str] = []
        self.attaches: list[Any] = []
        self.declined: list[str] = []
        self.progress: list[tuple[float, str]] = []
        self.ids: dict[str, str] = {}
        self.changed = asyncio.Event()
        self._numbers = itertools.count(1)
        self._server: RpcServer | None = None
        self.offers = Stream("none")

    # Up and down.

    async def start(self) -> None:
        registry, streams = Registry(), StreamTable()
        agents = kinds("agent")
        for name, kind, act in (
            ("claim", Claim, self._claim),
            ("renew", Renew, self._renew),
            ("complete", Complete, self._complete),
            ("fail", Fail, self._fail),
            ("release", Release, self._release),
        ):
            registry.add(f"task.{name}", agents, Params, self._command(f"task.{name}", kind, act), doc="x")
        registry.add("session.attach", guest(), Attach, self._attach, doc="x")
        registry.add("task.progress", agents, Anything, self._progress, doc="x")
        registry.add("task.decline", agents, Anything, self._decline, doc="x")
        registry.add("context.prepare", attached(), Anything, self._prepare, doc="x")
        streams.add("offers", agents, lambda call, name, filter: Feed(self.offers), "x")
        self.prompts.register(registry, streams)
        self._server = RpcServer(
            registry,
            hello=lambda: {"build": "test", "node_id": "n1", "mesh_id": self.mesh_id, "phase": "ready"},
            guest=lambda peer: Caller(peer.uid, peer.gid, peer.pid),
            streams=streams,
        )
        await self._server.serve(self.path)

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.close(grace_s=0.1)
            self._server = None

    # The test's side.

    def submit(self, capability: str = "empty", *, brief: Brief | bytes | None = None, offer: bool = True) -> Held:
        plain = brief if isinstance(brief, bytes) else msgspec.msgpack.encode(brief or Brief("Title"))
        task = Held(f"t-{next(self._numbers)}", plain, capability)
        self.tasks[task.id] = task
        if offer:
            self.offer(task)
        return task

    def offer(self, *tasks: Held, expires_s: float = 5.0) -> None:
        for task in tasks:
            self.offers.append({"task": task.id, "expires_s": expires_s})

    async def until(self, condition: Callable[[], bool], limit: float = 10.0) -> None:
        """Wait for something that a call brings about."""
        async with asyncio.timeout(limit):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    # The agent's side.

    def _attach(self, call: Any, params: Attach) -> dict[str, Any]:
        envelope, proof = open_attach(params.envelope, self.mesh_id, call.session.take_nonce())
        self.attaches.append(proof)
        now = time.time()
        grant = Grant(
            kind="agent", id=proof.id, mesh_id=self.mesh_id, key=envelope.author, role=proof.role, serial=1,
            capabilities=proof.capabilities, not_before=now, not_after=now + self.grant_s,
            issuer=self.authority.public,
        )  # fmt: skip
        self.offers = Stream(secrets.token_hex(4))
        peer = call.session.peer
        caller = Caller(
            peer.uid, peer.gid, peer.pid, "agent", proof.id, proof.role, frozenset(proof.capabilities), envelope.author
        )
        call.session.become(caller)
        self.changed.set()
        return {
            "caller": {"kind": "agent", "id": proof.id, "role": proof.role, "capabilities": list(proof.capabilities)},
            "chain": [issue(self.authority, grant)],
        }  # fmt: skip

    def _command(self, method: str, kind: type[Any], act: Callable[[Held, Any, Params], dict[str, Any]]) -> Any:
        async def run(call: Any, params: Params) -> dict[str, Any]:
            self.calls.append(method)
            waits = self.before(method)
            if waits is not None:
                await waits
            envelope, command = open_command(params.envelope, self.mesh_id)
            if envelope.author != call.caller.key or not isinstance(command, kind):
                raise InvalidEnvelope("not the caller's own command of this kind")
            task = self.tasks[command.task]
            known = self.ids.get(command.id)
            if known is None:
                self._check(task, command)
                self.ids[command.id] = method
                task.log.append(method)
            answer = act(task, command, params)
            self.changed.set()
            if method in self.lose:
                self.lose.remove(method)
                call.session.close()
                await asyncio.sleep(3600)
            return answer

        return run

    def _check(self, task: Held, command: Any) -> None:
        if task.state in ("completed", "failed", "canceled"):
            raise FinalState(f"task {task.id} is {task.state}")
        if isinstance(command, Claim):
            if task.state == "working" and boottime() < task.lease_end:
                raise Conflict("held")
            task.counter += 1
            task.state = "working"
            return
        if command.token != (1, task.counter) or task.state != "working" or boottime() > task.lease_end:
            task.state = "submitted" if task.state == "working" else task.state
            raise StaleToken("the lease has moved on")

    def _claim(self, task: Held, command: Claim, params: Params) -> dict[str, Any]:
        task.lease_end = boottime() + self.lease_s
        return {
            "task": task.map(), "token": [1, task.counter], "lease_s": self.lease_s, "brief": task.brief,
            "readers": ["worker", "operator"], "epoch": 1, "acts": self.acts,
        }  # fmt: skip

    def _renew(self, task: Held, command: Renew, params: Params) -> dict[str, Any]:
        task.lease_end = boottime() + self.lease_s
        task.renewed.append(command.at)
        return {"task": task.map(), "lease_s": self.lease_s}

    def _written(self, task: Held, params: Params, named: str | None) -> None:
        if params.version is None:
            assert named is None
            return
        assert params.content is not None
        _, header = open_version(params.version, self.mesh_id)
        if version_id(params.version) != named or not header.matches(params.content):
            raise InvalidEnvelope("the command names another version than the one sent")
        task.content, task.content_type, task.address = params.content, header.content_type, header.address
        task.readers = header.readers

    def _complete(self, task: Held, command: Complete, params: Params) -> dict[str, Any]:
        self._written(task, params, command.result)
        assert task.address == command.address
        task.state = "completed"
        return {"task": task.map()}

    def _fail(self, task: Held, command: Fail, params: Params) -> dict[str, Any]:
        self._written(task, params, command.detail)
        task.reason, task.retryable = command.reason, command.retryable
        task.state = "submitted" if command.retryable else "failed"
        return {"task": task.map()}

    def _release(self, task: Held, command: Release, params: Params) -> dict[str, Any]:
        task.state = "submitted"
        return {"task": task.map()}

    def _progress(self, call: Any, params: Anything) -> dict[str, Any]:
        self.progress.append((params.done, params.note))
        self.changed.set()
        return {}

    def _decline(self, call: Any, params: Anything) -> dict[str, Any]:
        self.declined.append(params.task)
        self.changed.set()
        return {}

    def _prepare(self, call: Any, params: Anything) -> dict[str, Any]:
        return {"readers": ["worker"], "epoch": 3, "heads": []}
