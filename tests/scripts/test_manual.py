"""Man pages and completions: complete, clean roff, and they complete in a real bash."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from manual.pages import pages
from manual.shells import fish, scripts, zsh

from bzzzd.cli.table import COMMANDS

DATE = "2026-01-02"


def completed(line: str, folder: Path) -> list[str]:
    """What bash offers behind ``line``."""
    script = folder / "bzzz.bash"
    script.write_text(dict(scripts())["bzzz.bash"])
    words = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    code = f"compopt() {{ :; }}; . {script}; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _bzzz; "
    done = subprocess.run(
        ["bash", "-c", code + 'printf "%s\\n" "${COMPREPLY[@]}"'], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_every_program_has_a_page_and_every_command_is_in_one() -> None:
    found = dict(pages(DATE))
    assert set(found) == {"bzzz.1", "bzzzd.8", "bzzz-agent.8", "bzzz-hap.1"}
    plain = found["bzzz.1"].replace("\\", "")
    for command in COMMANDS:
        assert f"bzzz {command.name}" in plain
        assert all(arg.name in plain for arg in command.args if arg.name.startswith("--"))
    assert all(option in found["bzzzd.8"].replace("\\", "") for option in ("--config", "--check-config", "--version"))


@pytest.mark.skipif(shutil.which("man") is None, reason="man, which reads the pages, is not on this machine")
def test_man_has_nothing_to_warn_of(tmp_path: Path) -> None:
    for name, text in pages(DATE):
        path = tmp_path / name
        path.write_text(text)
        done = subprocess.run(
            ["man", "--warnings", "--local-file", str(path)], capture_output=True, text=True, check=True,
            env={"LC_ALL": "C.UTF-8", "MANWIDTH": "80", "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        assert done.stderr == ""
        assert "SEE ALSO" in done.stdout


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("bzzz me", {"mesh"}),
        ("bzzz mesh pol", {"policy"}),
        ("bzzz mesh policy ", {"apply", "show"}),
        ("bzzz task list --st", {"--state"}),
        ("bzzz task list --state wor", {"working"}),
        ("bzzz prompt list --state op", {"open"}),
        ("bzzz task show t-1 --js", {"--json"}),
        ("bzzz nonsense ", set()),
    ],
)
def test_bash_completes_words_options_and_choices(line: str, offered: set[str], tmp_path: Path) -> None:
    assert set(completed(line, tmp_path)) == offered


def test_zsh_and_fish_know_every_command() -> None:
    for command in COMMANDS:
        assert f"'{command.name}')" in zsh()
        assert f"-a {command.words[-1]} " in fish()
