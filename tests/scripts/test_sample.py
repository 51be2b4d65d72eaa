from pathlib import Path

import pytest
from localnode.sample import TEXT_CHARS, _changes, _next, opening

from bzzzd.errors import UnknownOutcome

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_opening_of_our_readme_is_prose_of_the_right_length() -> None:
    text = opening(README)
    assert 300 < len(text) <= TEXT_CHARS
    assert not set("#*`|[]") & set(text)
    assert text.startswith("BZZZ turns a group of Linux machines")


def test_the_opening_ends_with_its_section(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n\n![x](x.svg)\n\n## First\n\nWords *here*.\n\n## Second\n\nMore.\n")
    assert opening(page) == "Words here."


def test_progress_is_shown_with_the_task_it_belongs_to() -> None:
    lines = [
        '{"task": {"state": "working", "agent": "a1"}}',
        '{"progress": {"done": 3, "note": "the model is writing"}}',
        '{"task": {"state": "completed", "agent": "a1"}}',
    ]
    assert list(_changes(lines)) == [
        {"state": "working", "agent": "a1"},
        {"state": "working", "agent": "a1", "note": "the model is writing"},
        {"state": "completed", "agent": "a1"},
    ]


def test_a_watch_that_breaks_off_is_an_unknown_outcome() -> None:
    with pytest.raises(UnknownOutcome, match="did not end within"):
        _next(iter(()))
