"""An answer given before the standby held its entries: it counts on the standby once they are there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from bzzzd.daemon.ledger import wire
from bzzzd.daemon.ledger.remote import RemoteLedger
from bzzzd.errors import Unavailable, UnknownOutcome
from bzzzd.slurp.ledger import Outcome
from bzzzd.slurp.task import LedgerClock, submit
from bzzzd.storage.versions.adopt import Carried
from bzzzd.storage.versions.rows import Pending

TASK = submit(id="t-1", author="alice", author_kind="person", brief="b" * 64, now=LedgerClock(0.0, 0.0))
EARLY = wire.encode([wire.Done(Outcome(TASK, ()), upto=("first-1", 5))])
LATE = wire.encode([wire.Done(Outcome(TASK, (), repeated=True))])
DO = wire.Do(b"command", (b"grant",))


def spawn(name: str, work: Coroutine[Any, Any, None]) -> object:
    return asyncio.get_running_loop().create_task(work)


async def _none(found: Pending | Carried) -> Any:
    raise AssertionError("no version travels here")


class Coordinator:
    """Gives the answers in order; None: it is away. ``arrives`` says whether the entries come."""

    def __init__(self, *answers: bytes | None, arrives: bool) -> None:
        self.answers = list(answers)
        self.arrives = arrives
        self.asked: list[bytes] = []
        self.waited: list[tuple[str, int]] = []
        self.ledger = RemoteLedger(
            self.ask, spawn, chain_of=lambda key: (), pack=_none, adopt=_none, reached=self.reached
        )

    async def ask(self, data: bytes, seconds: float) -> bytes:
        self.asked.append(data)
        answer = self.answers.pop(0)
        if answer is None:
            raise Unavailable("the coordinator cannot be reached")
        return answer

    async def reached(self, incarnation: str, number: int, seconds: float) -> bool:
        self.waited.append((incarnation, number))
        return self.arrives


async def test_it_counts_when_the_entries_are_there() -> None:
    far = Coordinator(EARLY, arrives=True)
    assert not (await far.ledger.send(DO)).repeated
    assert (len(far.asked), far.waited) == (1, [("first-1", 5)])


async def test_it_is_asked_for_again_when_they_do_not_come() -> None:
    far = Coordinator(EARLY, LATE, arrives=False)
    assert (await far.ledger.send(DO)).repeated
    assert len(set(far.asked)) == 1, "the same command, which the ledger does once"
    assert len(far.asked) == 2


async def test_nothing_is_said_to_be_done_when_the_coordinator_is_gone_before_they_came() -> None:
    far = Coordinator(EARLY, None, arrives=False)
    with pytest.raises(UnknownOutcome):
        await far.ledger.send(DO)
