"""Health of a portal that runs as a service: its one part is the connection to bzzzd."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bzzzd import __version__
from bzzzd.config.settings import Settings
from bzzzd.hap.values.model import Model
from bzzzd.runtime.health_http import HealthHttp
from bzzzd.runtime.metrics import Family, Metrics
from bzzzd.runtime.services import ServiceRow, State

_STATES: dict[str, State] = {"online": "ready", "connecting": "starting", "offline": "degraded"}


class LinkProbe:
    """``model()`` gives the portal's state; nothing is asked of the daemon for a probe."""

    def __init__(self, model: Callable[[], Model]) -> None:
        self._model = model

    def not_ready(self) -> str:
        link = self._model().link
        return "" if link.state == "online" else link.why or f"{link.state} to bzzzd"

    def rows(self) -> Iterable[ServiceRow]:
        link, me = self._model().link, self._model().me
        who = "as a guest" if me.guest else f"as {me.id}"
        state = _STATES[link.state]
        detail = f"attached {who}" if state == "ready" else self.not_ready()
        yield ServiceRow("bzzzd", state, state == "ready", detail, link.since, (), "process")

    def families(self) -> Iterable[Family]:
        model = self._model()
        yield Family.one("bzzz_portal_online", "gauge", "Whether bzzzd answers.", float(model.link.state == "online"))
        yield Family.by(
            "bzzz_portal_tasks",
            "gauge",
            "Tasks seen, by state.",
            "state",
            {k: float(v) for k, v in model.counts.items()},
        )


def health_service(settings: Settings, model: Callable[[], Model]) -> HealthHttp:
    """The four pages on the portal's health port."""
    probe, metrics = LinkProbe(model), Metrics("bzzz-hap", __version__)
    metrics.contribute(probe.families)
    return HealthHttp(settings.config.network.bind, settings.health_port, probe=probe, metrics=metrics)
