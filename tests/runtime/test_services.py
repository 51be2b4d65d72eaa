import asyncio
from typing import Any

import pytest

from bzzzd.errors import Conflict, P2PInitFailed, ServiceStartFailed
from bzzzd.runtime.phases import Phase
from bzzzd.runtime.services import Health, ServiceManager


class Part:
    """A service that writes down what happens to it."""

    def __init__(self, diary: list[str], name: str, *depends: str, fails: Exception | None = None) -> None:
        self.name = name
        self.depends = depends
        self.state = Health()
        self._diary = diary
        self._fails = fails

    async def start(self) -> None:
        self._diary.append(f"+{self.name}")
        if self._fails:
            raise self._fails

    async def stop(self) -> None:
        self._diary.append(f"-{self.name}")

    def health(self) -> Health:
        return self.state


class House:
    def __init__(self) -> None:
        self.diary: list[str] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.manager = ServiceManager("bzzzd", report=lambda event, fields: self.events.append((event, fields)))

    def add(self, name: str, *depends: str, phase: Phase = Phase.CORE, fails: Exception | None = None) -> Part:
        part = Part(self.diary, name, *depends, fails=fails)
        self.manager.add(part, phase)
        return part


@pytest.fixture
async def house() -> House:
    return House()


async def test_services_start_by_dependency_and_stop_in_reverse(house: House) -> None:
    house.add("ledger", "journal", "keys")
    house.add("journal")
    house.add("keys", "journal")
    await house.manager.start()
    await house.manager.stop()
    assert house.diary == ["+journal", "+keys", "+ledger", "-ledger", "-keys", "-journal"]


async def test_phases_come_before_dependencies_that_would_allow_another_order(house: House) -> None:
    house.add("health", phase=Phase.MONITORING)
    house.add("mesh", phase=Phase.MESH)
    house.add("ledger", "mesh")
    await house.manager.start()
    assert house.diary == ["+mesh", "+ledger", "+health"]
    assert house.manager.phases.reached == "ready"
    assert [time.phase for time in house.manager.phases.times] == list(Phase)


async def test_a_circle_is_refused_before_anything_starts(house: House) -> None:
    house.add("a", "b")
    house.add("b", "c")
    house.add("c", "a")
    with pytest.raises(ServiceStartFailed, match=r"in a circle: (a → b → c → a|b → c → a → b|c → a → b → c)"):
        await house.manager.start()
    assert house.diary == []


async def test_an_unknown_dependency_is_refused(house: House) -> None:
    house.add("ledger", "jurnal")
    with pytest.raises(ServiceStartFailed, match="ledger depends on jurnal, which does not exist"):
        await house.manager.start()


async def test_a_dependency_on_a_later_phase_is_refused(house: House) -> None:
    house.add("mesh", "ledger", phase=Phase.MESH)
    house.add("ledger")
    with pytest.raises(ServiceStartFailed, match=r"depends on ledger, which starts later \(core\)"):
        await house.manager.start()


async def test_two_services_of_one_name_are_refused(house: House) -> None:
    house.add("ledger")
    with pytest.raises(ServiceStartFailed, match="two services are named ledger"):
        house.add("ledger")


async def test_a_failure_undoes_every_phase_before_it(house: House) -> None:
    house.add("mesh", phase=Phase.MESH)
    house.add("journal")
    house.add("ledger", "journal", fails=OSError("no room"))
    house.add("later", phase=Phase.PROCESS)
    with pytest.raises(ServiceStartFailed, match="service ledger did not start: no room") as caught:
        await house.manager.start()
    assert caught.value.data["service"] == "ledger"
    assert caught.value.data["process"] == "bzzzd"
    assert house.diary == ["+mesh", "+journal", "+ledger", "-ledger", "-journal", "-mesh"]
    assert house.manager.phases.reached == "failed"
    assert {row.name: row.state for row in house.manager.rows()} == {
        "mesh": "stopped",
        "journal": "stopped",
        "ledger": "failed",
        "later": "stopped",
    }


async def test_a_failure_takes_the_error_of_its_phase(house: House) -> None:
    house.add("mesh", phase=Phase.MESH, fails=RuntimeError("no address"))
    with pytest.raises(P2PInitFailed, match="service mesh did not start: no address"):
        await house.manager.start()


async def test_a_failure_with_a_code_of_its_own_keeps_it(house: House) -> None:
    house.add("health", phase=Phase.MONITORING, fails=Conflict("port 8071 is taken"))
    with pytest.raises(Conflict, match="port 8071 is taken"):
        await house.manager.start()


async def test_a_start_that_hangs_fails_with_its_time_limit(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Phase, "limit_s", 0.01)
    part = house.add("slow")
    monkeypatch.setattr(part, "start", asyncio.Event().wait)
    with pytest.raises(ServiceStartFailed, match=r"slow did not start: took longer than 0\.01 s"):
        await house.manager.start()


async def test_a_cancelled_start_stops_what_was_started(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    entered = asyncio.Event()
    house.add("journal")
    part = house.add("slow", "journal")

    async def hang() -> None:
        entered.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(part, "start", hang)
    task = asyncio.create_task(house.manager.start())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert house.diary == ["+journal", "-slow", "-journal"]


async def test_one_bad_stop_does_not_keep_the_others_from_stopping(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.add("journal")
    part = house.add("ledger", "journal")

    async def bad_stop() -> None:
        raise OSError("stuck")

    monkeypatch.setattr(part, "stop", bad_stop)
    await house.manager.start()
    await house.manager.stop()
    assert house.diary[-1] == "-journal"
    assert (
        "service did not stop cleanly",
        {"service": "ledger", "error": "stuck", "error_code": "RUNTIME_FAILED"},
    ) in house.events


async def test_health_has_a_row_for_each_service(house: House) -> None:
    house.add("journal")
    ledger = house.add("ledger", "journal")
    assert house.manager.not_ready() == "bzzzd is in phase starting"
    await house.manager.start()
    assert house.manager.not_ready() == ""
    ledger.state = Health(ok=True, degraded=True, detail="one node only")
    row = house.manager.rows()[1].to_map()
    assert row.pop("since") > 0
    assert row == {
        "name": "ledger",
        "state": "degraded",
        "ok": True,
        "detail": "one node only",
        "depends": ["journal"],
        "phase": "core",
    }
    assert house.manager.not_ready() == ""
    ledger.state = Health(ok=False, detail="disk is full")
    assert house.manager.not_ready() == "ledger: disk is full"


async def test_a_background_task_that_dies_fails_its_services_health(house: House) -> None:
    house.add("mesh", phase=Phase.MESH)
    await house.manager.start()

    async def breaks() -> None:
        raise ConnectionError("lost")

    house.manager.spawn("mesh", "redial", breaks())
    await asyncio.wait_for(house.manager.failed.wait(), 1)
    assert house.manager.not_ready() == "mesh: its task 'mesh: redial' ended: lost"
    assert house.manager.rows()[0].state == "failed"


async def test_background_tasks_end_with_their_service(house: House) -> None:
    house.add("mesh", phase=Phase.MESH)
    await house.manager.start()
    task = house.manager.spawn("mesh", "redial", asyncio.Event().wait())
    await house.manager.stop()
    assert task.cancelled()
    assert not house.manager.failed.is_set()


async def test_a_part_outside_asyncio_can_report_its_death(house: House) -> None:
    house.add("mesh", phase=Phase.MESH)
    await house.manager.start()
    house.manager.fail("mesh", "the mesh thread ended")
    assert house.manager.not_ready() == "mesh: the mesh thread ended"
