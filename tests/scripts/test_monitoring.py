"""The alert rules and the dashboard: correct, and about metrics that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "packaging" / "monitoring"
NAME = re.compile(r"\bbzzz_[a-z_]+")


def listed() -> set[str]:
    """What docs/metrics.md lists, which is generated from the code and compared with it by scripts/docs."""
    return set(re.findall(r"^\| `(bzzz_[a-z_]+)`", (ROOT / "docs" / "metrics.md").read_text("utf-8"), re.MULTILINE))


def test_the_alerts_ask_only_for_metrics_that_exist() -> None:
    asked = set(NAME.findall("\n".join(re.findall(r"expr: (.*)", (FOLDER / "alerts.yaml").read_text("utf-8")))))
    assert asked
    assert asked <= listed()


def test_the_dashboard_shows_only_metrics_that_exist() -> None:
    board = json.loads((FOLDER / "grafana-dashboard.json").read_text("utf-8"))
    asked = {name for panel in board["panels"] for one in panel["targets"] for name in NAME.findall(one["expr"])}
    assert asked
    assert asked <= listed()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
@pytest.mark.parametrize("what", [("check", "rules", "alerts.yaml"), ("test", "rules", "alerts_test.yaml")])
def test_promtool_takes_the_rules_and_they_fire_when_they_should(what: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *what], cwd=FOLDER, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
