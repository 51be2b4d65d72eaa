"""Saving to a file: safe names, nothing written over without a word, nothing half-written."""

from __future__ import annotations

import asyncio
import os
import resource
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzzzd.errors import BadInput, Conflict, NotFound, StorageFailed
from bzzzd.hap.files.saving import save, target
from bzzzd.hap.handlers import naming
from bzzzd.hap.messages import Act, Answered, Key, Paste, Refused, SaveContent
from bzzzd.hap.update import update
from bzzzd.hap.values.books import Edition
from bzzzd.hap.values.model import Naming
from bzzzd.hap.values.things import Fault
from bzzzd.runtime.newfile import NewFile
from bzzzd.ucxl.address import build

from .builders import after, keys
from .rooms import HIDE, book

NAMES = st.text("abzAZ09_-", min_size=1, max_size=64)
PATHS = st.lists(st.text("aZ9_.-", min_size=1, max_size=12).filter(lambda part: part not in (".", "..")), max_size=6)


@given(NAMES, PATHS, st.sampled_from(("text/plain", "application/json; charset=x", "x/y", "")))
def test_an_offered_name_is_safe_whatever_the_address_is(task: str, path: list[str], kind: str) -> None:
    name = naming.offered(build("a", "r", "p", task, "/".join(path)).base, Edition(3, "", content_type=kind))
    assert "/" not in name
    assert name[0] not in ".-"
    assert len(name) < 128
    assert "-v3" in name


def test_the_name_that_is_offered_is_typed_over_and_the_version_in_view_is_saved() -> None:
    model = after(book(), *keys("[ w"))
    assert isinstance(model.overlay, Naming)
    assert model.overlay.text.text == "t-0003-decision-v2.txt"
    model, effects = update(after(model, *keys("ctrl+u"), Paste("notes.txt")), Key("enter"))
    assert effects == (SaveContent(HIDE.replace("*^", "*~2"), "notes.txt", "t-0003-decision-v2.txt", over=False),)
    assert after(model, Answered(("save", "notes.txt"), ("/home/lena/notes.txt", 73))).notice.text == (
        "saved 73 B as /home/lena/notes.txt"
    )


def test_a_name_that_is_taken_is_asked_about_and_another_one_is_not_written_over() -> None:
    model = after(book(), *keys("w enter"))
    taken = Refused(("save", "t-0003-decision-v3.txt"), Fault("CONFLICT", "it exists"))
    model = after(model, taken)
    assert isinstance(model.overlay, Naming)
    assert model.overlay.over
    _, effects = update(model, Key("enter"))
    assert [effect.over for effect in effects if isinstance(effect, SaveContent)] == [True]
    _, effects = update(after(model, *keys("x")), Key("enter"))
    assert [effect.over for effect in effects if isinstance(effect, SaveContent)] == [False]
    assert after(model, *keys("esc")).overlay is None


def test_a_typed_command_names_the_file_at_once() -> None:
    _, effects = update(book(), Act("save", {"path": "~/x"}))
    assert [effect.path for effect in effects if isinstance(effect, SaveContent)] == ["~/x"]


def inside(folder: Path) -> list[Path]:
    return list(folder.iterdir())


class Content:
    """bzzzd with one content in pieces; ``fault`` is raised at the last of them."""

    def __init__(self, content: bytes, fault: Exception | None = None) -> None:
        self.content = content
        self.fault = fault
        self.waiting = 2

    async def call(self, method: str, params: Mapping[str, Any], seconds: float) -> Any:
        if method == "context.receive_begin":
            self.waiting -= 1
            return {"have": 1, "total": 9} if self.waiting else {"download": "d", "size": len(self.content)}
        piece = self.content[params["offset"] :][:10]
        if not piece and self.fault is not None:
            raise self.fault
        return {"data": piece, "last": not piece}


async def test_content_is_written_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    assert await save(Content(b"x" * 35).call, HIDE, path, over=False) == 35
    assert path.read_bytes() == b"x" * 35
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert inside(tmp_path) == [path]


async def test_what_breaks_off_leaves_nothing_and_what_was_there_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("mine")
    with pytest.raises(NotFound):
        await save(Content(b"x" * 35, NotFound("ended")).call, HIDE, path, over=True)
    with pytest.raises(Conflict):
        await save(Content(b"x").call, HIDE, path, over=False)
    assert (path.read_text(), inside(tmp_path)) == ("mine", [path])
    assert await save(Content(b"y").call, HIDE, path, over=True) == 1
    assert path.read_text() == "y"


async def test_a_save_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    async def never(method: str, params: Mapping[str, Any], seconds: float) -> Any:
        await asyncio.Event().wait()

    task = asyncio.create_task(save(never, HIDE, tmp_path / "notes", over=False))
    async with asyncio.timeout(30):
        while not inside(tmp_path):  # noqa: ASYNC110  a file appears
            await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert inside(tmp_path) == []


def test_a_name_that_appeared_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    file = NewFile(tmp_path / "notes")
    (tmp_path / "notes").write_text("theirs")
    with pytest.raises(Conflict):
        file.keep()
    file.drop()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["theirs"]


def test_a_file_that_the_disk_has_no_room_for_leaves_nothing(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    file = NewFile(tmp_path / "notes")
    file.write(b"x" * 100)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(StorageFailed):
            file.keep()
        file.drop()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert inside(tmp_path) == []


def test_a_pipe_is_never_written_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    file = NewFile(tmp_path / "pipe")
    with pytest.raises(BadInput):
        file.keep(over=True)
    file.drop()


def test_a_folder_gets_the_offered_name(tmp_path: Path) -> None:
    assert target(str(tmp_path), "notes-v3.txt") == tmp_path / "notes-v3.txt"
    assert target(str(tmp_path / "x"), "notes-v3.txt") == tmp_path / "x"
    with pytest.raises(BadInput):
        target("~nobody-of-this-name/x", "n")
