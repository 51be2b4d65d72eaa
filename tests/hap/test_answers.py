"""Answers on their way: the outbox, a real connection, and whatever ends in between."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import pytest

from bzzzd.errors import BzzzError, DiskFull, GrantRefused, NotAllowed
from bzzzd.hap import actions
from bzzzd.hap.core import Core
from bzzzd.hap.files.outbox import MOST, Letter, Outbox
from bzzzd.hap.files.state import StateFolder
from bzzzd.hap.link import carrier
from bzzzd.hap.link.session import Session
from bzzzd.hap.link.signing import Person
from bzzzd.hap.messages import Act, Key
from bzzzd.hap.values.model import Link, Model
from bzzzd.identity.grants import mesh_id_of
from bzzzd.identity.pins import Pins
from bzzzd.slurp.question import Field
from bzzzd.slurp.refusals import Denied

from .asking import AUTHORITY, MESH, Asking
from .builders import keys
from .desk import Desk, serving, until


class Seat:
    """A person at a portal without a window, over one state folder."""

    def __init__(self, folder: Path, *, socket: Path | None = None) -> None:
        self.folder = folder
        self.socket = socket or folder / "bzzzd.sock"
        self.outbox = folder / "portal" / "outbox"
        model = Model(
            now=time.time(), run=msgspec.json.encode(time.time_ns()).decode()[-8:],
            registry=actions.load(actions.ACTIONS), link=Link(since=time.time(), socket=str(self.socket)),
        )  # fmt: skip
        self.core = Core(model, StateFolder(folder), time.time)
        pins = Pins(folder / "portal" / "authorities.json", str(self.socket))
        person = Person(folder / "person.key", folder / "grants", "lena", "operator", pins)
        self.session = Session(str(self.socket), person, "", self.core.send, Outbox(self.outbox))
        self.core.connect(_Nothing(), self.session)

    async def __aenter__(self) -> Seat:
        self.session.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()
        await self.core.close()

    async def opened(self) -> None:
        """The prompt is open and may be answered."""
        await until(lambda: self.core.model.needs)
        self.core.send(*keys("1 enter"))
        await until(lambda: self.core.model.page is not None and self.core.model.page.ready)

    @property
    def kept(self) -> list[Path]:
        return sorted(self.outbox.glob("*.answer"))

    def reception(self, prompt: str = "p-0001") -> str:
        found = self.core.model.receptions.get(prompt)
        return found.state if found is not None else ""


class _Nothing:
    def changed(self, *_: object) -> None:
        """Nobody looks."""

    def copy(self, text: str) -> None:
        """There is no terminal to take it."""

    def edit(self, path: Path, text: str) -> None:
        """There is no editor."""

    def redraw(self) -> None:
        """Nothing was drawn."""

    def suspend(self) -> None:
        """There is no shell."""


async def test_an_answer_arrives_once_and_its_receipt_is_told(tmp_path: Path) -> None:
    desk = Desk()
    desk.ask(Asking())
    async with serving(desk, tmp_path / "bzzzd.sock"), Seat(tmp_path) as seat:
        await seat.opened()
        await until(lambda: desk.prompts["p-0001"].prompt.seen_by == ("lena",))
        seat.core.send(*keys("a Y"))
        await until(lambda: seat.reception() == "done")
        found = seat.core.model.receptions["p-0001"]
        assert (found.choice, found.entry) == ("approve", desk.entries["p-0001"])
        assert [reply.choice for reply in desk.prompts["p-0001"].prompt.replies] == ["approve"]
        await until(lambda: not seat.kept)


async def test_a_form_is_sent_as_the_question_wants_it(tmp_path: Path) -> None:
    desk = Desk()
    desk.ask(Asking(kind="form", form=(Field("days", "Days", "number"),)))
    async with serving(desk, tmp_path / "bzzzd.sock"), Seat(tmp_path) as seat:
        await seat.opened()
        seat.core.send(*keys("a 3 0"), Key("ctrl+s"), Key("Y", "Y"))
        await until(lambda: seat.reception() == "done")
        assert msgspec.json.decode(desk.values["p-0001"]) == {"days": "30"}


async def test_an_answer_without_a_daemon_is_kept_and_sent_by_the_next_portal(tmp_path: Path) -> None:
    desk = Desk()
    desk.ask(Asking())
    async with serving(desk, tmp_path / "bzzzd.sock"), Seat(tmp_path) as first:
        await first.opened()
    async with Seat(tmp_path) as away:
        away.core.model = msgspec.structs.replace(
            first.core.model, link=msgspec.structs.replace(first.core.model.link, state="offline")
        )
        away.core.send(*keys("a Y"))
        await until(lambda: away.reception() == "kept")
        assert len(away.kept) == 1
    assert not desk.prompts["p-0001"].prompt.replies
    async with serving(desk, tmp_path / "bzzzd.sock"), Seat(tmp_path) as second:
        await until(lambda: second.reception() == "done")
        assert [reply.choice for reply in desk.prompts["p-0001"].prompt.replies] == ["approve"]
        await until(lambda: not second.kept)


async def test_a_portal_without_a_daemon_knows_the_answers_that_lie_in_its_outbox(tmp_path: Path) -> None:
    Outbox(tmp_path / "portal" / "outbox").put(_letter("earlier-1"))
    async with Seat(tmp_path) as seat:
        await until(lambda: seat.reception("p-1") == "kept")
    assert len(seat.kept) == 1


async def test_two_portals_of_one_person_send_one_answer(tmp_path: Path) -> None:
    desk = Desk()
    desk.ask(Asking())
    async with serving(desk, tmp_path / "bzzzd.sock"), Seat(tmp_path) as one:
        await one.opened()
        # The one sending that is lost must be the answer, and not the word that the prompt was seen.
        await until(lambda: desk.prompts["p-0001"].prompt.seen_by)
        desk.swallow = 1
        one.core.send(*keys("a Y"))
        await until(lambda: len(desk.commands) == 2)
        assert len(one.kept) == 1
        async with Seat(tmp_path) as two:
            await until(lambda: two.reception() == "done")
            await until(lambda: not one.kept)
    assert len(desk.commands) == 2  # the second portal sent the same command, and none of its own


async def test_an_answer_that_another_portal_took_out_is_on_its_way_no_more(tmp_path: Path) -> None:
    desk = Desk()
    desk.ask(Asking())
    async with Seat(tmp_path) as seat:
        async with serving(desk, tmp_path / "bzzzd.sock"):
            await seat.opened()
            await until(lambda: desk.prompts["p-0001"].prompt.seen_by)
            desk.swallow = 1
            seat.core.send(*keys("a Y"))
            await until(lambda: len(desk.commands) == 2)
        assert seat.reception() == "kept"
        seat.kept[0].unlink()  # the other one was told that it is refused
        async with serving(desk, tmp_path / "bzzzd.sock"):
            await until(lambda: not seat.reception())
            assert [need.id for need in seat.core.model.needs] == ["p-0001"]


async def test_a_refusal_of_the_ledger_takes_the_answer_out_of_the_outbox(tmp_path: Path) -> None:
    desk = Desk()
    desk.ask(Asking())
    async with serving(desk, tmp_path / "bzzzd.sock"), Seat(tmp_path) as seat:
        await seat.opened()
        await until(lambda: desk.prompts["p-0001"].prompt.seen_by)
        desk.fault = Denied("somebody was quicker")
        seat.core.send(*keys("a Y"))
        await until(lambda: seat.reception() == "refused")
        assert "somebody was quicker" in seat.core.model.receptions["p-0001"].why
        await until(lambda: not seat.kept)
        assert seat.core.model.needs


@pytest.mark.parametrize(
    "fault", [DiskFull("the disk of the ledger is full"), BzzzError("an unexpected fault in prompt.answer")]
)
async def test_an_answer_that_was_not_judged_goes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BzzzError
) -> None:
    for pause in ("AGAIN_S", "FAULT_S"):
        monkeypatch.setattr(carrier, pause, 0.02)
    desk = Desk()
    desk.ask(Asking())
    async with serving(desk, tmp_path / "bzzzd.sock"), Seat(tmp_path) as seat:
        await seat.opened()
        await until(lambda: desk.prompts["p-0001"].prompt.seen_by)
        desk.fault = fault
        seat.core.send(*keys("a Y"))
        await until(lambda: desk.fault is None)
        await until(lambda: seat.reception() == "done")
    assert [reply.choice for reply in desk.prompts["p-0001"].prompt.replies] == ["approve"]


async def test_another_authority_than_the_pinned_one_is_refused_loudly(tmp_path: Path) -> None:
    Pins(tmp_path / "portal" / "authorities.json", str(tmp_path / "bzzzd.sock")).pin(
        mesh_id_of(b"\x05" * 32), b"\x05" * 32
    )
    desk = Desk()
    desk.ask(Asking())
    async with serving(desk, tmp_path / "bzzzd.sock"), Seat(tmp_path) as seat:
        await until(lambda: seat.core.model.me.mend)
        assert seat.core.model.me.guest
        assert "has pinned the authority of mesh" in seat.core.model.me.mend
        seat.core.send(Act("open", {"prompt": "p-0001"}), *keys("a Y"))
        assert not seat.kept
    assert not desk.commands


def test_an_authority_is_pinned_once_for_a_socket(tmp_path: Path) -> None:
    pins = Pins(tmp_path / "authorities.json", "/run/one.sock")
    assert pins.trust() is None
    pins.pin(MESH, AUTHORITY.public)
    pins.pin(MESH, AUTHORITY.public)
    found = pins.trust()
    assert found is not None
    assert (found.mesh_id, found.authority) == (MESH, AUTHORITY.public)
    with pytest.raises(GrantRefused, match=r"remove .*authorities\.json"):
        pins.check("m-another")
    with pytest.raises(GrantRefused):
        pins.pin(MESH, b"\x09" * 32)
    Pins(tmp_path / "authorities.json", "/run/two.sock").check("m-another")


def _letter(id: str, at: float = 1.0) -> Letter:
    return Letter(id, MESH, "prompt.answer", {"envelope": b"x"}, "p-1", "approve", at)


def test_the_outbox_gives_letters_in_their_order_and_holds_no_more_than_it_should(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "outbox")
    box.put(_letter("b", 2.0))
    box.put(_letter("a", 3.0))
    assert [letter.id for letter in Outbox(tmp_path / "outbox").letters()] == ["b", "a"]
    box.remove("b")
    box.remove("b")
    box.remove("../a")
    assert [letter.id for letter in box.letters()] == ["a"]
    for number in range(MOST - 1):
        (tmp_path / "outbox" / f"n{number}.answer").write_bytes(b"")
    with pytest.raises(NotAllowed, match=f"{MOST} answers wait"):
        box.put(_letter("c"))


def test_a_damaged_letter_is_set_aside_and_hinders_no_other(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "outbox")
    box.put(_letter("a"))
    (tmp_path / "outbox" / "torn.answer").write_bytes(b"\x81")
    (tmp_path / "outbox" / "rotten.answer").write_bytes(b"\x81\xa2id\xa1\xff")
    assert [letter.id for letter in box.letters()] == ["a"]
    assert (tmp_path / "outbox" / "torn.damaged").exists()
    assert (tmp_path / "outbox" / "rotten.damaged").exists()
    assert (tmp_path / "outbox" / "a.answer").stat().st_mode & 0o777 == 0o600


def test_a_letter_that_cannot_be_read_now_is_not_taken_for_damaged(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "outbox")
    box.put(_letter("a"))
    box.put(_letter("b"))
    # A link to itself is what even the owner of everything cannot open.
    (tmp_path / "outbox" / "b.answer").rename(tmp_path / "b")
    (tmp_path / "outbox" / "b.answer").symlink_to("b.answer")
    assert [letter.id for letter in box.letters()] == ["a"]
    assert not list((tmp_path / "outbox").glob("*.damaged"))
    (tmp_path / "b").replace(tmp_path / "outbox" / "b.answer")
    assert [letter.id for letter in box.letters()] == ["a", "b"]


async def test_answers_are_carried_whatever_becomes_of_the_connection(tmp_path: Path) -> None:
    desk = Desk()
    desk.ask(Asking())
    async with Seat(tmp_path) as seat:
        async with serving(desk, tmp_path / "bzzzd.sock"):
            await seat.opened()
            await until(lambda: desk.prompts["p-0001"].prompt.seen_by)
            desk.swallow = 1
            seat.core.send(*keys("a Y"))
            await until(lambda: len(desk.commands) == 2)  # seen, and the answer that hangs
        assert seat.reception() == "kept"
        desk.commands.pop()  # it was not done
        async with serving(desk, tmp_path / "bzzzd.sock"):
            await until(lambda: seat.reception() == "done", 20)
    await asyncio.sleep(0)
    assert [reply.choice for reply in desk.prompts["p-0001"].prompt.replies] == ["approve"]
