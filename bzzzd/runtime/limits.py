"""What one process may use: message size and time-out, a memory target, and the garbage collector."""

from __future__ import annotations

import asyncio
import gc
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

MIB = 1_048_576

# A portal waits for a person and is sparing with memory; the others answer fast and collect rarely
# (the portal specification, section 13.1).
GC_THRESHOLDS = {"daemon": (50_000, 20, 50), "agent": (50_000, 20, 50), "hap": (10_000, 10, 10)}


class Settings(Protocol):
    """The part of a process's settings that is used here."""

    @property
    def binary_type(self) -> str: ...
    @property
    def max_message_bytes(self) -> int: ...
    @property
    def message_timeout_s(self) -> float: ...
    @property
    def memory_mb(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one process: bytes, seconds, MiB, and the thresholds of ``gc.set_threshold``."""

    max_message_bytes: int
    message_timeout_s: float
    memory_mb: int
    gc_thresholds: tuple[int, int, int]

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        return cls(
            settings.max_message_bytes,
            settings.message_timeout_s,
            settings.memory_mb,
            GC_THRESHOLDS[settings.binary_type],
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
