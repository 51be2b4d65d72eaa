"""Ports for what a test starts a moment later."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

_GIVEN: set[int] = set()


def free_port() -> int:
    """A port that is free now, below those that the kernel gives to connections: it must be free again later.

    None is given twice by one process: twenty nodes are given forty before the first of them listens.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        if port in _GIVEN:
            continue
        _GIVEN.add(port)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
