"""A slow cable: carries Ethernet frames between two TAP interfaces, late and with losses.

Stands in for ``tc netem`` where the kernel is built without it. Arguments: the names of the two interfaces,
and a seed for the losses. It prints ``up``, and obeys lines of JSON on standard input until that ends:
``{"delay_s": 0.05, "loss": 0.01, "carrier": true}``. The delay and the loss are of each direction; the carrier
is what the second interface (the host's) sees.
"""

from __future__ import annotations

import fcntl
import heapq
import itertools
import json
import os
import random
import selectors
import struct
import sys
import time
from contextlib import suppress

TUNSETIFF, TUNSETCARRIER = 0x400454CA, 0x400454E2
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
LARGEST_FRAME = 65_536
MOST_ON_THE_WAY = 20_000


def tap(name: str) -> int:
    """A new TAP interface; it lives as long as the descriptor."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return descriptor


class Cable:
    """Two ends, and the frames that are on their way between them."""

    def __init__(self, ends: tuple[int, int], seed: int) -> None:
        self._other = {ends[0]: ends[1], ends[1]: ends[0]}
        self._host_end = ends[1]
        self._random = random.Random(seed)
        self._order = itertools.count()
        self._on_the_way: list[tuple[float, int, int, bytes]] = []
        self._delay_s = 0.0
        self._loss = 0.0

    def obey(self, order: dict[str, float]) -> None:
        self._delay_s = order.get("delay_s", self._delay_s)
        self._loss = order.get("loss", self._loss)
        if "carrier" in order:
            with suppress(OSError):  # an interface that is down has no carrier to speak of
                fcntl.ioctl(self._host_end, TUNSETCARRIER, struct.pack("i", bool(order["carrier"])))

    def take(self, end: int) -> None:
        """Read what waits at one end."""
        with suppress(BlockingIOError, OSError):  # an interface that is down gives EIO
            while True:
                frame = os.read(end, LARGEST_FRAME)
                if self._random.random() >= self._loss and len(self._on_the_way) < MOST_ON_THE_WAY:
                    due = time.monotonic() + self._delay_s
                    heapq.heappush(self._on_the_way, (due, next(self._order), self._other[end], frame))

    def give(self) -> float | None:
        """Hand over what is due; gives the seconds until the next is."""
        while self._on_the_way:
            wait = self._on_the_way[0][0] - time.monotonic()
            if wait > 0:
                return wait
            _, _, end, frame = heapq.heappop(self._on_the_way)
            with suppress(BlockingIOError, OSError):
                os.write(end, frame)
        return None


def main() -> None:
    ends = (tap(sys.argv[1]), tap(sys.argv[2]))
    cable = Cable(ends, int(sys.argv[3]))
    print("up", flush=True)
    os.set_blocking(0, False)
    with selectors.DefaultSelector() as selector:
        for source in (0, *ends):
            selector.register(source, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select(cable.give()):
                if key.fd != 0:
                    cable.take(key.fd)
                elif orders := os.read(0, LARGEST_FRAME):
                    for line in orders.splitlines():
                        cable.obey(json.loads(line))
                else:
                    return


if __name__ == "__main__":
    main()
