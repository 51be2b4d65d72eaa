"""Counts the bytes of a connection, below its encryption: what has crossed the network."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from libp2p.network.connection.raw_connection import RawConnection


class Meter:
    """Bytes in and out of one connection."""

    __slots__ = ("received", "sent")

    def __init__(self) -> None:
        self.received = self.sent = 0


class MeteredConnection(RawConnection):
    """A raw connection that counts."""

    meter: Meter

    async def write(self, data: bytes) -> None:
        self.meter.sent += len(data)
        await super().write(data)

    async def read(self, n: int | None = None) -> bytes:
        data = await super().read(n)
        self.meter.received += len(data)
        return data


# The library makes a muxed connection out of a raw one without telling which; the task that does so knows.
CURRENT: Final[ContextVar[Meter | None]] = ContextVar("meter", default=None)


def metered(stream: object, *, initiator: bool) -> MeteredConnection:
    """A raw connection over ``stream``, whose meter is that of the connection this task makes."""
    made = MeteredConnection(stream, initiator)  # type: ignore[arg-type]
    made.meter = Meter()
    CURRENT.set(made.meter)
    return made
