"""What waits for the coordinator: brought once, and a refusal is told until its author has seen it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bzzzd.daemon.ledger import outbox as desk
from bzzzd.daemon.ledger import wire
from bzzzd.daemon.ledger.outbox import FAULTS, REFUSED_S, Outbox
from bzzzd.errors import BzzzError, DiskFull, FinalState, NotAllowed, from_map
from bzzzd.slurp.commands import Answer, Author, Cancel, Command, Submit
from bzzzd.slurp.ledger import Outcome
from bzzzd.slurp.task import LedgerClock, submit
from bzzzd.storage.journal.journal import Journal
from bzzzd.storage.outbox import SCHEMA

ALICE = Author("alice", "person", "operator", (), b"k" * 32)
LIMIT_S = 20.0
TASK = submit(id="t-1", author="alice", author_kind="person", brief="b" * 64, now=LedgerClock(0.0, 0.0))


class Away:
    """A ledger that refuses everything, once it can be reached."""

    def __init__(self) -> None:
        self.asked = 0

    async def deliver(self, do: wire.Do) -> Outcome:
        self.asked += 1
        raise (NotAllowed if do.raw == b"submit" else FinalState)("the ledger says no")


class FullOnce(Away):
    """A ledger whose disk is full the first time that it is asked."""

    async def deliver(self, do: wire.Do) -> Outcome:
        self.asked += 1
        if self.asked == 1:
            raise DiskFull("no space left where the ledger is kept")
        return Outcome(TASK, ())


class Faulty(Away):
    """A ledger that fails unexpectedly at answers, ``times`` times, here or on another node."""

    def __init__(self, fault: Exception, times: int) -> None:
        super().__init__()
        self.fault = fault
        self.times = times
        self.done: list[bytes] = []

    async def deliver(self, do: wire.Do) -> Outcome:
        if do.raw == b"answer":
            self.asked += 1
            if self.asked <= self.times:
                raise self.fault
        self.done.append(do.raw)
        return Outcome(TASK, ())


async def outbox_of(journal: Journal, away: Away) -> Outbox:
    found = Outbox(journal, "n2", away.deliver, lambda kind, by, shown: None)
    await found.load()
    return found


async def bring(box: Outbox) -> None:
    running = asyncio.create_task(box.run())
    async with asyncio.timeout(LIMIT_S):
        while len(box):
            await box._journal.sync()
    running.cancel()


def do(raw: bytes) -> wire.Do:
    return wire.Do(raw, (b"grant",))


async def keep(box: Outbox, command: Command, raw: bytes) -> dict[str, Any]:
    return await box.keep(ALICE, command, do(raw))


async def test_a_refusal_is_told_after_a_restart_until_its_author_has_seen_it(tmp_path: Path) -> None:
    journal = await Journal.open(tmp_path / "j", [SCHEMA])
    away = Away()
    box = await outbox_of(journal, away)
    await keep(box, Submit(id="c1", task="t-1", at=1.0, brief="b" * 64), b"submit")
    await keep(box, Cancel(id="c2", task="t-2", at=1.0), b"cancel")
    await bring(box)
    for found in (box, await outbox_of(journal, away)):
        (row,) = found.all()
        assert (row["id"], row["state"], row["reason"]) == ("t-1", "rejected", "not_allowed")
        assert row["refused"]["why"] == "the ledger says no"
        assert found.find("t-2") is None, "the ledger knows how that task stands"
        said = found.refusal("t-2")
        assert said is not None
        assert (said["command"], said["code"]) == ("cancel", "FINAL_STATE")
    assert away.asked == 2
    await box.seen("t-1", "person", "bob")
    assert box.refusal("t-1") is not None
    for task in ("t-1", "t-2"):
        await box.seen(task, "person", "alice")
        for found in (box, await outbox_of(journal, away)):
            assert found.refusal(task) is None
    assert box.all() == []
    await journal.close()


async def test_a_refusal_that_nobody_looks_at_is_forgotten_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = await Journal.open(tmp_path / "j", [SCHEMA])
    box = await outbox_of(journal, Away())
    await keep(box, Submit(id="c1", task="t-1", at=1.0, brief="b" * 64), b"submit")
    await bring(box)
    later = desk.time.time() + REFUSED_S + 1.0
    monkeypatch.setattr(desk.time, "time", lambda: later)
    assert box.all() == []
    assert (await outbox_of(journal, Away())).refusal("t-1") is None
    await journal.close()


async def test_a_full_disk_of_the_ledger_is_no_refusal(tmp_path: Path) -> None:
    journal = await Journal.open(tmp_path / "j", [SCHEMA])
    full = FullOnce()
    box = await outbox_of(journal, full)
    await keep(box, Submit(id="c1", task="t-1", at=1.0, brief="b" * 64), b"submit")
    await bring(box)
    assert full.asked == 2
    assert box.refusal("t-1") is None
    await journal.close()


ANSWER = Answer(id="c1", task="t-1", at=1.0, prompt="p-1", digest="d" * 64, choice="approve")
FAULTY = [ValueError("a mistake of ours"), from_map({"code": "FAILED", "message": "the coordinator failed"})]


@pytest.mark.parametrize("fault", FAULTY, ids=["here", "there"])
async def test_an_answer_at_which_the_ledger_fails_unexpectedly_is_brought_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    monkeypatch.setattr(desk, "_REST_S", 0.01)
    journal = await Journal.open(tmp_path / "j", [SCHEMA])
    ledger = Faulty(fault, 3)
    box = await outbox_of(journal, ledger)
    await keep(box, ANSWER, b"answer")
    await keep(box, Cancel(id="c2", task="t-2", at=1.0), b"cancel")
    await bring(box)
    assert ledger.done == [b"cancel", b"answer"], "what is not at fault need not wait"
    assert box.refusal("t-1") is None
    await journal.close()


@pytest.mark.parametrize("fault", FAULTY, ids=["here", "there"])
async def test_an_answer_at_which_the_ledger_fails_each_time_has_an_unknown_outcome_and_is_not_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    monkeypatch.setattr(desk, "_REST_S", 0.01)
    journal = await Journal.open(tmp_path / "j", [SCHEMA])
    ledger = Faulty(fault, 1000)
    box = await outbox_of(journal, ledger)
    await keep(box, ANSWER, b"answer")
    await bring(box)
    assert (ledger.asked, ledger.done) == (FAULTS, [])
    said = box.refusal("t-1")
    assert said is not None
    assert (said["command"], said["code"]) == ("answer", "UNKNOWN_OUTCOME")
    assert "whether it counts is not known" in said["why"]
    await journal.close()


async def test_an_error_of_a_later_version_is_a_refusal(tmp_path: Path) -> None:
    journal = await Journal.open(tmp_path / "j", [SCHEMA])
    error = from_map({"code": "PROMPT_TOO_GREEN", "message": "no"})
    assert type(error) is BzzzError
    ledger = Faulty(error, 1)
    box = await outbox_of(journal, ledger)
    await keep(box, ANSWER, b"answer")
    await bring(box)
    assert ledger.asked == 1
    assert box.refusal("t-1") is not None
    await journal.close()
