"""The last phase of the start: the metrics of every part, the health pages, and the watch over the process itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bzzzd import __version__
from bzzzd.config.settings import Settings
from bzzzd.daemon.checks import figures
from bzzzd.daemon.checks.standing import Standing
from bzzzd.daemon.context.store import Store
from bzzzd.daemon.door import Door
from bzzzd.daemon.identity import IdentityService
from bzzzd.daemon.ledger.part import LedgerPart
from bzzzd.daemon.peers.meshdesk import MeshService
from bzzzd.daemon.upkeep import Upkeep
from bzzzd.runtime.health_http import HealthHttp
from bzzzd.runtime.limits import Limits, tune_gc
from bzzzd.runtime.metrics import Metrics
from bzzzd.runtime.phases import Phase

Gauges = dict[str, tuple[float, str]]
"""A metric's name with its value and what it means."""


async def start_monitoring(
    settings: Settings,
    limits: Limits,
    door: Door,
    identity: IdentityService,
    mesh: MeshService,
    store: Store,
    ledger: LedgerPart,
    gauges: Iterable[Callable[[], Gauges]],
) -> None:
    """Add the services of this phase and start it; ``gauges`` are the figures of the other rooms."""
    manager = door.manager
    metrics = Metrics("bzzzd", __version__)
    metrics.contribute(figures.services(manager))
    metrics.contribute(figures.counters("rpc", lambda: door.server.counters, "RPC"))
    metrics.contribute(figures.counters("mesh", lambda: mesh.mesh.counters, "Mesh"))
    for read in (lambda: gauges_of_the_node(door, mesh, store, ledger), *gauges):
        metrics.contribute(figures.gauges(read))
    who = identity.node
    standing = Standing(
        ledger.seat, settings.state_dir, lambda: who.grant.not_after - identity.clock(), lambda: len(ledger.outbox)
    )
    metrics.contribute(standing.families)
    manager.spawn("ledger", "standing", standing.run())
    health = HealthHttp(
        settings.config.network.bind,
        settings.health_port,
        probe=manager,
        metrics=metrics,
        info=lambda: {"program": "bzzzd", "version": __version__, "node_id": who.id},
    )
    manager.add(health, Phase.MONITORING)
    manager.add(Upkeep(manager, limits.memory_mb, door.restart), Phase.MONITORING)
    await manager.start_phase(Phase.MONITORING)
    tune_gc(limits)


def gauges_of_the_node(door: Door, mesh: MeshService, store: Store, ledger: LedgerPart) -> Gauges:
    """The figures that belong to the node as a whole."""
    journal = store.journal.figures
    return {
        "bzzz_sessions": (len(door.server.sessions), "Sessions on the socket."),
        "bzzz_peers": (sum(peer.connected for peer in mesh.mesh.peers()), "Members connected."),
        "bzzz_journal_pending": (journal.pending, "Operations waiting for the journal."),
        "bzzz_journal_failing": (float(store.journal.fault is not None), "1 while writes fail."),
        "bzzz_offers_made": (ledger.offers.made, "Offers made since the start."),
    }
