"""The bounds of the RPC server as one value, and its counters."""

from __future__ import annotations

from dataclasses import dataclass

from bzzzd.rpc.wire import MAX_FRAME


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds. What goes over a bound gets an error that names it."""

    max_connections: int = 256
    max_connections_per_uid: int = 192
    """Below ``max_connections``, so that no single user can lock the others out."""
    max_frame: int = MAX_FRAME
    max_guest_frame: int = 1_048_576
    """The largest frame before a session is attached."""
    max_in_flight: int = 256
    """Requests of one client that are being worked on; what is answered at once does not count."""
    max_subscriptions: int = 64
    max_calls: int = 64
    """Requests of ours that one client has not answered yet."""
    high_water: int = 262_144
    """Unsent bytes after which a client's own requests are no longer read."""
    max_unsent: int = 2 * MAX_FRAME
    """Unsent bytes after which a client that does not read is cut off."""
    frame_s: float = 30.0
    """From a frame's first byte to its last."""
    hello_s: float = 10.0
    """From the connection to ``hello``."""
    call_s: float = 30.0
    """For a client to answer a request of ours."""
    close_s: float = 5.0
    """For a client to read the last words before a connection is cut."""


@dataclass(slots=True)
class Counters:
    """What happened since the start; plain numbers, so that counting costs nothing that shows."""

    connections: int = 0
    connections_refused: int = 0
    frames: int = 0
    errors: int = 0
    denied: int = 0
    malformed: int = 0
    timed_out: int = 0
    handler_failures: int = 0
    overloaded: int = 0
    cut_off: int = 0
    stream_behind: int = 0
