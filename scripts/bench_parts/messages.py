"""Messages between two nodes: paced latency and burst rate, beside bare py-libp2p gossip and js-libp2p in the same run.

Ours is the whole way: a client signs 1 KiB, its bzzzd checks, numbers and journals it, gossips it; the other bzzzd
checks both signatures, puts it in order, journals it and gives it to a client of its own. The bare ones publish and
receive in the same process as libp2p, sign each message once, and keep nothing.

Each measurement by itself:  messages.py ours|bare|js PACED BURST · churn NODES SECONDS · memory MESSAGES
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import msgpack
from _children import Child, child

Row = dict[str, Any]

HERE = Path(__file__).resolve()
ROOT = HERE.parents[2]
SIZE = 1024
RATE = 100.0
IN_FLIGHT = 200
TOPIC = "bench"
TOLD_EACH = 10_000
SETTLE_S = 2.5  # two heartbeats, in which gossip makes its mesh of the topic; nothing outside tells that it has
PACED_LEAST = 0.85
MEMORY_MOST = 10.0
MEMORY_WAIT_S = 60.0
BURST_LEAST = 3.0


# Ours: the clients, each in a process of its own.


def _client(socket: str, key: str, id: str) -> Any:
    from bzzzd.crypto.keys import load_or_create_key
    from bzzzd.rpc.client import AsyncClient
    from tests.integration.sessions import Session

    session = Session.__new__(Session)
    session.key = load_or_create_key(Path(key))
    session._asks = {"kind": "agent", "id": id, "role": "worker", "capabilities": (), "slots": 1, "chain": ()}
    return session, AsyncClient(socket, "bench", sign=session.sign)


async def listen(socket: str, key: str) -> None:
    """Say ``ready``, then answer every message that asks for it with the ages of those since."""
    _, client = _client(socket, key, "bench-listener")
    async with client:
        ages: list[float] = []
        last = 0
        async for event in client.subscribe(f"topic:{TOPIC}", keep=100_000):
            if not hasattr(event, "items"):
                print("ready", flush=True)
                continue
            now = time.monotonic()
            for item in event.items:
                sent, asks, number, _ = item["payload"]
                if number != last + 1:
                    raise RuntimeError(f"message {number} came after {last}")
                last = number
                if sent:
                    ages.append(now - sent)
                if asks:
                    print(json.dumps({"ages": ages, "now": now}), flush=True)
                    ages = []


async def speak(socket: str, key: str, paced: int, burst: int) -> None:
    """Warm up and publish ``paced`` messages, then ``burst``; a line on standard input starts each."""
    from bzzzd.crypto.envelope import seal

    session, client = _client(socket, key, "bench-speaker")
    number = 0

    def message(asks: bool) -> dict[str, Any]:
        nonlocal number
        number += 1
        body = (time.monotonic(), asks, number, bytes(SIZE - 30))
        payload = msgpack.packb({"topic": TOPIC, "at": time.time(), "body": body})
        return {"topic": TOPIC, "envelope": seal(session.key, "message", session.mesh_id, payload)}

    async with client:
        for total, pace in ((50, RATE), (paced, RATE), (burst, 0.0)):
            await asyncio.to_thread(sys.stdin.readline)
            slots = asyncio.Semaphore(IN_FLIGHT)
            calls: set[asyncio.Task[Any]] = set()

            def done(call: asyncio.Task[Any], slots: asyncio.Semaphore = slots, calls: set[Any] = calls) -> None:
                call.result()
                slots.release()
                calls.discard(call)

            began = time.monotonic()
            for index in range(total):
                if pace:
                    await asyncio.sleep(max(0.0, began + index / pace - time.monotonic()))
                await slots.acquire()
                asks = index == total - 1 or (index + 1) % TOLD_EACH == 0
                call = asyncio.ensure_future(client.call("publish", message(asks)))
                calls.add(call)
                call.add_done_callback(done)
            await asyncio.gather(*calls)
            print(json.dumps({"began": began}), flush=True)


@contextmanager
def pair(folder: Path) -> Iterator[list[Any]]:
    """Two nodes of one mesh that have found each other."""
    from bzzzd.crypto.keys import SigningKey
    from tests.integration.conftest import nodes_in, wait_for

    with nodes_in(folder) as make:
        authority = SigningKey.generate()
        nodes = [make("n1"), make("n2")]
        for node, other in (nodes, nodes[::-1]):
            node.write_daemon(network={"static_peers": [other.address]})
            node.join(authority)
            node.start(ready=False)
        for node in nodes:
            node.wait_ready()
        wait_for("the nodes to meet", lambda: all(_peers(node) for node in nodes))
        yield nodes


def _peers(node: Any) -> int:
    with node.guest() as guest:
        return sum(row["connected"] for row in guest.call("peers", effects=False)["peers"])


def measure_memory(count: int) -> list[float]:
    """What both nodes grew by in MiB, from before ``count`` messages until a while after them."""
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="bzzz-bench-")))
        nodes = running.enter_context(pair(folder))
        one, two = nodes
        listener = running.enter_context(child(HERE, "listen", str(two.socket), str(folder / "listener" / "key")))
        listener.hear()
        time.sleep(SETTLE_S)
        arguments = ("speak", str(one.socket), str(folder / "speaker" / "key"), "100", str(count))
        speaker = running.enter_context(child(HERE, *arguments))
        for _ in range(2):
            speaker.say()
            speaker.hear()
            listener.hear()
        before = [_resident(node) for node in nodes]
        speaker.say()
        came = 0
        while came < count:
            came += len(json.loads(listener.hear())["ages"])
            grown = [_resident(node) - was for node, was in zip(nodes, before, strict=True)]
            _tell(f"{came} of {count} messages came; the nodes have grown by {max(grown):.1f} MiB at most")
        speaker.hear()
        until = time.monotonic() + MEMORY_WAIT_S
        while time.monotonic() < until:
            grown = [_resident(node) - was for node, was in zip(nodes, before, strict=True)]
            if max(grown) <= MEMORY_MOST:
                break
            time.sleep(1)  # how often memory is looked at: what was freed comes back by and by
        return grown


def _tell(word: str) -> None:
    """Progress, for whoever waits: some of this takes minutes."""
    print(f"  {time.strftime('%H:%M:%S')} {word}", file=sys.stderr, flush=True)


def _resident(node: Any) -> float:
    lines = Path(f"/proc/{node.daemon.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def measure_churn(count: int, seconds: float) -> dict[str, Any]:
    """Nodes that talk, 20 messages a second in all, while one is killed and returned each 10 s."""
    from tests.integration.churn import churn, mesh_of
    from tests.integration.conftest import nodes_in

    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="bzzz-bench-")))
        nodes = mesh_of(running.enter_context(nodes_in(folder)), count)
        return asyncio.run(churn(nodes, seconds=seconds, rate=20.0, kill_every=10.0, away=2.0))


def measure_ours(paced: int, burst: int) -> dict[str, float]:
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="bzzz-bench-")))
        one, two = running.enter_context(pair(folder))
        listener = running.enter_context(child(HERE, "listen", str(two.socket), str(folder / "listener" / "key")))
        listener.hear()
        time.sleep(SETTLE_S)
        arguments = ("speak", str(one.socket), str(folder / "speaker" / "key"), str(paced), str(burst))
        speaker = running.enter_context(child(HERE, *arguments))
        speaker.say()
        speaker.hear()
        listener.hear()
        speaker.say()
        speaker.hear()
        ages = json.loads(listener.hear())["ages"]
        speaker.say()
        began = json.loads(speaker.hear())["began"]
        ended = json.loads(listener.hear())
        if (len(ages), len(ended["ages"])) != (paced, burst):
            raise RuntimeError(f"{len(ages)} and {len(ended['ages'])} messages came of {paced} and {burst}")
        return {"p50_ms": median(ages) * 1e3, "rate": burst / (ended["now"] - began)}


# The others.


def measure_bare(paced: int, burst: int) -> dict[str, float]:
    from tests.ports import free_port

    script, port = HERE.with_name("_bare_gossip.py"), str(free_port())
    with child(script, "listen", port) as listener:
        listener.hear()
        with child(script, "speak", port, str(paced), str(RATE), str(burst)) as speaker:
            found = json.loads(speaker.hear())
    return {"p50_ms": found["p50_ms"], "rate": found["rate"], "came": found["burst"] / burst}


def measure_js(paced: int, burst: int) -> dict[str, float] | str:
    """js-libp2p between two processes of its own; a sentence where it cannot be had."""
    from bzzzd.crypto.keys import SigningKey
    from tests.foreign.kit import Absent, js_peer
    from tests.mesh.kit import Realm

    try:
        argv = js_peer()
    except Absent as absent:
        return str(absent)
    realm = Realm()
    peers: list[Child] = []
    try:
        told = []
        for name in ("one", "two"):
            key = SigningKey.generate()
            peers.append(Child(argv))
            told.append(
                peers[-1].ask(
                    seed=key.seed.hex(),
                    chain=[realm.grant(key, id=name).hex()],
                    listen=["/ip4/127.0.0.1/tcp/0"],
                    topic=TOPIC,
                )
            )
        one, two = peers
        one.ask(do="connect", address=told[1]["addresses"][0])
        until = time.monotonic() + 30
        while not (one.ask(do="meshed") and two.ask(do="meshed")):
            if time.monotonic() > until:
                return "the two js-libp2p peers did not mesh within 30 s"
            time.sleep(0.1)
        for count in (50, paced):
            one.ask(do="paced", count=count, size=SIZE, rate=RATE)
            late = two.ask(do="expect", count=count, limit_s=30)["late_ms"]
        sent = one.ask(do="burst", count=burst, size=SIZE)
        came = two.ask(do="expect", count=burst, limit_s=60)
        seconds = (came["last"] - sent["began"]) / 1e9
        return {"p50_ms": median(late), "rate": came["count"] / seconds, "came": came["count"] / burst}
    finally:
        for peer in peers:
            peer.end()


def run(quick: bool) -> list[Row]:
    sys.path.insert(0, str(ROOT))
    paced, burst, rounds = (300, 3000, 1) if quick else (500, 10_000, 3)
    ours, bare, js = [], [], []
    for number in range(rounds):
        _tell(f"round {number + 1} of {rounds}: bare py-libp2p, BZZZ, js-libp2p")
        bare.append(measure_bare(paced, burst // 3))
        ours.append(measure_ours(paced, burst))
        js.append(measure_js(paced, burst))
    p50, rate = (median(one[name] for one in ours) for name in ("p50_ms", "rate"))
    bare_p50, bare_rate = (median(one[name] for one in bare) for name in ("p50_ms", "rate"))
    found_js = [one for one in js if isinstance(one, dict)]
    rows = [
        _row(
            "paced 100/s, p50",
            f"speed ≥ {PACED_LEAST} x bare py-libp2p",
            p50,
            bare_p50,
            bare_p50 / p50,
            "ms",
            PACED_LEAST,
        ),
        _row(
            "burst", f"≥ {BURST_LEAST:g} x bare py-libp2p", rate, bare_rate, rate / bare_rate, "messages/s", BURST_LEAST
        ),
    ]
    if found_js:
        js_rate, js_p50 = (median(one[name] for one in found_js) for name in ("rate", "p50_ms"))
        rows.append(
            _row("burst, beside js-libp2p", "ahead of js-libp2p", rate, js_rate, rate / js_rate, "messages/s", 1.0)
        )
        rows.append(_row("paced, beside js-libp2p", "shown", p50, js_p50, js_p50 / p50, "ms", 0.0))
    else:
        rows.append({"name": "messages: js-libp2p", "asked": "measured beside ours", "measured": str(js[0])[:80],
                     "baseline": None, "ratio": None, "unit": "", "ok": False})  # fmt: skip
    count, seconds = (4, 20.0) if quick else (10, 60.0)
    _tell(f"{count} nodes for {seconds:g} s, one killed and returned each 10 s")
    found = measure_churn(count, seconds)
    faults = [fault for told in found["faults"].values() for fault in told]
    rows.append(
        {
            "name": f"messages: {len(found['heard'])} nodes, 20/s, one killed each 10 s ({found['kills']} times)",
            "asked": "each once, in order, everywhere",
            "measured": f"{found['answered']} messages, {len(faults)} faults",
            "baseline": None, "ratio": None, "unit": "", "ok": not faults,
        }
    )  # fmt: skip
    count = 20_000 if quick else 100_000
    _tell(f"{count} messages, and the memory after them")
    grown = max(measure_memory(count))
    rows.append(
        {
            "name": f"memory after {count} messages, the larger of two nodes", "asked": f"within {MEMORY_MOST:g} MiB",
            "measured": round(grown, 1), "baseline": None, "ratio": None, "unit": "MiB", "ok": grown <= MEMORY_MOST,
        }
    )  # fmt: skip
    return rows


def _row(name: str, asked: str, measured: float, baseline: float, ratio: float, unit: str, least: float) -> Row:
    return {
        "name": f"messages of 1 KiB, two nodes: {name}", "asked": asked, "measured": round(measured, 2),
        "baseline": round(baseline, 2), "ratio": round(ratio, 3), "unit": unit, "ok": ratio >= least,
    }  # fmt: skip


def main(arguments: list[str]) -> None:
    match arguments:
        case ["listen", socket, key]:
            asyncio.run(listen(socket, key))
        case ["speak", socket, key, paced, burst]:
            asyncio.run(speak(socket, key, int(paced), int(burst)))
        case ["memory", count]:
            sys.path.insert(0, str(ROOT))
            print(json.dumps(measure_memory(int(count))))
        case ["churn", count, seconds]:
            sys.path.insert(0, str(ROOT))
            print(json.dumps(measure_churn(int(count), float(seconds)), indent=1))
        case ["ours" | "bare" | "js" as which, paced, burst]:
            sys.path.insert(0, str(ROOT))
            print(json.dumps(globals()[f"measure_{which}"](int(paced), int(burst))))
        case _:
            print(json.dumps(run("--quick" in arguments), indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1:])
