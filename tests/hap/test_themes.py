from __future__ import annotations

import pytest

from bzzzd.hap.themes import BUILT_IN, STYLES, THEMES, Look, fitting, look, theme


@pytest.mark.parametrize("name", THEMES)
def test_every_theme_has_every_style(name: str) -> None:
    assert set(BUILT_IN[name].looks) == set(STYLES)


def test_a_style_is_written_as_a_person_says_it() -> None:
    assert look("bold 214 on 236", 256) == Look(fg=214, bg=236, bold=True)
    assert look("Bright-Red underline", 16) == Look(fg=9, underline=True)
    assert look("on blue", 16) == Look(bg=4)
    assert look("reverse dim", 0) == Look(reverse=True, dim=True)
    assert look("", 256) == Look()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("pink", "`pink` is no colour and no attribute"),
        ("red blue", "`blue` is one colour too many"),
        ("bold on", "no colour stands behind `on`"),
        ("256", "`256` is beyond the 256 colours"),
        ("²", "`²` is no colour"),
    ],
)
def test_what_is_no_style_is_told(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        look(text, 256)


def test_a_theme_without_colours_takes_none() -> None:
    with pytest.raises(ValueError, match="beyond the 0 colours"):
        look("red", 0)


def test_a_name_that_is_gone_is_dark() -> None:
    assert theme("of-yesterday").name == "dark"


def test_the_terminal_decides_where_the_person_has_not() -> None:
    assert fitting({"NO_COLOR": "1"}, 256) == "none"
    assert fitting({}, 8) == "16"
    assert fitting({"COLORFGBG": "0;15"}, 256) == "light"
    assert fitting({}, 256) == "dark"
