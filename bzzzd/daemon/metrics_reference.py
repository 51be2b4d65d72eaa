"""Every metric of the daemon by name and meaning, without a node behind it: for docs/metrics.md."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bzzzd.daemon.checks import figures
from bzzzd.daemon.checks.monitoring import gauges_of_the_node
from bzzzd.daemon.checks.standing import Standing
from bzzzd.daemon.hmmm.part import ThreadPart
from bzzzd.daemon.messages.topics import TopicDesk
from bzzzd.daemon.peers.peering import Peering
from bzzzd.daemon.replicas.service import Replicas
from bzzzd.mesh.values import Counters as MeshCounters
from bzzzd.rpc.limits import Counters as RpcCounters
from bzzzd.runtime.metrics import Family
from bzzzd.slurp.ledger import Status


class _Nothing:
    """Stands for every part of a node: its attributes and answers are itself, it is empty, and it counts 0."""

    def __getattr__(self, name: str) -> _Nothing:
        return self

    def __call__(self, *args: object) -> _Nothing:
        return self

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __float__(self) -> float:
        return 0.0


def families() -> list[Family]:
    nothing: Any = _Nothing()
    standing = Standing(nothing, Path(), lambda: 0.0, lambda: 0)
    standing._seen = Status("", "", 0, "", 0, {}, 0, 0)
    return [
        *figures.services(nothing)(),
        *figures.counters("rpc", RpcCounters, "RPC")(),
        *figures.counters("mesh", MeshCounters, "Mesh")(),
        *figures.gauges(lambda: gauges_of_the_node(nothing, nothing, nothing, nothing))(),
        *figures.gauges(lambda: TopicDesk.gauges(nothing))(),
        *figures.gauges(lambda: ThreadPart.gauges(nothing))(),
        *figures.gauges(lambda: Peering.gauges(nothing))(),
        *figures.gauges(lambda: Replicas.gauges(nothing))(),
        *standing.families(),
    ]
