"""The targets that the specification names start what they promise, on the tests that they are for."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# One file of each kind: quick ones, ones of both sorts, ones with booted machines.
UNIT, BOTH, APPLIANCE = "tests/ucxl/test_history.py", "tests/storage/test_journal.py", "tests/appliance/test_people.py"

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is missing; run: apt-get install make")


def make(*words: str, limit_s: float = 100.0) -> str:
    """What ``make`` printed; it must end well."""
    done = subprocess.run(["make", *words], cwd=ROOT, capture_output=True, text=True, timeout=limit_s, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def selected(target: str) -> set[str]:
    """Those of the three files of which a target runs something. ``scripts/test`` gives its words to pytest."""
    script, *words = shlex.split(make("--dry-run", target))
    assert script == "scripts/test"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "--collect-only", UNIT, BOTH, APPLIANCE],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return {line.partition(":")[0] for line in done.stdout.splitlines() if line.startswith("tests/")}


@pytest.mark.parametrize("target", ["build", "build-agent", "build-hap"])
def test_each_build_starts_the_package_script(target: str) -> None:
    assert make("--dry-run", target).split() == ["scripts/package"]
    assert "Build the Debian packages" in make(target, "ARGS=--help")


def test_performance_starts_the_benchmark() -> None:
    assert make("--dry-run", "test-performance").split() == ["scripts/bench"]
    assert "usage: scripts/bench" in make("test-performance", "ARGS=--help")


@pytest.mark.parametrize(
    ("target", "files"),
    [
        ("test-unit", {UNIT, BOTH}),
        ("test-integration", {BOTH}),
        ("test-deployment", {APPLIANCE}),
        ("test-regression", {UNIT, BOTH, APPLIANCE}),
        ("test", {UNIT, BOTH, APPLIANCE}),
    ],
)
def test_each_kind_of_test_selects_its_own(target: str, files: set[str]) -> None:
    assert selected(target) == files
