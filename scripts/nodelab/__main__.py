"""scripts/lab: a small private network of throw-away Debian machines, for trying and testing BZZZ.

  lab up N                     boot n1 to nN; those that are up stay as they are
  lab run N -- CMD…            up, run CMD in the lab's network, always down; exits as CMD did
  lab exec [-u USER] NODE CMD… run CMD in NODE
  lab net CMD…                 run CMD here, but in the lab's network
  lab put NODE FILE PATH       copy FILE into NODE
  lab install DEB…             apt-get install these files in every machine that is up, without a network
  lab cut|heal NODE…           off the network, each alone / back on it
  lab split NODE…              a partition: these see each other, and not the rest
  lab kill NODE…               a power cut; the disk is kept
  lab stop|boot NODE…          an orderly shutdown / on again
  lab logs NODE [OPTION…]      journalctl of NODE, also while it is down
  lab status                   one line a machine
  lab down [--base]            end everything; --base: the cached base too

Needs root. Environment: BZZZ_LAB_DIR (/var/tmp/bzzz-nodelab), BZZZ_LAB_TTL seconds a machine may live (5400),
BZZZ_LAB_MEM MiB a machine (2048).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from nodelab import network
from nodelab.lab import Lab, alone
from nodelab.machine import Machine
from nodelab.shell import LabError


def _run(lab: Lab, words: list[str]) -> int:
    count, command = int(words[0]), [word for word in words[1:] if word != "--"]
    try:
        lab.up(count)
        return subprocess.run(["ip", "netns", "exec", network.NAMESPACE, *command], check=False).returncode
    finally:
        lab.down()


def _exec(lab: Lab, words: list[str]) -> int:
    user = "root"
    if words[:1] == ["-u"]:
        user, words = words[1], words[2:]
    return subprocess.run(lab[words[0]].command(words[1:], user=user), check=False).returncode


def _put(lab: Lab, words: list[str]) -> int:
    lab[words[0]].put(Path(words[1]), words[2])
    return 0


def install(machine: Machine, debs: list[Path]) -> str:
    """Install package files with apt, which finds everything else on the machine or fails; gives what it said."""
    there = [f"/var/cache/{deb.name}" for deb in debs]
    for deb, path in zip(debs, there, strict=True):
        machine.put(deb, path)
    return machine.run(
        "apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "--allow-downgrades",
        "-o", "Dpkg::Use-Pty=0", *there, limit_s=300,
    )  # fmt: skip


def _install(lab: Lab, words: list[str]) -> int:
    for machine in lab.machines.values():
        if machine.running:
            print(install(machine, [Path(word) for word in words]))
    return 0


def _logs(lab: Lab, words: list[str]) -> int:
    print(lab[words[0]].logs(*words[1:]), end="")
    return 0


def _status(lab: Lab, words: list[str]) -> int:
    for machine in lab.machines.values():
        print(f"{machine.name:4} {machine.address:12} {machine.state or ('starting' if machine.running else 'down')}")
    return 0


def _each(do: Callable[[Machine], None]) -> Callable[[Lab, list[str]], int]:
    def run(lab: Lab, words: list[str]) -> int:
        for name in words:
            do(lab[name])
        return 0

    return run


def _up(lab: Lab, words: list[str]) -> int:
    lab.up(int(words[0]))
    return 0


def _boot(lab: Lab, words: list[str]) -> int:
    lab.boot(lab[name] for name in words)
    return 0


def _split(lab: Lab, words: list[str]) -> int:
    lab.split(lab[name] for name in words)
    return 0


def _down(lab: Lab, words: list[str]) -> int:
    lab.down(base="--base" in words)
    return 0


def _net(lab: Lab, words: list[str]) -> int:
    return subprocess.run(["ip", "netns", "exec", network.NAMESPACE, *words], check=False).returncode


COMMANDS: dict[str, Callable[[Lab, list[str]], int]] = {
    "up": _up, "run": _run, "exec": _exec, "net": _net, "put": _put, "install": _install,
    "cut": _each(lambda machine: network.unplug(machine.name)),
    "heal": _each(lambda machine: network.plug(machine.name)),
    "split": _split, "kill": _each(Machine.cut_power), "stop": _each(Machine.power_off), "boot": _boot,
    "logs": _logs, "status": _status, "down": _down,
}  # fmt: skip
# These change nothing, and may run beside a command that holds the lab.
_LOOKING = frozenset({"exec", "net", "logs", "status", "put"})


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in COMMANDS:
        print(__doc__, file=sys.stderr)
        return 0 if arguments[:1] in (["--help"], ["help"]) else 2
    name, words = arguments[0], arguments[1:]
    try:
        if name in _LOOKING:
            return COMMANDS[name](Lab(), words)
        with alone():
            return COMMANDS[name](Lab(), words)
    except (IndexError, ValueError):
        print(__doc__, file=sys.stderr)
        return 2
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
