"""A daemon for the portal's measurements: the real RPC server over made-up tasks that change at a given rate.

Its arguments are the socket, how many tasks there are, and events a second.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from msgspec import Struct

from bzzzd.identity.attach import open_attach
from bzzzd.identity.caller import Caller
from bzzzd.rpc.access import guest
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.server import RpcServer
from bzzzd.rpc.streams import Feed, Stream, StreamTable

MESH = "mesh-bench"
STEP_S = 0.01


class AttachParams(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    envelope: bytes
    chain: list[bytes] = []
    record: bytes | None = None


class ListParams(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Lists are answered whole, whatever part was asked for."""

    limit: int = 0
    after: str | None = None
    state: str | None = None
    open: bool | None = None
    for_me: bool | None = None


def _task(number: int) -> dict[str, Any]:
    now = time.time()
    return {
        "id": f"t-{number:04}", "state": "working", "title": f"Task {number} of a mesh that has much to do",
        "agent": f"worker-{number % 7}", "role": "worker", "created": now - 3600 - number, "updated": now,
        "author": "lena", "progress": {"done": 0, "total": 1000, "note": ""},
    }  # fmt: skip


async def serve(socket: Path, count: int, rate: int) -> None:
    tasks = {row["id"]: row for row in map(_task, range(count))}
    stream = Stream("bench", keep=4096)

    def attach(call: Any, params: AttachParams) -> dict[str, Any]:
        envelope, proof = open_attach(params.envelope, MESH, call.session.take_nonce())
        peer = call.session.peer
        call.session.become(
            Caller(peer.uid, peer.gid, peer.pid, kind="person", id=proof.id, role="operator", key=envelope.author)
        )
        return {
            "caller": {"kind": "person", "id": proof.id, "role": "operator", "capabilities": []},
            "mesh_id": MESH, "chain": [], "readers": {"brief": ["operator"]}, "epoch": 1,
        }  # fmt: skip

    registry, streams = Registry(), StreamTable()
    registry.add("session.attach", guest(), AttachParams, attach)
    answers: dict[str, Any] = {
        "status": {"node_id": "node-1", "mesh_id": MESH, "durability": "single"},
        "health": {"ok": True, "services": []},
        "peers": {"peers": []},
        "agent.list": {"agents": []},
        "prompt.list": {"prompts": [], "next": None},
        "hmmm.list": {"threads": [], "next": None},
    }
    for method, answer in answers.items():
        registry.add(method, guest(), ListParams, lambda call, _, answer=answer: answer)
    registry.add("task.list", guest(), ListParams, lambda call, _: {"tasks": list(tasks.values()), "next": None})
    streams.add("tasks", guest(), lambda call, name, filter: Feed(stream, None, lambda: {"tasks": [*tasks.values()]}))
    for name in ("events", "agents", "prompts", "hmmm"):
        streams.add(name, guest(), Stream("bench"))
    server = RpcServer(
        registry, hello=lambda: {"build": "bench", "node_id": "node-1", "mesh_id": MESH, "phase": "ready"},
        guest=lambda peer: Caller(peer.uid, peer.gid, peer.pid), streams=streams,
    )  # fmt: skip
    await server.serve(socket)
    print("ready", flush=True)
    names, sent, began = list(tasks), 0, time.monotonic()
    while True:
        await asyncio.sleep(STEP_S if rate else 3600)
        due = int((time.monotonic() - began) * rate)
        for number in range(sent, due):
            row = tasks[names[number % count]]
            done = (row["progress"]["done"] + 1) % 1000
            row = {**row, "updated": time.time(), "progress": {"done": done, "total": 1000, "note": f"step {done}"}}
            tasks[row["id"]] = row
            stream.append({"kind": "changed", "task": row})
        sent = due


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
