"""The lab as a whole: its machines, their network, and one user of it at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from nodelab import cgroups, network
from nodelab.base import make_base
from nodelab.machine import Machine
from nodelab.shell import LabError, unfit

FOLDER: Final = Path(os.environ.get("BZZZ_LAB_DIR", "/var/tmp/bzzz-nodelab"))  # noqa: S108  large, kept, root's own
LIFE_S: Final = int(os.environ.get("BZZZ_LAB_TTL", "5400"))
MEMORY_MIB: Final = int(os.environ.get("BZZZ_LAB_MEM", "2048"))


class Lab:
    """``machines`` by name, n1 first."""

    def __init__(self, folder: Path = FOLDER) -> None:
        why = unfit()
        if why:
            raise LabError(why)
        self.folder = folder
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.machines: dict[str, Machine] = {}
        for path in sorted(folder.glob("nodes/n*"), key=lambda path: int(path.name[1:])):
            self._add(int(path.name[1:]))

    def _add(self, number: int) -> Machine:
        base = make_base(self.folder, network.hosts())
        machine = Machine(
            number, self.folder / "nodes" / f"n{number}", base, life_s=LIFE_S, memory_mib=MEMORY_MIB
        )  # fmt: skip
        self.machines[machine.name] = machine
        return machine

    def __getitem__(self, name: str) -> Machine:
        try:
            return self.machines[name]
        except KeyError:
            raise LabError(f"there is no machine {name}; scripts/lab status lists them") from None

    def up(self, count: int) -> None:
        """Have machines n1 to n``count`` up; those that are stay as they are."""
        if not 1 <= count <= network.MOST:
            raise LabError(f"the lab has 1 to {network.MOST} machines, not {count}")
        network.up()
        wanted = [self.machines.get(f"n{number}") or self._add(number) for number in range(1, count + 1)]
        self.boot(wanted)

    def boot(self, machines: Iterable[Machine]) -> None:
        network.up()
        booting = list(machines)
        for machine in booting:
            machine.start()
        with ThreadPoolExecutor(max_workers=4) as pool:
            for waiting in [pool.submit(machine.await_boot) for machine in booting]:
                waiting.result()

    def split(self, apart: Iterable[Machine]) -> None:
        """These see each other, and nobody else."""
        for machine in apart:
            network.plug(machine.name, "br1")

    def heal(self, machines: Iterable[Machine]) -> None:
        for machine in machines:
            network.plug(machine.name)

    def down(self, *, base: bool = False) -> None:
        """End everything; with ``base`` the cached base as well."""
        for machine in list(self.machines.values()):
            machine.remove()
        self.machines.clear()
        network.down()
        cgroups.drop()
        if base:
            import shutil

            shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def alone(folder: Path = FOLDER) -> Iterator[None]:
    """One user of the lab at a time; a second one is refused and told so."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError(f"the lab in {folder} is in use; wait, or set BZZZ_LAB_DIR and stop the other") from None
        yield
