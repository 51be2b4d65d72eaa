"""What one process may use: message size and time-out by its kind, a memory target, and the garbage collector."""

from __future__ import annotations

import asyncio
import gc
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

MIB = 1_048_576


class Settings(Protocol):
    """The part of the ``limits`` section that is used here; ``None`` takes the default of the kind."""

    @property
    def max_message_bytes(self) -> int | None: ...
    @property
    def message_timeout_s(self) -> float | None: ...
    @property
    def memory_mb(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one process. ``gc_thresholds`` are those of ``gc.set_threshold``.

    The numbers are those of the portal specification, section 13: an agent coordinates fast and may use memory,
    a portal waits for a person and is sparing.
    """

    max_message_bytes: int
    message_timeout_s: float
    memory_mb: int
    gc_thresholds: tuple[int, int, int]


DEFAULTS = {
    "daemon": Limits(1 * MIB, 5.0, 512, (50_000, 20, 50)),
    "agent": Limits(1 * MIB, 5.0, 256, (50_000, 20, 50)),
    "hap": Limits(MIB // 2, 30.0, 128, (10_000, 10, 10)),
}


def limits_for(kind: str, settings: Settings) -> Limits:
    """The limits of a process of ``kind`` (daemon, agent, hap) under its configuration."""
    base = DEFAULTS[kind]
    return Limits(
        max_message_bytes=settings.max_message_bytes or base.max_message_bytes,
        message_timeout_s=settings.message_timeout_s or base.message_timeout_s,
        memory_mb=settings.memory_mb or base.memory_mb,
        gc_thresholds=base.gc_thresholds,
    )


def tune_gc(limits: Limits) -> None:
    """Call once, after the start: what is imported by then is never garbage, so the collector leaves it alone.

    A full collection holds every thread while it walks all objects, and a started process has mostly old ones.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*limits.gc_thresholds)


def resident_bytes(statm: Path = Path("/proc/self/statm")) -> int:
    """Memory of this process that is in RAM, in bytes, from one small read."""
    return int(statm.read_text().split()[1]) * resource.getpagesize()


class MemoryWatch:
    """Says when the process passes its memory target, and when it is back under it.

    The target is a wish and not a wall (a unit's ``MemoryMax=`` is the wall): passing it makes health
    ``degraded`` and collects garbage once. It counts as back under at 90 %, so that it does not flap.
    """

    def __init__(
        self, target_mb: int, *, report: Callable[[str, int], None], read: Callable[[], int] = resident_bytes
    ) -> None:
        self.target_bytes = target_mb * MIB
        self.bytes = 0
        self.over = False
        self._report = report
        self._read = read

    def sample(self) -> None:
        """Look once."""
        self.bytes = self._read()
        if not self.over and self.bytes > self.target_bytes:
            gc.collect()
            self.bytes = self._read()
            if self.bytes > self.target_bytes:
                self.over = True
                self._report("memory is over its target", self.bytes)
        elif self.over and self.bytes < 0.9 * self.target_bytes:
            self.over = False
            self._report("memory is under its target again", self.bytes)

    @property
    def detail(self) -> str:
        """One sentence for health; empty while under the target."""
        if not self.over:
            return ""
        return f"{self.bytes // MIB} MiB are in use, over the target of {self.target_bytes // MIB} MiB"

    async def watch(self, interval_s: float = 15.0) -> None:
        """Look every ``interval_s`` seconds, for ever."""
        while True:
            self.sample()
            await asyncio.sleep(interval_s)
