from __future__ import annotations

import io
from pathlib import Path

import pytest

from bzzzd.cli import person
from bzzzd.crypto.keyfile import open_key, protect
from bzzzd.errors import KeyLocked


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "person.key"
    protect(path, open_key(path), "open sesame")
    return path


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_locked_key_is_asked_for_on_the_terminal(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(prompt: str, stream: object = None) -> str:
        asked.append(prompt)
        return "open sesame"

    monkeypatch.setattr("sys.stdin", _Terminal())
    monkeypatch.setattr(person, "getpass", answer)
    assert person.persons_key(locked).public == open_key(locked, "open sesame").public
    assert asked == [f"Passphrase of {locked}: "]


def test_without_a_terminal_it_says_what_to_do_and_takes_no_passphrase_from_the_pipe(
    locked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("open sesame\n"))
    with pytest.raises(KeyLocked, match="type it in a terminal") as caught:
        person.persons_key(locked)
    assert (caught.value.code, caught.value.exit_status) == ("KEY_LOCKED", 3)
