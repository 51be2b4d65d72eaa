"""Run every part, print a table or JSON, and name the figures that fall short.

A part is a file ``scripts/bench_parts/NAME.py`` with ``run(quick: bool) -> list[dict]``. Each dict is a row:
``name``, ``asked`` (what is wanted, in words), ``measured``, ``baseline`` (or ``None``), ``ratio`` (or ``None``),
``unit``, ``ok``. Each part runs in a process of its own, so that no part's memory or imports weigh on another's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PARTS = Path(__file__).resolve().parents[1] / "bench_parts"
ROOT = PARTS.parents[1]
PART_LIMIT_S = 1200
_RUN_ONE = (
    "import json, runpy, sys; rows = runpy.run_path(sys.argv[1])['run'](sys.argv[2] == 'quick'); "
    "print('\\nROWS ' + json.dumps(rows))"
)
COLUMNS = ("name", "asked", "measured", "baseline", "ratio", "unit", "")


@dataclass(frozen=True)
class Part:
    """What one part gave: its rows, or why it has none."""

    name: str
    rows: list[dict[str, Any]]
    took_s: float
    failed: str = ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure speed beside baselines.")
    parser.add_argument("--quick", action="store_true", help="shorter runs, coarser figures")
    parser.add_argument("--json", action="store_true", help="JSON on standard output, progress on standard error")
    parser.add_argument("part", nargs="*", help="only these parts; default: all")
    given = parser.parse_args()
    known = {path.stem: path for path in sorted(PARTS.glob("[a-z]*.py"))}
    unknown = [name for name in given.part if name not in known]
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(known)}")
    done = [_run(known[name], given.quick) for name in given.part or known]
    rows = [row for part in done for row in part.rows]
    if given.json:
        print(json.dumps({"machine": _machine(), "parts": [_part_map(part) for part in done], "rows": rows}, indent=1))
    else:
        print("\n".join(_table(rows)))
    out = sys.stderr if given.json else sys.stdout
    for line in _verdict(rows, done):
        print(line, file=out)
    return 1 if any(part.failed for part in done) else 0


def _run(path: Path, quick: bool) -> Part:
    print(f"… {path.stem}", file=sys.stderr, flush=True)
    began = time.monotonic()
    command = [sys.executable, "-c", _RUN_ONE, str(path), "quick" if quick else "full"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PARTS), str(PARTS.parent)])}
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=False, env=environ, cwd=ROOT, timeout=PART_LIMIT_S
        )
    except subprocess.TimeoutExpired:
        return Part(path.stem, [], time.monotonic() - began, f"took longer than {PART_LIMIT_S} s")
    took = time.monotonic() - began
    found = [line for line in done.stdout.splitlines() if line.startswith("ROWS ")]
    if done.returncode or not found:
        return Part(path.stem, [], took, f"exit status {done.returncode}; its traceback is above")
    return Part(path.stem, json.loads(found[-1].removeprefix("ROWS ")), took)


def _part_map(part: Part) -> dict[str, Any]:
    return {"name": part.name, "took_s": round(part.took_s, 1), "failed": part.failed}


def _machine() -> dict[str, Any]:
    return {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform(terse=True)}


def _table(rows: list[dict[str, Any]]) -> list[str]:
    """The rows as aligned text: words to the left, numbers to the right."""
    cells = [COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS))]
    lines = [
        "  ".join(
            text.rjust(width) if 2 <= column <= 4 else text.ljust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    return [lines[0], "  ".join("─" * width for width in widths).rstrip(), *lines[1:]]


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(row["name"]),
        str(row["asked"]),
        _number(row["measured"]),
        _number(row.get("baseline")),
        _number(row.get("ratio")),
        str(row.get("unit", "")),
        "✓" if row["ok"] else "✗ short",
    )


def _number(value: Any) -> str:
    if value is None:
        return "-"
    if not isinstance(value, int | float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _verdict(rows: list[dict[str, Any]], parts: list[Part]) -> list[str]:
    short = [row for row in rows if not row["ok"]]
    lines = ["", f"{len(rows) - len(short)} of {len(rows)} figures are as asked, {len(short)} fall short."]
    lines += [
        f"  {row['name']}: {_number(row['measured'])} {row.get('unit', '')}, asked: {row['asked']}" for row in short
    ]
    lines += [f"  part {part.name} failed: {part.failed}" for part in parts if part.failed]
    return lines


if __name__ == "__main__":
    sys.exit(main())
