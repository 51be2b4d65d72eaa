from __future__ import annotations

import pytest

from bzzzd.hap.handlers.pointer import meaning
from bzzzd.hap.messages import Act, Key, Mouse
from bzzzd.hap.rows import plain
from bzzzd.hap.screen.keys import Decoder
from bzzzd.hap.values.model import Form, Model
from bzzzd.hap.view import view

from .builders import after, keys, online, opened


def _place(model: Model, words: str) -> tuple[int, int]:
    """Where these words stand in the window: column and row of the second letter."""
    for number, row in enumerate(view(model, model.width, model.height).rows):
        if (column := plain(row).find(words)) >= 0:
            return column + 1, number
    raise AssertionError(f"{words!r} is not shown")


def _pressed(model: Model, words: str) -> Model:
    return after(model, Mouse("left", *_place(model, words)))


def test_a_press_on_a_row_chooses_it_and_another_opens_it() -> None:
    model = _pressed(online(), "Review the firewall")
    assert model.lists["tasks"].chosen == "t-0004"
    assert model.page is None
    model = _pressed(model, "Review the firewall")
    assert model.page is not None
    assert model.page.id == "t-0004"


def test_a_press_on_a_row_of_a_scrolled_and_filtered_list_finds_that_row() -> None:
    model = after(online(80, 8), *keys("/ o t t o enter j"))
    model = _pressed(model, "Run the tests")
    assert model.lists["tasks"].chosen == "t-0002"


def test_a_press_on_a_view_s_name_or_a_tab_goes_there() -> None:
    model = _pressed(online(130, 30), "Peers")
    assert model.view == "peers"
    model = _pressed(opened(), "Trace")
    assert model.page is not None
    assert model.page.tab == "trace"


def test_a_press_on_a_key_in_the_bottom_line_is_that_key() -> None:
    assert isinstance(_pressed(online(), "n new").overlay, Form)
    assert isinstance(after(online(), Mouse("left", _place(online(), "n new")[0] + 2, 22)).overlay, Form)


def test_a_press_in_the_palette_runs_what_stands_there() -> None:
    model = after(online(), *keys(": h e a"))
    assert _pressed(model, "health").view == "health"
    assert after(model, Mouse("left", 0, 20)).overlay is None


def test_the_wheel_moves_what_is_in_view() -> None:
    assert meaning(online(), Mouse("wheel-down", 3, 3), ()) == (Act("down"),) * 3
    assert meaning(opened(), Mouse("wheel-up", 3, 3), ()) == (Act("scroll-up"),) * 3
    assert meaning(after(online(), *keys("?")), Mouse("wheel-down", 0, 0), ()) == (Act("help-down"),) * 3
    assert meaning(after(online(), *keys("n")), Mouse("wheel-down", 0, 0), ()) == (Act("form-down"),) * 3


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (40, 12), (80, 24), (300, 80)])
def test_no_press_anywhere_breaks_anything(size: tuple[int, int]) -> None:
    width, height = size
    for start in ("", "?", ":", "n", "/", "B", "enter"):
        model = after(online(width, height), *keys(start))
        for row in range(0, height + 1, max(1, height // 12)):
            for column in range(0, width + 1, max(1, width // 12)):
                for button in ("left", "right", "wheel-up", "wheel-down"):
                    moved = after(model, Mouse(button, column, row))
                    assert len(view(moved, width, height).rows) == height


def test_the_mouse_is_left_to_the_terminal_by_key_and_in_the_bare_view() -> None:
    model = online()
    assert model.mouse_taken
    assert not after(model, *keys("M")).mouse_taken
    assert not after(model, *keys("B")).mouse_taken
    assert after(model, *keys("B q")).mouse_taken


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"\x1b[<0;5;3M", [Mouse("left", 4, 2)]),
        (b"\x1b[<0;5;3m", []),
        (b"\x1b[<64;1;1M\x1b[<65;300;80M", [Mouse("wheel-up", 0, 0), Mouse("wheel-down", 299, 79)]),
        (b"\x1b[<4;5;3M", [Mouse("left", 4, 2)]),
        (b"\x1b[<35;5;3M", []),
        (b"\x1b[<0;0;0M", []),
        (b"\x1b[<99999999;5;3Mx", [Key("x", "x")]),
        (b"\x1b[M !!x", [Key("x", "x")]),
    ],
)
def test_reports_of_the_mouse_are_presses_and_turns(data: bytes, found: list[object]) -> None:
    assert Decoder(lambda _: "", 100).feed(data) == found
