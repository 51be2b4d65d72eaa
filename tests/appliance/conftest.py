"""Booted Debian machines with the package as it is built: asked for with ``--appliance``.

They need root and a quarter of an hour: ``scripts/test --appliance``. The package is built once per commit.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from nodelab.__main__ import install  # noqa: E402
from nodelab.lab import Lab, alone  # noqa: E402
from nodelab.machine import Machine  # noqa: E402
from nodelab.shell import LabError, unfit  # noqa: E402

from tests.conftest import APPLIANCE_S  # noqa: E402

LIMIT_S = 120.0
UNITS = ("bzzzd", "bzzz-agent")
FINAL = ("completed", "failed", "canceled", "rejected")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.appliance)
            item.add_marker(pytest.mark.timeout(APPLIANCE_S))
            if not config.getoption("--appliance"):
                item.add_marker(pytest.mark.skip(reason="boots machines; asked for with --appliance"))
            elif unfit():
                item.add_marker(pytest.mark.skip(reason=unfit()))


def wait_for(what: str, condition: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
    """Ask until ``condition`` gives something true, or the lab's own error ends; its value is returned."""
    end = time.monotonic() + limit_s
    while True:
        try:
            found, why = condition(), ""
        except LabError as error:
            found, why = None, f": {error}"
        if found:
            return found
        assert time.monotonic() < end, f"waited {limit_s:g} s for {what}{why}"
        time.sleep(0.2)


class Box:
    """A machine of the lab with what the tests ask of BZZZ on it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.name = machine.name

    def run(self, *argv: str, user: str = "root", limit_s: float = 60.0, input: bytes | None = None) -> str:
        return self.machine.run(*argv, user=user, limit_s=limit_s, input=input)

    def sh(self, script: str, *, user: str = "root", limit_s: float = 60.0) -> str:
        return self.run("sh", "-c", script, user=user, limit_s=limit_s)

    def refused(self, *argv: str, user: str = "root") -> tuple[int, str]:
        """Run what must fail; its exit status and what it said on standard error."""
        done = subprocess.run(
            self.machine.command(argv, user=user), capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        assert done.returncode != 0, f"{argv} was to fail, and said {done.stdout[:300]}"
        return done.returncode, done.stderr

    def json(self, *argv: str, user: str = "root", limit_s: float = 60.0) -> Any:
        return json.loads(self.run(*argv, user=user, limit_s=limit_s))

    def bzzz(self, *words: str, user: str = "root", limit_s: float = 60.0, tail: tuple[str, ...] = ()) -> Any:
        """A command of ``bzzz`` with ``--json``; what it answered. ``tail`` comes after all options."""
        return self.json("bzzz", *words, "--json", *tail, user=user, limit_s=limit_s)

    def submit(self, title: str, capability: str, *command: str, user: str = "alice", body: str = "") -> str:
        """The id of a new task, which runs ``command`` where one is given."""
        told = ("--body", body) if body else ()
        tail = ("--", *command) if command else ()
        made = self.bzzz("task", "submit", title, "--capability", capability, *told, user=user, tail=tail)
        return str(made["task"]["id"])

    def task(self, id: str, user: str = "alice") -> dict[str, Any]:
        found: dict[str, Any] = self.bzzz("task", "show", id, user=user)["task"]
        return found

    def ended(self, id: str, user: str = "alice") -> dict[str, Any] | None:
        """A task, once it has ended."""
        found = self.task(id, user=user)
        return found if found["state"] in FINAL else None

    def tasks(self, user: str = "alice") -> dict[str, dict[str, Any]]:
        """All tasks by their id."""
        return {task["id"]: task for task in self.bzzz("task", "list", "--limit", "1000", user=user)["tasks"]}

    def start(self, *units: str) -> None:
        self.run("systemctl", "start", *(units or ("bzzz-agent",)), limit_s=120)

    def is_active(self, unit: str) -> bool:
        return self.sh(f"systemctl is-active {unit} || true").strip() == "active"

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def healthy(self) -> bool:
        """Whether daemon and agent are up and say that they are ready."""
        return all(self.is_active(unit) for unit in UNITS) and self.status()["phase"] == "ready"

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.bzzz("status")
        return found

    def add_user(self, name: str, *groups: str) -> None:
        self.run("useradd", "--create-home", "--shell", "/bin/bash", name)
        for group in groups:
            self.run("usermod", "-aG", group, name)

    def install(self, *debs: Path) -> None:
        install(self.machine, list(debs))

    def wait_healthy(self) -> None:
        wait_for(f"{self.name} to be healthy", self.healthy)


@pytest.fixture(scope="session")
def older(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same package under a lower version, in its files as well."""
    return with_version(deb, "0.0.9", tmp_path_factory.mktemp("older"))


def with_version(deb: Path, version: str, folder: Path, python: tuple[str, str] = ("3.11", "3.12")) -> Path:
    """A copy of a package under another version, in its files as well, for a range of Pythons."""
    tree = folder / "tree"
    subprocess.run(["dpkg-deb", "-R", str(deb), str(tree)], check=True)
    control = tree / "DEBIAN" / "control"
    told = re.sub(r"(?m)^Version: .*$", f"Version: {version}", control.read_text())
    told = told.replace("(>= 3.11)", f"(>= {python[0]})").replace("(<< 3.12)", f"(<< {python[1]})")
    control.write_text(told)
    package = tree / "usr/lib/bzzz/lib/python3.11/site-packages/bzzzd"
    (package / "__init__.py").write_text(f'"""BZZZ."""\n\n__version__ = "{version}"\n')
    for compiled in (package / "__pycache__").glob("__init__.*.pyc"):
        compiled.unlink()
    made = folder / f"bzzz_{version}_amd64.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zgzip", "-b", str(tree), str(made)], check=True, stdout=subprocess.DEVNULL
    )
    return made


@pytest.fixture(scope="session")
def whole_lab() -> Iterator[Lab]:
    """The lab, empty, for this run alone; always torn down."""
    with alone():
        lab = Lab()
        lab.down()
        try:
            yield lab
        finally:
            lab.down()


@pytest.fixture(scope="module")
def machines(whole_lab: Lab) -> Iterator[Callable[[int], list[Box]]]:
    """Boots fresh machines for a module."""

    def up(count: int) -> list[Box]:
        whole_lab.up(count)
        return [Box(whole_lab[f"n{number}"]) for number in range(1, count + 1)]

    try:
        yield up
    finally:
        whole_lab.down()
