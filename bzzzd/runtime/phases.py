"""The five phases of a process's start, as data: name, error and the time each may take.

configuration → mesh → core services → process-specific → monitoring
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from bzzzd.errors import ConfigInvalid, P2PInitFailed, RuntimeFailure, ServiceStartFailed


@dataclass(frozen=True, slots=True)
class _PhaseData:
    label: str
    error: type[RuntimeFailure]
    limit_s: float


class Phase(Enum):
    """One phase; the members are in starting order.

    ``error`` is raised when something without an error code of its own fails in the phase, and ``limit_s``
    is how many seconds one service of the phase may take to start before it counts as failed.
    """

    CONFIGURATION = _PhaseData("configuration", ConfigInvalid, 10.0)
    MESH = _PhaseData("mesh", P2PInitFailed, 60.0)
    CORE = _PhaseData("core", ServiceStartFailed, 60.0)
    PROCESS = _PhaseData("process", ServiceStartFailed, 180.0)
    MONITORING = _PhaseData("monitoring", ServiceStartFailed, 30.0)

    @property
    def label(self) -> str:
        """The name that ``hello``, logs and metrics show."""
        return self.value.label

    @property
    def error(self) -> type[RuntimeFailure]:
        return self.value.error

    @property
    def limit_s(self) -> float:
        return self.value.limit_s

    @property
    def number(self) -> int:
        """1 for the first phase, 5 for the last."""
        return list(Phase).index(self) + 1


@dataclass(frozen=True, slots=True)
class PhaseTime:
    """How one phase went: seconds on the clock at its begin, and how long it took (``None``: still under way)."""

    phase: Phase
    began: float
    took_s: float | None = None

    def to_map(self) -> dict[str, Any]:
        return {"phase": self.phase.label, "began": self.began, "took_s": self.took_s}


class PhaseLog:
    """What phase a process has reached, and how long each took. ``clock`` gives seconds."""

    STARTING, READY, STOPPING, STOPPED, FAILED = "starting", "ready", "stopping", "stopped", "failed"

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._times: list[PhaseTime] = []
        self._word = self.STARTING

    @property
    def reached(self) -> str:
        """The label of the phase under way; ``starting`` before the first; then how the process stands."""
        if self._word == self.STARTING and self._times:
            return self._times[-1].phase.label
        return self._word

    @property
    def times(self) -> tuple[PhaseTime, ...]:
        return tuple(self._times)

    def begin(self, phase: Phase) -> None:
        self._times.append(PhaseTime(phase, self._clock()))

    def end(self) -> PhaseTime:
        """Close the phase under way."""
        last = self._times[-1]
        self._times[-1] = PhaseTime(last.phase, last.began, self._clock() - last.began)
        return self._times[-1]

    def settle(self, word: str) -> None:
        """Say how the process stands once it is past its phases: one of the words above."""
        self._word = word
