"""The command line as whole processes: ``bzzz --help`` and ``bzzz status`` beside a bare interpreter's start."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from bzzzd.errors import BzzzError
from bzzzd.rpc.blocking import BlockingClient
from tests.ports import free_port

Row = dict[str, Any]

HELP_ASKED, STATUS_ASKED = 5.0, 6.0
START_LIMIT_S = 60.0
BIN = Path(sys.executable).parent


def run(quick: bool) -> list[Row]:
    """The rows of the table; the three commands take turns, so that a busy moment weighs on all of them."""
    times = 15 if quick else 40
    with tempfile.TemporaryDirectory(prefix="bzzz-bench-") as name:
        folder = Path(name)
        socket = str(folder / "bzzzd.sock")
        daemon = subprocess.Popen([str(BIN / "bzzzd"), "--config", str(_config(folder, socket))])
        try:
            _until_ready(socket)
            commands = {
                "bare": [sys.executable, "-c", "pass"],
                "help": [str(BIN / "bzzz"), "--help"],
                "status": [str(BIN / "bzzz"), "--socket", socket, "status"],
            }
            taken: dict[str, list[float]] = {key: [] for key in commands}
            for _ in range(times + 1):
                for key, command in commands.items():
                    began = time.perf_counter()
                    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, timeout=30)
                    taken[key].append(1000 * (time.perf_counter() - began))
        finally:
            daemon.terminate()
            daemon.wait(30)
    bare = statistics.median(taken["bare"][1:])
    return [
        _row("bzzz --help", HELP_ASKED, statistics.median(taken["help"][1:]), bare),
        _row("bzzz status", STATUS_ASKED, statistics.median(taken["status"][1:]), bare),
    ]


def _row(name: str, asked: float, measured: float, bare: float) -> Row:
    ratio = measured / bare
    return {
        "name": name, "asked": f"≤ {asked:g} x a bare interpreter start", "measured": measured, "baseline": bare,
        "ratio": ratio, "unit": "ms", "ok": ratio <= asked,
    }  # fmt: skip


def _config(folder: Path, socket: str) -> Path:
    config = {
        "binary_type": "daemon", "agent": {"id": "bench-node"}, "ai": {}, "security": {"development": True},
        "network": {"socket": socket, "listen": [f"/ip4/127.0.0.1/tcp/{free_port()}"]},
        "ports": {"http_port": 0, "health_port": 0}, "logging": {"level": "warning"},
        "storage": {"state_dir": str(folder / "node")},
    }  # fmt: skip
    path = folder / "bzzzd.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def _until_ready(socket: str) -> None:
    until = time.monotonic() + START_LIMIT_S
    while time.monotonic() < until:
        try:
            with BlockingClient(socket, 5.0) as found:
                if found.call("status", effects=False)["ready"]:
                    return
        except BzzzError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"bzzzd was not ready within {START_LIMIT_S:.0f} s")


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv), indent=1))
