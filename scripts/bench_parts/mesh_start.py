"""5, 10 and 20 nodes of one mesh, from their start until each hears each: real processes on loopback.

All processes are started at once. Each names the ones before it as static peers, so that every pair is dialled by
one of its two. Time counts from the moment when the last one listens: ``joined`` until every node has every other
as a member, ``gossip`` until a message published at each has arrived at every other.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import BzzzError
from bzzzd.rpc.blocking import BlockingClient
from tests.integration.conftest import Node, nodes_in
from tests.integration.sessions import Session, Watch

Row = dict[str, Any]

ASKED_S = {5: 3.0, 10: 5.0, 20: 15.0}
ASKED_BACK_S = 1.0
LIMIT_S = 120.0
POLL_S = 0.05
TOPIC = "mesh-start"
_LISTEN = "0A"


def listening(ports: set[int]) -> bool:
    """Whether the kernel listens on all of ``ports``; asking it disturbs no node."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        if state == _LISTEN:
            found.add(int(local.rpartition(":")[2], 16))
    return ports <= found


def until(what: str, condition: Callable[[], bool], explain: Callable[[], object] = lambda: "") -> float:
    """Wait for ``condition``; gives the monotonic time at which it held."""
    end = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"{what} did not come within {LIMIT_S:g} s: {explain()}")
        time.sleep(POLL_S)
    return time.monotonic()


@contextmanager
def mesh(count: int) -> Iterator[list[Node]]:
    """``count`` nodes with grants of one authority, configured and not yet started."""
    authority = SigningKey.generate()
    with tempfile.TemporaryDirectory(prefix="bzzz-bench-") as folder, nodes_in(Path(folder)) as make:
        nodes: list[Node] = []
        for number in range(count):
            node = make(f"n{number + 1}")
            node.write_hap(f"person-{number + 1}")
            node.write_daemon(network={"static_peers": [other.address for other in nodes]})
            node.join(authority)
            nodes.append(node)
        yield nodes


def lacks_members(client: BlockingClient, others: int) -> bool:
    try:
        rows = client.call("peers", effects=False)["peers"]
    except BzzzError as error:
        if error.code == "NOT_READY":
            return True
        raise
    return sum(row["connected"] for row in rows) < others


def missing(nodes: list[Node]) -> dict[str, list[str]]:
    """Whom each node lacks, and what it said last."""
    found: dict[str, list[str]] = {}
    for node in nodes:
        with node.guest() as guest:
            there = {row["peer_id"] for row in guest.call("peers", effects=False)["peers"] if row["connected"]}
        lacks = [other.folder.name for other in nodes if other is not node and other.peer_id not in there]
        if lacks:
            assert node.daemon is not None
            found[node.folder.name] = [*lacks, *node.daemon.text.splitlines()[-5:]]
    return found


class Sayer:
    """A person at one node, who follows the topic and says a word of their own."""

    def __init__(self, node: Node, stack: ExitStack) -> None:
        node.wait_ready()
        self.session: Session = stack.enter_context(node.person())
        self._watch = Watch(self.session, f"topic:{TOPIC}")

    def speak(self) -> None:
        self.session.publish(TOPIC, self.session.id)

    def lacks_words(self, everybody: set[str]) -> bool:
        self._watch.look(0.0)
        return not everybody <= {item["payload"] for item in self._watch.seen} | {self.session.id}


def measure(count: int) -> tuple[float, float]:
    """Seconds from the last listener to all joined, and to all heard."""
    with mesh(count) as nodes, ExitStack() as stack:
        for node in nodes:
            node.start(ready=False)
        began = until("the last listener", lambda: listening({node.mesh_port for node in nodes}))
        lacking = [stack.enter_context(node.guest()) for node in nodes]

        def joined() -> bool:
            lacking[:] = [client for client in lacking if lacks_members(client, count - 1)]
            return not lacking

        # Following begins at once, as it does for agents that come up with their node.
        sayers = [Sayer(node, stack) for node in nodes]
        all_joined = until("the joining of all", joined, lambda: missing(nodes))
        everybody = {sayer.session.id for sayer in sayers}
        for sayer in sayers:
            sayer.speak()
        deaf = list(sayers)

        def heard() -> bool:
            deaf[:] = [sayer for sayer in deaf if sayer.lacks_words(everybody)]
            return not deaf

        return all_joined - began, until("the words of all", heard) - began


def back_after_kill() -> float:
    """Seconds from a killed node's listening again until its peer, which went on, has it as a member."""
    with mesh(2) as nodes, ExitStack() as stack:
        stays, killed = nodes
        for node in nodes:
            node.start()
        client = stack.enter_context(stays.guest())
        until("the meeting", lambda: not lacks_members(client, 1))
        assert killed.daemon is not None
        killed.daemon.kill()
        until("the loss", lambda: lacks_members(client, 1))
        killed.start(ready=False)
        began = until("the listener", lambda: listening({killed.mesh_port}))
        return until("the meeting again", lambda: not lacks_members(client, 1)) - began


def run(quick: bool) -> list[Row]:
    """Rows for each size; ``quick`` leaves the largest out."""
    rows: list[Row] = []
    for count, asked in ASKED_S.items():
        if quick and count == max(ASKED_S):
            continue
        joined, heard = measure(count)
        for name, took in (("all joined", joined), ("all heard by all", heard)):
            rows.append(
                {"name": f"{count} nodes after the last listens: {name}", "asked": f"≤ {asked:g} s", "measured": took,
                 "baseline": None, "ratio": None, "unit": "s", "ok": took <= asked}
            )  # fmt: skip
    took = back_after_kill()
    rows.append(
        {"name": "a killed node is back after it listens", "asked": f"≤ {ASKED_BACK_S:g} s", "measured": took,
         "baseline": None, "ratio": None, "unit": "s", "ok": took <= ASKED_BACK_S}
    )  # fmt: skip
    return rows


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv), indent=1, ensure_ascii=False))
