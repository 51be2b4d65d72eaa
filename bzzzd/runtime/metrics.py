"""Metrics for Prometheus: rooms offer plain functions that are read at a scrape; nothing is paid per event.

A histogram observed on every request was measured to cost up to a quarter of the RPC rate, so rooms keep plain
integers and contribute a function that gives them as ``Family`` values. Labels name kinds (a state, a method),
never things (a task, a peer): a family of more than ``MAX_SERIES`` rows is cut there, and the cut is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

MAX_SERIES = 200
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with its rows. A counter's name ends in ``_total``; ``help`` is a sentence.

    ``rows`` are pairs of labels and value; ``Family.one`` makes a family of a single number.
    """

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    rows: tuple[tuple[Mapping[str, str], float], ...] = field(default=())

    @classmethod
    def one(cls, name: str, kind: Literal["counter", "gauge"], help: str, value: float) -> Family:
        return cls(name, kind, help, (({}, value),))

    @classmethod
    def by(
        cls,
        name: str,
        kind: Literal["counter", "gauge"],
        help: str,
        label: str,
        values: Mapping[str, float],
    ) -> Family:
        """A family with one label: ``values`` maps the label's values to numbers."""
        return cls(name, kind, help, tuple(({label: key}, value) for key, value in values.items()))


Source = Callable[[], Iterable[Family]]


class Metrics:
    """All metrics of one process, in a registry of its own.

    Importing ``prometheus_client`` takes tens of milliseconds, so it waits for the first ``render`` or for ``warm``.
    """

    def __init__(self, program: str, version: str) -> None:
        self._program = program
        self._version = version
        self._sources: list[Source] = []
        self._registry: CollectorRegistry | None = None
        self.cut_rows = 0

    def contribute(self, source: Source) -> None:
        """Add a function that gives families at each scrape. It answers from memory."""
        self._sources.append(source)

    def warm(self) -> None:
        """Import what ``render`` needs; may be called in another thread."""
        import prometheus_client.core

        assert prometheus_client.core

    def render(self) -> bytes:
        """The text that a scrape gets, in the format of ``CONTENT_TYPE``."""
        from prometheus_client import generate_latest

        if self._registry is None:
            self._registry = self._make_registry()
        return generate_latest(self._registry)

    def _make_registry(self) -> CollectorRegistry:
        from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

        registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        registry.register(self)
        return registry

    def collect(self) -> Iterator[Metric]:
        """Called by the registry at each scrape."""
        own = (
            Family(
                "bzzz_build_info",
                "gauge",
                "What is running.",
                (({"program": self._program, "version": self._version}, 1.0),),
            ),
            Family.one(
                "bzzz_metrics_cut_rows_total", "counter", "Rows left out for having too many labels.", self.cut_rows
            ),
        )
        for family in own:
            yield self._metric(family)
        for source in self._sources:
            for family in source():
                yield self._metric(family)

    def _metric(self, family: Family) -> Metric:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        kept = family.rows[:MAX_SERIES]
        self.cut_rows += len(family.rows) - len(kept)
        labels = sorted(kept[0][0]) if kept else []
        shape = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
        metric = shape(family.name, family.help, labels=labels)
        for row, value in kept:
            metric.add_metric([row[label] for label in labels], value)
        return metric
