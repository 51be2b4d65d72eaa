"""The raw connection below a peer's encryption: reads ahead, and counts the bytes that have crossed the network.

Noise asks for two bytes, which are the length of what it asks for next: without reading ahead every frame costs a
system call more, and a turn of the scheduler with it.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from libp2p.io.trio import TrioTCPStream
from libp2p.network.connection.raw_connection import RawConnection

from bzzzd.mesh.muxing import quicken

# Read at once, in bytes. What is at hand is worked through without giving up a turn, so it is not much.
_AHEAD: Final = 16_384


class Meter:
    """Bytes in and out of one connection."""

    __slots__ = ("received", "sent")

    def __init__(self) -> None:
        self.received = self.sent = 0


class MeteredConnection(RawConnection):
    """A raw connection that counts, and reads ahead."""

    meter: Meter
    _ahead = b""
    _taken = 0

    async def write(self, data: bytes) -> None:
        self.meter.sent += len(data)
        await super().write(data)

    async def read(self, n: int | None = None) -> bytes:
        """At most ``n`` bytes, at least one unless ``n`` is 0; none at the end."""
        if self._taken == len(self._ahead) and n != 0:
            if n is None or n >= _AHEAD:
                return await self._receive(n)
            self._ahead, self._taken = await self._receive(_AHEAD), 0
        start = self._taken
        self._taken = len(self._ahead) if n is None else min(start + n, len(self._ahead))
        return self._ahead[start : self._taken]

    async def _receive(self, n: int | None) -> bytes:
        data = await super().read(n)
        self.meter.received += len(data)
        return data


# The library makes a muxed connection out of a raw one without telling which; the task that does so knows.
CURRENT: Final[ContextVar[Meter | None]] = ContextVar("meter", default=None)


def metered(stream: object, *, initiator: bool) -> MeteredConnection:
    """A raw connection over ``stream``, whose meter is that of the connection this task makes."""
    if isinstance(stream, TrioTCPStream):
        quicken(stream, "read_lock", "write_lock")
    made = MeteredConnection(stream, initiator)  # type: ignore[arg-type]
    made.meter = Meter()
    CURRENT.set(made.meter)
    return made
