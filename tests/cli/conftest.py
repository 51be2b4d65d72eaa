"""A node for commands to talk to: the real RPC server with a few methods over plain values, in a thread."""

import asyncio
import io
import sys
import threading
from typing import Any, NamedTuple

import msgspec
import pytest
from msgspec import Struct

from bzzzd.cli.main import main
from bzzzd.crypto.envelope import open_envelope
from bzzzd.errors import GrantRefused, NotFound
from bzzzd.identity.attach import open_attach
from bzzzd.identity.caller import Caller
from bzzzd.rpc.access import attached, guest
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.server import RpcServer
from bzzzd.rpc.streams import Feed, Stream, StreamTable
from bzzzd.slurp.brief import open_brief
from bzzzd.slurp.commands import open_command
from bzzzd.ucxl.version import open_version, version_id

MESH = "mesh-of-the-tests"


class Any_(Struct, frozen=True, forbid_unknown_fields=True):
    """Every parameter that the methods below take."""

    envelope: bytes = b""
    version: bytes = b""
    content: bytes = b""
    id: str = ""
    user: str = ""
    topic: str = ""
    address: str = ""
    content_type: str = ""
    state: str = ""
    project: str = ""
    pattern: str = ""
    after: str | int = ""
    dead_letters: bool = False
    a: str = ""
    b: str = ""
    limit: int = 0
    lines: int = 0
    holders: bool = False
    download: str = ""
    offset: int = 0
    force: bool = False
    kind: str | None = None
    admin: bool = False
    everything: bool = False


class Attach(Struct, frozen=True, forbid_unknown_fields=True):
    envelope: bytes
    chain: tuple[bytes, ...]
    record: bytes


