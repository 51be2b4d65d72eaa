"""Several hosts on one machine: network namespaces, joined by veth pairs to bridges in a namespace of their own.

    host a ── veth ─┐
    host b ── veth ─┤ bridge of LAN 0 ─┐
                                       ├ routing between LANs, all in the switch's namespace
    host c ── veth ── bridge of LAN 1 ─┘

Each namespace is held by a process that ends with this one, whatever ends it, and has no name; so nothing is
left behind, nothing of the machine's own network is touched, and no packet leaves the namespaces. Multicast
stays within a LAN. A host's programs run as they are: ``Popen(host.argv([...]))`` has the program's own pid.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

RELAY = Path(__file__).with_name("relay.py")
SUBNET = "10.83"
LIMIT_S = 20.0
_ROUTER = 254
_CLONE_NEWNET = 0x4000_0000


def missing() -> str:
    """Why this machine cannot hold a network of namespaces; empty when it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program, package in (("ip", "iproute2"), ("tc", "iproute2"), ("unshare", "util-linux")):
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian's package {package})"
    tried = subprocess.run(
        ["unshare", "--net", "ip", "link", "add", "p", "type", "veth"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        return f"this machine lets nobody make network namespaces: {tried.stderr.strip()}"
    return ""


def _run(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr.strip()}"
    return done.stdout


class Namespace:
    """A network namespace, held open by a process that waits for the end of its standard input."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo up; exec cat >/dev/null"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"up\n"
        self.path = f"/proc/{self._holder.pid}/ns/net"
        assert not Path(self.path).samefile("/proc/self/ns/net")
        self.run("ip", "link", "set", "lo", "up")

    @property
    def pid(self) -> int:
        return self._holder.pid

    def argv(self, argv: Sequence[str]) -> list[str]:
        """The words that run a program in here."""
        return ["nsenter", f"--net={self.path}", "--", *argv]

    def run(self, *argv: str) -> str:
        """Run a program in here to its end; gives its output, fails with its error."""
        return _run(self.argv(argv))

    def set(self, **values: str) -> None:
        """Write kernel settings under /proc/sys/net; ``a__b`` is ``a/b``."""
        for name, value in values.items():
            path = f"/proc/sys/net/{name.replace('__', '/')}"
            self.run("sh", "-c", 'echo "$1" > "$2"', "sh", value, path)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Sockets that this thread makes inside the block belong in here, and stay in here."""
        libc = ctypes.CDLL(None, use_errno=True)
        with Path("/proc/thread-self/ns/net").open("rb") as before, Path(self.path).open("rb") as inside:
            if libc.setns(inside.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                if libc.setns(before.fileno(), _CLONE_NEWNET):
                    os._exit(70)  # a test run that has lost its own network must not go on

    def close(self) -> None:
        self._holder.kill()
        self._holder.communicate()


class Host(Namespace):
    """One host: its address is ``ip`` on ``eth0``, IPv6 link-local beside it, and its router's the default."""

    def __init__(self, name: str, lan: int, number: int) -> None:
        super().__init__()
        self.name = name
        self.lan = lan
        self.ip = f"{SUBNET}.{lan}.{number}"
        self.port = f"p{lan}-{name}"[:15]
        self.relay: subprocess.Popen[bytes] | None = None

    def settle(self) -> None:
        """Give eth0, which is plugged in, its address and route."""
        self.run("ip", "addr", "add", f"{self.ip}/24", "broadcast", "+", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        self.run("ip", "route", "add", "default", "via", f"{SUBNET}.{self.lan}.{_ROUTER}")

    def connect(self, ip: str, port: int, timeout: float = 5.0) -> socket.socket:
        """A TCP connection from here."""
        with self.entered():
            plug = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        plug.settimeout(timeout)
        try:
            plug.connect((ip, port))
        except BaseException:
            plug.close()
            raise
        return plug

    def order(self, **order: Any) -> None:
        """Tell a slow cable's relay."""
        assert self.relay is not None
        assert self.relay.stdin is not None
        self.relay.stdin.write(json.dumps(order).encode() + b"\n")
        self.relay.stdin.flush()

    def close(self) -> None:
        if self.relay is not None:
            self.relay.kill()
            self.relay.communicate()
        super().close()


class Network:
    """Hosts on one or more LANs. Close it, or use it in a ``with``."""

    def __init__(self) -> None:
        self._switch = Namespace()
        self._hosts: list[Host] = []
        self._lans: set[int] = set()
        self._seeds = 0
        self._switch.set(ipv4__ip_forward="1")
        self._netem = self._kernel_has_netem()

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        for host in self._hosts:
            host.close()
        self._switch.close()

    def _kernel_has_netem(self) -> bool:
        self._switch.run("ip", "link", "add", "try", "type", "veth", "peer", "name", "try2")
        tried = self._switch.argv(["tc", "qdisc", "add", "dev", "try", "root", "netem", "delay", "1ms"])
        found = subprocess.run(tried, capture_output=True, check=False).returncode == 0
        self._switch.run("ip", "link", "del", "try")
        return found

    # Hosts.

    def host(self, name: str, *, lan: int = 0, slow: bool = False) -> Host:
        """One more host on a LAN. ``slow`` says that its cable may be given a delay or losses by ``shape``."""
        self._make_lan(lan)
        host = Host(name, lan, 1 + sum(other.lan == lan for other in self._hosts))
        assert all(other.port != host.port for other in self._hosts), f"a second host is called {name}"
        self._hosts.append(host)
        host.set(ipv6__conf__default__accept_dad="0")
        if slow and not self._netem:
            self._lay_slow_cable(host)
        else:
            self._switch.run(
                "ip", "link", "add", host.port, "type", "veth", "peer", "name", "eth0", "netns", str(host.pid)
            )
        self.plug(host)
        host.settle()
        return host

    def _make_lan(self, lan: int) -> None:
        if lan in self._lans:
            return
        self._lans.add(lan)
        bridge = f"lan{lan}"
        self._switch.run("ip", "link", "add", bridge, "type", "bridge", "mcast_snooping", "0", "stp_state", "0")
        self._switch.run("ip", "addr", "add", f"{SUBNET}.{lan}.{_ROUTER}/24", "broadcast", "+", "dev", bridge)
        self._switch.run("ip", "link", "set", bridge, "up")

    def _lay_slow_cable(self, host: Host) -> None:
        self._seeds += 1
        inner = f"{host.port}.h"[:15]
        host.relay = subprocess.Popen(
            self._switch.argv([sys.executable, str(RELAY), host.port, inner, str(self._seeds)]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert host.relay.stdout is not None
        assert host.relay.stdout.readline() == b"up\n"
        self._switch.run("ip", "link", "set", inner, "netns", str(host.pid), "name", "eth0")

    # What happens to cables.

    def plug(self, host: Host) -> None:
        """Undo ``unplug``, ``pull`` and ``split`` for one host."""
        self._join(host, f"lan{host.lan}")
        self._switch.run("ip", "link", "set", host.port, "up")
        if host.relay is not None:
            host.order(carrier=True)

    def _join(self, host: Host, bridge: str) -> None:
        self._switch.run("ip", "link", "set", host.port, "master", bridge)

    def unplug(self, host: Host) -> None:
        """Let nothing through to or from a host, which sees its carrier all the while: a partition."""
        self._switch.run("ip", "link", "set", host.port, "nomaster")

    def pull(self, host: Host) -> None:
        """Pull a host's cable: it sees that its carrier is gone."""
        if host.relay is not None:
            host.order(carrier=False)
            self.unplug(host)
        else:
            self._switch.run("ip", "link", "set", host.port, "down")

    def split(self, *groups: Sequence[Host]) -> None:
        """Part one LAN's hosts into groups that see only themselves. The first group keeps the router."""
        for number, group in enumerate(groups):
            for host in group:
                bridge = f"lan{host.lan}" if number == 0 else f"part{host.lan}-{number}"
                if number and not self._has(bridge):
                    self._switch.run(
                        "ip", "link", "add", bridge, "type", "bridge", "mcast_snooping", "0", "stp_state", "0"
                    )
                    self._switch.run("ip", "link", "set", bridge, "up")
                self._join(host, bridge)

    def merge(self) -> None:
        """Undo ``split``."""
        for host in self._hosts:
            self._join(host, f"lan{host.lan}")

    def _has(self, link: str) -> bool:
        return any(row["ifname"] == link for row in json.loads(self._switch.run("ip", "-json", "link", "show")))

    def shape(self, host: Host, *, delay_ms: float = 0.0, loss: float = 0.0) -> None:
        """Delay and lose a slow host's frames, in each direction: a round trip takes twice the delay.

        By ``tc netem``, or where the kernel has none by a relay of our own; ``loss`` is a share (0.01: one in 100).
        """
        if host.relay is not None:
            host.order(delay_s=delay_ms / 1000, loss=loss)
            return
        assert self._netem, f"host {host.name} was made without slow=True"
        words = ("root", "netem", "delay", f"{delay_ms:g}ms", "loss", f"{loss * 100:g}%", "limit", "20000")
        host.run("tc", "qdisc", "replace", "dev", "eth0", *words)
        self._switch.run("tc", "qdisc", "replace", "dev", host.port, *words)
