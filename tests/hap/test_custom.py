from __future__ import annotations

from pathlib import Path

import pytest

from bzzzd.config.load import load
from bzzzd.config.settings import Settings
from bzzzd.errors import ConfigInvalid
from bzzzd.hap.files.custom import hands
from bzzzd.hap.themes import Look

HEAD = "binary_type: hap\nagent: {}\nai: {}\nnetwork: {}\nsecurity: {}\ninterface:\n"


def _settings(folder: Path, interface: str) -> Settings:
    path = folder / "mine.yaml"
    path.write_text(HEAD + interface)
    return load("hap", path)


def test_without_a_word_everything_is_built_in(tmp_path: Path) -> None:
    mine = hands(_settings(tmp_path, "  mouse: false\n"))
    assert tuple(mine.themes) == ("dark", "light", "16", "none")
    assert mine.registry.by_name["quit"].keys == ("q",)


def test_keys_are_replaced_by_action_and_shown_as_they_are(tmp_path: Path) -> None:
    mine = hands(_settings(tmp_path, "  keys:\n    quit: [Q, ctrl+q]\n    undo: []\n    down: [j, down, t]\n"))
    assert mine.registry.by_name["quit"].keys == ("Q", "ctrl+q")
    assert mine.registry.answer("tasks", "q") is None
    answer = mine.registry.answer("tasks", "t")
    assert answer is not None
    assert answer.name == "down"


def test_a_theme_of_one_s_own_is_another_with_some_styles_changed(tmp_path: Path) -> None:
    text = "  theme: night\n  themes:\n    night:\n      like: dark\n      accent: bold 81\n      selected: on 24\n"
    night = hands(_settings(tmp_path, text)).themes["night"]
    assert (night.name, night.colours) == ("night", 256)
    assert night.looks["accent"] == Look(fg=81, bold=True)
    assert night.looks["base"] == hands(_settings(tmp_path, text)).themes["dark"].looks["base"]


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("  keys:\n    quit: [j]\n", 8, r"key `j` means both .*quit.*choose another key"),
        ("  keys:\n    submit: [s]\n", 8, "would be typed as text in form"),
        ("  keys:\n    qiut: [Q]\n", 8, "did you mean `quit`"),
        ("  keys:\n    quit: [controll-q]\n", 8, "`controll-q` is no key"),
        ("  keys:\n    leave: []\n", 8, "nothing would leave the portal"),
        ("  theme: nights\n", 7, "there is no theme nights"),
        ("  themes:\n    night:\n      like: drak\n", 9, "there is no theme drak"),
        ("  themes:\n    night:\n      acent: red\n", 9, "did you mean `accent`"),
        ("  themes:\n    night:\n      accent: pink\n", 9, "`pink` is no colour"),
        ("  themes:\n    dark:\n      accent: red\n", 9, "give yours another name"),
    ],
)
def test_a_fault_is_told_with_its_line_and_what_to_do(tmp_path: Path, text: str, line: int, told: str) -> None:
    with pytest.raises(ConfigInvalid, match=told) as caught:
        hands(_settings(tmp_path, text))
    assert f"mine.yaml:{line}:" in caught.value.message


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        hands(_settings(tmp_path, "  theme: no-such\n  keys:\n    quit: [j]\n    nothing: [Q]\n"))
    assert all(word in caught.value.message for word in ("no-such", "`j`", "no action nothing"))
