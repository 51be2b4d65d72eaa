"""The ledger seen from another node: the same promises over a transport that loses, repeats and reorders."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Coroutine
from contextlib import nullcontext
from typing import Any

import pytest

from bzzzd.daemon.ledger import wire
from bzzzd.daemon.ledger.kept import KeptLedger
from bzzzd.daemon.ledger.line import Line
from bzzzd.daemon.ledger.remote import RemoteLedger
from bzzzd.daemon.ledger.seat import Seat
from bzzzd.daemon.ledger.server import LedgerServer
from bzzzd.errors import BzzzError, NotFound, Unavailable, UnknownOutcome, unexpected
from bzzzd.identity.grants import Grant
from bzzzd.mesh.peer_id import peer_id_of
from bzzzd.slurp import replica
from bzzzd.slurp.commands import Author
from bzzzd.slurp.embedded import EmbeddedLedger
from bzzzd.slurp.ledger import Outcome
from bzzzd.slurp.task import Task

from .conformance import LedgerConformance, World
from .kit import MESH, Clock, InlineJournal, Member, may, raw_of, rules

FORWARDER = peer_id_of(b"f" * 32)
CHAIN = (b"the grants of whoever signed",)
LIMIT_S = 20.0


class Contexts:
    """No version travels in these tests."""

    async def carry(self, id: str) -> Any:
        raise NotFound(f"no version {id}")


class NoStandby:
    """No other node holds a copy in these tests."""

    standby = ""
    reason = "there is no other node"
    incarnation = ""
    peer_id = ""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.asked = asyncio.Event()

    async def durable(self, number: int | None) -> None:
        self.asked.set()
        await self.open.wait()


class Wire:
    """Questions to a ledger's server. ``moods`` are taken one for each batch of commands, then it behaves."""

    def __init__(self, server: LedgerServer) -> None:
        self.server = server
        self.moods: list[str] = []
        self.down = False

    async def ask(self, data: bytes, timeout: float) -> bytes:
        if self.down:
            raise Unavailable("nobody is there", peer_id=FORWARDER)
        question = wire.question(data)
        mood = self.moods.pop() if self.moods and isinstance(question, wire.Commands) else ""
        if mood == "late":
            await asyncio.sleep(0)
        if mood == "lost":
            raise UnknownOutcome("the question was lost")
        if mood == "twice":
            await self.server.answer(FORWARDER, question)
        answer = await self.server.answer(FORWARDER, question)
        if mood == "unanswered":
            raise UnknownOutcome("the answer was lost")
        return answer


class Across:
    """A far node's ledger; what only its keeper does is done where it is kept."""

    _KEPT = frozenset({"start", "expire", "prune", "backup", "restore", "promote"})

    def __init__(self, kept: EmbeddedLedger, far: RemoteLedger) -> None:
        self._parts = kept, far

    def __getattr__(self, name: str) -> Any:
        kept, far = self._parts
        return getattr(kept if name in self._KEPT else far, name)


class FarWorld(World):
    def __init__(self, journal: InlineJournal, **changed: Any) -> None:
        clock = Clock()
        for statement in replica.SCHEMA:
            journal.conn.execute(statement)
        self.copies = copies = NoStandby()
        kept = KeptLedger(journal, rules(**changed), clock, copies, lambda: "n1")
        self.members: dict[bytes, Grant] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        seat = Seat(kept, kept)
        seat.acting = True
        line = Line(kept, lambda event: None, self.spawn, keep=500)
        self.line = line
        server = LedgerServer(
            seat, line, Contexts(), MESH,  # type: ignore[arg-type]
            grant_of=self.grant_of, check=lambda *_: None, judging=lambda _: nullcontext(),
            refused=lambda *_: None, name=lambda: "n1", kept=kept, copies=copies, spawn=self.spawn,
        )  # fmt: skip
        self.wire = Wire(server)
        far = RemoteLedger(
            self.wire.ask, self.spawn, chain_of=lambda key: CHAIN, pack=self.nothing, adopt=self.nothing,
            reached=self.never,
        )  # fmt: skip
        super().__init__(Across(kept, far), clock)  # type: ignore[arg-type]
        self.far = far

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> object:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def nothing(self, _: object) -> Any:
        raise AssertionError("no version travels in these tests")

    async def never(self, incarnation: str, number: int, seconds: float) -> bool:
        raise AssertionError("only the standby's node is answered early")

    def grant_of(self, key: bytes, chain: object) -> Grant:
        return self.members[key]

    async def do(self, who: Member, *args: Any, **fields: Any) -> Any:
        author = who.author
        self.members[author.key] = Grant(
            kind=author.kind, id=author.id, mesh_id=MESH, key=author.key, role=author.role,  # type: ignore[arg-type]
            capabilities=author.capabilities, serial=1, not_before=0.0, not_after=2e9, issuer=author.key,
        )  # fmt: skip
        return await super().do(who, *args, **fields)


@pytest.fixture
async def world() -> AsyncIterator[FarWorld]:
    journal = InlineJournal()
    yield FarWorld(journal)
    await journal.close()


