from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bzzzd.hap.feeds.tasks import TaskChanged, TaskProgressed
from bzzzd.hap.messages import Act, Came, Key, Message, Offline, Paste, Tick
from bzzzd.hap.rows import Frame
from bzzzd.hap.screen.painter import Painter
from bzzzd.hap.text import clean
from bzzzd.hap.themes import THEMES, theme
from bzzzd.hap.update import update
from bzzzd.hap.values.model import Model
from bzzzd.hap.values.things import Progress
from bzzzd.hap.view import view

from .builders import TASKS, after, keys, online, opened
from .screens import Glass

MIXED = st.text(alphabet=st.sampled_from("ab Zé漢字ｱ한👩🇩🇪\u200d\u0301\u0323שלوم์กำ…●▰\t\x1b[31m\u202e"), max_size=40)
_USED = "j k g G enter esc / : ? n q 1 2 3 4 c r u tab shift+tab b d t [ ] T down up pgdn pgup backspace left home x"
_KEYS = st.sampled_from(keys(_USED))


def _message(draw: st.DrawFn) -> Message:
    kind = draw(st.integers(0, 9))
    if kind < 5:
        return draw(_KEYS)
    if kind == 5:
        return Paste(draw(MIXED))
    if kind == 6:
        old = draw(st.sampled_from(TASKS))
        state = draw(st.sampled_from(["working", "completed", "submitted"]))
        changed = replace(old, title=clean(draw(MIXED)), state=state, updated=old.updated + 5000)
        return Came("tasks", (TaskChanged(changed),), draw(st.integers(0, 9999)))
    if kind == 7:
        done = draw(st.integers(0, 5))
        return Came("tasks", (TaskProgressed(draw(st.sampled_from(TASKS)).id, Progress(done, 5, "on it")),), 7)
    if kind == 8:
        return draw(st.sampled_from([Offline("it is away"), Tick(1_760_000_000.0 + draw(st.integers(0, 100)))]))
    return Act("filter", {"text": draw(st.sampled_from(["", "lena", "漢"]))})


messages = st.lists(st.composite(_message)(), min_size=1, max_size=12)


def _whole(frame: Frame, model: Model, width: int, height: int) -> Glass:
    glass = Glass(width, height)
    glass.show(Painter(theme(model.theme)).paint(frame))
    return glass


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(messages, st.sampled_from([(80, 24), (120, 30), (33, 9)]), st.booleans())
def test_the_difference_shows_the_same_as_a_whole_repaint(
    sequence: list[Message], size: tuple[int, int], page: bool
) -> None:
    width, height = size
    model = opened(width, height) if page else online(width, height)
    glass, painter = Glass(width, height), Painter(theme(model.theme))
    glass.show(painter.paint(view(model, width, height)))
    for message in sequence:
        before = model.theme
        model, _ = update(model, message)
        if model.theme != before:
            painter.restyle(theme(model.theme))
        frame = view(model, width, height)
        glass.show(painter.paint(frame))
        fresh = _whole(frame, model, width, height)
        assert glass.cells() == fresh.cells()
        if frame.cursor:
            assert (glass.screen.cursor.x, glass.screen.cursor.y) == frame.cursor
        assert glass.screen.cursor.hidden is (frame.cursor is None)


def test_nothing_is_written_when_nothing_changed() -> None:
    painter = Painter(theme("dark"))
    frame = view(online(), 80, 24)
    assert painter.paint(frame)
    assert painter.paint(view(online(), 80, 24)) == ""


@pytest.mark.parametrize("width", [80, 200])
def test_one_key_in_a_list_writes_less_than_600_bytes(width: int) -> None:
    many = tuple(replace(TASKS[0], id=f"t-{n}", title=f"Task {n} with a title of the usual length") for n in range(50))
    model = online(width, 50, tasks=many)
    painter = Painter(theme("dark"))
    painter.paint(view(model, width, 50))
    model = after(model, Key("j"))
    assert len(painter.paint(view(model, width, 50)).encode()) < 600


def test_an_ascii_terminal_gets_ascii_alone() -> None:
    painter = Painter(theme("16"), ascii_terminal=True)
    written = painter.paint(view(opened(), 80, 24))
    assert written.isascii()
    glass = Glass(80, 24)
    glass.show(written)
    assert "+ completed" in glass.lines()[2]


@pytest.mark.parametrize("name", THEMES)
def test_a_theme_uses_no_more_colours_than_it_promises(name: str) -> None:
    written = Painter(theme(name)).paint(view(online(), 80, 24))
    codes = {code for part in re.findall(r"\x1b\[([0-9;]*)m", written) for code in part.split(";")}
    allowed = {"dark": None, "light": None, "16": {str(n) for n in range(108)} - {"38", "48"}, "none": set("012347")}
    if (limit := allowed[name]) is not None:
        assert codes <= limit


@pytest.mark.parametrize("name", ["16", "none"])
def test_without_256_colours_the_chosen_row_and_the_bars_are_reversed(name: str) -> None:
    glass = Glass(80, 24)
    glass.show(Painter(theme(name)).paint(view(online(), 80, 24)))
    assert all(cell.reverse for cell in (glass.screen.buffer[0][40], glass.screen.buffer[2][40]))
    assert not glass.screen.buffer[3][40].reverse


def test_a_character_whose_width_the_terminal_sees_otherwise_moves_nothing_behind_it() -> None:
    """pyte draws a joined emoji in another width than wcwidth tells, as several terminals do."""
    model = online(80, 24, tasks=(replace(TASKS[0], title="👩\u200d👩\u200d👧 together"),))
    glass = Glass(80, 24)
    glass.show(Painter(theme("dark")).paint(view(model, 80, 24)))
    progress = "".join(glass.screen.buffer[2][x].data for x in range(70, 79))
    assert progress == "▰▰▰▱▱ 60%"
