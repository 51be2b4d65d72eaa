"""The handlers that run programs in the sandbox: ``command``, an argv of the brief; ``external``, a configured one."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bzzzd.agent.bwrap import Limits, program_paths
from bzzzd.agent.handlers.base import JSON, Job, Product
from bzzzd.agent.sandbox import Report, Sandbox
from bzzzd.agent.text import clean
from bzzzd.errors import BadInput, SandboxUnavailable

_FAILURES: Final = {
    "timeout": ("time_limit", "the program was stopped at its time limit"),
    "memory": ("memory_limit", "the program was stopped at its memory limit"),
    "output": ("output_limit", "the program was stopped for writing without end"),
}
# sysexits.h: "try again later".
_TEMPORARY: Final = os.EX_TEMPFAIL


def _explain(report: Report, max_seconds: float) -> str:
    text = _FAILURES[report.why][1]
    return f"{text} of {max_seconds:g} s" if report.why == "timeout" else text


def _check_ended(report: Report) -> None:
    """Refuse a report of a run that neither ended by itself nor met one of its own bounds."""
    if report.why not in ("exit", *_FAILURES):
        raise SandboxUnavailable(f"the sandbox ended before the program did ({report.why})", why=report.why)


def report_map(argv: Sequence[str], report: Report) -> dict[str, Any]:
    """A run as readers see it; bytes that are no UTF-8 are shown as U+FFFD."""
    return {
        "argv": list(argv),
        "exit": report.exit,
        "ended": report.why,
        "stdout": report.stdout.decode("utf-8", "replace"),
        "stderr": report.stderr.decode("utf-8", "replace"),
        "truncated": report.truncated,
        "seconds": round(report.seconds, 3),
    }


class Command:
    """Runs ``args.argv`` of the brief with ``args.stdin``, for ``args.timeout_s`` at most.

    Any exit status is a result, for the task's readers to judge; a bound that was met is a failure.
    """

    general = False
    unusable = ""
    act = "command"

    def __init__(self, sandbox: Sandbox, limits: Limits) -> None:
        self._sandbox = sandbox
        self._limits = limits

    def action(self, job: Job) -> dict[str, Any]:
        argv, stdin, limits = self._wanted(job.brief.args)
        return {"argv": argv, "stdin": stdin.decode("utf-8", "replace"), "timeout_s": limits.timeout_s}

    async def run(self, job: Job) -> Product:
        argv, stdin, limits = self._wanted(job.brief.args)
        job.progress(0, None, f"running {argv[0]}")
        report = await self._sandbox.run(argv, lease=job.lease, stdin=stdin, limits=limits)
        _check_ended(report)
        shown = report_map(argv, report)
        failure = ""
        if report.why != "exit":
            failure, shown["error"] = _FAILURES[report.why][0], _explain(report, limits.timeout_s)
        return Product(json.dumps(shown, ensure_ascii=False, indent=1).encode(), JSON, failure=failure)

    def _wanted(self, args: dict[str, Any]) -> tuple[list[str], bytes, Limits]:
        argv, stdin, timeout_s = args.get("argv"), args.get("stdin", b""), args.get("timeout_s", self._limits.timeout_s)
        if not isinstance(argv, list) or not argv or not all(isinstance(word, str) for word in argv):
            raise BadInput('a command task needs args.argv, a list of texts like ["uname", "-a"]')
        if not isinstance(stdin, str | bytes):
            raise BadInput("args.stdin of a command task must be text or bytes")
        if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float) or not timeout_s > 0:
            raise BadInput("args.timeout_s of a command task must be a number over 0")
        unknown = sorted(set(args) - {"argv", "stdin", "timeout_s"})
        if unknown:
            raise BadInput(f"a command task knows args argv, stdin and timeout_s, not {', '.join(unknown)[:100]}")
        limits = replace(self._limits, timeout_s=min(float(timeout_s), self._limits.timeout_s))
        return argv, stdin.encode() if isinstance(stdin, str) else stdin, limits


class External:
    """Runs the configured program: the task as one JSON map on its standard input, the result on its standard output.

    Output that is a JSON map or list is kept as JSON, any other as Markdown. Exit status 75 (sysexits'
    EX_TEMPFAIL) asks for another try; any other but 0 fails the task, with standard error as the explanation.
    """

    general = True
    unusable = ""
    act = "external"

    def __init__(self, sandbox: Sandbox, limits: Limits, argv: Sequence[str], closed: Sequence[Path]) -> None:
        """``closed`` are folders that no sandbox may see. Raises ``BadInput`` if ``argv`` names one."""
        self._sandbox = sandbox
        self._limits = limits
        self._argv = list(argv)
        self._visible = program_paths(argv, closed)

    def action(self, job: Job) -> dict[str, Any]:
        return {"argv": self._argv, "title": job.brief.title, "body": job.brief.body, "args": job.brief.args}

    async def run(self, job: Job) -> Product:
        task = {name: job.task.get(name) for name in ("id", "project", "capability", "role", "priority", "author")}
        brief = {"title": job.brief.title, "body": job.brief.body, "args": job.brief.args}
        said = {"task": task, "brief": brief, "remarks": list(job.remarks)}
        try:
            stdin = json.dumps(said, ensure_ascii=False, default=_plain).encode()
        except TypeError as error:
            raise BadInput(f"the arguments of this task cannot be said in JSON: {error}") from error
        job.progress(0, None, f"running {Path(self._argv[0]).name}")
        report = await self._sandbox.run(
            self._argv, lease=job.lease, stdin=stdin, limits=self._limits, visible=self._visible
        )
        _check_ended(report)
        return self._product(report)

    def _product(self, report: Report) -> Product:
        said = report.stderr.decode("utf-8", "replace").strip()
        if report.why != "exit":
            text = f"{_explain(report, self._limits.timeout_s)}\n\n{said}"
            return Product(text.encode(), failure=_FAILURES[report.why][0])
        if report.exit != 0:
            text = f"the program ended with status {report.exit}\n\n{said}"
            return Product(text.encode(), failure="program_failed", retryable=report.exit == _TEMPORARY)
        if len(report.stdout) >= self._limits.output_bytes and report.truncated:
            return Product(f"the result is over {self._limits.output_bytes} bytes".encode(), failure="output_limit")
        text = report.stdout.decode("utf-8", "replace").strip()
        if not text:
            return Product(f"the program gave no result\n\n{said}".encode(), failure="empty_result")
        return Product(text.encode(), JSON) if _is_json(text) else Product(f"{clean(text)}\n".encode())


def _plain(value: object) -> str:
    """What JSON has no word for: bytes in a brief's args become text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _is_json(text: str) -> bool:
    if text[0] not in "{[":
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
