from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from bzzzd.hap.files.scratch import TEXT_BYTES, left
from bzzzd.hap.files.state import StateFolder
from bzzzd.hap.screen.editor import command, edit


def _editor(folder: Path, script: str) -> dict[str, str]:
    path = folder / "my editor"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"EDITOR": f"'{path}'", "PATH": "/usr/bin:/bin"}


async def test_the_editor_s_text_comes_back_and_no_file_is_left(tmp_path: Path) -> None:
    file = tmp_path / "drafts/0.edit.md"
    environ = _editor(tmp_path, f'stat -c %a "$1" > "{tmp_path}/mode"; printf "more\\n" >> "$1"')
    result = await edit(file, "crème", environ)
    assert (result.text, result.told) == ("crème\nmore", "")
    assert (tmp_path / "mode").read_text() == "600\n"
    assert not file.exists()
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


async def test_an_editor_that_fails_loses_nothing(tmp_path: Path) -> None:
    file = tmp_path / "drafts/0.edit.md"
    result = await edit(file, "before", _editor(tmp_path, 'echo half > "$1"; exit 3'))
    assert result.text is None
    kept = file.with_name("0.edit.kept.md")
    assert "status 3" in result.told
    assert str(kept) in result.told
    assert kept.read_text() == "half\n"
    untouched = await edit(file, "before", _editor(tmp_path, "exit 1"))
    assert untouched.text is None
    assert "as before" in untouched.told
    assert not file.exists()


@pytest.mark.parametrize("script", ['printf "\\377\\376" > "$1"', 'printf "a\\000b" > "$1"'])
async def test_what_is_no_text_stays_in_its_file(tmp_path: Path, script: str) -> None:
    file = tmp_path / "drafts/0.edit.md"
    result = await edit(file, "before", _editor(tmp_path, script))
    assert result.text is None
    assert str(file) in result.told
    assert file.exists()


async def test_an_editor_that_does_not_exist_is_told(tmp_path: Path) -> None:
    result = await edit(tmp_path / "0.edit.md", "text", {"VISUAL": "/no/such/editor"})
    assert result.text is None
    assert "/no/such/editor did not start" in result.told


def test_the_editor_is_the_one_that_the_person_named() -> None:
    assert command({"VISUAL": "code --wait", "EDITOR": "vi"}) == ["code", "--wait"]
    assert command({"VISUAL": "'unclosed", "EDITOR": "vi -e"}) == ["vi", "-e"]
    assert command({"PATH": ""}) == []


async def test_leaving_ends_the_editor_and_its_text_is_taken_up_at_the_next_start(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.take_drafts()
    script = f'echo "in the middle" > "$1"; touch "{tmp_path}/begun"; exec sleep 60'
    editing = asyncio.create_task(edit(state.editor_file(), "before", _editor(tmp_path, script)))
    async with asyncio.timeout(20):
        while not (tmp_path / "begun").exists():  # noqa: ASYNC110  a file of another process
            await asyncio.sleep(0.01)
    editing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await editing
    state.close()
    again = StateFolder(tmp_path)
    assert again.take_drafts()[0].values["body"] == "in the middle"
    assert not again.editor_file().exists()
    again.close()
    assert StateFolder(tmp_path).take_drafts()[0].values["body"] == "in the middle"


def test_a_file_that_is_too_long_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(b"x" * (TEXT_BYTES + 1))
    assert left(path) is None
    assert left(tmp_path / "absent") is None
