"""The portal inside tmux and GNU screen, as people run it over SSH: what their own screens show, and what is left."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from .desk import Desk, serving, until
from .portals import PROGRAM, Home

# GNU screen writes what is no Latin-1 as one sign of its own, so patterns leave room for that.
ATTACHED = r"\S lena"


class Multiplexer(Protocol):
    """One window of 80 x 24 in which a shell runs."""

    def type(self, text: str) -> None: ...
    def press(self, key: str) -> None: ...
    def shown(self) -> str: ...
    def end(self) -> None: ...


class Tmux:
    """A tmux server of this test's own; its window is asked for what it shows."""

    def __init__(self, home: Home) -> None:
        self._argv = ["tmux", "-S", str(home.folder / "tmux"), "-f", "/dev/null"]
        self._environ = home.environ(TERM="screen-256color", LANG="C.UTF-8")
        self._run("new-session", "-d", "-x", "80", "-y", "24", "env", "PS1=ready> ", "sh")

    def _run(self, *words: str) -> str:
        found = subprocess.run(
            [*self._argv, *words], env=self._environ, capture_output=True, text=True, timeout=20, check=True
        )
        return found.stdout

    def type(self, text: str) -> None:
        self._run("send-keys", "-l", text)

    def press(self, key: str) -> None:
        self._run("send-keys", {"enter": "Enter", "esc": "Escape", "ctrl+z": "C-z"}[key])

    def resize(self, width: int, height: int) -> None:
        self._run("resize-window", "-x", str(width), "-y", str(height))

    def shown(self) -> str:
        return self._run("capture-pane", "-p")

    def end(self) -> None:
        self._run("kill-server")


class Screen:
    """A GNU screen of this test's own; what it shows is written to a file."""

    def __init__(self, home: Home) -> None:
        self._copy = home.folder / "hardcopy"
        sockets = home.folder / "screens"
        sockets.mkdir(mode=0o700)
        self._environ = home.environ(TERM="screen-256color", LANG="C.UTF-8", SCREENDIR=str(sockets))
        settings = home.folder / "screenrc"
        settings.write_text("altscreen on\n")  # else screen keeps what a program has left behind
        self._run("-d", "-m", "-U", "-S", "bzzz", "-c", str(settings), "env", "PS1=ready> ", "sh")

    def _run(self, *words: str) -> None:
        subprocess.run(["screen", *words], env=self._environ, capture_output=True, timeout=20, check=True)

    def _tell(self, *words: str) -> None:
        self._run("-S", "bzzz", "-p", "0", "-X", *words)

    def type(self, text: str) -> None:
        self._tell("stuff", text.replace("\\", "\\\\").replace("$", "\\$").replace("^", "\\^"))

    def press(self, key: str) -> None:
        self._tell("stuff", {"enter": "\r", "esc": "\x1b", "ctrl+z": "\x1a"}[key])

    def shown(self) -> str:
        self._copy.unlink(missing_ok=True)
        self._tell("hardcopy", str(self._copy))
        return self._copy.read_text(errors="replace") if self._copy.exists() else ""

    def end(self) -> None:
        self._tell("quit")


KINDS: dict[str, Callable[[Home], Multiplexer]] = {"tmux": Tmux, "screen": Screen}


@pytest.fixture(params=KINDS)
def window(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Multiplexer, Home]]:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed: apt install {request.param}")
    home = Home(tmp_path)
    found = KINDS[request.param](home)
    yield found, home
    found.end()


async def shows(window: Multiplexer, pattern: str) -> None:
    try:
        await until(lambda: re.search(pattern, window.shown()), 20)
    except TimeoutError:
        raise AssertionError(f"never saw {pattern!r} in:\n{window.shown()}") from None


async def test_the_portal_is_whole_in_it_and_leaves_the_shell_as_it_was(window: tuple[Multiplexer, Home]) -> None:
    inside, home = window
    desk = Desk()
    async with serving(desk, home.socket):
        await shows(inside, "ready>")
        inside.type("echo before the portal")
        inside.press("enter")
        await shows(inside, "\nbefore the portal")
        inside.type(shlex.join([*PROGRAM, "--config", str(home.config)]))
        inside.press("enter")
        await shows(inside, ATTACHED)
        inside.type("n")
        await shows(inside, "New task")
        inside.type("漢字 crème $HOME ^x")
        await shows(inside, r"Title \* .*\$HOME \^x")
        assert isinstance(inside, Screen) or "漢字 crème $HOME ^x" in inside.shown()
        if isinstance(inside, Tmux):  # screen resizes no window that nobody is attached to
            inside.resize(100, 30)
            await until(lambda: len(inside.shown().rstrip("\n").split("\n")) >= 29, 20)
        await shows(inside, r"\$HOME \^x(.|\n)*no tasks yet")
        inside.press("esc")
        await shows(inside, "draft kept; `n` opens it again")
        inside.press("ctrl+z")
        await shows(inside, "(?i)stopped")
        inside.type("fg")
        inside.press("enter")
        await shows(inside, ATTACHED)
        inside.type("q")
        await shows(inside, r"ready> *\n*$")
        assert "before the portal" in inside.shown()
        assert not re.search(ATTACHED, inside.shown())
