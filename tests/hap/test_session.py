from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bzzzd.errors import FinalState
from bzzzd.hap.feeds.tasks import TaskChanged
from bzzzd.hap.files.outbox import Outbox
from bzzzd.hap.link import session as sessions
from bzzzd.hap.link.session import Session
from bzzzd.hap.link.signing import Person
from bzzzd.hap.messages import (
    Answered,
    Ask,
    Attach,
    Came,
    Message,
    Offline,
    Online,
    Order,
    Refused,
    Snapshot,
    Submit,
    Told,
)
from bzzzd.hmmm.forms import Composed
from bzzzd.identity.pins import Pins

from .desk import Desk, serving, until


class Heard(list[Message]):
    """The messages of a session, and the newest of a kind."""

    def last(self, kind: type[Message]) -> Message | None:
        return next((message for message in reversed(self) if isinstance(message, kind)), None)

    def answered(self) -> Answered | None:
        """The newest answer to something that was asked of the daemon; what lies in the outbox is none."""
        found = (message for message in reversed(self) if isinstance(message, Answered))
        return next((message for message in found if message.tag[0] != "outbox"), None)


@pytest.fixture
def person(tmp_path: Path) -> Person:
    pins = Pins(tmp_path / "state" / "authorities.json", str(tmp_path / "s"))
    return Person(tmp_path / "state" / "person.key", tmp_path / "grants", "lena", "operator", pins)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def session(tmp_path: Path, person: Person, heard: Heard) -> AsyncIterator[Session]:
    found = Session(str(tmp_path / "s"), person, "", heard.append, Outbox(tmp_path / "outbox"))
    yield found
    await found.close()


async def test_the_person_is_attached_and_the_tasks_come(session: Session, heard: Heard, tmp_path: Path) -> None:
    desk = Desk()
    desk.task("t-1")
    async with serving(desk, tmp_path / "s"):
        session.start()
        await until(lambda: heard.last(Snapshot))
        online = heard.last(Online)
        assert isinstance(online, Online)
        assert (online.me.id, online.me.kind, online.me.role, online.me.mend) == ("lena", "person", "operator", "")
        snapshot = heard.last(Snapshot)
        assert isinstance(snapshot, Snapshot)
        assert [task.id for task in snapshot.tasks] == ["t-1"]
        desk.task("t-2")
        await until(lambda: heard.last(Came))
        came = heard.last(Came)
        assert isinstance(came, Came)
        assert isinstance(came.items[0], TaskChanged)
        assert came.number == 2


async def test_without_a_daemon_it_says_why_and_comes_online_by_itself_later(
    session: Session, heard: Heard, tmp_path: Path
) -> None:
    session.start()
    await until(lambda: heard.last(Offline))
    offline = heard.last(Offline)
    assert isinstance(offline, Offline)
    assert "bzzzd is not running" in offline.why
    async with serving(Desk(), tmp_path / "s"):
        await until(lambda: heard.last(Online))
    heard.clear()
    await until(lambda: heard.last(Offline))


async def test_who_is_refused_becomes_a_guest_and_is_told_what_mends_it(
    session: Session, heard: Heard, tmp_path: Path
) -> None:
    desk = Desk()
    desk.refuse = "lena has no person grant in this mesh; an administrator runs: sudo bzzz mesh admin add lena"
    desk.task("t-1")
    async with serving(desk, tmp_path / "s"):
        session.start()
        await until(lambda: heard.last(Online) and heard.last(Snapshot))
        online = heard.last(Online)
        assert isinstance(online, Online)
        assert online.me.guest
        assert online.me.mend == desk.refuse
        session.perform(Submit("d-1", Composed(sends="task", title="x", body="")))
        await until(lambda: heard.last(Refused))
        refused = heard.last(Refused)
        assert isinstance(refused, Refused)
        assert desk.refuse in refused.fault.message


async def test_a_guest_becomes_the_person_once_the_grant_is_there(
    session: Session, heard: Heard, tmp_path: Path
) -> None:
    desk = Desk()
    desk.refuse = "no grant yet"
    async with serving(desk, tmp_path / "s"):
        session.start()
        await until(lambda: heard.last(Online))
        session.perform(Attach())
        await session.idle(5)
        desk.refuse = ""
        heard.clear()
        session.perform(Attach())
        await until(lambda: heard.last(Online))
        online = heard.last(Online)
        assert isinstance(online, Online)
        assert online.me.id == "lena"


async def test_without_a_usable_key_it_is_a_guest(heard: Heard, tmp_path: Path) -> None:
    why = "the key file is open to others; run: chmod 600 …"
    session = Session(str(tmp_path / "s"), None, why, heard.append, Outbox(tmp_path / "outbox"))
    async with serving(Desk(), tmp_path / "s"):
        session.start()
        await until(lambda: heard.last(Online))
        online = heard.last(Online)
        assert isinstance(online, Online)
        assert "chmod 600" in online.me.mend
        await session.close()


