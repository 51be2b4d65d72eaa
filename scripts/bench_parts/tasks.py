"""Tasks from submit to the ``completed`` notification, through three processes: client, bzzzd, agent.

Everything is real: each command is signed and its signature checked, the 1 KiB result is encrypted and durable
before anybody hears of it, and the announcement is queued. Only the handler is empty; the bench registers it with
the agent's own program. The disk's fdatasync is measured in the same folder, just before.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

Row = dict[str, Any]

IN_FLIGHT = 64
RATE_ASKED = 700.0
ALONE_ASKED_MS = 6.0
SYNCS_ASKED = 4
RESULT = os.urandom(512).hex().encode()
START_LIMIT_S = 60.0
TASK_LIMIT_S = 60.0


# The processes.


def agent(config: str) -> int:
    """An agent whose only handler gives 1 KiB at once."""
    from functools import partial

    from bzzzd.agent.handlers.base import Job, Product
    from bzzzd.agent.main import serve
    from bzzzd.config.load import load
    from bzzzd.runtime.process import run

    class Empty:
        general = False
        unusable = ""
        act = "external"

        def action(self, job: Job) -> dict[str, Any]:
            return {}

        async def run(self, job: Job) -> Product:
            return Product(RESULT)

    return run("bench-agent", partial(serve, load("agent", config), handlers={"empty": Empty()}))


async def client(socket: str, alone: int, together: int) -> None:
    """Submit tasks one at a time, then ``IN_FLIGHT`` at a time; print what was measured."""
    from bzzzd.crypto.keys import SigningKey
    from bzzzd.identity.attach import attach_params
    from bzzzd.rpc.client import AsyncClient
    from bzzzd.rpc.follower import Items
    from bzzzd.slurp.brief import Brief, Writer, submit_params

    key = SigningKey.generate()

    def sign(nonce: bytes, mesh_id: str) -> dict[str, Any]:
        return attach_params(key, nonce, mesh_id, kind="person", id="bench", role="admin")

    done: dict[str, asyncio.Future[str]] = {}

    async with AsyncClient(socket, "bench", sign=sign) as session:
        attached = session.state.attached
        assert attached is not None
        caller, readers = attached["caller"], attached["readers"]["brief"]
        writer = Writer(key, attached["mesh_id"], caller["id"], caller["role"], attached["epoch"])
        listening = asyncio.Event()

        async def listen() -> None:
            async for event in session.subscribe("tasks", filter={"author": caller["id"]}, keep=65536):
                listening.set()
                if isinstance(event, Items):
                    for item in event.items:
                        if item["kind"] in ("completed", "failed", "canceled"):
                            waiting = done.get(item["task"]["id"])
                            if waiting is not None and not waiting.done():
                                waiting.set_result(item["kind"])

        async def one() -> float:
            began = time.perf_counter()
            task, params = submit_params(writer, Brief("Bench"), readers=readers, at=time.time(), capability="empty")
            future = done[task] = asyncio.get_running_loop().create_future()
            await session.call("task.submit", params)
            async with asyncio.timeout(TASK_LIMIT_S):
                kind = await future
            del done[task]
            if kind != "completed":
                raise RuntimeError(f"task {task} is {kind}")
            return time.perf_counter() - began

        async def many(count: int) -> float:
            left = iter(range(count))

            async def worker() -> None:
                for _ in left:
                    await one()

            began = time.perf_counter()
            await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
            return count / (time.perf_counter() - began)

        listener = asyncio.create_task(listen())
        await listening.wait()
        await many(IN_FLIGHT * 2)
        await asyncio.sleep(0.2)
        times = [await one() for _ in range(alone)]
        rates = [await many(together // 3) for _ in range(3)]
        listener.cancel()
    print("MEASURED " + json.dumps({"alone_ms": [1000 * found for found in times], "rates": rates}))


# The driver.


def run(quick: bool) -> list[Row]:
    """The rows of the table."""
    alone, together = (60, 1500) if quick else (200, 6000)
    with tempfile.TemporaryDirectory(prefix="bzzz-bench-") as name:
        folder = Path(name)
        sync_ms = fdatasync_ms(folder, 100 if quick else 300)
        with _node(folder) as socket:
            command = [sys.executable, __file__, "client", socket, str(alone), str(together)]
            said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=600).stdout
        found = json.loads(
            next(line for line in said.splitlines() if line.startswith("MEASURED ")).removeprefix("MEASURED ")
        )
    rate = statistics.median(found["rates"])
    alone_ms = statistics.median(found["alone_ms"])
    asked_ms = ALONE_ASKED_MS + SYNCS_ASKED * sync_ms
    return [
        {
            "name": f"tasks, {IN_FLIGHT} in flight", "asked": f"≥ {RATE_ASKED:.0f}", "measured": rate,
            "baseline": None, "ratio": None, "unit": "/s", "ok": rate >= RATE_ASKED,
        },
        {
            "name": "task alone, p50", "asked": f"≤ {asked_ms:.2f} (6 + 4 fdatasync)", "measured": alone_ms,
            "baseline": sync_ms, "ratio": alone_ms / asked_ms, "unit": "ms", "ok": alone_ms <= asked_ms,
        },
    ]  # fmt: skip


def fdatasync_ms(folder: Path, times: int) -> float:
    """Median milliseconds of appending 4 KiB and waiting until the disk has it."""
    found = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(times):
            began = time.perf_counter()
            file.write(b"\0" * 4096)
            os.fdatasync(file.fileno())
            found.append(1000 * (time.perf_counter() - began))
    return statistics.median(found)


@contextmanager
def _node(folder: Path) -> Iterator[str]:
    """Bzzzd and the agent, ready, on ports of their own; gives the socket."""
    from tests.ports import free_port

    socket = str(folder / "bzzzd.sock")
    mesh = free_port()
    common = {"ports": {"http_port": 0, "health_port": 0}, "logging": {"level": "warning"}}
    daemon_config = {
        "binary_type": "daemon", "agent": {"id": "bench-node"}, "ai": {}, **common,
        "network": {"socket": socket, "listen": [f"/ip4/127.0.0.1/tcp/{mesh}"]},
        "security": {"development": True}, "storage": {"state_dir": str(folder / "node")},
    }  # fmt: skip
    agent_config = {
        "binary_type": "agent", "agent": {"id": "bench-agent", "slots": IN_FLIGHT},
        "ai": {}, **common,
        "network": {"socket": socket}, "security": {}, "storage": {"state_dir": str(folder / "agent")},
    }  # fmt: skip
    processes = []
    try:
        for name, config, command in (
            ("bzzzd", daemon_config, [sys.executable, "-m", "bzzzd.daemon.main", "--config"]),
            ("agent", agent_config, [sys.executable, __file__, "agent"]),
        ):
            (folder / name).mkdir(mode=0o700)
            file = folder / name / f"{name}.yaml"
            file.write_text(yaml.safe_dump(config))
            processes.append(subprocess.Popen([*command, str(file)]))
        _until_attached(socket, processes)
        yield socket
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in reversed(processes):
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _until_attached(socket: str, processes: list[subprocess.Popen[bytes]]) -> None:
    from bzzzd.errors import BzzzError
    from bzzzd.rpc.blocking import BlockingClient

    until = time.monotonic() + START_LIMIT_S
    while time.monotonic() < until:
        if any(process.poll() is not None for process in processes):
            raise RuntimeError("a process of the bench ended at its start; its words are above")
        try:
            with BlockingClient(socket, 5.0) as found:
                if any(row["attached"] for row in found.call("agent.list", effects=False)["agents"]):
                    return
        except BzzzError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"the agent was not attached within {START_LIMIT_S:.0f} s")


def main() -> int:
    role, *words = sys.argv[1:]
    if role == "agent":
        return agent(words[0])
    import uvloop

    uvloop.run(client(words[0], int(words[1]), int(words[2])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
