from __future__ import annotations

from pathlib import Path

import pytest

from bzzzd.crypto.keyfile import is_locked, open_key, protect
from bzzzd.hap.messages import Act, Answered, Key, Locked, Paste, Protect, Refused, Unlock
from bzzzd.hap.rows import plain
from bzzzd.hap.update import update
from bzzzd.hap.values.model import Form, Secret
from bzzzd.hap.values.things import Fault
from bzzzd.hap.view import view

from .builders import after, blank, keys, online
from .desk import Desk, serving, until
from .portals import Home, Terminal
from .test_answers import Seat

PATH = "/home/lena/.local/state/bzzz/person.key"


def test_a_locked_key_is_asked_for_at_the_start_and_shown_as_dots() -> None:
    model = after(blank(), Locked(PATH), *keys("s e c"))
    shown = "\n".join(plain(row) for row in view(model, 80, 24).rows)
    assert "•••" in shown
    assert "sec" not in shown
    model, effects = update(model, Key("enter"))
    assert effects == (Unlock("sec"),)
    assert "sec" not in repr(effects)
    assert "sec" not in repr(model.overlay)


def test_a_wrong_passphrase_is_told_and_asked_for_again_and_the_right_one_opens() -> None:
    model = after(blank(), Locked(PATH), *keys("x enter"))
    model = after(model, Refused(("unlock",), Fault("KEY_LOCKED", "this is not the passphrase")))
    assert isinstance(model.overlay, Secret)
    assert model.overlay.fault
    model = after(model, Answered(("unlock",), None))
    assert model.overlay is None
    assert model.locked == ""


def test_who_leaves_it_looks_on_and_is_asked_again_by_a_key() -> None:
    model = after(blank(), Locked(PATH), Key("esc"))
    assert model.overlay is None
    assert isinstance(after(model, Key("U", "U")).overlay, Secret)
    assert update(model, Act("unlock", {"passphrase": "p"}))[1] == (Unlock("p"),)


def test_a_locked_key_does_not_disturb_what_is_being_written() -> None:
    model = after(blank(), *keys("n"), Locked(PATH))
    assert isinstance(model.overlay, Form)


def test_a_new_passphrase_is_typed_twice() -> None:
    model = after(online(), Act("passphrase"), Paste("one\n"), Key("enter"), *keys("t w o enter"))
    assert isinstance(model.overlay, Secret)
    assert "not the same" in model.overlay.fault
    model, effects = update(after(online(), Act("passphrase"), Paste("one"), Key("enter"), Paste("one")), Key("enter"))
    assert effects == (Protect("one"),)
    assert model.overlay is None


async def test_the_key_is_unlocked_once_and_the_session_is_the_person_s(tmp_path: Path) -> None:
    key = open_key(tmp_path / "person.key")
    protect(tmp_path / "person.key", key, "open sesame")
    async with serving(Desk(), tmp_path / "bzzzd.sock"), Seat(tmp_path) as seat:
        await until(lambda: seat.core.model.locked)
        await until(lambda: seat.core.model.link.state == "online")
        assert seat.core.model.me.guest
        seat.core.send(Act("unlock", {"passphrase": "wrong"}))
        await until(lambda: isinstance(seat.core.model.overlay, Secret) and seat.core.model.overlay.fault)
        seat.core.send(Act("unlock", {"passphrase": "open sesame"}))
        await until(lambda: not seat.core.model.me.guest)
        assert seat.core.model.locked == ""


@pytest.mark.parametrize("wanted", ["new one", ""])
async def test_the_passphrase_is_changed_on_disk(tmp_path: Path, wanted: str) -> None:
    async with serving(Desk(), tmp_path / "bzzzd.sock"), Seat(tmp_path) as seat:
        await until(lambda: not seat.core.model.me.guest)
        seat.core.send(Act("passphrase"), Paste(wanted), Key("enter"), Paste(wanted), Key("enter"))
        await until(lambda: seat.core.model.notice.text.startswith(("your key is under", "your key has no")))
    assert is_locked(tmp_path / "person.key") == bool(wanted)
    open_key(tmp_path / "person.key", wanted or None)


async def test_the_first_frame_does_not_wait_for_the_passphrase(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.remember()
    protect(home.state / "person.key", open_key(home.state / "person.key"), "open sesame")
    async with serving(Desk(), home.socket):
        terminal = Terminal(home)
        try:
            await terminal.shows("Passphrase of your key:")
            await terminal.shows("Delete the old backups")
            terminal.type("open sesame\r")
            await terminal.shows("● lena")
            assert "sesame" not in terminal.text
            assert b"sesame" not in terminal.raw
        finally:
            terminal.close()


def test_an_empty_passphrase_is_told_to_be_none() -> None:
    model = after(online(), Act("passphrase"), Key("enter"))
    assert "the key has no passphrase" in "\n".join(plain(row) for row in view(model, 80, 24).rows)
    model, effects = update(model, Key("enter"))
    assert effects == (Protect(""),)
    assert after(model, Answered(("protect",), False)).notice.text == "your key has no passphrase any more"
