import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from bzzzd.errors import Conflict
from bzzzd.runtime.health_http import HealthHttp
from bzzzd.runtime.metrics import Metrics
from bzzzd.runtime.ports import listen
from bzzzd.runtime.services import ServiceRow
from tests.ports import free_port


class Probe:
    reason = ""

    def not_ready(self) -> str:
        return self.reason

    def rows(self) -> list[ServiceRow]:
        return [ServiceRow("mesh", "ready", True, "2 peers", 1.0, ("keys",), "mesh")]


class Site:
    def __init__(self) -> None:
        self.probe = Probe()
        self.service = HealthHttp(
            "127.0.0.1",
            free_port(),
            probe=self.probe,
            metrics=Metrics("bzzzd", "0.1.0"),
            info=lambda: {"node_id": "n1"},
            names=["node1.example"],
        )

    async def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.service.address + path, headers=headers) as answer,
        ):
            return answer.status, await answer.text(), answer.headers


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    await made.service.start()
    yield made
    await made.service.stop()


async def test_healthz_says_alive_even_when_not_ready(site: Site) -> None:
    site.probe.reason = "bzzzd is in phase mesh"
    assert (await site.get("/healthz"))[:2] == (200, "alive\n")


async def test_readyz_gives_the_reason_when_not_ready(site: Site) -> None:
    assert (await site.get("/readyz"))[:2] == (200, "ready\n")
    site.probe.reason = "mesh: the thread ended"
    assert (await site.get("/readyz"))[:2] == (503, "mesh: the thread ended\n")


async def test_health_has_one_row_for_each_service(site: Site) -> None:
    status, text, headers = await site.get("/health")
    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert json.loads(text) == {
        "node_id": "n1",
        "ready": True,
        "reason": "",
        "services": [
            {"name": "mesh", "state": "ready", "ok": True, "detail": "2 peers", "since": 1.0, "depends": ["keys"],
             "phase": "mesh"}
        ],
    }  # fmt: skip


async def test_metrics_are_served_in_prometheus_text(site: Site) -> None:
    status, text, headers = await site.get("/metrics")
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "process_resident_memory_bytes" in text


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8071", "localhost.evil.example", "[evil]", "127.0.0.1.evil.example"]
)
async def test_a_foreign_host_name_reads_nothing(site: Site, host: str) -> None:
    status, text, _ = await site.get("/health", Host=host)
    assert status == 421
    assert "mesh" not in text


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "10.1.2.3:8071", "[::1]:8071", "node1.example"]
)
async def test_addresses_and_own_names_are_answered(site: Site, host: str) -> None:
    assert (await site.get("/healthz", Host=host))[0] == 200


async def test_nothing_can_be_changed(site: Site) -> None:
    assert (await site.get("/health", method="POST"))[0] == 405
    assert (await site.get("/nothing"))[0] == 404


async def test_a_taken_port_fails_the_start_and_names_the_holder() -> None:
    with listen("127.0.0.1", 0) as other:
        port = other.getsockname()[1]
        service = HealthHttp("127.0.0.1", port, probe=Probe(), metrics=Metrics("bzzzd", "0"))
        with pytest.raises(Conflict, match=r"\(ports\.health_port\) is taken by"):
            await service.start()
        await service.stop()


async def test_port_0_turns_it_off() -> None:
    service = HealthHttp("127.0.0.1", 0, probe=Probe(), metrics=Metrics("bzzzd", "0"))
    await service.start()
    assert service.health().detail == "off"
    await service.stop()