async def test_a_question_is_answered_with_values_and_a_refusal_with_its_code(
    session: Session, heard: Heard, tmp_path: Path
) -> None:
    async with serving(Desk(), tmp_path / "s"):
        session.start()
        await until(lambda: heard.last(Online))
        session.perform(Ask("health", {}, ("health",)))
        session.perform(Ask("task.show", {"id": 7}, ("show", "t")))
        await session.idle(5)
        answered = heard.answered()
        assert answered is not None
        assert answered.value.services[0].id == "ledger"
        refused = heard.last(Refused)
        assert isinstance(refused, Refused)
        assert (refused.tag, refused.fault.code) == (("show", "t"), "INVALID_PARAMS")


async def test_what_nobody_expected_is_told_and_stands_in_the_log(
    session: Session, heard: Heard, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(Desk(), tmp_path / "s"):
        session.start()
        await until(lambda: heard.last(Online))
        session.perform(Ask("context.prepare", {"address": "ucxl://a:b@c:d/*^/", "content_type": "x"}, ("unread",)))
        await until(lambda: heard.last(Told))
    assert "KeyError" in caplog.text


async def test_a_task_is_signed_sealed_and_submitted(session: Session, heard: Heard, tmp_path: Path) -> None:
    desk = Desk()
    async with serving(desk, tmp_path / "s"):
        session.start()
        await until(lambda: heard.last(Online))
        session.perform(Submit("d-1", Composed(sends="task", title="Check it", body="all", role="worker")))
        await until(heard.answered)
        (id,) = desk.tasks
        assert desk.briefs[id] == {"title": "Check it", "body": "all", "args": {}}
        assert desk.tasks[id]["role"] == "worker"
        assert desk.commands == ["d-1"]


async def test_a_role_that_is_no_name_is_refused_before_anything_is_sent(
    session: Session, heard: Heard, tmp_path: Path
) -> None:
    desk = Desk()
    async with serving(desk, tmp_path / "s"):
        session.start()
        await until(lambda: heard.last(Online))
        session.perform(Submit("d-1", Composed(sends="task", title="x", body="", role="no such role!")))
        await until(lambda: heard.last(Refused))
        refused = heard.last(Refused)
        assert isinstance(refused, Refused)
        assert refused.fault.code == "BAD_INPUT"
        assert desk.commands == []


async def test_cancel_and_retry_carry_a_reason_code_and_a_new_task(
    session: Session, heard: Heard, tmp_path: Path
) -> None:
    desk = Desk()
    desk.task("t-1")
    async with serving(desk, tmp_path / "s"):
        session.start()
        await until(lambda: heard.last(Online))
        session.perform(Order("cancel", "t-1", "c-1", "No longer needed!"))
        await session.idle(5)
        session.perform(Order("retry", "t-1", "c-2"))
        await session.idle(5)
        assert desk.tasks["t-1"]["reason"] == "no_longer_needed"
        assert [task["retry_of"] for task in desk.tasks.values() if "retry_of" in task] == ["t-1"]


async def test_a_command_that_the_ledger_refuses_says_so(session: Session, heard: Heard, tmp_path: Path) -> None:
    desk = Desk()
    desk.task("t-1")
    desk.fault = FinalState("task t-1 is completed")
    async with serving(desk, tmp_path / "s"):
        session.start()
        await until(lambda: heard.last(Online))
        session.perform(Order("cancel", "t-1", "c-1"))
        await session.idle(5)
        refused = heard.last(Refused)
        assert isinstance(refused, Refused)
        assert (refused.tag, refused.fault.code) == (("order", "c-1"), "FINAL_STATE")


async def test_a_command_without_an_answer_goes_again_with_the_same_id(
    session: Session, heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "CALL_S", 0.3)
    desk = Desk()
    desk.task("t-1")
    desk.swallow = 1
    async with serving(desk, tmp_path / "s"):
        session.start()
        await until(lambda: heard.last(Online))
        session.perform(Order("cancel", "t-1", "c-1"))
        await until(heard.answered)
        assert desk.commands == ["c-1", "c-1"]
        assert desk.tasks["t-1"]["state"] == "canceled"


async def test_a_thousand_events_come_in_few_messages(session: Session, heard: Heard, tmp_path: Path) -> None:
    desk = Desk()
    async with serving(desk, tmp_path / "s"):
        session.start()
        await until(lambda: heard.last(Snapshot))
        for round in range(20):
            for n in range(50):
                desk.task(f"t-{n}", note=round)
            await asyncio.sleep(0)
        await until(lambda: (came := heard.last(Came)) and isinstance(came, Came) and came.number == 1000)
        assert sum(isinstance(message, Came) for message in heard) < 25


async def test_after_the_daemon_was_away_the_streams_go_on(session: Session, heard: Heard, tmp_path: Path) -> None:
    desk = Desk()
    async with serving(desk, tmp_path / "s"):
        session.start()
        await until(lambda: heard.last(Snapshot))
    desk.task("t-while-away")
    heard.clear()
    async with serving(desk, tmp_path / "s"):
        await until(lambda: heard.last(Online))
        await until(lambda: heard.last(Came) or heard.last(Snapshot))
        came = heard.last(Came)
        assert isinstance(came, Came)
        assert isinstance(came.items[0], TaskChanged)
        assert came.items[0].task.id == "t-while-away"
