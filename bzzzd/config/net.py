"""Addresses in configuration: IP addresses, the multiaddrs of the mesh, and which bindings overlap."""

from __future__ import annotations

import socket

from msgspec import Struct

LONGEST_INTERFACE = 15
"""``IFNAMSIZ`` of Linux is 16 with the zero byte at the end."""

_HOSTS = {"ip4": socket.AF_INET, "ip6": socket.AF_INET6}


class Binding(Struct, frozen=True):
    """A TCP port on an address; ``packed`` is the address in network byte order."""

    address: str
    packed: bytes
    port: int

    def overlaps(self, other: Binding) -> bool:
        """Whether both cannot be bound at once; an unspecified address takes the port on every address."""
        same = self.packed == other.packed or unspecified(self.packed) or unspecified(other.packed)
        return same and self.port == other.port and self.port != 0


def packed(address: str) -> bytes | None:
    """An IPv4 or IPv6 address in network byte order, or ``None`` when it is neither."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_pton(family, address)
        except (OSError, ValueError):
            continue
    return None


def unspecified(address: bytes) -> bool:
    """Whether this is 0.0.0.0, ::, or 0.0.0.0 inside IPv6."""
    return not any(address) or (
        len(address) == 16 and address[:12] == bytes(10) + b"\xff\xff" and not any(address[12:])
    )


def listen_binding(multiaddr: str) -> Binding | str:
    """``/ip4/ADDRESS/tcp/PORT`` (or ip6) as a binding, or what is wrong with it."""
    parts = multiaddr.split("/")
    if len(parts) != 5 or parts[0] or parts[3] != "tcp":
        return "expected /ip4/ADDRESS/tcp/PORT or /ip6/ADDRESS/tcp/PORT"
    host, port = _host(parts[1], parts[2]), _port(parts[4])
    if isinstance(host, str):
        return host
    if port is None:
        return f"{parts[4] or 'an empty port'} is no port from 0 to 65535"
    if unspecified(host):
        return f"{parts[2]} is not a concrete address, and other nodes would be told to dial it"
    return Binding(parts[2], host, port)


def interface_fault(name: str) -> str | None:
    """What is wrong with ``auto`` or the name of an interface, or ``None``."""
    odd = any(char in "/: " or not char.isprintable() for char in name)
    if odd or not 1 <= len(name) <= LONGEST_INTERFACE:
        return f"{name[:60] or 'an empty text'} is neither a multiaddr, nor `auto`, nor the name of an interface"
    return None


def peer_fault(multiaddr: str, *, bare: bool = False) -> str | None:
    """What is wrong with ``/ip4|ip6|dns|dns4|dns6/HOST/tcp/PORT/p2p/ID``, or ``None``; ``bare``: it may lack the id."""
    parts = multiaddr.split("/")
    if bare and len(parts) == 5:
        parts += ["p2p", "x" * 40]
    if len(parts) != 7 or parts[0] or parts[3] != "tcp" or parts[5] != "p2p":
        return "expected /ip4/ADDRESS/tcp/PORT/p2p/PEER-ID (or ip6, dns, dns4, dns6)"
    if parts[1] in ("dns", "dns4", "dns6"):
        if not parts[2]:
            return "the host name is empty"
    elif isinstance(host := _host(parts[1], parts[2]), str):
        return host
    if not _port(parts[4]):
        return f"{parts[4] or 'an empty port'} is no port from 1 to 65535"
    if not (parts[6].isascii() and parts[6].isalnum() and len(parts[6]) >= 40):
        return f"{parts[6][:60] or 'an empty text'} is no peer id"
    return None


def _host(kind: str, address: str) -> bytes | str:
    if kind not in _HOSTS:
        return f"{kind or 'an empty text'} is no address kind: expected ip4 or ip6"
    try:
        return socket.inet_pton(_HOSTS[kind], address)
    except (OSError, ValueError):
        return f"{address or 'an empty text'} is no {'IPv4' if kind == 'ip4' else 'IPv6'} address"


def _port(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535 else None
