"""Processes that a measurement talks to: a line each way, and no waiting without an end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 120.0


class Child:
    """A process that answers lines."""

    def __init__(self, argv: list[str], env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=env
        )

    def say(self, line: str = "") -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        """The next line; a process that says nothing for ``LIMIT_S`` is ended."""
        assert self.process.stdout is not None
        watch = threading.Timer(LIMIT_S, self.process.kill)
        watch.start()
        try:
            line = self.process.stdout.readline()
        finally:
            watch.cancel()
        if not line:
            raise RuntimeError(f"{self.process.args} ended with {self.process.wait(10)}, or was silent for {LIMIT_S} s")
        return line.strip()

    def ask(self, **order: Any) -> Any:
        self.say(json.dumps(order))
        answer = json.loads(self.hear())
        if "failed" in answer:
            raise RuntimeError(f"{order}: {answer['failed']}")
        return answer.get("result", answer)

    def end(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=10)


@contextmanager
def child(script: Path, *arguments: str) -> Iterator[Child]:
    """Another Python process of this checkout, which ends with the block."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "scripts")])}
    started = Child([sys.executable, str(script), *arguments], environ)
    try:
        yield started
    finally:
        started.end()