class Node:
    """What the commands see. Everything that was signed is verified before it is kept."""

    def __init__(self, path) -> None:
        self.path = path
        self.registry = Registry()
        self.streams = StreamTable()
        self.events = Stream("life-1")
        self.topics: dict[str, Stream] = {}
        self.tasks: dict[str, dict[str, Any]] = {}
        self.briefs: dict[str, Any] = {}
        self.versions: list[tuple[str, Any, bytes]] = []
        self.fetched: set[str] = set()
        self.asked: list[tuple[str, Any]] = []
        self.refuse_attach = False
        self.told = {"mesh_id": MESH, "chain": [], "readers": {"brief": ["operator", "worker"]}, "epoch": 3}
        self.answers: dict[str, Any] = {
            "status": {
                "node_id": "atlas\x1b[2J", "mesh_id": MESH, "phase": "monitoring", "ready": True, "uptime_s": 61,
                "peers": 0, "agents": 1, "tasks": {"working": 2}, "durability": "single", "warnings": ["low disk"],
                "addresses": ["/ip4/127.0.0.1/tcp/8075"], "development": True, "since": 1.7e9,
            },
            "peers": {"peers": []},
            "health": {"ok": True, "services": [{"name": "mesh", "state": "ready", "ok": True, "since": 1.7e9}]},
            "doctor": {"findings": [{"level": "ok", "what": "disk"}]},
            "logs.tail": {"lines": ["one", "two\x1b"]},
            "agent.list": {"agents": []},
        }  # fmt: skip
        for name in self.answers:
            self.add(name, lambda call, params, name=name: self.answers[name], access=guest())
        for name in (
            "task.submit", "task.show", "task.list", "task.cancel", "task.retry", "task.trace", "context.prepare",
            "context.put", "context.get", "context.list", "context.history", "context.diff", "publish",
            "context.receive_begin", "context.receive",
        ):  # fmt: skip
            self.add(name, getattr(self, name.replace(".", "_")))
        self.registry.add("session.attach", guest(), Attach, self.attach, doc="for the tests")
        self.streams.add("tasks", attached(), lambda *_: Feed(self.events, snapshot=lambda: []))
        self.streams.add("topic:", attached(), lambda call, name, filter: Feed(self.topic(name)))
        self.server = RpcServer(
            self.registry,
            hello=lambda: {"build": "test", "node_id": "atlas", "mesh_id": MESH, "phase": "monitoring"},
            guest=lambda peer: Caller(peer.uid, peer.gid, peer.pid),
            streams=self.streams,
        )
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)

    def add(self, name, handler, access=None):
        def noted(call, params):
            self.asked.append((name, params))
            return handler(call, params)

        self.registry.add(name, access or attached(), Any_, noted, doc="for the tests")

    def replace(self, name, handler):
        """Another behaviour for a method that is there already."""
        self.registry._methods.pop(name)
        self.add(name, handler)

    def start(self):
        self._thread.start()
        self.do(self.server.serve(self.path))

    def stop(self):
        self.do(self.server.close(grace_s=0.1))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def do(self, work):
        """Run a coroutine on the node's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def topic(self, name):
        return self.topics.setdefault(name, Stream("life-1"))

    def attach(self, call, params):
        envelope, proof = open_attach(params.envelope, MESH, call.session.take_nonce())
        if self.refuse_attach:
            raise GrantRefused("uid 7 is no person here; run: sudo bzzz mesh admin add alice")
        caller = Caller(0, 0, 0, kind="person", id=proof.id, role=proof.role, key=envelope.author)
        call.session.become(caller)
        return {"caller": {"kind": "person", "id": proof.id, "role": proof.role}, **self.told}

    def change(self, task, **changes):
        self.tasks[task] = {**self.tasks[task], **changes}
        self.events.append({"kind": changes.get("state", ""), "task": self.tasks[task]})
        return {"task": self.tasks[task]}

    def task_submit(self, call, params):
        _, command = open_command(params.envelope, MESH)
        _, header = open_version(params.version, MESH)
        assert command.brief == version_id(params.version)
        brief = open_brief(params.content)
        self.briefs[command.task] = (brief, header, command)
        self.tasks[command.task] = {
            "id": command.task, "state": "submitted", "title": brief.title, "project": command.project,
            "priority": command.priority, "capability": command.capability, "role": command.role,
            "author": call.caller.id, "created": command.at,
        }  # fmt: skip
        return self.change(command.task)

    def task_show(self, call, params):
        if params.id not in self.tasks:
            raise NotFound(f"there is no task {params.id}; see: bzzz task list")
        task = self.tasks[params.id]
        found = {"task": task, "brief": {"title": task["title"], "body": "the \x1bbody"}}
        if task["state"] == "completed":
            content = msgspec.msgpack.encode({"text": "The answer."})
            found["decision"] = {"content": content, "content_type": "application/x-bzzz-decision"}
        return found

    def task_list(self, call, params):
        found = [task for task in reversed(self.tasks.values()) if params.state in ("", task["state"])]
        start = next((index + 1 for index, task in enumerate(found) if task["id"] == params.after), 0)
        page = found[start : start + min(params.limit, 2)]
        return {"tasks": page, "next": page[-1]["id"] if start + len(page) < len(found) else None}

    def task_cancel(self, call, params):
        _, command = open_command(params.envelope, MESH)
        return self.change(command.task, state="canceled", reason=command.reason)

    def task_retry(self, call, params):
        _, command = open_command(params.envelope, MESH)
        self.tasks[command.new_task] = {**self.tasks[command.task], "id": command.new_task, "retry_of": command.task}
        return self.change(command.new_task, state="submitted")

    def task_trace(self, call, params):
        return {"steps": [{"at": 1.7e9, "what": "submitted", "by": "person:alice", "detail": ""}]}

    def context_prepare(self, call, params):
        heads = [id for id, header, _ in self.versions if header.address == params.address][-1:]
        return {"readers": [call.caller.role, "worker"], "epoch": 3, "heads": heads}

    def context_put(self, call, params):
        _, header = open_version(params.version, MESH)
        self.versions.append((version_id(params.version), header, params.content))
        return {"version_id": version_id(params.version), "address": header.address}

    def context_get(self, call, params):
        if not self.versions:
            raise NotFound(f"nothing is stored at {params.address}")
        id, header, content = self.versions[-1]
        return {
            "version_id": id, "address": header.address, "number": len(self.versions), "of": len(self.versions),
            "content": content, "content_type": header.content_type, "author": header.author, "conflict": True,
        }  # fmt: skip

    def context_receive_begin(self, call, params):
        if params.address not in self.fetched:  # as content is that another node has: asked for twice
            self.fetched.add(params.address)
            return {"have": 1, "total": 2}
        found = self.context_get(call, params)
        self.downloads = [found.pop("content"), b""]
        return {**found, "download": "d" * 32}

    def context_receive(self, call, params):
        data = self.downloads.pop(0)
        return {"data": data, "last": not data}

    def context_list(self, call, params):
        return {"entries": [{"address": header.address, "versions": 1} for _, header, _ in self.versions]}

    def context_history(self, call, params):
        rows = [
            {"number": index, "version_id": id, "author": header.author, "size": header.size, "head": True}
            for index, (id, header, _) in enumerate(self.versions, 1)
        ]
        page = rows[params.after : params.after + 1]
        return {"versions": page, "conflict": False, "next": params.after + 1 if rows[params.after + 1 :] else None}

    def context_diff(self, call, params):
        return {"diff": f"--- {params.a}\n+++ {params.b}\n-\x1bold\n+new\n"}

    def publish(self, call, params):
        envelope = open_envelope(params.envelope, kind="message", mesh_id=MESH)
        payload = msgspec.msgpack.decode(envelope.payload)
        item = {"author": call.caller.id, "at": payload["at"], "payload": payload}
        return {"number": self.topic(f"topic:{params.topic}").append(item)}


class Result(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A home, a state folder and a socket of the test's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BZZZ_CONFIG_PATH", str(tmp_path / "hap.yaml"))
    monkeypatch.setenv("BZZZ_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("BZZZ_SOCKET", str(tmp_path / "s"))
    return tmp_path


@pytest.fixture
def node(place):
    found = Node(place / "s")
    found.start()
    yield found
    found.stop()


@pytest.fixture
def bzzz(place, capsys, monkeypatch):
    """Run one command line in this process."""

    def run(*argv: str, given: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        capsys.readouterr()
        status = main(list(argv))
        out, err = capsys.readouterr()
        return Result(status, out, err)

    return run
