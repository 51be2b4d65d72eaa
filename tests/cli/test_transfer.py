"""What a long transfer shows while it goes on."""

import io
from types import SimpleNamespace
from typing import Any

import pytest

from bzzzd.cli.transfer import Progress

MIB = 1_048_576


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_fetching_and_receiving_have_a_rate_each(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 10.0, 10.0, 12.0])
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    screen = Screen()
    run: Any = SimpleNamespace(json=False, err=screen)  # all that it asks of a command's run
    progress = Progress(run, "received", 0)
    progress.at(100 * MIB, what="fetched from another node", total=100 * MIB)
    progress.at(1 * MIB, total=100 * MIB)
    progress.at(81 * MIB, total=100 * MIB)
    shown = [line.strip() for line in screen.getvalue().split("\r") if line.strip()]
    assert shown == ["received 81.0 MiB of 100.0 MiB (81 %), 40.5 MiB/s"]
