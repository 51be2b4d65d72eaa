from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bzzzd.errors import DiskFull
from bzzzd.hap.core import Core
from bzzzd.hap.files.state import Seen, StateFolder
from bzzzd.hap.messages import Act, Ask, Attach, Key, Message, Offline, Online, Order, Paste, Submit
from bzzzd.hap.values.model import Draft, Model

from .builders import LENA, NOW, STATUS, TASKS, blank, keys, online
from .desk import until


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Recorder:
    """A surface and a performer that remember."""

    def __init__(self) -> None:
        self.effects: list[Ask | Attach | Submit | Order] = []
        self.shown: list[Model] = []
        self.redrawn = self.suspended = 0

    def perform(self, effect: Ask | Attach | Submit | Order) -> None:
        self.effects.append(effect)

    def changed(self, old: Model, new: Model, message: Message) -> None:
        self.shown.append(new)

    def redraw(self) -> None:
        self.redrawn += 1

    def suspend(self) -> None:
        self.suspended += 1


class FullDisk(StateFolder):
    """A state folder on a disk that is full while ``full`` is set."""

    full = True

    def save_drafts(self, drafts: tuple[Draft, ...]) -> None:
        if self.full:
            raise DiskFull("no space left to write the draft; free some space")
        super().save_drafts(drafts)

    def save_seen(self, seen: Seen) -> None:
        if self.full:
            raise DiskFull("no space left to write the view; free some space")
        super().save_seen(seen)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def core(tmp_path: Path, clock: Clock, recorder: Recorder) -> AsyncIterator[Core]:
    found = Core(online(), FullDisk(tmp_path), clock)
    found.connect(recorder, recorder)
    yield found
    await found.close()


async def test_effects_go_to_the_performer_and_changes_to_the_surface(core: Core, recorder: Recorder) -> None:
    core.send(Key("enter"))
    assert [effect.method for effect in recorder.effects if isinstance(effect, Ask)] == ["task.show", "task.trace"]
    assert recorder.shown[-1].page is not None
    core.send(Key("ctrl+l"), Key("ctrl+z"))
    assert (recorder.redrawn, recorder.suspended) == (1, 1)


async def test_the_clock_is_read_before_a_message_so_that_an_undo_lasts_its_whole_time(
    core: Core, clock: Clock
) -> None:
    clock.now = NOW + 25
    core.send(Key("c"))
    assert core.model.pending[0].due == NOW + 30


async def test_a_full_disk_is_told_and_forgotten_once_there_is_room(core: Core) -> None:
    core.send(*keys("n"), Paste("precious"), Key("esc"))
    await until(lambda: core.model.unsaved)
    assert "memory only: no space left" in core.model.notice.text
    assert core.model.draft.title == "precious"
    FullDisk.full = False
    try:
        core.send(*keys("n x esc"))
        await until(lambda: not core.model.unsaved)
    finally:
        FullDisk.full = True


async def test_a_view_that_cannot_be_kept_is_told_and_harms_nothing(core: Core) -> None:
    core.send(Offline("away"))
    await until(lambda: "last view was not saved" in core.model.notice.text)
    assert len(core.model.tasks) == len(TASKS)


async def test_what_is_saved_last_is_on_disk_when_it_is_closed(
    tmp_path: Path, clock: Clock, recorder: Recorder
) -> None:
    core = Core(blank(), StateFolder(tmp_path), clock)
    core.connect(recorder, recorder)
    core.send(Act("new", {"title": "Half a thought"}), Key("ctrl+c"))
    assert core.ended.is_set()
    await core.close()
    assert StateFolder(tmp_path).take_drafts()[0].title == "Half a thought"


async def test_it_is_settled_once_the_daemon_has_answered_or_refused(core: Core) -> None:
    assert not core.settled.is_set()
    core.send(Online(LENA, STATUS))
    assert core.settled.is_set()
