"""The words with which agents ask people."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from bzzzd.hmmm.folders import read_library
from bzzzd.hmmm.library import DEFAULTS, VARIABLES, Library, Occasion, problems

ETC = Path(__file__).parents[2] / "etc"


def test_there_are_words_for_every_occasion_and_the_shipped_files_are_the_same() -> None:
    assert set(get_args(Occasion)) == set(DEFAULTS) == set(VARIABLES)
    assert all(not list(problems(one)) for one in DEFAULTS.values())
    shipped, wrong = read_library(ETC / "prompts")
    assert wrong == []
    values = {name: name for names in VARIABLES.values() for name in names}
    assert [shipped.say(one, values) for one in DEFAULTS] == [Library().say(one, values) for one in DEFAULTS]


def test_values_are_data_in_the_words() -> None:
    said = Library().say("approve_action", {"action": "run $title\nrm", "title": "a\nb", "detail": "$action"})
    assert said.title == "May I run $title rm for “a b”?"
    assert said.body.endswith("$action")


def test_a_folder_changes_words_and_a_faulty_file_leaves_the_usual_ones(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text('version: 1\noccasion: plan\ntitle: "My plan for $title"\nbody: $steps\n')
    (tmp_path / "failure.yaml").write_text('version: 1\noccasion: failure\ntitle: "$steps"\n')
    found, wrong = read_library(tmp_path)
    assert found.say("plan", {"title": "x"}).title == "My plan for x"
    assert found.say("failure", {"title": "x"}).title == "Not done: “x”"
    assert [str(one) for one in wrong] == [
        f"{tmp_path}/failure.yaml:3:8: title: `$steps` has no value here; the variables are agent, author, task, "
        "title, why; use one of those variables"
    ]