class TestFromAnotherNode(LedgerConformance):
    @pytest.fixture
    async def world(self) -> AsyncIterator[World]:
        journal = InlineJournal()
        found = FarWorld(journal)
        for who in (found.alice, found.bob, found.carol, found.root):
            found.members[who.key.public] = Grant(
                kind=who.author.kind, id=who.author.id, mesh_id=MESH, key=who.key.public,  # type: ignore[arg-type]
                role=who.author.role, capabilities=who.author.capabilities, serial=1, not_before=0.0, not_after=2e9,
                issuer=who.key.public,
            )  # fmt: skip
        found.wire.moods = ["late"] * 50
        yield found
        await journal.close()

    @pytest.fixture
    async def crowded(self) -> AsyncIterator[World]:
        journal = InlineJournal()
        yield FarWorld(journal, max_open=2)
        await journal.close()


@pytest.mark.parametrize("seed", range(20))
async def test_over_a_bad_wire_nothing_is_lost_and_nothing_done_twice(world: FarWorld, seed: int) -> None:
    chance = random.Random(seed)
    ids = [world.maker.new_task_id() for _ in range(12)]

    async def way(task: str) -> None:
        await world.do(world.alice, "submit", task)
        token = (await world.do(world.bob, "claim", task)).task.token
        done = await world.do(world.bob, "complete", task, token)
        assert done.task.state == "completed"

    for task in ids:
        # Two of three sendings may fail: the third is answered.
        bad = [chance.choice(["lost", "unanswered", "twice", "late"]) for _ in range(2)]
        world.wire.moods = [*(["", *bad] * 3)]
        await way(task)
    page = await world.ledger.list_tasks(limit=100)
    assert {task.id: task.state for task in page.tasks} == dict.fromkeys(ids, "completed")
    kinds = [event.kind for event in (await world.ledger.events(0)).events]
    assert sorted(kinds) == sorted(["submitted", "claimed", "completed"] * len(ids))


async def test_what_was_never_answered_is_said_to_be_unknown_and_may_be_asked_again(world: FarWorld) -> None:
    command = world.maker.command("submit", "t-1")
    await world.do(world.alice, "submit", "t-0")
    world.wire.moods = ["unanswered"] * 3
    with pytest.raises(UnknownOutcome):
        await world.ledger.execute(world.alice.author, command, raw_of(world.alice, command))
    again = await world.ledger.execute(world.alice.author, command, raw_of(world.alice, command))
    assert again.repeated
    assert again.task.id == "t-1"


async def test_a_coordinator_that_is_away_is_said_to_be_away_at_once(world: FarWorld) -> None:
    world.wire.down = True
    with pytest.raises(Unavailable):
        await world.do(world.alice, "submit", "t-1")


async def test_commands_of_one_moment_travel_together(world: FarWorld) -> None:
    asked: list[int] = []
    ask = world.wire.server.answer

    async def noted(peer_id: str, question: Any) -> bytes:
        asked.append(len(question.items))
        return await ask(peer_id, question)

    world.wire.server.answer = noted  # type: ignore[method-assign]
    await asyncio.gather(*(world.do(world.alice, "submit", f"t-{number}") for number in range(100)))
    assert asked[0] == 100


async def test_a_follower_hears_every_entry_once_and_is_told_of_another_ledger(world: FarWorld) -> None:
    task = await world.submit()
    waiting = asyncio.ensure_future(world.far.news("", 0, 100, 5.0))
    news = await waiting
    assert [event.kind for event in news.page.events] == ["submitted"]
    later = asyncio.ensure_future(world.far.news(news.incarnation, news.upto, 100, 5.0))
    await asyncio.sleep(0)
    await world.claim(world.bob, task)
    assert [event.kind for event in (await later).page.events] == ["claimed"]
    await world.ledger.promote()
    assert (await world.far.news(news.incarnation, news.upto, 100, 0.0)).page.reset


async def test_a_command_whose_asker_went_away_is_told_all_the_same(world: FarWorld) -> None:
    await world.do(world.alice, "submit", "t-0")
    world.copies.open.clear()
    world.copies.asked.clear()
    raw = raw_of(world.alice, world.maker.command("submit", "t-1"))
    asking = asyncio.ensure_future(world.wire.server.answer(FORWARDER, wire.Commands((wire.Do(raw, CHAIN),))))
    async with asyncio.timeout(LIMIT_S):
        await world.copies.asked.wait()  # it is committed, and nobody has been told yet
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        world.copies.open.set()
        page = await world.line.after(1, 10, LIMIT_S)
    assert [event.task.id for event in page.events] == ["t-1"]


async def test_a_command_at_which_the_ledger_fails_is_no_fault_of_those_that_came_with_it() -> None:
    def failing(author: Author, operation: str, about: Task) -> bool:
        if about.id == "t-bad":
            raise ValueError("a mistake of ours")
        return may(author, operation, about)

    journal = InlineJournal()
    world = FarWorld(journal, may=failing)
    tasks = ("t-1", "t-bad", "t-2")
    found = await asyncio.gather(*(world.do(world.alice, "submit", task) for task in tasks), return_exceptions=True)
    assert [isinstance(one, Outcome) for one in found] == [True, False, True]
    assert isinstance(found[1], BzzzError)
    assert unexpected(found[1])
    assert [task.id for task in (await world.ledger.list_tasks()).tasks] == ["t-2", "t-1"]
    await journal.close()
