import asyncio
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from bzzzd.daemon.ledger import wire
from bzzzd.daemon.ledger.crew import CrewDesk
from bzzzd.daemon.work.offers import OfferDesk
from bzzzd.errors import NotFound
from bzzzd.rpc.streams import Stream
from bzzzd.slurp.task import LedgerClock, Task, submit


def task(id: str, capability: str = "") -> Task:
    return submit(
        id=id, author="alice", author_kind="person", brief="0" * 64, now=LedgerClock(0.0, 0.0), capability=capability
    )


class NoLedger:
    """The ledger is asked only when the matcher left tasks there."""

    async def open_needs(self) -> list[tuple[str, str]]:
        return []


def spawn(name: str, work: Coroutine[Any, Any, None]) -> object:
    return asyncio.get_running_loop().create_task(work)


@pytest.fixture
async def desk() -> OfferDesk:
    return OfferDesk(NoLedger(), offer_s=5.0, spawn=spawn)  # type: ignore[arg-type]


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_nothing_is_offered_before_the_agent_listens(desk: OfferDesk) -> None:
    desk.agent_here("w1", "worker", ("answer",), 2)
    desk.follow(task("t-1"))
    await turn()
    assert desk.made == 0
    stream = desk.listen("w1")
    await turn()
    assert [entry.value["task"] for entry in stream.after(0, 10)] == ["t-1"]


async def test_an_agent_that_attaches_again_keeps_the_stream_it_reads(desk: OfferDesk) -> None:
    desk.agent_here("w1", "worker", (), 1)
    stream = desk.listen("w1")
    desk.agent_here("w1", "worker", ("answer",), 1)
    desk.follow(task("t-1", "answer"))
    await turn()
    assert stream.number == 1


async def test_an_agents_offers_go_to_another_when_it_leaves(desk: OfferDesk) -> None:
    for name in ("w1", "w2"):
        desk.agent_here(name, "worker", (), 1)
    first = desk.listen("w1")
    desk.follow(task("t-1"))
    await turn()
    assert first.number == 1
    second = desk.listen("w2")
    desk.agent_gone("w1")
    await turn()
    assert second.number == 1


async def test_an_agent_that_is_not_attached_cannot_listen(desk: OfferDesk) -> None:
    with pytest.raises(NotFound, match="not attached"):
        desk.listen("ghost")


async def test_a_node_declines_for_its_own_agents_alone(desk: OfferDesk) -> None:
    office: Any = SimpleNamespace(here=True)
    mesh: Any = None
    crew = CrewDesk(desk, office, mesh, Stream("events"), lambda name, work: work.close())
    pushed: list[tuple[str, str]] = []
    desk.push = lambda peer_id, offers: pushed.extend((peer_id, agent) for _, agent, _ in offers)
    for number in (1, 2):
        await crew.answer(f"p{number}", wire.encode(wire.Crew((wire.Agent(f"w{number}", "worker", (), 1),))))
    desk.follow(task("t-1"))
    await turn()
    ((peer, agent),) = pushed
    other = "p2" if peer == "p1" else "p1"
    await crew.answer(other, wire.encode(wire.Declined("t-1", agent)))
    await turn()
    assert pushed == [(peer, agent)]
    await crew.answer(peer, wire.encode(wire.Declined("t-1", agent)))
    await turn()
    assert [to for to, _ in pushed] == [peer, other]
    desk.stop()
