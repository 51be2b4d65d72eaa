"""Sessions of the tests' own: a person or an agent over the real socket, signing with a key of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import msgpack

from bzzzd.crypto.envelope import seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import BzzzError
from bzzzd.identity.attach import attach_params
from bzzzd.rpc.blocking import BlockingClient
from bzzzd.rpc.follower import Items
from bzzzd.slurp.brief import Brief, Writer, decision_address, submit_params, write_version
from bzzzd.slurp.commands import Claim, Command, Complete, Renew, new_command_id, seal_command

FINAL = frozenset({"completed", "failed", "canceled", "rejected"})
ANSWER_S = 20.0


class Session:
    """One attached connection. Closed by its ``with``; nothing in it comes back by itself."""

    def __init__(
        self,
        socket: Path,
        key: SigningKey,
        id: str,
        *,
        kind: Literal["agent", "person"] = "person",
        role: str = "admin",
        capabilities: Sequence[str] = (),
        slots: int = 1,
        chain: Sequence[bytes] = (),
    ) -> None:
        self.key = key
        self.client = BlockingClient(str(socket), ANSWER_S, name="test")
        self._asks: dict[str, Any] = {
            "kind": kind, "id": id, "role": role, "capabilities": capabilities, "slots": slots, "chain": chain,
        }  # fmt: skip
        self.told: Mapping[str, Any] = {}
        self.mesh_id = ""

    def __enter__(self) -> Session:
        try:
            self.told = self.client.attach(self.sign)
        except BaseException:
            self.client.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()

    def sign(self, nonce: bytes, mesh_id: str) -> dict[str, Any]:
        """The parameters of ``session.attach``."""
        self.mesh_id = mesh_id
        return attach_params(self.key, nonce, mesh_id, **self._asks)

    @property
    def id(self) -> str:
        return str(self.told["caller"]["id"])

    @property
    def role(self) -> str:
        return str(self.told["caller"]["role"])

    def call(self, method: str, **params: Any) -> Any:
        return self.client.call(method, params, effects=False)

    def writer(self) -> Writer:
        return Writer(self.key, self.mesh_id, self.id, self.role, self.told["epoch"])

    # Tasks.

    def brief(self, title: str, *, body: str = "", args: Any = None, **wanted: Any) -> tuple[str, dict[str, Any]]:
        """A task's id and the parameters that submit it; sent twice they are the same command."""
        readers = self.told["readers"]["brief"]
        return submit_params(self.writer(), Brief(title, body, args or {}), readers=readers, at=time.time(), **wanted)

    def submit(self, title: str, **wanted: Any) -> str:
        task, params = self.brief(title, **wanted)
        self.call("task.submit", **params)
        return task

    def command(self, kind: type[Command], task: str, **fields: Any) -> dict[str, bytes]:
        """The parameters of a signed command with an id of its own."""
        now = time.time()
        command = kind(id=new_command_id(now), task=task, at=now, **fields)
        return {"envelope": seal_command(self.key, self.mesh_id, command)}

    def claim(self, task: str) -> Any:
        return self.call("task.claim", **self.command(Claim, task))

    def renew(self, task: str, token: Sequence[int]) -> Any:
        return self.call("task.renew", **self.command(Renew, task, token=tuple(token)))

    def complete(self, claimed: Mapping[str, Any], content: bytes) -> Any:
        """End a claimed task with ``content`` as its decision."""
        task = claimed["task"]
        address = decision_address(self.id, self.role, task["project"], task["id"])
        version = write_version(
            self.writer(), address=address, content=content, content_type="text/markdown",
            readers=claimed["readers"], at=time.time(),
        )  # fmt: skip
        params = self.command(Complete, task["id"], token=tuple(claimed["token"]), result=version.id, address=address)
        return self.call("task.complete", **params, version=version.header, content=content)

    def show(self, task: str) -> Any:
        return self.call("task.show", id=task)

    def state(self, task: str) -> str:
        return str(self.show(task)["task"]["state"])

    def steps(self, task: str) -> list[str]:
        return [step["what"] for step in self.call("task.trace", id=task)["steps"]]

    def tasks(self) -> dict[str, Any]:
        """Every task by its id."""
        found: dict[str, Any] = {}
        after: str | None = None
        while True:
            page = self.call("task.list", limit=500, after=after)
            found |= {task["id"]: task for task in page["tasks"]}
            after = page["next"]
            if after is None:
                return found

    # Context and topics.

    def version(self, address: str, content: bytes, *, parents: Sequence[str] | None = None) -> dict[str, bytes]:
        """The parameters of ``context.put``; ``parents`` are the latest versions unless others are named."""
        asked = self.call("context.prepare", address=address)
        version = write_version(
            self.writer(), address=address, content=content, content_type="text/plain", readers=asked["readers"],
            at=time.time(), parents=asked["heads"] if parents is None else parents,
        )  # fmt: skip
        return {"version": version.header, "content": content}

    def put(self, address: str, content: bytes, *, parents: Sequence[str] | None = None) -> str:
        return str(self.call("context.put", **self.version(address, content, parents=parents))["version_id"])

    def message(self, topic: str, body: Any) -> dict[str, Any]:
        payload = msgpack.packb({"topic": topic, "at": time.time(), "body": body})
        return {"topic": topic, "envelope": seal(self.key, "message", self.mesh_id, payload)}

    def publish(self, topic: str, body: Any) -> int:
        return int(self.call("publish", **self.message(topic, body))["number"])


class Watch:
    """A stream read in bites: ``seen`` grows by what has arrived whenever one looks. Begins with its snapshot."""

    def __init__(self, session: Session, stream: str) -> None:
        self._client = session.client
        self._stream = stream
        self._cursor: tuple[str, int] | None = None
        self.snapshot: Any = None
        self.seen: list[Any] = []
        self.look(ANSWER_S)

    def look(self, seconds: float = 0.05) -> list[Any]:
        """Take in what has come and what comes within ``seconds``; gives everything seen so far."""
        until = time.monotonic() + seconds
        events = self._client.events(self._stream, cursor=self._cursor, until=until)
        assert isinstance(events, Generator)
        with closing(events):
            for event in events:
                begun, self._cursor = self._cursor is not None, event.cursor
                if isinstance(event, Items):
                    self.seen += event.items
                    continue
                assert not (begun and event.missed), f"items of {self._stream} were missed"
                self.snapshot = event.state
                return self.seen
        return self.seen


def refusal(call: Callable[[], Any]) -> BzzzError:
    """The error that ``call`` must raise."""
    try:
        given = call()
    except BzzzError as error:
        return error
    raise AssertionError(f"this was answered and not refused: {given!r}")


def as_uid(uid: int, folder: Path, work: Callable[[], Any]) -> Any:
    """Run ``work`` in a child of another uid (root alone can), in ``folder``; gives its plain result.

    The group stays, so that the socket's permissions let the child in; a ``BzzzError`` comes back as its map.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.chdir(folder)
            os.setgroups([])
            os.setresuid(uid, uid, uid)
            try:
                result = {"result": work()}
            except BzzzError as error:
                result = {"error": error.to_map()}
            os.write(writing, msgpack.packb(result))
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    assert os.waitpid(pid, 0)[1] == 0
    return msgpack.unpackb(data)
