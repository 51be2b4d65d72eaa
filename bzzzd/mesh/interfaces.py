"""Which addresses of the machine to listen on: the rules, what the kernel says, and its word that something changed."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

AUTO: Final = "auto"
MOST_ADDRESSES: Final = 16
_LOOPBACK: Final = "127.0.0.1"
# What container engines, hypervisors and their like put between their guests; no other machine reaches these.
_BRIDGES: Final = re.compile(
    r"(docker|podman|cni|cali|cilium|flannel|kube|nodelocaldns|veth|virbr|vnet|vmnet|vboxnet|lxcbr|lxdbr|incusbr|waydroid"
    r"|ifb|dummy)[\w.-]*|br-[0-9a-f]{12}"
)
_RTMGRP: Final = 0x10 | 0x100  # RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR of rtnetlink(7)
_IFF_MULTICAST: Final = 0x1000
_SETTLE_S: Final = 0.3


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface and its addresses (text, without zone)."""

    name: str
    addresses: tuple[str, ...]


def choose(wanted: Sequence[str], port: int, interfaces: Sequence[Interface]) -> tuple[str, ...]:
    """The multiaddrs to listen on.

    ``wanted`` holds concrete multiaddrs, names of interfaces, and ``auto``: every interface but loopback and the
    bridges of containers. Link-local addresses are left out, IPv4 goes first. Where ``auto`` finds nothing, it is
    127.0.0.1 until there is something: the node then serves its own machine alone.
    """
    found: dict[str, None] = {}
    for entry in wanted:
        if entry.startswith("/"):
            found[entry] = None
            continue
        named = [one for one in interfaces if (_outward(one) if entry == AUTO else one.name == entry)]
        loopback = entry != AUTO
        addresses = [a for one in named for text in one.addresses if (a := _usable(text, loopback=loopback))]
        for address in sorted(addresses, key=lambda address: address.version):
            found[f"/ip{address.version}/{address}/tcp/{port}"] = None
    if not found and AUTO in wanted:
        found[f"/ip4/{_LOOPBACK}/tcp/{port}"] = None
    return tuple(found)[:MOST_ADDRESSES]


def _outward(interface: Interface) -> bool:
    return interface.name != "lo" and _BRIDGES.fullmatch(interface.name) is None


def _usable(text: str, *, loopback: bool) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    refused = address.is_link_local or address.is_unspecified or address.is_multicast
    return None if refused or (address.is_loopback and not loopback) else address


def beyond_this_machine(address: str) -> bool:
    """Whether a multiaddr could be dialled from another machine: its host is no loopback address."""
    parts = address.split("/")
    return len(parts) > 2 and _usable(parts[2], loopback=False) is not None


def read_interfaces() -> tuple[Interface, ...]:
    """The machine's interfaces, as the kernel has them now."""
    import ifaddr  # slow to import, and not needed where every address is configured

    return tuple(
        Interface(adapter.name, tuple(ip.ip if isinstance(ip.ip, str) else ip.ip[0] for ip in adapter.ips))
        for adapter in ifaddr.get_adapters()
    )


def read_networks() -> tuple[Network, ...]:
    """The networks on which multicast could reach other machines, without link-local ones."""
    import ifaddr

    return tuple(
        ipaddress.ip_network(f"{address}/{ip.network_prefix}", strict=False)
        for adapter in ifaddr.get_adapters() if _outward(Interface(adapter.name, ())) and _multicasts(adapter.name)
        for ip in adapter.ips
        if (address := _usable(ip.ip if isinstance(ip.ip, str) else ip.ip[0], loopback=False))
    )  # fmt: skip


def _multicasts(name: str) -> bool:
    """Whether an interface carries multicast; a tunnel (WireGuard, say) does not."""
    try:
        return bool(int(Path(f"/sys/class/net/{name}/flags").read_text(), 16) & _IFF_MULTICAST)
    except (OSError, ValueError):
        return True


def within(address: str, networks: Sequence[Network]) -> bool:
    """Whether a multiaddr's host is on one of the networks."""
    parts = address.split("/")
    host = _usable(parts[2], loopback=False) if len(parts) > 2 else None
    return host is not None and any(host in network for network in networks)


class AddressWatch:
    """Says when the machine's addresses may have changed; costs nothing while they do not.

    The kernel tells over a netlink socket; changes come in bursts, so the word is given once they have settled.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
        self._socket.bind((0, _RTMGRP))
        self._loop.add_reader(self._socket.fileno(), self._told)

    def _told(self) -> None:
        try:
            while self._socket.recv(65_536):
                pass
        except BlockingIOError:
            pass
        except OSError:  # ENOBUFS: so much has changed that the kernel could not tell it all
            pass
        if self._timer is None:
            self._timer = self._loop.call_later(_SETTLE_S, self._settled)

    def _settled(self) -> None:
        self._timer = None
        self._changed()

    def close(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        if self._timer is not None:
            self._timer.cancel()
        self._socket.close()
