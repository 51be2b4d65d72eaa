"""Meshes for the tests: an authority, grants, and nodes that are stopped at the end."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bzzzd.crypto.envelope import open_envelope, seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import InvalidEnvelope
from bzzzd.identity.grants import Trust, mesh_id_of
from bzzzd.identity.node import make_grant
from bzzzd.mesh.mesh import Mesh
from bzzzd.mesh.values import Briefing, MeshEvent, MeshSettings, RecordRule

HERE = Path(__file__).parent
LIMIT_S = 20.0
TOPIC = "news"
ECHO = "/bzzz/echo/1"


async def eventually(what: str, condition: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
    """Ask until ``condition`` (plain or async) gives something true; its value is returned."""
    end = time.monotonic() + limit_s
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < end, f"waited {limit_s} s for {what}"
        await asyncio.sleep(0.01)


class Realm:
    """One mesh's authority, and the grants that it gives."""

    def __init__(self, seed: bytes = b"a" * 32) -> None:
        self.authority = SigningKey.from_seed(seed)
        self.mesh_id = mesh_id_of(self.authority.public)
        self.trust = Trust(self.mesh_id, self.authority.public)

    def grant(self, key: SigningKey, *, kind: str = "node", id: str = "n", valid_s: float = 3600.0) -> bytes:
        return make_grant(
            self.authority,
            self.mesh_id,
            kind=kind,
            id=id,
            key=key.public,
            role="worker",
            valid_s=valid_s,
            now=time.time(),
        )

    def admit(self, chain: Sequence[bytes]) -> Any:
        return self.trust.admit(chain, now=time.time())


class Node:
    """A mesh node with what it has been told."""

    def __init__(self, realm: Realm, name: str, *, briefing: Briefing | None = None, **settings: Any) -> None:
        self.key = SigningKey.generate()
        self.events: list[MeshEvent] = []
        self.messages: list[tuple[str, bytes]] = []
        self.chain = [realm.grant(self.key, id=name)]
        self.mesh_id = realm.mesh_id
        self.admit: Callable[[Sequence[bytes]], Any] = realm.admit
        self.mesh = Mesh(
            MeshSettings(**{"listen": ("/ip4/127.0.0.1/tcp/0",), "version": "0.0-test"} | settings),
            self.key.seed,
            self.chain,
            lambda chain: self.admit(chain),
            self.events.append,
            {"bzzz": RecordRule(validate=self._genuine, select=self._highest)},
            briefing,
        )

    def _genuine(self, key: str, value: bytes) -> None:
        opened = open_envelope(value, kind="head", mesh_id=self.mesh_id)
        if not opened.payload.startswith(key.encode()):
            raise InvalidEnvelope("the record was made for another key")

    def _highest(self, key: str, values: Sequence[bytes]) -> int:
        numbers = [open_envelope(value, kind="head", mesh_id=self.mesh_id).payload[-3:] for value in values]
        return numbers.index(max(numbers))

    def record(self, key: str, number: int) -> bytes:
        return seal(self.key, "head", self.mesh_id, key.encode() + b" %03d" % number)

    def follow(self, topic: str = TOPIC) -> None:
        self.mesh.subscribe(topic, lambda topic, peer_id, data: self.messages.append((peer_id, data)))

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


class Town:
    """Nodes of one realm."""

    def __init__(self) -> None:
        self.realm = Realm()
        self.nodes: list[Node] = []

    async def node(self, name: str = "n", *, realm: Realm | None = None, **settings: Any) -> Node:
        node = Node(realm or self.realm, name, **settings)
        self.nodes.append(node)
        await node.mesh.start()
        return node

    async def pair(self) -> tuple[Node, Node]:
        """Two nodes that are members of each other."""
        first = await self.node("first")
        second = await self.node("second", static_peers=first.mesh.addresses)
        await eventually("both to know each other", lambda: first.mesh.peers() and second.mesh.peers()[0].connected)
        return first, second


class Child:
    """A script of this folder in a process of its own; it answers a line of JSON to a line of JSON.

    Another program is started from its whole argument list.
    """

    def __init__(self, script: str | Sequence[str], setup: dict[str, Any]) -> None:
        # Not a pipe: one that nobody reads would stop the child.
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed by kill
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / script)] if isinstance(script, str) else list(script),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        self._say(setup)

    def _say(self, what: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    async def hear(self, limit_s: float = LIMIT_S) -> dict[str, Any]:
        """Its next line."""
        assert self.process.stdout is not None
        async with asyncio.timeout(limit_s):
            line = await asyncio.to_thread(self.process.stdout.readline)
        assert line, self._complaint()
        heard: dict[str, Any] = json.loads(line)
        return heard

    def _complaint(self) -> str:
        self.errors.seek(0)
        return self.errors.read()[-4000:]

    async def ask(self, **what: Any) -> dict[str, Any]:
        self._say(what)
        return await self.hear()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=10)
        self.errors.close()
