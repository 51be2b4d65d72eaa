"""Which names in a Host header are this machine's: the guard of local web ports against DNS rebinding.

A web page can point a name of its own at 127.0.0.1 and then call us as its own origin. It cannot do that with an
address, nor with a name that it does not own.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable


def own_names(more: Iterable[str] = ()) -> frozenset[str]:
    """The names of this machine, and ``more`` that the configuration gives it."""
    return frozenset({"localhost", socket.gethostname().lower(), *(name.lower().rstrip(".") for name in more)})


def is_own(host: str, names: frozenset[str]) -> bool:
    """Whether a Host header (``name``, ``name:port``, ``[address]:port``) is an address or one of ``names``."""
    name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.lower().rstrip(".") in names
    return True
