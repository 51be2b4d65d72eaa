"""The image, built and run with Debian's own tools: asked for with ``--appliance``, because it takes root and minutes.

No registry is asked: the base is the Debian of ``scripts/lab``, and the package is the one of the appliance tests.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from nodelab import network  # noqa: E402
from nodelab.base import make_base  # noqa: E402
from nodelab.lab import FOLDER  # noqa: E402
from nodelab.shell import unfit as unfit_lab  # noqa: E402

LIMIT_S = 150.0
# Debian's package for each program that is needed; crun refuses some machines' control groups, runc does not.
NEEDED = {"buildah": "buildah", "podman": "podman", "runc": "runc", "catatonit": "catatonit"}
IMAGE, BASE = "localhost/bzzz", "localhost/bzzz-base"
_CONF = """\
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_config_dir = "{networks}"
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
"""


def unfit() -> str:
    """Why no container can run here; empty when one can."""
    missing = sorted(package for program, package in NEEDED.items() if shutil.which(program) is None)
    if os.geteuid() != 0:
        return "containers with users of their own are started by root here"
    if missing:
        return f"containers need packages; run: apt-get install {' '.join(missing)}"
    return unfit_lab()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and "heavy" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.appliance)
            if not config.getoption("--appliance"):
                item.add_marker(pytest.mark.skip(reason="builds and runs containers; asked for with --appliance"))
            elif unfit():
                item.add_marker(pytest.mark.skip(reason=unfit()))


def wait_for(what: str, condition: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
    """Ask until ``condition`` gives something true; its value is returned."""
    end = time.monotonic() + limit_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"waited {limit_s:g} s for {what}"
        time.sleep(0.3)


class Podman:
    """podman and buildah over a store of their own, that goes with its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        conf = folder / "containers.conf"
        (folder / "networks").mkdir()
        conf.write_text(_CONF.format(networks=folder / "networks"))
        self._env = {**os.environ, "CONTAINERS_CONF": str(conf), "TMPDIR": str(folder)}
        self._store = ("--root", str(folder / "root"), "--runroot", str(folder / "run"))

    def __call__(self, *words: str, program: str = "podman", limit_s: float = 120.0, ok: bool = True) -> str:
        """What it printed; ``ok`` false takes any exit status and adds what was said on standard error."""
        done = subprocess.run(
            [program, *self._store, *words], env=self._env, capture_output=True, timeout=limit_s, check=False
        )
        said, errors = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        assert not ok or done.returncode == 0, f"{program} {' '.join(words)}: {errors[-3000:]}{said[-1000:]}"
        return said if ok else said + errors

    def build(self, context: Path, **arguments: str) -> None:
        given = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
        self(
            "bud", "--isolation", "chroot", *given, "--file", str(context / "packaging/Dockerfile"), "--tag", IMAGE,
            str(context), program="buildah", limit_s=900,
        )  # fmt: skip

    def inspect(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("inspect", name))[0]
        return found

    def end(self) -> None:
        """Everything that was started or made."""
        self("pod", "rm", "--all", "--force", "--time", "0", ok=False)
        self("rm", "--all", "--force", "--time", "0", ok=False)
        self("network", "prune", "--force", ok=False)
        self("rmi", "--all", "--force", ok=False)


@pytest.fixture(scope="session")
def heavy(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """Podman with the image of this tree and the package."""
    folder = Path("/var/tmp") / f"bzzz-containers-{os.getpid()}"
    folder.mkdir(mode=0o700)
    podman = Podman(folder)
    try:
        base = make_base(FOLDER, network.hosts())
        tar = folder / "base.tar"
        subprocess.run(["tar", "-C", str(base), "--one-file-system", "-cf", str(tar), "."], check=True)
        podman("import", str(tar), BASE)
        tar.unlink()
        context = tmp_path_factory.mktemp("context")
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout.splitlines()  # fmt: skip
        for name in listed:
            if (ROOT / name).is_file():
                (context / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, context / name)
        (context / "dist").mkdir()
        shutil.copy2(deb, context / "dist")
        podman.build(context, BASE=BASE, DEBS="dist")
        yield podman
    finally:
        podman.end()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def pods(heavy: Podman, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder that every user can enter, unlike those of pytest."""
    folder = heavy.folder.parent / f"{heavy.folder.name}-{request.node.name[:24]}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
