"""The daemon's metrics: plain numbers that the rooms keep, read at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from bzzzd.runtime.metrics import Family
from bzzzd.runtime.services import ServiceManager


def counters(prefix: str, read: Callable[[], Any], about: str) -> Callable[[], Iterator[Family]]:
    """Families from a dataclass of integers that only rise."""

    def families() -> Iterator[Family]:
        for name, value in asdict(read()).items():
            yield Family.one(f"bzzz_{prefix}_{name}_total", "counter", f"{about}: {name.replace('_', ' ')}.", value)

    return families


def services(manager: ServiceManager) -> Callable[[], Iterator[Family]]:
    """Which services are ready, and how long each phase of the start took."""

    def families() -> Iterator[Family]:
        yield Family.by(
            "bzzz_service_ready", "gauge", "1 when the service is ready.", "service",
            {row.name: float(row.ok) for row in manager.rows()},
        )  # fmt: skip
        yield Family.by(
            "bzzz_phase_seconds", "gauge", "How long each phase of the start took, in seconds.", "phase",
            {time.phase.label: time.took_s or 0.0 for time in manager.phases.times},
        )  # fmt: skip

    return families


def gauges(read: Callable[[], dict[str, tuple[float, str]]]) -> Callable[[], Iterator[Family]]:
    """Families from a map of name to value and meaning."""

    def families() -> Iterator[Family]:
        for name, (value, about) in read().items():
            yield Family.one(name, "gauge", about, value)

    return families
