"""The lab's network: a namespace with two bridges, and a cable to each machine.

``br0`` is the network; ``br1`` is the other side of a partition. A machine has a namespace of its own that
outlives it, with one end of a veth pair in it (``host0``); the other end is plugged into a bridge. Leaving
the bridge keeps the carrier: the machine cannot tell a partition from silence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from nodelab.shell import attempt, run

NAMESPACE: Final = "bzzz-nodelab"
SUBNET: Final = "10.78.0"
MOST: Final = 16


def address(number: int) -> str:
    """Machine ``number``'s address, from 1."""
    return f"{SUBNET}.{number}"


def hosts() -> str:
    lines = ["127.0.0.1 localhost", "::1 localhost"]
    lines += [f"{address(number)} n{number}" for number in range(1, MOST + 1)]
    return "\n".join(lines) + "\n"


def space(name: str) -> str:
    return f"{NAMESPACE}-{name}"


def _ip(*argv: str) -> None:
    run("ip", "-n", NAMESPACE, *argv)


def up() -> None:
    """Make the network, if it is not there."""
    if Path("/run/netns", NAMESPACE).exists():
        return
    run("ip", "netns", "add", NAMESPACE)
    _ip("link", "set", "lo", "up")
    for bridge in ("br0", "br1"):
        _ip("link", "add", bridge, "up", "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
    _ip("addr", "add", f"{SUBNET}.254/24", "dev", "br0")


def lay_cable(name: str, number: int) -> None:
    """Give a machine its namespace, address and cable, and plug it in."""
    if not attempt("ip", "-n", NAMESPACE, "link", "show", name):
        attempt("ip", "netns", "del", space(name))
        run("ip", "netns", "add", space(name))
        _ip("link", "add", name, "type", "veth", "peer", "name", "host0", "netns", space(name))
        _ip("link", "set", name, "addrgenmode", "none")  # it is only a cable
        own = ("ip", "-n", space(name))
        run(*own, "link", "set", "lo", "up")
        run(*own, "addr", "add", f"{address(number)}/24", "brd", "+", "dev", "host0")
        run(*own, "link", "set", "host0", "up")
        # Without a default route, multicast and the question for one's own address go nowhere.
        run(*own, "route", "add", "default", "via", f"{SUBNET}.254")
    plug(name)


def plug(name: str, bridge: str = "br0") -> None:
    _ip("link", "set", name, "master", bridge, "up")


def unplug(name: str) -> None:
    attempt("ip", "-n", NAMESPACE, "link", "set", name, "nomaster")


def down() -> None:
    """Take all of it away."""
    folder = Path("/run/netns")
    for path in sorted(folder.glob(f"{NAMESPACE}*")) if folder.is_dir() else ():
        attempt("ip", "netns", "del", path.name)
