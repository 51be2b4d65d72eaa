"""One machine: an overlay of the base, booted by systemd-nspawn in its own network namespace and control group."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from nodelab import cgroups, network
from nodelab.shell import LabError, attempt, entering, run

BOOT_S: Final = 120.0
_GONE_S: Final = 10.0
_POWER_OFF_S: Final = 45.0
_PAUSE_S: Final = 0.05


def wait_for(condition: Callable[[], bool], limit_s: float) -> bool:
    """Ask until it is true, at most ``limit_s`` seconds; whether it became so."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(_PAUSE_S)
    return True


class Machine:
    """``n1``, ``n2``…: its disk lies in ``folder``, and stays until it is removed."""

    def __init__(self, number: int, folder: Path, base: Path, *, life_s: int, memory_mib: int) -> None:
        self.number = number
        self.name = f"n{number}"
        self.address = network.address(number)
        self.folder = folder
        self.root = folder / "root"
        self._base = base
        self._life_s = life_s
        self._memory_mib = memory_mib
        self._nspawned: subprocess.Popen[bytes] | None = None

    # Power.

    @property
    def running(self) -> bool:
        return self._nspawn() is not None

    def start(self) -> None:
        """Switch it on; ``await_boot`` waits for it."""
        if self.running:
            return
        cgroups.sweep(self.name)
        self._mount()
        network.lay_cable(self.name, self.number)
        # It ends by itself after its life time, whatever became of whoever switched it on.
        argv = [
            "setsid", "timeout", "--kill-after=20", str(self._life_s),
            "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", f"--directory={self.root}",
            f"--machine={self.name}", f"--network-namespace-path=/run/netns/{network.space(self.name)}",
            "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=read-only",
        ]  # fmt: skip
        with (self.folder / "console.log").open("ab") as log:
            self._nspawned = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=lambda: cgroups.join(self.name, self._memory_mib),
            )  # fmt: skip
        if not wait_for(lambda: self.running, 5.0):
            raise self._failed("did not start")

    def await_boot(self, limit_s: float = BOOT_S) -> None:
        """Wait until systemd has finished starting."""
        if not wait_for(lambda: self.state in ("running", "degraded") or not self.running, limit_s) or not self.running:
            raise self._failed("did not boot")
        self._own_limits()

    def cut_power(self) -> None:
        """Off the network first, so that nobody sees its connections closed; then everything is gone at once."""
        network.unplug(self.name)
        pid = self._nspawn()
        if pid is not None:
            _kill(self._first() or pid)
            if not wait_for(lambda: not self.running, _GONE_S):
                _kill(pid)
                if not wait_for(lambda: not self.running, _GONE_S):
                    raise self._failed("will not die")
        cgroups.sweep(self.name)
        self._gone()

    def power_off(self) -> None:
        """An orderly shutdown, or a power cut where that takes too long."""
        pid = self._nspawn()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            if not wait_for(lambda: not self.running, _POWER_OFF_S):
                self.cut_power()
        self._gone()

    def boot(self) -> None:
        """Switch on again what was cut or shut down, plugged in."""
        self.start()
        self.await_boot()

    def remove(self) -> None:
        """Away with it and its disk."""
        self.cut_power()
        if os.path.ismount(self.root) and not attempt("umount", str(self.root)):
            run("umount", "--lazy", str(self.root))
        shutil.rmtree(self.folder, ignore_errors=True)
        attempt("rmdir", f"/run/systemd/nspawn/propagate/{self.name}")

    # Inside.

    @property
    def state(self) -> str:
        """What ``systemctl is-system-running`` says; empty while nothing answers."""
        pid = self._first()
        if pid is None:
            return ""
        argv = entering(pid, ["timeout", "5", "systemctl", "is-system-running"])
        done = subprocess.run(argv, capture_output=True, text=True, timeout=15, check=False)
        return done.stdout.strip()

    def command(self, argv: Sequence[str], *, user: str = "root") -> list[str]:
        """What to run here so that ``argv`` runs there."""
        pid = self._first()
        if pid is None:
            raise LabError(f"{self.name} is not up; start it: scripts/lab boot {self.name}")
        # runuser alone would leave root's HOME in place.
        as_user = ["runuser", "-u", user, "--", "env", f"HOME=/home/{user}", f"USER={user}"] if user != "root" else []
        return entering(pid, [*as_user, *argv])

    def run(self, *argv: str, user: str = "root", limit_s: float = 60.0, input: bytes | None = None) -> str:
        """Run to its end inside, and give what it printed; ``LabError`` when it fails."""
        return run(*self.command(argv, user=user), limit_s=limit_s, input=input)

    def put(self, path: Path, there: str) -> None:
        with path.open("rb") as file:
            argv = self.command(["sh", "-c", 'cat >"$1"', "put", there])
            done = subprocess.run(argv, stdin=file, capture_output=True, timeout=120, check=False)
        if done.returncode:
            raise LabError(f"{path} could not be copied to {self.name}: {done.stderr.decode(errors='replace')}")

    def logs(self, *options: str) -> str:
        """Its journal, also while it is down."""
        folder = self.root / "var/log/journal"
        return run("journalctl", "--no-pager", "--quiet", "-D", str(folder), *options, limit_s=120)

    # How.

    def _mount(self) -> None:
        for name in ("root", "upper", "work"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        if (self.root / ".lab-ready").exists():
            return
        layers = f"lowerdir={self._base},upperdir={self.folder / 'upper'},workdir={self.folder / 'work'}"
        if not attempt("mount", "-t", "overlay", "-o", layers, f"lab-{self.name}", str(self.root)):
            run("cp", "-a", "--reflink=auto", f"{self._base}/.", str(self.root), limit_s=300)
        (self.root / "etc/hostname").write_text(f"{self.name}\n")

    def _gone(self) -> None:
        """Clear up after its processes."""
        if self._nspawned is not None:
            self._nspawned.wait(_GONE_S)
            self._nspawned = None
        cgroups.drop(self.name)

    def _nspawn(self) -> int | None:
        """Its nspawn, found by its command line: a pid file could be of another process by now."""
        wanted = f"--directory={self.root}".encode()
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"systemd-nspawn") and wanted in words:
                return int(path.parent.name)
        return None

    def _first(self) -> int | None:
        """The machine's process 1, as a pid of this machine."""
        pid = self._nspawn()
        if pid is None:
            return None
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:
            return None
        return int(children[0]) if children else None

    def _own_limits(self) -> None:
        """Cgroup v1 comes read-only into the machine: without this, its units' limits would do nothing."""
        if Path("/sys/fs/cgroup/memory").is_dir():
            script = (
                "for c in memory cpu cpuacct pids; do mount -o remount,rw,bind /sys/fs/cgroup/$c; done; "
                "timeout 20 systemctl daemon-reexec"
            )
            attempt(*self.command(["sh", "-c", script]))

    def _failed(self, what: str) -> LabError:
        console = self.folder / "console.log"
        last = console.read_text(errors="replace").splitlines()[-12:] if console.exists() else []
        return LabError(f"{self.name} {what}; its console:\n" + "\n".join(last))


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
