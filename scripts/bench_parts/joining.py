"""Joining by an invitation: from the command to a node that is ready in its new mesh, beside a plain stop and start.

The joiner leaves a mesh of its own, puts that mesh's things aside, and starts again in the same process. The
baseline is the same node stopped and started, with the same command-line client waiting for it.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.integration.conftest import Node, NodeMaker, nodes_in

Row = dict[str, Any]


def joined(node: Node, token: str) -> float:
    """Seconds of `bzzz mesh join`, which returns when the node is ready in its new mesh."""
    began = time.monotonic()
    found = node.json("mesh", "join", token, "--yes")
    took = time.monotonic() - began
    if found["state"] != "joined":
        raise RuntimeError(f"the node did not join: {found}")
    return took


def restarted(node: Node) -> float:
    """Seconds of a stop, a start, and a command that finds the node ready."""
    began = time.monotonic()
    if node.daemon is None or node.daemon.stop() != 0:
        raise RuntimeError("the node did not stop")
    node.start()
    node.json("status")
    return time.monotonic() - began


def one(make: NodeMaker, inviter: Node, name: str) -> tuple[float, float]:
    node = make(name)
    node.start()
    plain = restarted(node)
    token = inviter.json("mesh", "invite", "--yes")["token"]
    took = joined(node, token)
    if node.daemon is not None:
        node.daemon.stop()
    return took, plain


def run(quick: bool) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="bzzz-bench-") as folder, nodes_in(Path(folder)) as make:
        inviter = make("inviter")
        inviter.start()
        found = [one(make, inviter, f"n{number}") for number in range(3 if quick else 9)]
    took, plain = (statistics.median(values) for values in zip(*found, strict=True))
    return [
        {"name": "join by an invitation, p50", "asked": "1.5 × a stop and start", "measured": took, "baseline": plain,  # noqa: RUF001
         "ratio": took / plain, "unit": "s", "ok": took <= 1.5 * plain}
    ]  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv), indent=1, ensure_ascii=False))
