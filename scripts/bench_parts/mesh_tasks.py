"""A task submitted on one node and done by an agent on another, beside a paced message between two nodes of this run.

The submitting node keeps the ledger, the agent's node holds its copy: every step is durable on both before it
is answered. The handler is empty; the time is from the signing of the task to its end on the submitter's stream.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

Row = dict[str, Any]

HERE = Path(__file__).resolve()
ROOT = HERE.parents[2]
MOST_TIMES = 8.0
LIMIT_S = 60.0


def part(name: str) -> ModuleType:
    """Another part of the bench, by its file."""
    spec = importlib.util.spec_from_file_location(f"bench_{name}", HERE.parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


async def client(socket: str, key_file: str, id: str, chain: bytes, count: int) -> None:
    """Submit tasks one at a time and print how many milliseconds each took."""
    from bzzzd.crypto.keys import load_key
    from bzzzd.identity.attach import attach_params
    from bzzzd.rpc.client import AsyncClient
    from bzzzd.rpc.follower import Items
    from bzzzd.slurp.brief import Brief, Writer, submit_params

    key = load_key(Path(key_file))

    def sign(nonce: bytes, mesh_id: str) -> dict[str, Any]:
        return attach_params(key, nonce, mesh_id, kind="person", id=id, role="admin", chain=[chain])

    waiting: dict[str, asyncio.Future[str]] = {}
    async with AsyncClient(socket, "bench", sign=sign) as session:
        attached = session.state.attached
        assert attached is not None
        caller, readers = attached["caller"], attached["readers"]["brief"]
        writer = Writer(key, attached["mesh_id"], caller["id"], caller["role"], attached["epoch"])
        listening = asyncio.Event()

        async def listen() -> None:
            async for event in session.subscribe("tasks", filter={"author": caller["id"]}, keep=65536):
                listening.set()
                for item in event.items if isinstance(event, Items) else ():
                    if item["kind"] in ("completed", "failed", "canceled"):
                        future = waiting.get(item["task"]["id"])
                        if future is not None and not future.done():
                            future.set_result(item["kind"])

        async def one() -> float:
            began = time.perf_counter()
            task, params = submit_params(writer, Brief("Bench"), readers=readers, at=time.time(), capability="empty")
            future = waiting[task] = asyncio.get_running_loop().create_future()
            await session.call("task.submit", params)
            async with asyncio.timeout(LIMIT_S):
                kind = await future
            del waiting[task]
            if kind != "completed":
                raise RuntimeError(f"task {task} is {kind}")
            return 1000 * (time.perf_counter() - began)

        listener = asyncio.create_task(listen())
        await listening.wait()
        for _ in range(20):
            await one()
        found = [await one() for _ in range(count)]
        listener.cancel()
    print("MEASURED " + json.dumps(found))


def measure(count: int) -> tuple[list[float], str]:
    """Milliseconds of each task, and how durable the ledger was meanwhile."""
    from tests.integration.conftest import wait_for

    with tempfile.TemporaryDirectory(prefix="bzzz-bench-") as name:
        folder = Path(name)
        with part("messages").pair(folder) as nodes:
            one, two = nodes[0], nodes[1]
            config = two.write_agent("bench-agent")
            argv = [sys.executable, str(HERE.parent / "tasks.py"), "agent", str(config)]
            agent = subprocess.Popen(argv, env=two.env)
            try:
                wait_for("the agent to attach", lambda: two.attached("bench-agent"))
                durability = wait_for("a copy", lambda: copied(one))
                command = [
                    sys.executable, str(HERE), str(one.socket), str(one.person_state / "person.key"), one.person_id,
                    one.chain[0].hex(), str(count),
                ]  # fmt: skip
                said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=600).stdout
            finally:
                agent.terminate()
                agent.wait(30)
    line = next(line for line in said.splitlines() if line.startswith("MEASURED "))
    return json.loads(line.removeprefix("MEASURED ")), durability


def copied(node: Any) -> str:
    found = node.json("ledger", "status")
    return str(found["durability"]) if found["durability"] == "replicated" else ""


def run(quick: bool) -> list[Row]:
    """The row of the table."""
    sys.path.insert(0, str(ROOT))
    paced, count = (300, 100) if quick else (1000, 300)
    message = part("messages").measure_ours(paced, 200)["p50_ms"]
    found, durability = measure(count)
    p50 = median(found)
    return [
        {
            "name": f"a task across two nodes ({durability}), p50",
            "asked": f"≤ {MOST_TIMES:g} x the paced message's p50", "measured": p50, "baseline": message,
            "ratio": p50 / message, "unit": "ms", "ok": p50 <= MOST_TIMES * message,
        }
    ]  # fmt: skip


if __name__ == "__main__":
    socket, key, id, chain, count = sys.argv[1:]
    import uvloop

    uvloop.run(client(socket, key, id, bytes.fromhex(chain), int(count)))
